//! Where the oracles are known to be wrong.

use baton_protocol::connect::{ConnectError, Fault, Level};

use super::bytes::{field, packet, properties, v5, v31, v311};
use super::{Model, Oracle, Owned};

/// A way in which an oracle is wrong.
pub(crate) struct Lie {
    pub(crate) oracle: Oracle,
    pub(crate) what: &'static str,
    /// Whether this lie explains that the oracle's verdict on the packet isn't ours, given what we say.
    pub(crate) explains: fn(&[u8], Result<&Model, ConnectError>) -> bool,
    pub(crate) example: fn() -> Vec<u8>,
}

fn fault(ours: Result<&Model, ConnectError>) -> Option<Fault> {
    match ours {
        Err(ConnectError::Malformed { fault, .. }) => Some(fault),
        _ => None,
    }
}

fn id() -> Vec<u8> {
    field("id")
}

pub(crate) const LIES: &[Lie] = &[
    Lie {
        oracle: Oracle::Rmqtt,
        what: "takes a string with U+0000",
        explains: |_, ours| fault(ours) == Some(Fault::Nul),
        example: || v311(0x02, &[&field("i\0d")]),
    },
    Lie {
        oracle: Oracle::Rmqtt,
        what: "takes a length in more bytes than needed, in MQTT 5",
        explains: |_, ours| fault(ours) == Some(Fault::Varint),
        example: || packet(0x10, &[&field("MQTT")[..], &[5, 2, 0, 60, 0x80, 0x00], &id()].concat()),
    },
    Lie {
        oracle: Oracle::Rmqtt,
        what: "takes bytes after the last field",
        explains: |_, ours| fault(ours) == Some(Fault::Trailing),
        example: || v311(0x02, &[&id(), b"zzz"]),
    },
    Lie {
        oracle: Oracle::Rmqtt,
        what: "takes a password without a username before MQTT 5",
        explains: |_, ours| fault(ours) == Some(Fault::PasswordAlone),
        example: || v311(0x42, &[&id(), &field("p")]),
    },
    Lie {
        oracle: Oracle::Rmqtt,
        what: "takes flags of a will without a will, in MQTT 5",
        explains: |bytes, ours| fault(ours) == Some(Fault::WillFlags) && bytes.windows(5).any(|w| w == b"MQTT\x05"),
        example: || v5(0x22, &[], &[&id()]),
    },
    Lie {
        oracle: Oracle::Rmqtt,
        what: "takes authentication data without a method",
        explains: |_, ours| fault(ours) == Some(Fault::DataWithoutMethod),
        example: || v5(2, &[&[0x16][..], &field("d")].concat(), &[&id()]),
    },
    Lie {
        oracle: Oracle::Rmqtt,
        what: "takes level 3 under MQTT's name and level 4 under MQIsdp's",
        explains: |_, ours| matches!(ours, Err(ConnectError::UnknownLevel(3 | 4))),
        example: || packet(0x10, &[&field("MQTT")[..], &[3, 2, 0, 60], &id()].concat()),
    },
    Lie {
        oracle: Oracle::Rmqtt,
        what: "takes an empty client id in 3.1",
        explains: |_, ours| matches!(ours, Err(ConnectError::IdRejected)),
        example: || v31(0x02, &[&field("")]),
    },
    Lie {
        oracle: Oracle::Rmqtt,
        what: "refuses an empty client id without a clean start, in MQTT 5",
        explains: |_, ours| ours.is_ok_and(|m| m.level == Level::V5 && m.client_id.is_empty() && !m.clean_start),
        example: || v5(0x00, &[], &[&field("")]),
    },
    Lie {
        oracle: Oracle::Rmqtt,
        what: "refuses a will that expires at once",
        explains: |_, ours| {
            let at_once = (0x02, Owned::Four(0));
            ours.is_ok_and(|m| m.will.as_ref().is_some_and(|will| will.properties.contains(&at_once)))
        },
        example: || v5(0x06, &[], &[&id(), &properties(&[2, 0, 0, 0, 0]), &field("t"), &field("w")]),
    },
    Lie {
        oracle: Oracle::Rmqtt,
        what: "minds what 3.1 doesn't use, and fields that 3.1 lets a client leave out",
        explains: |_, ours| ours.is_ok_and(|m| m.level == Level::V31),
        example: || v31(0x03, &[&id()]),
    },
    Lie {
        oracle: Oracle::Mqttbytes,
        what: "refuses 3.1",
        explains: |_, ours| ours.is_ok_and(|m| m.level == Level::V31),
        example: || v31(0x02, &[&id()]),
    },
    Lie {
        oracle: Oracle::Mqttbytes,
        what: "refuses a password that isn't UTF-8",
        explains: |_, ours| {
            ours.is_ok_and(|m| m.password.as_ref().is_some_and(|password| str::from_utf8(password).is_err()))
        },
        example: || v311(0xc2, &[&id(), &field("u"), &field([0xff, 0xfe])]),
    },
    Lie {
        oracle: Oracle::Mqttbytes,
        what: "takes flags in the fixed header",
        explains: |_, ours| fault(ours) == Some(Fault::HeaderFlags),
        example: || [&[0x1f][..], &v311(0x02, &[&id()])[1..]].concat(),
    },
    Lie {
        oracle: Oracle::Mqttbytes,
        what: "takes the reserved flag",
        explains: |_, ours| fault(ours) == Some(Fault::ReservedFlag),
        example: || v311(0x03, &[&id()]),
    },
    Lie {
        oracle: Oracle::Mqttbytes,
        what: "takes bytes after the last field",
        explains: |_, ours| fault(ours) == Some(Fault::Trailing),
        example: || v311(0x02, &[&id(), b"zzz"]),
    },
    Lie {
        oracle: Oracle::Mqttbytes,
        what: "takes a string with U+0000",
        explains: |_, ours| fault(ours) == Some(Fault::Nul),
        example: || v311(0x02, &[&field("i\0d")]),
    },
    Lie {
        oracle: Oracle::Mqttbytes,
        what: "takes a length in more bytes than needed, in MQTT 5",
        explains: |_, ours| fault(ours) == Some(Fault::Varint),
        example: || packet(0x10, &[&field("MQTT")[..], &[5, 2, 0, 60, 0x80, 0x00], &id()].concat()),
    },
    Lie {
        oracle: Oracle::Mqttbytes,
        what: "takes a password without a username before MQTT 5",
        explains: |_, ours| fault(ours) == Some(Fault::PasswordAlone),
        example: || v311(0x42, &[&id(), &field("p")]),
    },
    Lie {
        oracle: Oracle::Mqttbytes,
        what: "takes an empty client id for a session to be kept before MQTT 5",
        explains: |_, ours| matches!(ours, Err(ConnectError::IdRejected)),
        example: || v311(0x00, &[&field("")]),
    },
    Lie {
        oracle: Oracle::Mqttbytes,
        what: "takes a property twice",
        explains: |_, ours| matches!(fault(ours), Some(Fault::PropertyTwice(_))),
        example: || v5(2, &[0x21, 0, 10, 0x21, 0, 11], &[&id()]),
    },
    Lie {
        oracle: Oracle::Mqttbytes,
        what: "takes values that a property may not have",
        explains: |_, ours| matches!(fault(ours), Some(Fault::PropertyValue(_))),
        example: || v5(2, &[0x21, 0, 0], &[&id()]),
    },
    Lie {
        oracle: Oracle::Mqttbytes,
        what: "takes authentication data without a method",
        explains: |_, ours| fault(ours) == Some(Fault::DataWithoutMethod),
        example: || v5(2, &[&[0x16][..], &field("d")].concat(), &[&id()]),
    },
    Lie {
        oracle: Oracle::Mqttbytes,
        what: "reads a property beyond the properties' length",
        explains: |bytes, ours| fault(ours) == Some(Fault::Short) && bytes.windows(5).any(|w| w == b"MQTT\x05"),
        example: || packet(0x10, &[&field("MQTT")[..], &[5, 2, 0, 60, 3, 0x11, 0, 0, 0, 9], &id()].concat()),
    },
];
