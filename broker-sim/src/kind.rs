//! The kinds of packets, by the names that rules and transcripts have for them.

use std::fmt;

use rmqtt_codec::v5::Packet;

/// A kind of packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// CONNECT
    Connect,
    /// CONNACK
    Connack,
    /// PUBLISH
    Publish,
    /// PUBACK
    Puback,
    /// PUBREC
    Pubrec,
    /// PUBREL
    Pubrel,
    /// PUBCOMP
    Pubcomp,
    /// SUBSCRIBE
    Subscribe,
    /// SUBACK
    Suback,
    /// UNSUBSCRIBE
    Unsubscribe,
    /// UNSUBACK
    Unsuback,
    /// PINGREQ
    Pingreq,
    /// PINGRESP
    Pingresp,
    /// DISCONNECT
    Disconnect,
    /// AUTH
    Auth,
}

impl Kind {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 15] = [
        Self::Connect,
        Self::Connack,
        Self::Publish,
        Self::Puback,
        Self::Pubrec,
        Self::Pubrel,
        Self::Pubcomp,
        Self::Subscribe,
        Self::Suback,
        Self::Unsubscribe,
        Self::Unsuback,
        Self::Pingreq,
        Self::Pingresp,
        Self::Disconnect,
        Self::Auth,
    ];

    /// The kind that has this number (2.1.2).
    pub fn numbered(number: u8) -> Option<Self> {
        Self::ALL.get(usize::from(number).checked_sub(1)?).copied()
    }

    /// The kind of a packet.
    pub fn of(packet: &Packet) -> Self {
        match packet {
            Packet::Connect(_) => Self::Connect,
            Packet::ConnectAck(_) => Self::Connack,
            Packet::Publish(_) => Self::Publish,
            Packet::PublishAck(_) => Self::Puback,
            Packet::PublishReceived(_) => Self::Pubrec,
            Packet::PublishRelease(_) => Self::Pubrel,
            Packet::PublishComplete(_) => Self::Pubcomp,
            Packet::Subscribe(_) => Self::Subscribe,
            Packet::SubscribeAck(_) => Self::Suback,
            Packet::Unsubscribe(_) => Self::Unsubscribe,
            Packet::UnsubscribeAck(_) => Self::Unsuback,
            Packet::PingRequest => Self::Pingreq,
            Packet::PingResponse => Self::Pingresp,
            Packet::Disconnect(_) => Self::Disconnect,
            Packet::Auth(_) => Self::Auth,
        }
    }

    /// The kind that has this word, in small letters.
    pub fn named(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.word() == word)
    }

    /// Its name in small letters.
    pub fn word(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Connack => "connack",
            Self::Publish => "publish",
            Self::Puback => "puback",
            Self::Pubrec => "pubrec",
            Self::Pubrel => "pubrel",
            Self::Pubcomp => "pubcomp",
            Self::Subscribe => "subscribe",
            Self::Suback => "suback",
            Self::Unsubscribe => "unsubscribe",
            Self::Unsuback => "unsuback",
            Self::Pingreq => "pingreq",
            Self::Pingresp => "pingresp",
            Self::Disconnect => "disconnect",
            Self::Auth => "auth",
        }
    }

    /// Whether a client may send it.
    pub fn is_clients(self) -> bool {
        !matches!(self, Self::Connack | Self::Suback | Self::Unsuback | Self::Pingresp)
    }

    /// Whether a broker may send it.
    pub fn is_brokers(self) -> bool {
        !matches!(self, Self::Connect | Self::Subscribe | Self::Unsubscribe | Self::Pingreq)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}
