//! What must hold in every state, and what must be reached in some.

use baton_protocol::{error::CloseCause, session::Half};
use stateright::{Model, Property};

use crate::{
    pair::{Action, Pair},
    state::{Side, State},
};

pub(crate) fn all() -> Vec<Property<Pair>> {
    vec![
        Property::always("nothing forbidden happens", |_, state: &State| state.wrong.is_none()),
        Property::always("a session ends only because somebody ended it", ends_have_reasons),
        Property::always("an end comes behind the last byte", ends_come_last),
        Property::always("una ≤ the peer's rcv ≤ smax", positions_agree),
        Property::always("rcv is what the local socket took", |_, state| {
            Side::BOTH.into_iter().all(|side| committed(state, side))
        }),
        Property::always("nothing is stuck", |model, state| !stuck(model, state)),
        Property::sometimes("everything arrives", arrived),
    ]
}

/// The cause that each end names is something that happened.
fn ends_have_reasons(_: &Pair, state: &State) -> bool {
    let [client, broker] = [Side::Edge, Side::Anchor].map(|side| side as usize);
    Side::BOTH.into_iter().all(|side| match state.closed[side as usize].map(|(cause, _)| cause) {
        None => true,
        Some(CloseCause::ClientLeft) => state.ended[client],
        Some(CloseCause::BrokerLeft) => state.ended[broker],
        Some(CloseCause::ClientReset) => state.broke[client],
        Some(CloseCause::BrokerReset) => state.broke[broker],
        Some(CloseCause::Overload) => state.aborted[side as usize],
        Some(CloseCause::Aborted) => state.aborted[side.other() as usize],
        Some(CloseCause::Gone) => side == Side::Edge && state.anchor.closed(),
        Some(CloseCause::Grace) => side == Side::Anchor && state.edge.closed(),
        Some(_) => false,
    })
}

/// FIN and RESET stand behind the last byte: unless a socket broke or a half gave up, an end that closes has all, and a
/// peer's RESET is carried out only behind all.
fn ends_come_last(model: &Pair, state: &State) -> bool {
    Side::BOTH.into_iter().all(|side| {
        let (here, there) = (side as usize, side.other() as usize);
        let reset = if side == Side::Edge { CloseCause::BrokerReset } else { CloseCause::ClientReset };
        match state.closed[here] {
            Some((cause, _)) if cause == reset => state.got[here] == model.bytes || state.broke[here],
            Some(_) if state.broke == [false; 2] && state.aborted == [false; 2] => {
                state.got[here] == model.bytes && state.shut[here] && state.ended[there]
            }
            _ => true,
        }
    })
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
    let half_ended = state.broke == [false; 2] && state.aborted == [false; 2] && state.ended != [true; 2];
    let done = if half_ended {
        arrived(model, state)
            && Side::BOTH.iter().all(|side| state.shut[*side as usize] == state.ended[side.other() as usize])
    } else {
        state.closed.iter().all(Option::is_some)
    };
    if done || (state.edge.tunnel().is_none() && !state.edge.closed() && state.left.attempts == 0) {
        return false;
    }
    let mut actions = Vec::new();
    model.actions(state, &mut actions);
    actions.iter().all(|action| matches!(action, Action::Kill(_)))
}
