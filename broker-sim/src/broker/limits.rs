//! Every bound of the broker, with its unit and its reason.

use std::num::NonZeroU16;

use baton_protocol::limits::{CONNECT, Millis};

/// What one broker may hold. The defaults suit a few thousand clients on one machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// MQTT sessions, connected or kept for a client that is away: an attacker makes one with each CONNECT.
    pub sessions: usize,
    /// Subscriptions of one MQTT session.
    pub subscriptions: usize,
    /// Topics with a retained message.
    pub retained: usize,
    /// Bytes of the retained messages of all topics.
    pub retained_bytes: usize,
    /// Messages that wait in one MQTT session for their client.
    pub queued_messages: usize,
    /// Bytes of the messages that wait in one MQTT session.
    pub queued_bytes: usize,
    /// Bytes given to one connection and not yet written to it; above, messages wait in the MQTT session.
    pub unsent_bytes: usize,
    /// Messages of QoS 1 and 2 sent to one client and not yet acknowledged, unless the client asks for fewer.
    pub inflight: usize,
    /// Messages of QoS 1 and 2 that one client of MQTT 5 may have sent and not seen finished: our Receive Maximum
    /// (4.9), told in the CONNACK. A client of 3.1.1 has no bound but the 65,535 packet ids.
    pub receive: NonZeroU16,
    /// Seconds of keep-alive that a client of MQTT 5 may ask for: one that asks for more, or for none, is told to use
    /// these (3.2.2.3.14). None leaves it to the client.
    pub keep_alive: Option<NonZeroU16>,
    /// Bytes of one packet from a client; MQTT itself would allow 256 MiB.
    pub packet_bytes: usize,
    /// Milliseconds from the connection to the CONNECT.
    pub connect: Millis,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            sessions: 100_000,
            subscriptions: 10_000,
            retained: 100_000,
            retained_bytes: 256 * 1024 * 1024,
            queued_messages: 10_000,
            queued_bytes: 16 * 1024 * 1024,
            unsent_bytes: 1024 * 1024,
            inflight: 100,
            receive: NonZeroU16::new(1024).expect("not 0"),
            keep_alive: None,
            packet_bytes: 4 * 1024 * 1024,
            connect: CONNECT,
        }
    }
}

/// Levels of a topic or a filter: the tree of subscriptions is walked by recursion, one frame a level.
pub(super) const TOPIC_LEVELS: usize = 200;
/// Topic aliases that one client may set (MQTT 5, 3.2.2.3.8); told in the CONNACK.
pub(super) const TOPIC_ALIASES: u16 = 32;
/// Bytes below which a client's Maximum Packet Size is refused: our CONNACK with an assigned client id must fit.
pub(super) const PACKET_FLOOR: u32 = 64;
/// Bytes of the messages in flight to one client, but for the last one: `Limits::inflight` of the largest would be
/// much.
pub(super) const INFLIGHT_BYTES: usize = 16 * 1024 * 1024;
/// Retained messages that wait in one MQTT session at a time, of all that its subscriptions match: the next come once
/// these are on their way.
pub(super) const RETAINED_PAGE: usize = 100;
/// Bytes of them, but for the last one.
pub(super) const RETAINED_PAGE_BYTES: usize = 256 * 1024;
/// Nodes of the tree of retained messages that are looked at for one client at a time. The rest of a longer search goes on
/// in its turn: one client a millisecond, whoever waits.
pub(super) const RETAINED_NODES: usize = 10_000;
/// Bytes that a level of a retained message's topic counts for: an entry of the tree. Where each level has one child
/// only, it takes some five times as much.
pub(super) const LEVEL_BYTES: usize = 256;
/// Bytes that a user property counts for besides its text.
pub(super) const PAIR_BYTES: usize = 64;
/// Retained messages that have expired and are dropped when another comes: one PUBLISH doesn't pay for all.
pub(super) const EXPIRED_AT_ONCE: usize = 100;
