//! What a client did wrong, and what MQTT says to answer.

use std::fmt;

use rmqtt_codec::v5::{ConnectAckReason, DisconnectReasonCode};

/// A client's breach of MQTT. Each ends the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fault {
    /// A packet that can't be parsed.
    Malformed,
    /// A packet that says what MQTT doesn't allow (MQTT 5, 1.2).
    Protocol,
    /// A packet over `limits.packet_bytes`.
    TooLarge,
    /// A CONNECT with a protocol level other than 3, 4 and 5.
    UnknownLevel,
    /// A first packet other than CONNECT [MQTT-3.1.0-1].
    FirstNotConnect,
    /// A second CONNECT [MQTT-3.1.0-2].
    SecondConnect,
    /// No client id where one is needed [MQTT-3.1.3-8], or one with U+0000.
    ClientId,
    /// Enhanced authentication, which this broker has none of.
    Authentication,
    /// A Maximum Packet Size that not even a CONNACK fits in.
    PacketMaximum,
    /// No room for one more MQTT session.
    NoRoom,
    /// A will or a message to a topic with wildcards, U+0000 or too many levels [MQTT-3.3.2-2].
    TopicName,
    /// No topic and no alias, or an alias never set (3.3.2.3.4).
    NoTopic,
    /// A topic alias above what the CONNACK allows [MQTT-3.3.2-9].
    TopicAlias,
    /// A packet, or a property, that only a server may send.
    ServerOnly,
    /// A shared subscription with No Local [MQTT-3.8.3-4].
    SharedNoLocal,
    /// A session expiry set at DISCONNECT by a client that had none (3.14.2.2.2).
    ExpiryFromZero,
    /// Nothing from the client for one and a half times its keep-alive [MQTT-3.1.2-24].
    KeepAlive,
    /// No CONNECT in time.
    NoConnect,
    /// An answer that the client's own Maximum Packet Size forbids.
    AnswerTooLarge,
}

impl Fault {
    /// What a connected client of MQTT 5 is told in a DISCONNECT.
    pub fn disconnect(self) -> DisconnectReasonCode {
        match self {
            Self::Malformed | Self::FirstNotConnect => DisconnectReasonCode::MalformedPacket,
            Self::TooLarge | Self::AnswerTooLarge | Self::PacketMaximum => DisconnectReasonCode::PacketTooLarge,
            Self::TopicName => DisconnectReasonCode::TopicNameInvalid,
            Self::TopicAlias => DisconnectReasonCode::TopicAliasInvalid,
            Self::Authentication => DisconnectReasonCode::BadAuthenticationMethod,
            Self::NoRoom => DisconnectReasonCode::QuotaExceeded,
            Self::KeepAlive => DisconnectReasonCode::KeepAliveTimeout,
            Self::NoConnect => DisconnectReasonCode::MaximumConnectTime,
            Self::UnknownLevel
            | Self::SecondConnect
            | Self::ClientId
            | Self::NoTopic
            | Self::Protocol
            | Self::ServerOnly
            | Self::SharedNoLocal
            | Self::ExpiryFromZero => DisconnectReasonCode::ProtocolError,
        }
    }

    /// What a client that isn't connected yet is told in a CONNACK; none where MQTT says to close in silence.
    pub fn refusal(self) -> Option<ConnectAckReason> {
        match self {
            Self::UnknownLevel => Some(ConnectAckReason::UnsupportedProtocolVersion),
            Self::ClientId => Some(ConnectAckReason::ClientIdentifierNotValid),
            Self::Authentication => Some(ConnectAckReason::BadAuthenticationMethod),
            Self::PacketMaximum => Some(ConnectAckReason::ImplementationSpecificError),
            Self::NoRoom => Some(ConnectAckReason::ServerBusy),
            Self::TopicName => Some(ConnectAckReason::TopicNameInvalid),
            Self::TooLarge => Some(ConnectAckReason::PacketTooLarge),
            Self::Malformed => Some(ConnectAckReason::MalformedPacket),
            Self::Protocol => Some(ConnectAckReason::ProtocolError),
            _ => None,
        }
    }

    /// The stable word, as logs show it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::Protocol => "protocol_error",
            Self::TooLarge => "too_large",
            Self::UnknownLevel => "unknown_level",
            Self::FirstNotConnect => "first_not_connect",
            Self::SecondConnect => "second_connect",
            Self::ClientId => "client_id",
            Self::Authentication => "authentication",
            Self::PacketMaximum => "packet_maximum",
            Self::NoRoom => "no_room",
            Self::TopicName => "topic_name",
            Self::NoTopic => "no_topic",
            Self::TopicAlias => "topic_alias",
            Self::ServerOnly => "server_only",
            Self::SharedNoLocal => "shared_no_local",
            Self::ExpiryFromZero => "expiry_from_zero",
            Self::KeepAlive => "keep_alive",
            Self::NoConnect => "no_connect",
            Self::AnswerTooLarge => "answer_too_large",
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}
