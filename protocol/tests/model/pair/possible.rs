//! What can happen in a state.

use baton_protocol::{
    capsule::DATA_HEAD,
    session::{AnchorSession, EdgeSession, Half, pipe::FRAME_MIN},
};
use bytes::BytesMut;

use super::{Action, Pair, Variant};
use crate::{
    state::{Handover, NOW, Side, State},
    tunnel::Message,
};

impl Pair {
    /// Whether the edge may not do anything: its successor is being made.
    pub(super) fn frozen(&self, state: &State) -> bool {
        self.variant == Variant::Thaw && matches!(state.handover, Handover::Begun | Handover::Rash(_))
    }

    pub(super) fn local_actions(&self, state: &State, side: Side, actions: &mut Vec<Action>) {
        let half = state.half(side);
        if half.closed() || (side == Side::Edge && self.frozen(state)) {
            return;
        }
        if !half.unwritten().0.is_empty() {
            actions.push(Action::Commit(side));
        }
        if half.shutdown_due() {
            actions.push(Action::ShutDown(side));
        }
        let at = side as usize;
        if state.left.ends[at] > 0 && !half.pipe().read_ended() {
            actions.push(Action::Eof(side));
        }
        if state.left.breaks[at] > 0 {
            actions.push(Action::Break(side));
        }
        if state.left.aborts[at] > 0 {
            actions.push(Action::GiveUp(side));
        }
        let Some(tunnel) = half.tunnel().and_then(|epoch| state.tunnels.iter().find(|t| t.epoch == epoch)) else {
            return;
        };
        let queue = if side == Side::Edge { &tunnel.up } else { &tunnel.down };
        if tunnel.dead || queue.len() >= self.capacity {
            return;
        }
        let close_is_next = || half.pipe().outgoing().closed() && sends_close(state, side);
        if half.frame_len(false) == DATA_HEAD + 1 || close_is_next() {
            actions.push(Action::Send(side));
        }
        if half.pipe().incoming().ack_owed() {
            actions.push(Action::Ack(side));
        }
    }

    pub(super) fn attach_actions(&self, state: &State, actions: &mut Vec<Action>) {
        let edge = &state.edge;
        if edge.closed() || self.frozen(state) {
            return;
        }
        if edge.attempt().is_some() {
            if state.left.timeouts > 0 {
                actions.push(Action::TimeOut);
            }
        } else if state.left.attempts > 0 {
            if edge.wants_attach() {
                actions.push(Action::Attach);
            } else if edge.tunnel().is_some() && state.left.solicits > 0 {
                actions.push(Action::Solicited);
            }
        }
    }

    pub(super) fn tunnel_actions(&self, state: &State, actions: &mut Vec<Action>) {
        for (i, tunnel) in state.tunnels.iter().enumerate() {
            if tunnel.dead {
                if state.edge.tunnel() == Some(tunnel.epoch) || state.edge.attempt() == Some(tunnel.epoch) {
                    actions.push(Action::EdgeNotices(i));
                }
                if state.anchor.tunnel() == Some(tunnel.epoch) {
                    actions.push(Action::AnchorNotices(i));
                }
                continue;
            }
            if let Some(first) = tunnel.up.first() {
                actions.push(Action::ArriveUp(i));
                let two = matches!(self.variant, Variant::AnchorHandover(_))
                    && matches!(state.handover, Handover::Begun | Handover::Committed);
                if two && matches!(first, Message::Attach { .. }) {
                    actions.push(Action::ArriveElsewhere(i));
                }
            }
            if let Some(first) = tunnel.down.first() {
                actions.push(Action::ArriveDown(i));
                if state.left.retries > 0 && matches!(first, Message::Accepted { .. }) {
                    actions.push(Action::OriginRepeats(i));
                }
            }
            if state.left.kills > 0 {
                actions.push(Action::Kill(i));
            }
        }
    }

    pub(super) fn handover_actions(&self, state: &State, actions: &mut Vec<Action>) {
        if state.edge.closed() && !state.anchor.closed() && state.anchor.tunnel().is_none() {
            actions.push(Action::GraceEnds);
        }
        if state.left.edge_handovers > 0 && state.left.attempts > 0 && !state.edge.closed() {
            actions.push(Action::EdgeHandover);
        }
        match (self.variant, state.handover) {
            (Variant::Plain, _) | (_, Handover::Never | Handover::Done) => {}
            (Variant::AnchorHandover(_), Handover::NotYet) => actions.push(Action::BeginHandover),
            (Variant::AnchorHandover(_), Handover::Begun) => actions.push(Action::CommitHandover),
            (Variant::AnchorHandover(_), _) => actions.push(Action::EndHandover),
            (Variant::Thaw, Handover::NotYet) => actions.push(Action::BeginHandover),
            (Variant::Thaw, Handover::Begun) => actions.extend([Action::SuccessorAttaches, Action::Thaw]),
            (Variant::Thaw, _) => actions.push(Action::Thaw),
        }
    }
}

/// A frame's announced length doesn't tell a CLOSE from an acknowledgement.
fn sends_close(state: &State, side: Side) -> bool {
    let mut frame = BytesMut::new();
    let framed = match side {
        Side::Edge => EdgeSession::clone(&state.edge).poll_frame(FRAME_MIN, false, NOW, &mut frame),
        Side::Anchor => AnchorSession::clone(&state.anchor).poll_frame(FRAME_MIN, false, NOW, &mut frame),
    };
    framed && matches!(Message::decode(&frame).first(), Some(Message::Close { .. }))
}
