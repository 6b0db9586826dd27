//! The plain reference: what a local socket gave and got. Two counters and a formula stand for two byte streams.

use baton_protocol::error::CloseCause;

/// One of the two ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Edge,
    Anchor,
}

impl Side {
    pub(crate) const BOTH: [Self; 2] = [Self::Edge, Self::Anchor];

    pub(crate) fn other(self) -> Self {
        match self {
            Self::Edge => Self::Anchor,
            Self::Anchor => Self::Edge,
        }
    }

    /// The byte at `position` of the stream that enters here.
    pub(crate) fn byte(self, position: u64) -> u8 {
        let salt = if self == Self::Edge { 17 } else { 151 };
        position.wrapping_mul(31).wrapping_add(position >> 8).wrapping_add(salt).to_le_bytes()[0]
    }
}

/// A local socket, as the world sees it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Local {
    /// Bytes that it gave.
    pub(crate) gave: u64,
    /// Bytes that it accepted.
    pub(crate) got: u64,
    /// Its writing side was shut down: it has seen the end of the other's bytes.
    pub(crate) shut: bool,
    /// It said that it ends.
    pub(crate) eof: bool,
    /// It broke, for reading.
    pub(crate) broken: bool,
    /// It can't be written.
    pub(crate) deaf: bool,
    /// Its session half gave up by itself.
    pub(crate) aborted: Option<CloseCause>,
    /// How it was closed in the end.
    pub(crate) closed: Option<(CloseCause, bool)>,
}
