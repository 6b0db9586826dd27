//! Random schedules, each brought to an end by a fair one: then everything must have arrived.

use baton_protocol::{error::CloseCause, session::edge::MoveReason};
use proptest::{collection::vec, prelude::*};

use crate::{
    action::{self, Action},
    local::Side,
    world::World,
};

/// Rounds of a fair schedule after which a session that isn't done never will be.
const ROUNDS: usize = 200;

/// Everybody does what he can, and no path breaks any more, until nothing is left to do.
fn settle(world: &mut World) {
    for _ in 0..ROUNDS {
        let mut busy = world.edge.wants_attach() && world.act(&Action::Attach(MoveReason::BlackHole));
        for tunnel in 0..world.tunnels.len() {
            busy |= world.act(&Action::Answer(tunnel));
        }
        for side in Side::BOTH {
            while world.act(&Action::Frame(side, 60, true)) {
                busy = true;
            }
            for tunnel in 0..world.tunnels.len() {
                busy |= world.act(&Action::Deliver(side, tunnel, usize::MAX));
            }
            while world.act(&Action::Write(side, 50)) {
                busy = true;
            }
            busy |= world.act(&Action::ShutDown(side));
        }
        if !busy {
            return;
        }
    }
    panic!("no end after {ROUNDS} rounds: {:?} {:?} {:?}", world.edge, world.anchor, world.tunnels);
}

/// A session that nothing ended lives, and everything that was given to it has arrived, and nothing is held.
fn all_arrived(world: &mut World) {
    for side in Side::BOTH {
        let (here, there) = (world.local(side).clone(), world.local(side.other()).clone());
        assert_eq!(here.closed, None, "{side:?} closed");
        assert!(here.deaf || here.got == there.gave, "{side:?} got {} of {}", here.got, there.gave);
        assert!(here.deaf || here.shut == there.eof, "{side:?}: the end didn't arrive");
        let half = world.half(side).expect("there are two halves");
        assert_eq!(half.pipe().held(), 0, "{side:?} holds bytes of an idle session");
    }
}

fn run(actions: &[Action]) -> World {
    let mut world = World::new();
    for action in actions {
        world.act(action);
    }
    settle(&mut world);
    world
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3_000, failure_persistence: None, ..ProptestConfig::default() })]

    /// Tunnels that die at any byte, moves, timeouts and handovers lose nothing and end nothing.
    #[test]
    fn nothing_harmless_ends_a_session(actions in vec(action::harmless(), 1..250)) {
        all_arrived(&mut run(&actions));
    }

    /// A direction that ends does so behind its last byte, and a session of which both have ended is over.
    #[test]
    fn ends_in_order(actions in vec(action::closing(), 1..250)) {
        let mut world = run(&actions);
        if !(world.local(Side::Edge).eof && world.local(Side::Anchor).eof) {
            all_arrived(&mut world);
            return Ok(());
        }
        for side in Side::BOTH {
            if world.local(side).closed.is_none() {
                // The last acknowledgement was lost, and the other end is gone: only an anchor waits out the grace.
                assert_eq!(side, Side::Anchor, "the client's end is stuck");
                while world.local(side).closed.is_none() && world.jump() {}
            }
            let (here, there) = (world.local(side), world.local(side.other()));
            prop_assert_eq!(here.got, there.gave);
            prop_assert!(here.shut);
            let (cause, _) = here.closed.expect("over");
            prop_assert!(matches!(cause, CloseCause::ClientLeft | CloseCause::BrokerLeft | CloseCause::Grace), "{}", cause);
        }
    }

    /// Whatever happens, the two ends agree in the end whether the session is over.
    #[test]
    fn both_ends_come_to_the_same_end(actions in vec(action::anything(), 1..250)) {
        let mut world = run(&actions);
        if Side::BOTH.iter().all(|side| world.local(*side).closed.is_none()) {
            if !Side::BOTH.iter().any(|side| world.local(*side).deaf) {
                all_arrived(&mut world);
            }
            return Ok(());
        }
        for side in Side::BOTH {
            if world.half(side).is_some() {
                while world.local(side).closed.is_none() {
                    assert!(world.jump(), "{side:?} would wait for ever");
                    settle(&mut world);
                }
            }
        }
    }
}
