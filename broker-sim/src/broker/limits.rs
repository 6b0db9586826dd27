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
/// Topic aliases that we use towards one client, if it allows as many: each keeps a topic for the connection's life.
pub(super) const ALIASES_USED: u16 = 64;
/// Bytes below which a client's Maximum Packet Size is refused: our CONNACK with an assigned client id must fit.
pub(super) const PACKET_FLOOR: u32 = 64;
