//! One state of the world: the two halves, what is between them, and what may still befall them.

use std::sync::Arc;

use baton_protocol::{
    capsule::{Close, DATA_HEAD, Piece},
    id::Epoch,
    session::{AnchorSession, EdgeSession, Half, HowEnded, Loss, Output},
};
use bytes::{Bytes, BytesMut};

use crate::tunnel::{Message, Tunnel};

/// The clock stands still. It isn't 0, so that "never" (`Millis::MAX` from now on) is beyond it.
pub(crate) const NOW: u64 = 1;

/// One of the two ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Side {
    Edge,
    Anchor,
}

impl Side {
    pub(crate) const BOTH: [Self; 2] = [Self::Edge, Self::Anchor];

    /// The byte at `position` of the stream that enters here.
    pub(crate) fn byte(self, position: u64) -> u8 {
        let salt = if self == Self::Edge { 10 } else { 20 };
        position.wrapping_add(salt).to_le_bytes()[0]
    }

    pub(crate) fn other(self) -> Self {
        match self {
            Self::Edge => Self::Anchor,
            Self::Anchor => Self::Edge,
        }
    }
}

/// What may still happen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Budget {
    /// Attach attempts.
    pub(crate) attempts: u8,
    /// Tunnels that die.
    pub(crate) kills: u8,
    /// Moves that an origin asks for.
    pub(crate) solicits: u8,
    /// Attempts that time out.
    pub(crate) timeouts: u8,
    /// Restarts of the edge with its sessions.
    pub(crate) edge_handovers: u8,
    /// Second sendings of one request by an origin.
    pub(crate) retries: u8,
    /// Ends of the client's and of the broker's bytes.
    pub(crate) ends: [u8; 2],
    /// Sockets that break: the client's and the broker's.
    pub(crate) breaks: [u8; 2],
    /// Halves that give up.
    pub(crate) aborts: [u8; 2],
}

/// How far a handover is; anchors and edges use the same four steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Handover {
    /// This run has none.
    Never,
    NotYet,
    /// Two processes, and the old one has the session.
    Begun,
    /// A successor of the edge has sent an attach before it was allowed to: this one.
    Rash(Epoch),
    /// Two processes, and the new one has the session.
    Committed,
    Done,
}

/// A state.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct State {
    pub(crate) edge: Arc<EdgeSession>,
    pub(crate) anchor: Arc<AnchorSession>,
    pub(crate) tunnels: Vec<Tunnel>,
    pub(crate) left: Budget,
    pub(crate) handover: Handover,
    /// Bytes that each local socket took.
    pub(crate) got: [u8; 2],
    /// Whether each local socket's writing side was shut down.
    pub(crate) shut: [bool; 2],
    /// Which local sockets ended, and which broke.
    pub(crate) ended: [bool; 2],
    pub(crate) broke: [bool; 2],
    pub(crate) aborted: [bool; 2],
    /// How each local socket was closed.
    pub(crate) closed: [Option<(baton_protocol::error::CloseCause, bool)>; 2],
    /// The first thing that must not happen and did.
    pub(crate) wrong: Option<&'static str>,
}

impl State {
    pub(crate) fn half(&self, side: Side) -> &dyn Half {
        match side {
            Side::Edge => &*self.edge,
            Side::Anchor => &*self.anchor,
        }
    }

    pub(crate) fn half_mut(&mut self, side: Side) -> &mut dyn Half {
        match side {
            Side::Edge => Arc::<EdgeSession>::make_mut(&mut self.edge) as &mut dyn Half,
            Side::Anchor => Arc::<AnchorSession>::make_mut(&mut self.anchor),
        }
    }

    pub(crate) fn tunnel(&mut self, epoch: Epoch) -> Option<&mut Tunnel> {
        self.tunnels.iter_mut().find(|tunnel| tunnel.epoch == epoch)
    }

    pub(crate) fn blame(&mut self, what: &'static str) {
        self.wrong.get_or_insert(what);
    }

    /// A frame from `side` enters the tunnel that it uses.
    pub(crate) fn carry(&mut self, side: Side, frame: &[u8]) {
        let Some(epoch) = self.half(side).tunnel() else { return };
        let messages = Message::decode(frame);
        let Some(tunnel) = self.tunnel(epoch) else { return };
        for message in messages {
            match side {
                Side::Edge => tunnel.push_up(message),
                Side::Anchor => tunnel.push_down(message),
            }
        }
    }

    /// A capsule arrives. From any tunnel but the current one it must change nothing.
    pub(crate) fn receive(&mut self, side: Side, epoch: Epoch, message: Message) {
        let fenced = self.half(side).tunnel() != Some(epoch);
        let (edge, anchor) = (Arc::clone(&self.edge), Arc::clone(&self.anchor));
        let byte;
        let piece = match message {
            Message::Data { offset, ack, byte: Some(found) } => {
                byte = [found];
                Piece::Data { offset: offset.into(), ack: ack.into(), payload: &byte }
            }
            Message::Data { offset, ack, byte: None } => {
                Piece::Data { offset: offset.into(), ack: ack.into(), payload: &[] }
            }
            Message::Close { kind, offset, ack } => {
                Piece::Close(Close { kind, offset: offset.into(), ack: ack.into(), reason: Bytes::new() })
            }
            _ => unreachable!("not a capsule"),
        };
        self.half_mut(side).handle_piece(epoch, piece, NOW);
        if fenced && (edge != self.edge || anchor != self.anchor) {
            self.blame("what came from a fenced tunnel changed a half");
        }
        if !fenced && !self.half(side).closed() && self.half(side).tunnel() != Some(epoch) {
            self.blame("a half took its peer's capsule for garbage");
        }
        self.drain(side);
    }

    /// Does what a half wants done.
    pub(crate) fn drain(&mut self, side: Side) {
        while let Some(output) = self.half_mut(side).poll_output() {
            match output {
                Output::EndTunnel(epoch, how) => self.end_tunnel(side, epoch, how),
                Output::Close { cause, reset } => {
                    if self.closed[side as usize].is_some() {
                        self.blame("closed twice");
                    }
                    self.closed[side as usize] = Some((cause, reset));
                }
            }
        }
    }

    fn end_tunnel(&mut self, side: Side, epoch: Epoch, how: HowEnded) {
        let mut messages = Vec::new();
        match how {
            HowEnded::EndStream => messages.push(Message::End),
            HowEnded::Reset | HowEnded::TimedOut => messages.push(Message::Reset),
            HowEnded::Last(bytes) => {
                messages = Message::decode(&bytes);
                messages.push(Message::End);
            }
        }
        // An anchor that has fenced a tunnel doesn't look at how the edge leaves it.
        let unseen = side == Side::Edge && messages == [Message::End] && self.anchor.tunnel() != Some(epoch);
        let Some(tunnel) = self.tunnel(epoch).filter(|_| !unseen) else { return };
        for message in messages {
            match side {
                Side::Edge => tunnel.push_up(message),
                Side::Anchor => tunnel.push_down(message),
            }
        }
    }

    /// A tunnel, or an attempt, is gone. That alone never ends a session.
    pub(crate) fn lose(&mut self, side: Side, epoch: Epoch, loss: Loss) {
        let open = !self.half(side).closed();
        self.half_mut(side).handle_lost(epoch, loss, NOW);
        if open && self.half(side).closed() {
            self.blame("the loss of a tunnel ended a session");
        }
        self.drain(side);
    }

    /// Whether an end still goes by this tunnel.
    pub(crate) fn in_use(&self, epoch: Epoch) -> bool {
        self.edge.tunnel() == Some(epoch) || self.edge.attempt() == Some(epoch) || self.anchor.tunnel() == Some(epoch)
    }

    /// An acknowledgement that tells the peer nothing changes nothing there: it counts as sent and arrived. So a state
    /// in which one is owed is the state in which it isn't.
    fn settle_empty_acks(&mut self) {
        for side in Side::BOTH {
            let (half, peer) = (self.half(side), self.half(side.other()));
            let inc = half.pipe().incoming();
            let empty = inc.ack_owed() && !peer.closed() && peer.pipe().outgoing().una() == inc.rcv();
            if empty && half.tunnel().is_some() && !half.pipe().outgoing().closed() {
                let mut frame = BytesMut::new();
                self.half_mut(side).poll_frame(DATA_HEAD, true, NOW, &mut frame);
            }
        }
    }

    /// Forgets the tunnels that can't matter any more: nothing is on its way in them, or nobody uses a dead one.
    pub(crate) fn normalise(&mut self) {
        self.settle_empty_acks();
        let mut tunnels = std::mem::take(&mut self.tunnels);
        tunnels.retain(|tunnel| {
            let on_its_way = !(tunnel.dead || (tunnel.up.is_empty() && tunnel.down.is_empty()));
            on_its_way || self.in_use(tunnel.epoch)
        });
        self.tunnels = tunnels;
    }
}
