//! Random schedules, each brought to an end by a fair one: then everything must have arrived.

use proptest::{collection::vec, prelude::*};

use crate::{
    draw,
    world::{Action, Manner, World},
};

fn run(actions: &[Action], manner: Manner) {
    let mut world = World::new();
    for action in actions {
        world.act(action);
    }
    world.end(manner);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3_000, failure_persistence: None, ..ProptestConfig::default() })]

    /// Tunnels that die at any byte, moves, timeouts and handovers lose nothing and end nothing.
    #[test]
    fn nothing_harmless_ends_a_session(actions in vec(draw::harmless(), 1..250)) {
        run(&actions, Manner::Harmless);
    }

    /// A direction that ends does so behind its last byte, and a session of which both have ended is over.
    #[test]
    fn ends_in_order(actions in vec(draw::closing(), 1..250)) {
        run(&actions, Manner::Closing);
    }

    /// Whatever happens, the two ends agree in the end whether the session is over.
    #[test]
    fn both_ends_come_to_the_same_end(actions in vec(draw::anything(), 1..250)) {
        run(&actions, Manner::Anything);
    }
}
