//! What may happen next, drawn at random.

use baton_protocol::session::edge::MoveReason;
use proptest::prelude::*;

use crate::world::{Action, Side};

fn side() -> impl Strategy<Value = Side> {
    prop_oneof![Just(Side::Edge), Just(Side::Anchor)]
}

fn reason() -> impl Strategy<Value = MoveReason> {
    prop_oneof![Just(MoveReason::Solicited), Just(MoveReason::BlackHole), Just(MoveReason::Lost)]
}

/// Traffic, and tunnels that come and go: nothing that may end a session.
pub(crate) fn harmless() -> impl Strategy<Value = Action> {
    prop_oneof![
        12 => (side(), 1usize..90).prop_map(|(s, n)| Action::Read(s, n)),
        12 => (side(), 1usize..60).prop_map(|(s, n)| Action::Write(s, n)),
        16 => (side(), 30usize..120, any::<bool>()).prop_map(|(s, n, ack)| Action::Frame(s, n, ack)),
        24 => (side(), 0usize..8, 1usize..70).prop_map(|(s, t, n)| Action::Deliver(s, t, n)),
        6 => reason().prop_map(Action::Attach),
        16 => (0usize..8).prop_map(Action::Answer),
        2 => (0usize..8).prop_map(Action::Cut),
        1 => (0usize..8).prop_map(Action::Refuse),
        3 => (1u64..400).prop_map(Action::Advance),
        2 => side().prop_map(Action::Handover),
        1 => Just(Action::Thaw),
    ]
}

/// The same with ordered ends of either direction.
pub(crate) fn closing() -> impl Strategy<Value = Action> {
    prop_oneof![
        60 => harmless(),
        3 => side().prop_map(Action::ShutDown),
        1 => side().prop_map(Action::Eof),
    ]
}

/// Everything.
pub(crate) fn anything() -> impl Strategy<Value = Action> {
    prop_oneof![
        150 => closing(),
        1 => side().prop_map(Action::ReadError),
        1 => side().prop_map(Action::WriteError),
        1 => side().prop_map(Action::Abort),
        4 => Just(Action::Jump),
    ]
}
