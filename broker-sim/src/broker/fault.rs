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
    /// A user name and a password that aren't known.
    Credentials,
    /// No user name where only known users may connect.
    Anonymous,
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
    /// More messages at once than our Receive Maximum [MQTT-3.3.4-7].
    ReceiveMaximum,
    /// A payload that isn't UTF-8 though its Payload Format Indicator says so (3.3.2.3.2).
    PayloadFormat,
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
            Self::Credentials | Self::Anonymous => DisconnectReasonCode::NotAuthorized,
            Self::ReceiveMaximum => DisconnectReasonCode::ReceiveMaximumExceeded,
            Self::PayloadFormat => DisconnectReasonCode::PayloadFormatInvalid,
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
            Self::Credentials => Some(ConnectAckReason::BadUserNameOrPassword),
            Self::Anonymous => Some(ConnectAckReason::NotAuthorized),
            Self::Authentication => Some(ConnectAckReason::BadAuthenticationMethod),
            Self::PayloadFormat => Some(ConnectAckReason::PayloadFormatInvalid),
            Self::PacketMaximum => Some(ConnectAckReason::ImplementationSpecificError),
            Self::NoRoom => Some(ConnectAckReason::ServerBusy),
            Self::TopicName => Some(ConnectAckReason::TopicNameInvalid),
            Self::TooLarge => Some(ConnectAckReason::PacketTooLarge),
            Self::Malformed => Some(ConnectAckReason::MalformedPacket),
            Self::Protocol => Some(ConnectAckReason::ProtocolError),
            _ => None,
        }
    }

    /// What the client is told in a reason string.
    pub(super) fn reason(self) -> &'static str {
        match self {
            Self::Malformed => "the packet can't be read",
            Self::Protocol => "the packet says what MQTT doesn't allow",
            Self::TooLarge => "the packet is over the Maximum Packet Size",
            Self::UnknownLevel => "the protocol version is none of 3, 4 and 5",
            Self::FirstNotConnect => "the first packet isn't a CONNECT",
            Self::SecondConnect => "a second CONNECT",
            Self::ClientId => "the client id is not accepted",
            Self::Credentials => "user name or password is wrong",
            Self::Anonymous => "a user name is needed",
            Self::Authentication => "the authentication method is not known",
            Self::PacketMaximum => "the Maximum Packet Size is too small for a CONNACK",
            Self::NoRoom => "too many sessions",
            Self::TopicName => "the topic name has a wildcard or too many levels",
            Self::NoTopic => "no topic, and no alias that was set",
            Self::TopicAlias => "the topic alias is 0 or over the maximum",
            Self::ReceiveMaximum => "more messages at once than the Receive Maximum",
            Self::PayloadFormat => "the payload isn't UTF-8 as its format indicator says",
            Self::ServerOnly => "only a server may send this",
            Self::SharedNoLocal => "No Local on a shared subscription",
            Self::ExpiryFromZero => "a session expiry after a CONNECT with none",
            Self::KeepAlive => "nothing came within the keep-alive",
            Self::NoConnect => "no CONNECT came",
            Self::AnswerTooLarge => "the answer is over the client's Maximum Packet Size",
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
            Self::Credentials => "credentials",
            Self::Anonymous => "anonymous",
            Self::Authentication => "authentication",
            Self::ReceiveMaximum => "receive_maximum",
            Self::PayloadFormat => "payload_format",
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
