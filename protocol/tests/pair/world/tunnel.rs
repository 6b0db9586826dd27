//! A tunnel as two pipes of bytes, each of which may be cut anywhere, and the attach that made it.

use std::collections::VecDeque;

use baton_protocol::{
    attach::{Accepted, Open, Refused, Resume},
    capsule::Decoder,
    id::Epoch,
    session::Loss,
};

use super::local::Side;

/// Where an attach is on its way.
#[derive(Clone, Debug)]
pub(crate) enum Attaching {
    OpenSent(Open),
    ResumeSent(Resume),
    Answered(Result<Accepted, Refused>),
    Done,
}

/// No session half calls a tunnel so.
pub(crate) const UNKNOWN: Epoch = Epoch(0);

/// One direction.
#[derive(Debug, Default)]
pub(crate) struct Wire {
    pub(crate) bytes: VecDeque<u8>,
    pub(crate) decoder: Decoder,
    /// How the sender ended it, after `bytes`.
    pub(crate) end: Option<Loss>,
    /// The receiver has been told of the end, or doesn't listen any more.
    pub(crate) over: bool,
}

impl Wire {
    pub(crate) fn finish(&mut self, how: Loss) {
        if self.end.is_none() {
            if how != Loss::EndStream {
                self.bytes.clear();
            }
            self.end = Some(how);
        }
    }
}

/// A tunnel, or an attempt at one.
#[derive(Debug)]
pub(crate) struct Tunnel {
    /// What the edge calls it.
    pub(crate) edge_epoch: Epoch,
    /// What the anchor calls it: an open is its first, and `UNKNOWN` while it isn't the session's.
    pub(crate) anchor_epoch: Epoch,
    pub(crate) attaching: Attaching,
    pub(crate) up: Wire,
    pub(crate) down: Wire,
}

impl Tunnel {
    pub(crate) fn new(edge_epoch: Epoch, attaching: Attaching) -> Self {
        let anchor_epoch = if matches!(attaching, Attaching::OpenSent(_)) { UNKNOWN } else { edge_epoch };
        Self { edge_epoch, anchor_epoch, attaching, up: Wire::default(), down: Wire::default() }
    }

    pub(crate) fn epoch(&self, side: Side) -> Epoch {
        match side {
            Side::Edge => self.edge_epoch,
            Side::Anchor => self.anchor_epoch,
        }
    }

    /// The pipe that `side` writes.
    pub(crate) fn from(&mut self, side: Side) -> &mut Wire {
        match side {
            Side::Edge => &mut self.up,
            Side::Anchor => &mut self.down,
        }
    }

    /// The pipe that `side` reads.
    pub(crate) fn to(&mut self, side: Side) -> &mut Wire {
        self.from(side.other())
    }

    /// Both pipes are cut; whoever listens will notice, each for itself.
    pub(crate) fn cut(&mut self) {
        // An anchor that never saw the attach knows no such tunnel.
        self.up.over |= matches!(self.attaching, Attaching::OpenSent(_) | Attaching::ResumeSent(_));
        for wire in [&mut self.up, &mut self.down] {
            wire.bytes.clear();
            wire.end = Some(Loss::Connection);
        }
        self.attaching = Attaching::Done;
    }

    /// Nobody has anything to do with it any more.
    pub(crate) fn forgotten(&self) -> bool {
        self.up.over && self.down.over
    }
}
