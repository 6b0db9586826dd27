//! Packets that MQTT doesn't allow, byte by byte, and the answer to each: a code in a CONNACK or a DISCONNECT, or the
//! close alone (MQTT 5, 4.13; MQTT 3.1.1 has no other answer than the close once a client is connected).

use baton_broker_sim::broker::{Closing, Fault};

use crate::{
    desk::Q0,
    line::{CONNECT_5, CONNECT_31, CONNECT_311, Line, packet},
};

/// What is wrong, the first byte, the rest behind the Remaining Length, the fault, and the code of the answer.
type Case = (&'static str, u8, &'static [u8], Fault, Option<u8>);

use Fault::{ClientId, Malformed, Protocol, ServerOnly, TopicAlias, TopicName, UnknownLevel};

/// First packets, of any version.
const CONNECTS: &[Case] = &[
    ("5: reserved flag [3.1.2-3]", 0x10, b"\0\x04MQTT\x05\x03\0\x0a\0\0\x01c", Malformed, Some(0x81)),
    ("5: will QoS 3 [3.1.2-12]", 0x10, b"\0\x04MQTT\x05\x1e\0\x0a\0\0\x01c\0\0\x01w\0\0", Malformed, Some(0x81)),
    ("5: will QoS, no will [3.1.2-11]", 0x10, b"\0\x04MQTT\x05\x0a\0\x0a\0\0\x01c", Malformed, Some(0x81)),
    ("5: will retain, no will [3.1.2-13]", 0x10, b"\0\x04MQTT\x05\x22\0\x0a\0\0\x01c", Malformed, Some(0x81)),
    ("5: will flag, no will [3.1.2-9]", 0x10, b"\0\x04MQTT\x05\x06\0\x0a\0\0\x01c", Malformed, Some(0x81)),
    ("5: user flag, no name [3.1.2-17]", 0x10, b"\0\x04MQTT\x05\x82\0\x0a\0\0\x01c", Malformed, Some(0x81)),
    ("5: name, no user flag [3.1.2-16]", 0x10, b"\0\x04MQTT\x05\x02\0\x0a\0\0\x01c\0\x01u", Malformed, Some(0x81)),
    ("5: password flag, none [3.1.2-19]", 0x10, b"\0\x04MQTT\x05\x42\0\x0a\0\0\x01c", Malformed, Some(0x81)),
    (
        "5: password, no flag [3.1.2-18]",
        0x10,
        b"\0\x04MQTT\x05\x82\0\x0a\0\0\x01c\0\x01u\0\x01p",
        Malformed,
        Some(0x81),
    ),
    ("5: no client id [3.1.3-3]", 0x10, b"\0\x04MQTT\x05\x02\0\x0a\0", Malformed, Some(0x81)),
    ("5: client id not UTF-8 [3.1.3-4]", 0x10, b"\0\x04MQTT\x05\x02\0\x0a\0\0\x01\xff", Malformed, Some(0x81)),
    ("5: client id with U+0000 [1.5.4-2]", 0x10, b"\0\x04MQTT\x05\x02\0\x0a\0\0\x01\0", Malformed, Some(0x81)),
    (
        "5: surrogate in client id [1.5.4-1]",
        0x10,
        b"\0\x04MQTT\x05\x02\0\x0a\0\0\x03\xed\xa0\x80",
        Malformed,
        Some(0x81),
    ),
    (
        "5: will topic not UTF-8 [3.1.3-11]",
        0x10,
        b"\0\x04MQTT\x05\x06\0\x0a\0\0\x01c\0\0\x01\xff\0\0",
        Malformed,
        Some(0x81),
    ),
    ("5: will topic with a wildcard", 0x10, b"\0\x04MQTT\x05\x06\0\x0a\0\0\x01c\0\0\x01#\0\0", TopicName, Some(0x90)),
    ("5: user name not UTF-8 [3.1.3-12]", 0x10, b"\0\x04MQTT\x05\x82\0\x0a\0\0\x01c\0\x01\xff", Malformed, Some(0x81)),
    ("5: bytes too many", 0x10, b"\0\x04MQTT\x05\x02\0\x0a\0\0\x01cx", Malformed, Some(0x81)),
    ("5: properties longer than the packet", 0x10, b"\0\x04MQTT\x05\x02\0\x0a\x7f\0\x01c", Malformed, Some(0x81)),
    (
        "5: property over the properties' end",
        0x10,
        b"\0\x04MQTT\x05\x02\0\x0a\x03\x11\0\0\0\x09\0\x01c",
        Malformed,
        Some(0x81),
    ),
    ("5: property length not minimal [1.5.5-1]", 0x10, b"\0\x04MQTT\x05\x02\0\x0a\x80\0\0\x01c", Malformed, Some(0x81)),
    ("5: a property of PUBLISH", 0x10, b"\0\x04MQTT\x05\x02\0\x0a\x03\x23\0\x01\0\x01c", Malformed, Some(0x81)),
    ("5: a property of no packet", 0x10, b"\0\x04MQTT\x05\x02\0\x0a\x02\x7f\0\0\x01c", Malformed, Some(0x81)),
    ("5: Will Delay outside a will", 0x10, b"\0\x04MQTT\x05\x02\0\x0a\x05\x18\0\0\0\x01\0\x01c", Malformed, Some(0x81)),
    ("5: Receive Maximum 0", 0x10, b"\0\x04MQTT\x05\x02\0\x0a\x03\x21\0\0\0\x01c", Protocol, Some(0x82)),
    (
        "5: Receive Maximum twice",
        0x10,
        b"\0\x04MQTT\x05\x02\0\x0a\x06\x21\0\x01\x21\0\x01\0\x01c",
        Protocol,
        Some(0x82),
    ),
    ("5: Maximum Packet Size 0", 0x10, b"\0\x04MQTT\x05\x02\0\x0a\x05\x27\0\0\0\0\0\x01c", Protocol, Some(0x82)),
    ("5: Request Problem Information 2", 0x10, b"\0\x04MQTT\x05\x02\0\x0a\x02\x17\x02\0\x01c", Protocol, Some(0x82)),
    ("5: Request Response Information 2", 0x10, b"\0\x04MQTT\x05\x02\0\x0a\x02\x19\x02\0\x01c", Protocol, Some(0x82)),
    (
        "5: authentication data, no method",
        0x10,
        b"\0\x04MQTT\x05\x02\0\x0a\x04\x16\0\x01x\0\x01c",
        Protocol,
        Some(0x82),
    ),
    ("5: will format 2", 0x10, b"\0\x04MQTT\x05\x06\0\x0a\0\0\x01c\x02\x01\x02\0\x01w\0\0", Protocol, Some(0x82)),
    ("5: fixed header's flags [2.1.3-1]", 0x11, b"\0\x04MQTT\x05\x02\0\x0a\0\0\x01c", Fault::FirstNotConnect, None),
    ("level 6 [3.1.2-2]", 0x10, b"\0\x04MQTT\x06\x02\0\x0a\0\x01c", UnknownLevel, Some(1)),
    ("another protocol [3.1.2-1]", 0x10, b"\0\x04MQTX\x04\x02\0\x0a\0\x01c", Malformed, None),
    ("nothing in it", 0x10, b"", Malformed, None),
    ("3.1.1: reserved flag [3.1.2-3]", 0x10, b"\0\x04MQTT\x04\x03\0\x0a\0\x01c", Malformed, None),
    ("3.1.1: will QoS 3 [3.1.2-14]", 0x10, b"\0\x04MQTT\x04\x1e\0\x0a\0\x01c\0\x01w\0\0", Malformed, None),
    ("3.1.1: will QoS, no will [3.1.2-13]", 0x10, b"\0\x04MQTT\x04\x0a\0\x0a\0\x01c", Malformed, None),
    ("3.1.1: will retain, no will [3.1.2-15]", 0x10, b"\0\x04MQTT\x04\x22\0\x0a\0\x01c", Malformed, None),
    ("3.1.1: will flag, no will [3.1.2-9]", 0x10, b"\0\x04MQTT\x04\x06\0\x0a\0\x01c", Malformed, None),
    ("3.1.1: a will, no will flag [3.1.2-11]", 0x10, b"\0\x04MQTT\x04\x02\0\x0a\0\x01c\0\x01w\0\0", Malformed, None),
    ("3.1.1: a password alone [3.1.2-22]", 0x10, b"\0\x04MQTT\x04\x42\0\x0a\0\x01c\0\x01p", Malformed, None),
    ("3.1.1: password flag, none [3.1.2-21]", 0x10, b"\0\x04MQTT\x04\xc2\0\x0a\0\x01c\0\x01u", Malformed, None),
    ("3.1.1: password, no flag [3.1.2-20]", 0x10, b"\0\x04MQTT\x04\x82\0\x0a\0\x01c\0\x01u\0\x01p", Malformed, None),
    ("3.1.1: will topic not UTF-8 [3.1.3-10]", 0x10, b"\0\x04MQTT\x04\x06\0\x0a\0\x01c\0\x01\xff\0\0", Malformed, None),
    ("3.1.1: user name not UTF-8 [3.1.3-11]", 0x10, b"\0\x04MQTT\x04\x82\0\x0a\0\x01c\0\x01\xff", Malformed, None),
    ("3.1.1: user flag, no name [3.1.2-19]", 0x10, b"\0\x04MQTT\x04\x82\0\x0a\0\x01c", Malformed, None),
    ("3.1.1: name, no user flag [3.1.2-18]", 0x10, b"\0\x04MQTT\x04\x02\0\x0a\0\x01c\0\x01u", Malformed, None),
    ("3.1.1: no id, not clean [3.1.3-8]", 0x10, b"\0\x04MQTT\x04\x00\0\x0a\0\0", ClientId, Some(2)),
    ("3.1.1: no client id [3.1.3-3]", 0x10, b"\0\x04MQTT\x04\x02\0\x0a", Malformed, None),
    ("3.1.1: client id not UTF-8 [3.1.3-4]", 0x10, b"\0\x04MQTT\x04\x02\0\x0a\0\x01\xff", Malformed, None),
    ("3.1.1: client id with U+0000 [1.5.3-2]", 0x10, b"\0\x04MQTT\x04\x02\0\x0a\0\x01\0", Malformed, None),
    ("3.1.1: bytes too many", 0x10, b"\0\x04MQTT\x04\x02\0\x0a\0\x01cx", Malformed, None),
    ("3.1: no id", 0x10, b"\0\x06MQIsdp\x03\x02\0\x0a\0\0", ClientId, Some(2)),
];

/// Packets of a client that is connected with MQTT 5.
const OF_5: &[Case] = &[
    ("type 0", 0x00, b"", Malformed, Some(0x81)),
    ("CONNACK", 0x20, b"\0\0\0", ServerOnly, Some(0x82)),
    ("SUBACK", 0x90, b"\0\x01\0\0", ServerOnly, Some(0x82)),
    ("UNSUBACK", 0xb0, b"\0\x01\0\0", ServerOnly, Some(0x82)),
    ("PINGRESP", 0xd0, b"", ServerOnly, Some(0x82)),
    ("a second CONNECT [3.1.0-2]", 0x10, b"\0\x04MQTT\x05\x02\0\x0a\0\0\x01c", Fault::SecondConnect, Some(0x82)),
    ("PUBLISH: QoS 3 [3.3.1-4]", 0x36, b"\0\x01t\0\x01\0", Malformed, Some(0x81)),
    ("PUBLISH: DUP of QoS 0 [3.3.1-2]", 0x38, b"\0\x01t\0", Malformed, Some(0x81)),
    ("PUBLISH: packet id 0 [2.2.1-3]", 0x32, b"\0\x01t\0\0\0", Protocol, Some(0x82)),
    ("PUBLISH: no packet id", 0x32, b"\0\x01t", Malformed, Some(0x81)),
    ("PUBLISH: topic not UTF-8 [3.3.2-1]", 0x30, b"\0\x01\xff\0", Malformed, Some(0x81)),
    ("PUBLISH: topic with U+0000 [4.7.3-2]", 0x30, b"\0\x01\0\0", Malformed, Some(0x81)),
    ("PUBLISH: topic with # [3.3.2-2]", 0x30, b"\0\x01#\0", TopicName, Some(0x90)),
    ("PUBLISH: topic with + [3.3.2-2]", 0x30, b"\0\x03a/+\0", TopicName, Some(0x90)),
    ("PUBLISH: no topic, no alias", 0x30, b"\0\0\0", Fault::NoTopic, Some(0x82)),
    ("PUBLISH: no topic, an alias never set", 0x30, b"\0\0\x03\x23\0\x01", Fault::NoTopic, Some(0x82)),
    ("PUBLISH: alias 0 [3.3.2-8]", 0x30, b"\0\x01t\x03\x23\0\0", TopicAlias, Some(0x94)),
    ("PUBLISH: alias over the maximum [3.3.2-9]", 0x30, b"\0\x01t\x03\x23\0\x21", TopicAlias, Some(0x94)),
    ("PUBLISH: alias twice", 0x30, b"\0\x01t\x06\x23\0\x01\x23\0\x01", Protocol, Some(0x82)),
    ("PUBLISH: format 2", 0x30, b"\0\x01t\x02\x01\x02", Protocol, Some(0x82)),
    ("PUBLISH: a subscription id [3.3.4-6]", 0x30, b"\0\x01t\x02\x0b\x01", ServerOnly, Some(0x82)),
    ("PUBLISH: response topic with + [3.3.2-14]", 0x30, b"\0\x01t\x04\x08\0\x01+", TopicName, Some(0x90)),
    ("PUBLISH: response topic not UTF-8 [3.3.2-13]", 0x30, b"\0\x01t\x04\x08\0\x01\xff", Malformed, Some(0x81)),
    ("PUBLISH: content type not UTF-8 [3.3.2-19]", 0x30, b"\0\x01t\x04\x03\0\x01\xff", Malformed, Some(0x81)),
    ("PUBLISH: user property not UTF-8 [1.5.7-1]", 0x30, b"\0\x01t\x06\x26\0\x01\xff\0\0", Malformed, Some(0x81)),
    ("PUBLISH: its value not UTF-8 [1.5.7-1]", 0x30, b"\0\x01t\x06\x26\0\0\0\x01\xff", Malformed, Some(0x81)),
    ("PUBLISH: a property of CONNECT", 0x30, b"\0\x01t\x05\x11\0\0\0\x01", Malformed, Some(0x81)),
    ("PUBACK: flags [2.1.3-1]", 0x42, b"\0\x01", Malformed, Some(0x81)),
    ("PUBACK: packet id 0", 0x40, b"\0\0", Protocol, Some(0x82)),
    ("PUBACK: a reason that is none [3.4.2-1]", 0x40, b"\0\x01\x01\0", Malformed, Some(0x81)),
    ("PUBACK: bytes too many", 0x40, b"\0\x01\0\0x", Malformed, Some(0x81)),
    ("PUBACK: half a packet id", 0x40, b"\0", Malformed, Some(0x81)),
    ("PUBREC: a reason that is none [3.5.2-1]", 0x50, b"\0\x01\x92\0", Malformed, Some(0x81)),
    ("PUBREL: flags [3.6.1-1]", 0x60, b"\0\x01", Malformed, Some(0x81)),
    ("PUBREL: a reason that is none [3.6.2-1]", 0x62, b"\0\x01\x10\0", Malformed, Some(0x81)),
    ("PUBCOMP: a reason that is none [3.7.2-1]", 0x70, b"\0\x01\x80\0", Malformed, Some(0x81)),
    ("PUBCOMP: reason string twice", 0x70, b"\0\x01\0\x06\x1f\0\0\x1f\0\0", Protocol, Some(0x82)),
    ("SUBSCRIBE: flags [3.8.1-1]", 0x80, b"\0\x01\0\0\x01a\0", Malformed, Some(0x81)),
    ("SUBSCRIBE: packet id 0 [2.2.1-3]", 0x82, b"\0\0\0\0\x01a\0", Protocol, Some(0x82)),
    ("SUBSCRIBE: no filter [3.8.3-2]", 0x82, b"\0\x01\0", Protocol, Some(0x82)),
    ("SUBSCRIBE: filter without options", 0x82, b"\0\x01\0\0\x01a", Malformed, Some(0x81)),
    ("SUBSCRIBE: filter not UTF-8 [3.8.3-1]", 0x82, b"\0\x01\0\0\x01\xff\0", Malformed, Some(0x81)),
    ("SUBSCRIBE: filter with U+0000 [4.7.3-2]", 0x82, b"\0\x01\0\0\x01\0\0", Malformed, Some(0x81)),
    ("SUBSCRIBE: reserved option bits [3.8.3-5]", 0x82, b"\0\x01\0\0\x01a\x40", Malformed, Some(0x81)),
    ("SUBSCRIBE: QoS 3", 0x82, b"\0\x01\0\0\x01a\x03", Protocol, Some(0x82)),
    ("SUBSCRIBE: retain handling 3", 0x82, b"\0\x01\0\0\x01a\x30", Protocol, Some(0x82)),
    ("SUBSCRIBE: subscription id 0", 0x82, b"\0\x01\x02\x0b\0\0\x01a\0", Protocol, Some(0x82)),
    ("SUBSCRIBE: subscription id twice", 0x82, b"\0\x01\x04\x0b\x01\x0b\x01\0\x01a\0", Protocol, Some(0x82)),
    ("SUBSCRIBE: subscription id not minimal", 0x82, b"\0\x01\x03\x0b\x81\0\0\x01a\0", Malformed, Some(0x81)),
    (
        "SUBSCRIBE: No Local of a share [3.8.3-4]",
        0x82,
        b"\0\x01\0\0\x0a$share/g/a\x04",
        Fault::SharedNoLocal,
        Some(0x82),
    ),
    ("UNSUBSCRIBE: flags [3.10.1-1]", 0xa0, b"\0\x01\0\0\x01a", Malformed, Some(0x81)),
    ("UNSUBSCRIBE: packet id 0 [2.2.1-3]", 0xa2, b"\0\0\0\0\x01a", Protocol, Some(0x82)),
    ("UNSUBSCRIBE: no filter [3.10.3-2]", 0xa2, b"\0\x01\0", Protocol, Some(0x82)),
    ("UNSUBSCRIBE: filter not UTF-8 [3.10.3-1]", 0xa2, b"\0\x01\0\0\x01\xff", Malformed, Some(0x81)),
    ("PINGREQ: bytes too many", 0xc0, b"x", Malformed, Some(0x81)),
    ("PINGREQ: flags", 0xc1, b"", Malformed, Some(0x81)),
    ("DISCONNECT: flags [3.14.1-1]", 0xe1, b"", Malformed, Some(0x81)),
    ("DISCONNECT: a reason that is none [3.14.2-1]", 0xe0, b"\x01\0", Malformed, Some(0x81)),
    ("DISCONNECT: a server's reason", 0xe0, b"\x8e\0", ServerOnly, Some(0x82)),
    ("DISCONNECT: a server reference", 0xe0, b"\0\x04\x1c\0\x01s", ServerOnly, Some(0x82)),
    ("DISCONNECT: an expiry after none", 0xe0, b"\0\x05\x11\0\0\0\x01", Fault::ExpiryFromZero, Some(0x82)),
    ("DISCONNECT: bytes too many", 0xe0, b"\0\0x", Malformed, Some(0x81)),
    ("AUTH: flags [3.15.1-1]", 0xf1, b"", Malformed, Some(0x81)),
    ("AUTH: a reason that is none [3.15.2-1]", 0xf0, b"\x01\0", Malformed, Some(0x81)),
    ("AUTH without a method in the CONNECT [4.12.0-7]", 0xf0, b"\x19\x04\x15\0\x01m", Protocol, Some(0x82)),
];

/// Packets of a client that is connected with MQTT 3.1.1.
const OF_311: &[Case] = &[
    ("type 0", 0x00, b"", Malformed, None),
    ("type 15", 0xf0, b"", Malformed, None),
    ("CONNACK", 0x20, b"\0\0", ServerOnly, None),
    ("a second CONNECT [3.1.0-2]", 0x10, b"\0\x04MQTT\x04\x02\0\x0a\0\x01c", Fault::SecondConnect, None),
    ("PUBLISH: QoS 3 [3.3.1-4]", 0x36, b"\0\x01t\0\x01", Malformed, None),
    ("PUBLISH: DUP of QoS 0 [3.3.1-2]", 0x38, b"\0\x01t", Malformed, None),
    ("PUBLISH: packet id 0 [2.3.1-1]", 0x32, b"\0\x01t\0\0", Protocol, None),
    ("PUBLISH: topic not UTF-8 [3.3.2-1]", 0x30, b"\0\x01\xff", Malformed, None),
    ("PUBLISH: topic with U+0000 [4.7.3-2]", 0x30, b"\0\x01\0", Malformed, None),
    ("PUBLISH: no topic [4.7.3-1]", 0x30, b"\0\0", Fault::NoTopic, None),
    ("PUBLISH: topic with # [3.3.2-2]", 0x30, b"\0\x01#", TopicName, None),
    ("PUBREL: flags [3.6.1-1]", 0x60, b"\0\x01", Malformed, None),
    ("PUBACK: bytes too many", 0x40, b"\0\x01\0", Malformed, None),
    ("SUBSCRIBE: flags [3.8.1-1]", 0x80, b"\0\x01\0\x01a\0", Malformed, None),
    ("SUBSCRIBE: flags, DUP", 0x8a, b"\0\x01\0\x01a\0", Malformed, None),
    ("SUBSCRIBE: packet id 0 [2.3.1-1]", 0x82, b"\0\0\0\x01a\0", Protocol, None),
    ("SUBSCRIBE: no filter [3.8.3-3]", 0x82, b"\0\x01", Protocol, None),
    ("SUBSCRIBE: filter not UTF-8 [3.8.3-1]", 0x82, b"\0\x01\0\x01\xff\0", Malformed, None),
    ("SUBSCRIBE: filter with U+0000 [4.7.3-2]", 0x82, b"\0\x01\0\x01\0\0", Malformed, None),
    ("SUBSCRIBE: reserved bits [3.8.3-4]", 0x82, b"\0\x01\0\x01a\x04", Malformed, None),
    ("SUBSCRIBE: QoS 3 [3.8.3-4]", 0x82, b"\0\x01\0\x01a\x03", Protocol, None),
    ("UNSUBSCRIBE: flags [3.10.1-1]", 0xa0, b"\0\x01\0\x01a", Malformed, None),
    ("UNSUBSCRIBE: packet id 0 [2.3.1-1]", 0xa2, b"\0\0\0\x01a", Protocol, None),
    ("UNSUBSCRIBE: no filter [3.10.3-2]", 0xa2, b"\0\x01", Protocol, None),
    ("UNSUBSCRIBE: filter not UTF-8 [3.10.3-1]", 0xa2, b"\0\x01\0\x01\xff", Malformed, None),
    ("PINGREQ: bytes too many", 0xc0, b"x", Malformed, None),
    ("DISCONNECT: flags [3.14.1-1]", 0xe2, b"", Malformed, None),
    ("DISCONNECT: bytes too many", 0xe0, b"\0", Malformed, None),
];

/// Packets of 3.1 that later versions forbid, and that are none of its faults.
const FINE_IN_31: &[(&str, u8, &[u8])] = &[
    ("PUBLISH: DUP of QoS 0", 0x38, b"\0\x01t"),
    ("SUBSCRIBE: DUP", 0x8a, b"\0\x01\0\x01a\0"),
    ("UNSUBSCRIBE: DUP", 0xaa, b"\0\x01\0\x01a"),
    ("PUBREL: DUP", 0x6a, b"\0\x01"),
];

/// The code of a CONNACK or a DISCONNECT that is all that was said; none for silence.
fn code(said: &[u8]) -> Option<u8> {
    match said {
        [] => None,
        [0x20, _, 0, code, ..] | [0xe0, _, code, ..] => Some(*code),
        other => panic!("{other:x?}"),
    }
}

fn try_all(cases: &[Case], begin: impl Fn() -> Line) {
    for (name, first, rest, fault, answer) in cases {
        let mut line = begin();
        let bystander = line.desk.listener("bystander", &["#", "$share/g/a"], Q0);
        let said = line.say(&packet(*first, rest));
        assert_eq!(line.desk.closed(line.conn), Some(Closing::Fault(*fault)), "{name}");
        assert_eq!(code(&said), *answer, "{name}: {said:x?}");
        assert_eq!(line.desk.got(bystander), [], "{name}: nothing of it is passed on");
        assert_eq!(line.desk.closed(bystander), None, "{name}");
    }
}

#[test]
fn connects() {
    try_all(CONNECTS, Line::new);
}

#[test]
fn of_mqtt_5() {
    try_all(OF_5, || Line::connected(CONNECT_5));
}

#[test]
fn of_mqtt_311() {
    try_all(OF_311, || Line::connected(CONNECT_311));
}

#[test]
fn fine_in_mqtt_31() {
    for (name, first, rest) in FINE_IN_31 {
        let mut line = Line::connected(CONNECT_31);
        line.say(&packet(*first, rest));
        assert_eq!(line.desk.closed(line.conn), None, "{name}");
    }
    // The names' flags without the names.
    assert_eq!(code(&Line::new().say(&packet(0x10, b"\0\x06MQIsdp\x03\xc2\0\x0a\0\x01c"))), Some(0));
}

/// 2.1.4, 1.5.5-1: a Remaining Length in more bytes than it needs, or in five.
#[test]
fn remaining_length() {
    for bytes in [&b"\xc0\x80\0"[..], b"\xc0\x80\x80\0", b"\xc0\xff\xff\xff\xff\x01"] {
        for (connect, answer) in [(CONNECT_5, Some(0x81)), (CONNECT_311, None)] {
            let mut line = Line::connected(connect);
            assert_eq!(code(&line.say(bytes)), answer, "{bytes:x?}");
            assert_eq!(line.desk.closed(line.conn), Some(Closing::Fault(Malformed)));
        }
    }
}

/// 1.5.4-3: U+FEFF is a character like any other.
#[test]
fn the_byte_order_mark_stays() {
    for (connect, message) in [(CONNECT_5, &b"\0\x04\xef\xbb\xbft\0"[..]), (CONNECT_311, b"\0\x04\xef\xbb\xbft")] {
        let mut line = Line::connected(connect);
        let other = line.desk.listener("o", &["#"], Q0);
        line.say(&packet(0x30, message));
        assert_eq!(line.desk.heard(other), ["\u{feff}t  0"]);
    }
}
