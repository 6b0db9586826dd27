//! A line as a value.

use std::{fmt, time::SystemTime};

use baton_protocol::connect::Level;
use rmqtt_codec::v5::Packet;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::fields::fields;
use crate::{
    broker::{Closing, Fault},
    kind::Kind,
};

/// The version of the format.
const FORMAT: u32 = 1;

/// The first line of a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// The version of the format, 1.
    pub transcript: u32,
    /// What wrote it.
    pub program: String,
    /// The time of day at `ms` 0, in milliseconds since 1970-01-01 UTC.
    pub started_unix_ms: u64,
}

impl Head {
    /// The head of what begins now.
    pub(super) fn now() -> Self {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Self {
            transcript: FORMAT,
            program: concat!("baton ", env!("CARGO_PKG_VERSION")).into(),
            started_unix_ms: u64::try_from(since.as_millis()).unwrap_or(u64::MAX),
        }
    }

    /// Whether we can read what follows.
    pub(super) fn is_known(&self) -> bool {
        self.transcript == FORMAT
    }
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Line {
    /// Milliseconds since the start.
    pub ms: u64,
    /// The number of the connection; none for what happens to the broker.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conn: Option<u64>,
    /// The client id, once it is known.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub client: String,
    /// What.
    #[serde(flatten)]
    pub what: What,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "lowercase")]
pub enum What {
    /// A connection begins.
    Open {
        /// Whose.
        peer: String,
    },
    /// The client sent a packet.
    In(Seen),
    /// The broker sent a packet.
    Out(Seen),
    /// The client sent what can't be read as a packet, or may not be sent as one.
    Unreadable {
        /// The broker's reason to close.
        why: String,
        /// Bytes that had come.
        bytes: usize,
        /// The first of them, in hexadecimal digits.
        begins: String,
    },
    /// A rule hit.
    Fault {
        /// Its number.
        rule: u64,
        /// The rule.
        text: String,
        /// The packet that it hit.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        packet: Option<Seen>,
    },
    /// A connection is over.
    Close {
        /// Why: gone, cut, or the broker's reason.
        why: String,
    },
    /// So many lines are missing here: the disk was too slow.
    Lost {
        /// So many.
        lines: u64,
    },
}

/// A packet.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Seen {
    /// What it is: CONNECT, PUBLISH, ...
    pub packet: String,
    /// The client's MQTT: 3.1, 3.1.1 or 5.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mqtt: Option<String>,
    /// Its bytes on the wire; 0 for one that wasn't written.
    #[serde(default)]
    pub bytes: usize,
    /// What it says, as MQTT 5 has it.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub fields: Map<String, Value>,
}

/// Which way a packet went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the client.
    In,
    /// To the client.
    Out,
}

/// What people call a version of MQTT.
fn version(level: Level) -> &'static str {
    match level {
        Level::V31 => "3.1",
        Level::V311 => "3.1.1",
        Level::V5 => "5",
    }
}

/// What is to be noted. A level is none as long as no CONNECT has said which.
#[derive(Debug)]
pub(crate) enum Noted {
    Open(String),
    Packet(Direction, Option<Level>, usize, Packet),
    /// Why, and how many bytes there were, with the first of them.
    Unreadable(Fault, usize, Vec<u8>),
    Fault(u64, String, Option<(Option<Level>, Packet)>),
    Close(Why),
}

/// Why a connection is over.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Why {
    Gone,
    Cut,
    Closed(Closing),
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gone => f.write_str("gone"),
            Self::Cut => f.write_str("cut"),
            Self::Closed(why) => why.fmt(f),
        }
    }
}

/// Bytes that are shown of what can't be read: enough to tell MQTT from what isn't, and too few for a password or for
/// what an AUTH carries, which begin later in their packets.
const BEGIN: usize = 8;

impl Noted {
    /// These bytes can't be read.
    pub(crate) fn unreadable(fault: Fault, bytes: &[u8]) -> Self {
        Self::Unreadable(fault, bytes.len(), bytes[..bytes.len().min(BEGIN)].to_vec())
    }

    pub(super) fn shown(&self) -> What {
        match self {
            Self::Open(peer) => What::Open { peer: peer.clone() },
            Self::Packet(Direction::In, level, bytes, packet) => What::In(seen(*level, *bytes, packet)),
            Self::Packet(Direction::Out, level, bytes, packet) => What::Out(seen(*level, *bytes, packet)),
            Self::Unreadable(fault, bytes, begin) => What::Unreadable {
                why: fault.to_string(),
                bytes: *bytes,
                begins: begin.iter().map(|byte| format!("{byte:02x}")).collect(),
            },
            Self::Fault(rule, text, packet) => {
                let packet = packet.as_ref().map(|(level, packet)| seen(*level, 0, packet));
                What::Fault { rule: *rule, text: text.clone(), packet }
            }
            Self::Close(why) => What::Close { why: why.to_string() },
        }
    }
}

fn seen(level: Option<Level>, bytes: usize, packet: &Packet) -> Seen {
    Seen {
        packet: Kind::of(packet).word().to_uppercase(),
        mqtt: level.map(|level| version(level).to_owned()),
        bytes,
        fields: fields(packet, level),
    }
}
