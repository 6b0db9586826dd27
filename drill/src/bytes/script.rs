//! What an exchange shall be.

use std::time::Duration;

use bytes::BytesMut;

use crate::mqtt::encode;

/// Who does something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Party {
    /// The one that dialed.
    Client,
    /// The one behind the relay.
    Broker,
}

/// How an exchange ends. Whoever isn't named keeps the last quarter of its bytes until it sees the other's end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// This party closes its direction once it has sent everything; the other goes on, then closes as well.
    HalfClose(Party),
    /// This party resets the connection, once the other has got everything.
    Reset(Party),
}

impl Ending {
    pub(super) fn by(self) -> Party {
        match self {
            Self::HalfClose(party) | Self::Reset(party) => party,
        }
    }
}

/// One exchange.
#[derive(Clone, Copy, Debug)]
pub struct Script {
    /// Decides every byte and the size of every write; names the exchange, so give each its own.
    pub seed: u64,
    /// Bytes from client to broker, after the CONNECT.
    pub up: u64,
    /// Bytes from broker to client.
    pub down: u64,
    /// Largest write, in bytes; at least 1, at most 64 KiB.
    pub chunk: u32,
    /// Time between two writes.
    pub pause: Duration,
    /// How it ends.
    pub ending: Ending,
}

impl Script {
    /// An exchange as large as this both ways, in writes of up to 8 KiB without a pause; the client half-closes.
    pub fn new(seed: u64, bytes: u64) -> Self {
        let ending = Ending::HalfClose(Party::Client);
        Self { seed, up: bytes, down: bytes, chunk: 8192, pause: Duration::ZERO, ending }
    }

    /// The MQTT client id of its CONNECT.
    pub fn client_id(&self) -> String {
        format!("bytes-{:016x}", self.seed)
    }

    pub(super) fn connect(&self) -> BytesMut {
        let mut packet = BytesMut::new();
        let client_id = &self.client_id();
        let connect = encode::Connect { client_id, username: None, keep_alive: 0, clean_session: true, will: None };
        encode::connect(&connect, &mut packet);
        packet
    }

    pub(super) fn total(&self, party: Party) -> u64 {
        match party {
            Party::Client => self.up,
            Party::Broker => self.down,
        }
    }
}
