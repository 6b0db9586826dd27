//! What must hold in every state, and what must be reached in some.

use baton_protocol::session::Half;
use stateright::{Model, Property};

use crate::{
    pair::{Action, Pair},
    state::{Side, State},
};

pub(crate) fn all() -> Vec<Property<Pair>> {
    vec![
        Property::always("nothing forbidden happens", |_, state: &State| state.wrong.is_none()),
        Property::always("a session ends only because somebody ended it", ends_have_reasons),
        Property::always("una ≤ the peer's rcv ≤ smax", positions_agree),
        Property::always("rcv is what the local socket took", |_, state| {
            Side::BOTH.into_iter().all(|side| committed(state, side))
        }),
        Property::always("nothing is stuck", |model, state| !stuck(model, state)),
        Property::sometimes("everything arrives", arrived),
    ]
}

fn quiet(state: &State) -> bool {
    state.ended == [false; 2] && state.broke == [false; 2] && state.aborted == [false; 2]
}

fn ends_have_reasons(_: &Pair, state: &State) -> bool {
    state.closed == [None; 2] || !quiet(state)
}

fn positions_agree(_: &Pair, state: &State) -> bool {
    let (edge, anchor) = (state.edge.pipe(), state.anchor.pipe());
    state.edge.closed()
        || state.anchor.closed()
        || [(edge, anchor), (anchor, edge)].into_iter().all(|(x, y)| {
            let (out, inc) = (x.outgoing(), y.incoming());
            out.una() <= inc.rcv() && inc.rcv() <= out.smax() && out.smax() <= out.end() + 2
        })
}

fn committed(state: &State, side: Side) -> bool {
    let at = side as usize;
    let half = state.half(side);
    half.closed()
        || half.pipe().write_dead()
        || half.pipe().incoming().rcv() == u64::from(state.got[at]) + u64::from(state.shut[at])
}

fn arrived(model: &Pair, state: &State) -> bool {
    state.got == [model.bytes; 2]
}

/// Nothing can happen but more harm, and it isn't that the model's attempts are used up.
fn stuck(model: &Pair, state: &State) -> bool {
    if state.wrong.is_some() || state.tunnels.iter().any(|tunnel| !tunnel.up.is_empty() || !tunnel.down.is_empty()) {
        return false;
    }
    let done = if quiet(state) { arrived(model, state) } else { state.closed.iter().all(Option::is_some) };
    if done || (state.edge.tunnel().is_none() && !state.edge.closed() && state.left.attempts == 0) {
        return false;
    }
    let mut actions = Vec::new();
    model.actions(state, &mut actions);
    actions.iter().all(|action| matches!(action, Action::Kill(_)))
}
