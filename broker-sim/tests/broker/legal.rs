//! Packets that MQTT allows, odd as they may look, and that a strict broker must not refuse. They are also what damaged
//! packets are made of: whatever is read of one is what `rmqtt-codec` reads of it.

use std::num::NonZeroU16;

use baton_broker_sim::{
    broker::{Closing, Fault},
    codec::Codec,
};
use bytes::BytesMut;
use rmqtt_codec::v5::{Codec as Codec5, Packet, PublishProperties};
use tokio_util::codec::Decoder;

use crate::line::{CONNECT_5, CONNECT_311, Line, packet};

type Case = (&'static str, u8, &'static [u8]);

const CONNECTS: &[Case] = &[
    ("5: every property", 0x10, b"\0\x04MQTT\x05\x02\0\x0a\x23\x11\0\0\0\x3c\x21\0\x0a\x27\0\x01\0\0\x22\0\x05\x19\x01\x17\0\x26\0\x01k\0\x01v\x26\0\x01k\0\x02vv\0\x01c"),
    ("5: a will with every property, a name and a password", 0x10, b"\0\x04MQTT\x05\xee\0\x0a\0\0\x01c\x1e\x18\0\0\0\x05\x01\x01\x02\0\0\0\x09\x03\0\x01t\x08\0\x01r\x09\0\x01\xff\x26\0\x01k\0\0\0\x01w\0\0\0\0\0\x01p"),
    ("5: a password alone", 0x10, b"\0\x04MQTT\x05\x42\0\x0a\0\0\x01c\0\x02\xff\0"),
    ("5: no id, not clean", 0x10, b"\0\x04MQTT\x05\0\0\x0a\0\0\0"),
    ("3.1.1: no id, clean", 0x10, b"\0\x04MQTT\x04\x02\0\x0a\0\0"),
    ("3.1.1: an empty name and a binary password", 0x10, b"\0\x04MQTT\x04\xc2\0\x0a\0\x01c\0\0\0\x02\xff\0"),
    ("3.1.1: an empty will", 0x10, b"\0\x04MQTT\x04\x06\0\x0a\0\x01c\0\x01w\0\0"),
    ("3.1", 0x10, b"\0\x06MQIsdp\x03\0\0\x0a\0\x01c"),
];

const OF_5: &[Case] = &[
    ("PUBLISH: no properties, no payload", 0x31, b"\0\x01t\0"),
    (
        "PUBLISH: every property",
        0x3b,
        b"\0\x01t\0\x01\x1d\x01\x01\x02\0\0\0\x09\x23\0\x03\x08\0\x01r\x09\0\x02\0\xff\x26\0\x01k\0\0\x03\0\x01tx",
    ),
    ("PUBLISH: expiry 0", 0x30, b"\0\x01t\x05\x02\0\0\0\0x"),
    ("PUBACK: nothing but the id", 0x40, b"\0\x01"),
    ("PUBACK: a reason", 0x40, b"\0\x01\x10"),
    ("PUBACK: a reason and no properties", 0x40, b"\0\x01\x10\0"),
    ("PUBACK: everything", 0x40, b"\0\x01\x87\x0b\x1f\0\x01r\x26\0\x01k\0\x01v"),
    ("PUBREC: a reason", 0x50, b"\0\x01\x80"),
    ("PUBREL: a reason", 0x62, b"\0\x01\x92"),
    ("PUBCOMP: a reason", 0x70, b"\0\x01\x92"),
    ("SUBSCRIBE: every option", 0x82, b"\0\x01\x0a\x0b\xff\x7f\x26\0\x01k\0\x01v\0\x03a/#\x2d\0\x0a$share/g/x\x01"),
    ("UNSUBSCRIBE: a property", 0xa2, b"\0\x01\x07\x26\0\x01k\0\x01v\0\x01a"),
    ("PINGREQ", 0xc0, b""),
];

const FAREWELLS_OF_5: &[Case] = &[
    ("nothing", 0xe0, b""),
    ("a reason", 0xe0, b"\x04"),
    ("a reason and no properties", 0xe0, b"\0\0"),
    ("everything", 0xe0, b"\x98\x10\x11\0\0\0\0\x1f\0\x01r\x26\0\x01k\0\x01v"),
];

const OF_311: &[Case] = &[
    ("PUBLISH: no payload", 0x31, b"\0\x01t"),
    ("PUBLISH: DUP of QoS 1", 0x3a, b"\0\x01t\0\x01x"),
    ("PUBACK", 0x40, b"\0\x01"),
    ("PUBREC", 0x50, b"\0\x01"),
    ("PUBREL", 0x62, b"\0\x01"),
    ("PUBCOMP", 0x70, b"\0\x01"),
    ("SUBSCRIBE", 0x82, b"\0\x01\0\x03a/#\0\0\x01b\x02"),
    ("UNSUBSCRIBE", 0xa2, b"\0\x01\0\x01a\0\x01b"),
];

#[test]
fn connects_are_accepted() {
    for (name, first, rest) in CONNECTS {
        let mut line = Line::new();
        let said = line.say(&packet(*first, rest));
        assert_eq!((said[0], said[2], said[3]), (0x20, 0, 0), "{name}");
    }
}

#[test]
fn packets_are_accepted() {
    for (connect, cases) in [(CONNECT_5, OF_5), (CONNECT_311, OF_311)] {
        for (name, first, rest) in cases {
            let mut line = Line::connected(connect);
            line.say(&packet(*first, rest));
            assert_eq!(line.desk.closed(line.conn), None, "{name}");
        }
    }
    // One that may say it has an expiry to change.
    let lasting = packet(0x10, b"\0\x04MQTT\x05\x02\0\x0a\x05\x11\0\0\0\x3c\0\x01c");
    for (name, first, rest) in FAREWELLS_OF_5 {
        let mut line = Line::connected(&lasting);
        assert_eq!(line.say(&packet(*first, rest)), [] as [u8; 0], "{name}");
        assert_eq!(line.desk.closed(line.conn), Some(Closing::Left), "{name}");
    }
}

/// What `rmqtt-codec` makes of the bytes, with what this broker takes as the same.
fn by_the_other(bytes: &[u8]) -> Option<Packet> {
    let mut packet = Codec5::new(0, 0).decode(&mut BytesMut::from(bytes)).ok()??.0;
    match &mut packet {
        Packet::Connect(connect) => drop(connect.receive_max.get_or_insert(NonZeroU16::MAX)),
        Packet::Publish(publish) => {
            publish.properties.take_if(|properties| *properties == PublishProperties::default());
        }
        _ => {}
    }
    Some(packet)
}

/// An expiry of 0 and a client without an id that isn't clean: MQTT 5 allows both, and `rmqtt-codec` neither.
fn only_ours(packet: &Packet) -> bool {
    match packet {
        Packet::Connect(connect) => {
            let expiry = connect.last_will.as_ref().and_then(|will| will.message_expiry_interval);
            expiry.is_some_and(|expiry| expiry.get() == 1) || (connect.client_id.is_empty() && !connect.clean_start)
        }
        Packet::Publish(publish) => {
            let expiry = publish.properties.as_ref().and_then(|properties| properties.message_expiry_interval);
            expiry.is_some_and(|expiry| expiry.get() == 1)
        }
        _ => false,
    }
}

#[test]
fn what_is_read_is_what_another_codec_reads() {
    let connects = CONNECTS.iter().filter(|(name, ..)| name.starts_with('5'));
    let whole: Vec<_> = connects.chain(OF_5).chain(FAREWELLS_OF_5).map(|(_, f, rest)| packet(*f, rest)).collect();
    let mut state = 0x5eed_u64;
    let mut roll = |sides: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state >> 16).unwrap() % sides
    };
    let (mut read, mut refused) = (0, 0);
    for _ in 0..100_000 {
        let mut bytes = whole[roll(whole.len())].clone();
        for _ in 0..roll(3) {
            let at = 2 + roll(bytes.len() - 1).min(bytes.len() - 2);
            match roll(3) {
                0 if at < bytes.len() => bytes[at] ^= 1 << roll(8),
                1 if at < bytes.len() => drop(bytes.remove(at)),
                _ => bytes.insert(at.min(bytes.len()), [0, 1, 0x1f, 0x26, 0xff][roll(5)]),
            }
        }
        bytes[1] = u8::try_from(bytes.len() - 2).unwrap();
        let mut codec = Codec::default();
        codec.decode(CONNECT_5).unwrap();
        match codec.decode(&bytes) {
            Ok(packet) if only_ours(&packet) => {}
            Ok(packet) => {
                assert_eq!(by_the_other(&bytes).as_ref(), Some(&packet), "{bytes:02x?}");
                read += 1;
            }
            Err(fault) => {
                assert!(!matches!(fault, Fault::FirstNotConnect | Fault::TooLarge), "{fault} {bytes:02x?}");
                refused += 1;
            }
        }
    }
    assert!(read > 30_000 && refused > 30_000, "{read} {refused}");
}
