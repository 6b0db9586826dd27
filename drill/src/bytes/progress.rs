//! How an exchange stands, and whether that is right.

use std::{fmt, io};

use super::{Ending, Party, Script};

/// How a connection ended, as its reader saw it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// The end of the stream.
    Eof,
    /// A reset.
    Reset,
    /// It reset the connection itself.
    Left,
    /// Another failure; for a client that of connecting, too.
    Failed(io::ErrorKind),
}

/// One party's socket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Side {
    /// Bytes that its socket took.
    pub sent: u64,
    /// Bytes that it got.
    pub received: u64,
    /// Offset of the first byte that wasn't what the other sent.
    pub difference: Option<u64>,
    /// How it ended, once it has.
    pub end: Option<Seen>,
    /// Connections that it had: a second one to the broker would be a second CONNECT.
    pub connections: u32,
}

/// How an exchange stands.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// What is played.
    pub script: Script,
    /// The client's socket.
    pub client: Side,
    /// The broker's.
    pub broker: Side,
}

impl Progress {
    /// Whether both have ended.
    pub fn is_over(&self) -> bool {
        self.client.end.is_some() && self.broker.end.is_some()
    }

    /// Whether what each got is a prefix of what the other sent, over one connection. Holds at every moment.
    ///
    /// # Errors
    /// What doesn't hold.
    pub fn check(&self) -> Result<(), Mismatch> {
        let Self { client, broker, .. } = self;
        for (to, from, word) in [(broker, client, "up"), (client, broker, "down")] {
            if let Some(offset) = to.difference {
                return Err(self.mismatch(format!("{word}: byte {offset} differs")));
            }
            if to.received > from.sent {
                return Err(self.mismatch(format!("{word}: more bytes came than were sent")));
            }
        }
        if broker.connections > 1 {
            return Err(self.mismatch("the broker got its CONNECT more than once".into()));
        }
        Ok(())
    }

    /// Whether it ended as its script says, with every byte that had to come.
    ///
    /// # Errors
    /// What doesn't hold.
    pub fn check_end(&self) -> Result<(), Mismatch> {
        self.check()?;
        let Self { script, client, broker } = self;
        let whole = |from: &Side, to: &Side, total| from.sent == total && to.received == total;
        let fine = match script.ending {
            Ending::HalfClose(_) => {
                let ends = client.end == Some(Seen::Eof) && broker.end == Some(Seen::Eof);
                ends && whole(client, broker, script.up) && whole(broker, client, script.down)
            }
            Ending::Reset(Party::Client) => broker.end == Some(Seen::Reset) && whole(client, broker, script.up),
            Ending::Reset(Party::Broker) => client.end == Some(Seen::Reset) && whole(broker, client, script.down),
        };
        if fine { Ok(()) } else { Err(self.mismatch("it didn't end as it should".into())) }
    }

    pub(super) fn mismatch(&self, what: String) -> Mismatch {
        Mismatch { what, progress: Box::new(*self) }
    }
}

/// An exchange that isn't as it must be.
#[derive(Clone, Debug)]
pub struct Mismatch {
    /// What isn't.
    pub what: String,
    /// How the exchange stood.
    pub progress: Box<Progress>,
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {:?}", self.what, self.progress)
    }
}

impl std::error::Error for Mismatch {}
