//! What the broker has seen, as plain numbers.

/// Counters since the start, and gauges of now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// CONNECT packets received.
    pub connects: u64,
    /// CONNACK packets sent, refusals too.
    pub connacks: u64,
    /// PUBLISH packets received, by QoS.
    pub publishes: [u64; 3],
    /// PUBLISH packets sent, by QoS.
    pub delivered: [u64; 3],
    /// Wills published.
    pub wills: u64,
    /// Connections closed because their client id connected again [MQTT-3.1.4-3].
    pub takeovers: u64,
    /// Messages that a client should have had and didn't get: queue full, too large for it, or expired.
    pub dropped: u64,
    /// MQTT sessions now, connected or kept.
    pub sessions: usize,
    /// Connections now.
    pub connections: usize,
}
