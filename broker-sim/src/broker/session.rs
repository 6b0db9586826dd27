//! MQTT sessions, and the connections that they are on.

use std::{
    collections::{BTreeMap, BTreeSet},
    num::NonZeroU16,
};

use baton_protocol::limits::Millis;
use bytestring::ByteString;
use rmqtt_codec::types::Publish;

use super::{ConnId, SessionId, outgoing::Outgoing};

/// Seconds of session expiry that mean "never" (3.1.2.11.2).
const NEVER: u32 = u32::MAX;

/// One connection.
#[derive(Debug)]
pub(super) struct Conn {
    /// The MQTT session that it carries, once its CONNECT was accepted.
    pub(super) session: Option<SessionId>,
    /// When it last sent a packet.
    pub(super) seen: Millis,
    /// How long it may send none: 1.5 times the keep-alive; no bound if none.
    pub(super) patience: Option<Millis>,
    /// Bytes given to the shell and not yet written.
    pub(super) unsent: usize,
    /// The client's Maximum Packet Size.
    pub(super) packet_max: usize,
    /// Whether the client speaks MQTT 5, with its Receive Maximum and its reason codes.
    pub(super) mqtt5: bool,
    /// Whether the client wants reason strings (3.1.2.11.7).
    pub(super) reasons: bool,
    /// Messages of QoS 2 that came on this connection and aren't released (4.9).
    pub(super) unreleased: usize,
    /// Topic aliases that the client has set; at most `TOPIC_ALIASES`.
    pub(super) aliases: BTreeMap<u16, ByteString>,
    /// What to publish if the connection ends without a DISCONNECT.
    pub(super) will: Option<Will>,
}

/// A will message, from CONNECT until it is published or dropped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Will {
    /// Milliseconds between the end of the connection and the will (3.1.3.2.2).
    pub(super) delay: Millis,
    pub(super) publish: Box<Publish>,
}

/// What outlives a connection (4.1).
#[derive(Debug)]
pub(super) struct Session {
    pub(super) client: ByteString,
    pub(super) conn: Option<ConnId>,
    /// Seconds that it is kept without a connection.
    pub(super) expiry: u32,
    /// When it ends, while it has no connection.
    pub(super) expires: Option<Millis>,
    /// Its filters as the client wrote them; what they ask for is in the tree of subscriptions.
    pub(super) filters: BTreeSet<ByteString>,
    pub(super) outgoing: Outgoing,
    /// Whether it waits for its turn to search for retained messages.
    pub(super) searches: bool,
    /// Packet ids of messages of QoS 2 that were passed on and not yet released, and on which connection the message
    /// last came; never more than there are ids.
    pub(super) received: BTreeMap<NonZeroU16, ConnId>,
    /// A will whose delay runs, and when that is over.
    pub(super) will: Option<(Millis, Will)>,
}

impl Conn {
    /// A connection that has said nothing yet, and has `patience` to say it.
    pub(super) fn new(now: Millis, patience: Millis) -> Self {
        Self {
            session: None,
            seen: now,
            patience: Some(patience),
            unsent: 0,
            packet_max: usize::MAX,
            mqtt5: false,
            reasons: false,
            unreleased: 0,
            aliases: BTreeMap::new(),
            will: None,
        }
    }

    /// A reason string for this client; none if it wants none.
    pub(super) fn reason(&self, text: &'static str) -> Option<ByteString> {
        self.reasons.then(|| ByteString::from_static(text))
    }
}

impl Session {
    pub(super) fn new(client: ByteString) -> Self {
        Self {
            client,
            conn: None,
            expiry: 0,
            expires: None,
            filters: BTreeSet::new(),
            outgoing: Outgoing::default(),
            searches: false,
            received: BTreeMap::new(),
            will: None,
        }
    }

    /// The connection is gone at `now`: the expiry runs.
    pub(super) fn leave(&mut self, now: Millis) {
        self.conn = None;
        self.expires = (self.expiry != NEVER).then(|| now + Millis::from(self.expiry) * 1000);
    }

    /// When something is next due for a session without a connection.
    pub(super) fn due(&self) -> Option<Millis> {
        let will = self.will.as_ref().map(|(at, _)| *at);
        match (self.conn, will, self.expires) {
            (Some(_), ..) => None,
            (None, Some(will), Some(expires)) => Some(will.min(expires)),
            (None, will, expires) => will.or(expires),
        }
    }
}
