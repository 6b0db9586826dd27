//! What may happen next.

use baton_protocol::{error::CloseCause, session::edge::MoveReason};

use super::local::Side;

/// One thing that happens. Numbers pick among what there is, so that every action means something in every state.
#[derive(Clone, Debug)]
pub(crate) enum Action {
    Read(Side, usize),
    Write(Side, usize),
    ShutDown(Side),
    Frame(Side, usize, bool),
    Deliver(Side, usize, usize),
    Attach(MoveReason),
    Answer(usize),
    Cut(usize),
    Refuse(usize),
    Advance(u64),
    Jump,
    Handover(Side),
    Thaw,
    Eof(Side),
    ReadError(Side),
    WriteError(Side),
    Abort(Side),
}

/// What an end may call when it gives up.
pub(crate) const GIVE_UP: CloseCause = CloseCause::Overload;
