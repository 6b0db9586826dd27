//! Who broke what. The names are the ones in logs (`cause=`) and in `baton_client_closes_total{cause}`.

use std::fmt;

/// Why a client's connection was closed: exactly one for every client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum CloseCause {
    /// The client went: FIN, with or without a DISCONNECT before it.
    ClientLeft,
    /// The client's connection broke (reset, timeout of the kernel's).
    ClientReset,
    /// The broker closed in order.
    BrokerLeft,
    /// The broker's connection broke.
    BrokerReset,
    /// No whole CONNECT within `limits.connect_time`.
    ConnectTimeout,
    /// The first packet was not a valid CONNECT.
    BadConnect,
    /// CONNECT over `limits.connect_bytes`.
    ConnectTooLarge,
    /// A protocol level other than 3, 4 and 5.
    UnknownLevel,
    /// No home took the session in time (T_open).
    Unavailable,
    /// The home refused the session for good when it was opened.
    OpenRefused,
    /// The home no longer holds the session: connect_refuse.
    Gone,
    /// No tunnel for longer than the grace time.
    Grace,
    /// The client took no byte for T_slow.
    Slow,
    /// The byte budget or another limit of ours was reached.
    Overload,
    /// The other half broke the protocol.
    Protocol,
    /// The other half sent more than its window.
    Flow,
    /// The other half gave up (ABORT), for a reason of its own.
    Aborted,
    /// The other direction made no progress after one was closed (T_half).
    HalfClosed,
    /// The process ended and no successor took the session.
    Shutdown,
}

impl CloseCause {
    /// Every cause, for metrics that show each from the start.
    pub const ALL: [Self; 19] = [
        Self::ClientLeft,
        Self::ClientReset,
        Self::BrokerLeft,
        Self::BrokerReset,
        Self::ConnectTimeout,
        Self::BadConnect,
        Self::ConnectTooLarge,
        Self::UnknownLevel,
        Self::Unavailable,
        Self::OpenRefused,
        Self::Gone,
        Self::Grace,
        Self::Slow,
        Self::Overload,
        Self::Protocol,
        Self::Flow,
        Self::Aborted,
        Self::HalfClosed,
        Self::Shutdown,
    ];

    /// The stable word.
    pub fn word(self) -> &'static str {
        match self {
            Self::ClientLeft => "client_left",
            Self::ClientReset => "client_reset",
            Self::BrokerLeft => "broker_left",
            Self::BrokerReset => "broker_reset",
            Self::ConnectTimeout => "connect_timeout",
            Self::BadConnect => "bad_connect",
            Self::ConnectTooLarge => "connect_too_large",
            Self::UnknownLevel => "unknown_level",
            Self::Unavailable => "unavailable",
            Self::OpenRefused => "open_refused",
            Self::Gone => "gone",
            Self::Grace => "grace",
            Self::Slow => "slow",
            Self::Overload => "overload",
            Self::Protocol => "protocol",
            Self::Flow => "flow",
            Self::Aborted => "aborted",
            Self::HalfClosed => "half_closed",
            Self::Shutdown => "shutdown",
        }
    }
}

impl fmt::Display for CloseCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// The words are labels of metrics: none may go, change or mean two things.
    #[test]
    fn every_cause_has_its_word() {
        let words = [
            "client_left",
            "client_reset",
            "broker_left",
            "broker_reset",
            "connect_timeout",
            "bad_connect",
            "connect_too_large",
            "unknown_level",
            "unavailable",
            "open_refused",
            "gone",
            "grace",
            "slow",
            "overload",
            "protocol",
            "flow",
            "aborted",
            "half_closed",
            "shutdown",
        ];
        assert_eq!(CloseCause::ALL.map(|cause| cause.to_string()), words);
        assert_eq!(BTreeSet::from(CloseCause::ALL).len(), words.len(), "a cause is listed twice");
    }
}
