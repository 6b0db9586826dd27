//! The parser against two codecs by other people.
//!
//! Neither is right everywhere. Where one is known to be wrong stands in [`LIES`], each with a packet that shows it;
//! any other difference is one. The fuzz target `connect` asks them as well: hence `mod.rs`, so that this can be named
//! as a path from there.

pub(crate) mod bytes;
mod lies;
mod model;
mod translate;

use ::bytes::BytesMut;
use baton_protocol::connect::{ConnectError, Level, Parsed, parse};
use baton_protocol::limits;
use tokio_util::codec::Decoder;

pub(crate) use lies::LIES;
pub(crate) use model::{Model, Owned, WillModel};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Oracle {
    Mqttbytes,
    Rmqtt,
}

impl Oracle {
    pub(crate) const BOTH: [Self; 2] = [Self::Mqttbytes, Self::Rmqtt];

    /// What the oracle finds in a whole packet, or `None` if it refuses it.
    pub(crate) fn read(self, level: Level, bytes: &[u8]) -> Option<Model> {
        let mut bytes = BytesMut::from(bytes);
        match (self, level) {
            (Self::Mqttbytes, Level::V5) => match mqttbytes::v5::read(&mut bytes, limits::CONNECT_BYTES) {
                Ok(mqttbytes::v5::Packet::Connect(connect)) => Some(translate::from_mqttbytes_v5(connect)),
                _ => None,
            },
            (Self::Mqttbytes, Level::V31 | Level::V311) => {
                match mqttbytes::v4::read(&mut bytes, limits::CONNECT_BYTES) {
                    Ok(mqttbytes::v4::Packet::Connect(connect)) => Some(translate::from_mqttbytes_v4(connect)),
                    _ => None,
                }
            }
            (Self::Rmqtt, Level::V5) => match rmqtt_codec::v5::Codec::new(0, 0).decode(&mut bytes) {
                Ok(Some((rmqtt_codec::v5::Packet::Connect(connect), _))) => Some(translate::from_rmqtt_v5(*connect)),
                _ => None,
            },
            (Self::Rmqtt, Level::V31 | Level::V311) => match rmqtt_codec::v3::Codec::new(0).decode(&mut bytes) {
                Ok(Some((rmqtt_codec::v3::Packet::Connect(connect), _))) => Some(translate::from_rmqtt_v3(*connect)),
                _ => None,
            },
        }
    }
}

/// Drops what an oracle's types can't tell apart: an empty name or credential from none, a default from its absence.
fn comparable(mut model: Model, oracle: Oracle) -> Model {
    if oracle == Oracle::Mqttbytes {
        model.username = model.username.filter(|name| !name.is_empty());
        model.password = model.password.filter(|password| !password.is_empty());
    } else {
        let is_default = |property: &(u8, Owned)| {
            let defaults =
                [(0x11, Owned::Four(0)), (0x17, Owned::Byte(1)), (0x19, Owned::Byte(0)), (0x22, Owned::Two(0))];
            defaults.contains(property)
        };
        model.properties.retain(|property| !is_default(property));
    }
    // The oracles don't keep the order, except among user properties.
    model.properties.sort_by_key(|(id, _)| *id);
    model.will.iter_mut().for_each(|will| will.properties.sort_by_key(|(id, _)| *id));
    model
}

/// Compares an oracle's verdict with ours; says what differs without an excuse.
pub(crate) fn differs(oracle: Oracle, bytes: &[u8], expected: Level) -> Option<String> {
    let ours = match parse(bytes, limits::CONNECT_BYTES) {
        Ok(Parsed::Connect(connect)) => Ok(Model::of(&connect)),
        Ok(Parsed::Incomplete { .. }) => return None, // framing is compared on whole packets only
        Err(error) => Err(error),
    };
    let level = match &ours {
        Ok(model) => model.level,
        Err(ConnectError::Malformed { level: Some(level), .. }) => *level,
        Err(_) => expected,
    };
    let theirs = oracle.read(level, bytes);
    let verdict = ours.as_ref().map_err(|error| *error);
    match (&ours, &theirs) {
        (Err(_), None) => None,
        (Ok(ours), Some(theirs)) => {
            let (ours, theirs) = (comparable(ours.clone(), oracle), comparable(theirs.clone(), oracle));
            (ours != theirs).then(|| format!("{oracle:?}: {theirs:?}\nours: {ours:?}"))
        }
        (Ok(_), None) | (Err(_), Some(_)) => {
            let excuse = LIES.iter().find(|lie| lie.oracle == oracle && (lie.explains)(bytes, verdict));
            excuse.is_none().then(|| format!("{oracle:?}: {theirs:?}\nours: {ours:?}"))
        }
    }
}
