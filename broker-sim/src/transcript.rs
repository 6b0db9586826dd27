//! A record of every packet both ways, and of what faults did: one JSON object a line.
//!
//! | Module | Holds |
//! |---|---|
//! | `line` | a line as a value |
//! | `fields` | what a packet says |
//! | `held` | how much memory lines take |
//! | `kept` | the newest lines, in memory |
//! | `writer` | the file, on a thread of its own behind a bounded queue |
//! | `show` | lines as people read them |

mod fields;
mod held;
mod kept;
mod line;
mod show;
mod writer;

use std::{io, path::Path};

use baton_protocol::{connect::Level, limits::Millis};
use bytestring::ByteString;
use rmqtt_codec::v5::Packet;

pub(crate) use self::line::{Noted, Why};
use self::writer::Writer;
pub use self::{
    kept::{KEPT, KEPT_BYTES, Kept},
    line::{Direction, Head, Line, Seen, What},
    show::{Filter, ShowError, show},
};
use crate::broker::ConnId;

/// Bytes of a payload that are kept: enough to tell messages apart.
pub const PAYLOAD_BYTES: usize = 256;

/// Where lines go: to a file, to memory, or to both.
#[derive(Debug, Default)]
pub struct Recorder {
    file: Option<Writer>,
    kept: Option<Kept>,
}

/// What is to be noted, as cheaply as the worker can say it.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) at: Millis,
    pub(crate) conn: Option<ConnId>,
    pub(crate) client: ByteString,
    pub(crate) what: Noted,
}

impl Entry {
    fn line(&self) -> Line {
        Line {
            ms: self.at,
            conn: self.conn.map(ConnId::number),
            client: self.client.to_string(),
            what: self.what.shown(),
        }
    }
}

impl Recorder {
    /// One that writes this file anew.
    ///
    /// # Errors
    /// The file can't be written; the message names it.
    pub fn to_file(mut self, path: &Path) -> io::Result<Self> {
        self.file = Some(Writer::create(path)?);
        Ok(self)
    }

    /// One that keeps the newest lines, and where they are.
    pub fn kept(mut self) -> (Self, Kept) {
        let kept = Kept::default();
        self.kept = Some(kept.clone());
        (self, kept)
    }

    /// Whether it goes anywhere.
    pub(crate) fn is_on(&self) -> bool {
        self.file.is_some() || self.kept.is_some()
    }

    pub(crate) fn note(&self, entry: Entry) {
        if let Some(kept) = &self.kept {
            kept.push(entry.line());
        }
        if let Some(file) = &self.file {
            file.note(entry);
        }
    }

    /// Writes what waits, and ends.
    pub(crate) fn finish(&self) {
        if let Some(file) = &self.file {
            file.finish();
        }
    }
}

impl Direction {
    /// A packet that went this way.
    pub(crate) fn of(self, level: Option<Level>, bytes: usize, packet: Packet) -> Noted {
        Noted::Packet(self, level, bytes, packet)
    }
}
