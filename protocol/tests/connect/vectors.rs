//! Packets written by hand from the standards' text; the section that decides stands beside each.

use baton_protocol::connect::{
    Connect, ConnectError, Fault, Level, Parsed, UserIdSource, Value, connack_unavailable, parse, user_id,
};
use baton_protocol::error::CloseCause;
use baton_protocol::limits;

use crate::oracle::bytes::{field, packet, properties, v5, v31, v311};

/// Every packet here is legal.
fn legal() -> Vec<(&'static str, Vec<u8>)> {
    let (id, will) = (field("id"), [field("a/b"), field("gone")].concat());
    let credentials = [field("user"), field("pass")].concat();
    let all_properties = [
        &[0x11, 0, 0, 0, 60, 0x21, 0, 10, 0x27, 0, 1, 0, 0, 0x22, 0, 5, 0x19, 1, 0x17, 0][..],
        &[&[0x26][..], &field("k"), &field("v"), &[0x26], &field("k"), &field("v")].concat(),
        &[&[0x15][..], &field("SCRAM"), &[0x16], &field([0xff, 0])].concat(),
    ]
    .concat();
    let all_of_will = [
        &[0x18, 0, 0, 0, 5, 0x01, 1, 0x02, 0, 0, 0, 9][..],
        &[&[0x03][..], &field("text/plain"), &[0x08], &field("re"), &[0x09], &field([1, 2])].concat(),
        &[&[0x26][..], &field("k"), &field("v")].concat(),
    ]
    .concat();
    vec![
        ("3.1", v31(0x02, &[&id])),
        ("3.1, a session to be kept", v31(0x00, &[&id])),
        ("3.1, all fields", v31(0xf6, &[&id, &will, &credentials])),
        ("3.1, an id of more than 23 characters: brokers take it", v31(0x02, &[&field("x".repeat(24))])),
        ("3.1: the remaining length takes precedence over the username flag", v31(0x82, &[&id])),
        ("3.1: and over the password flag", v31(0xc2, &[&id, &field("user")])),
        ("3.1: bit 0 isn't used", v31(0x03, &[&id])),
        ("3.1: the will's QoS and retain are for wills only", v31(0x3a, &[&id])),
        (
            "3.1: DUP, QoS and RETAIN aren't used in the CONNECT message",
            [&[0x1f][..], &v31(0x02, &[&id])[1..]].concat(),
        ),
        ("3.1.1", v311(0x02, &[&id])),
        ("3.1.1, a session to be kept", v311(0x00, &[&id])),
        ("3.1.1, 3.1.3.1: an empty id with a clean session", v311(0x02, &[&field("")])),
        ("3.1.1, all fields", v311(0xf6, &[&id, &will, &credentials])),
        ("3.1.1, 3.1.3.3: an empty will message", v311(0x06, &[&id, &field("t"), &field("")])),
        ("3.1.1, a username only", v311(0x82, &[&id, &field("user")])),
        ("3.1.1, an empty username", v311(0x82, &[&id, &field("")])),
        ("3.1.1, an empty password", v311(0xc2, &[&id, &field("user"), &field("")])),
        ("3.1.1, 3.1.3.5: a password is any bytes", v311(0xc2, &[&id, &field("user"), &field([0xff, 0, 0xfe])])),
        ("3.1.1, 1.5.3: U+FEFF is a character", v311(0x02, &[&field("\u{feff}id")])),
        ("3.1.1, 1.5.3: all of UTF-8", v311(0x02, &[&field("\u{10ffff}\u{d7ff}\u{e000}é")])),
        ("3.1.1, 1.5.3: control characters may be refused, and aren't", v311(0x02, &[&field("i\u{1}d")])),
        ("3.1.1 says nothing of a length in more bytes than needed", {
            let short = v311(0x02, &[&id]);
            [&[0x10, short[1] | 0x80, 0x80, 0x00][..], &short[2..]].concat()
        }),
        ("3.1.1, 2.2.3: a length in two bytes", v311(0x06, &[&id, &field("t"), &field([7; 200])])),
        ("3.1.1, 2.2.3: a length in three bytes", v311(0x06, &[&id, &field("t"), &field([7; 20_000])])),
        ("5", v5(0x02, &[], &[&id])),
        ("5, 3.1.3.1: an empty id for a session to be kept", v5(0x00, &[], &[&field("")])),
        ("5, all fields", v5(0xf6, &[], &[&id, &[0], &will, &credentials])),
        ("5, 3.1.2.11: all properties", v5(0x02, &all_properties, &[&id])),
        ("5, 3.1.3.2: all properties of a will", v5(0x06, &[], &[&id, &properties(&all_of_will), &will])),
        ("5, 3.1.3.2.4: a will that expires at once", v5(0x06, &[], &[&id, &properties(&[0x02, 0, 0, 0, 0]), &will])),
        ("5, 3.1.2.9: a password without a username", v5(0x42, &[], &[&id, &field("pass")])),
        ("5, 3.1.2.11.9: a method without data", v5(0x02, &[&[0x15][..], &field("M")].concat(), &[&id])),
        ("5, properties of two bytes' length", {
            let pair = [&[0x26][..], &field("k"), &field([b'v'; 200])].concat();
            v5(0x02, &pair, &[&id])
        }),
    ]
}

fn whole(bytes: &[u8]) -> Connect<'_> {
    match parse(bytes, limits::CONNECT_BYTES) {
        Ok(Parsed::Connect(connect)) => connect,
        other => panic!("{bytes:02x?}: {other:02x?}"),
    }
}

#[test]
fn legal_packets_pass() {
    for (name, bytes) in legal() {
        let parsed = parse(&bytes, limits::CONNECT_BYTES);
        assert!(matches!(parsed, Ok(Parsed::Connect(connect)) if connect.total == bytes.len()), "{name}: {parsed:?}");
    }
}

#[test]
fn a_truncated_packet_is_incomplete() {
    for (name, bytes) in legal() {
        for length in 0..bytes.len() {
            match parse(&bytes[..length], limits::CONNECT_BYTES) {
                Ok(Parsed::Incomplete { need }) => assert!(length < need && need <= bytes.len(), "{name}: {need}"),
                other => panic!("{name}, {length} of {} bytes: {other:?}", bytes.len()),
            }
        }
    }
}

#[test]
fn what_follows_belongs_to_the_session() {
    for (name, bytes) in legal() {
        let pipelined = [&bytes[..], &[0x82, 0xff, 0xff, 0xff, 0xff, 0xff]].concat();
        assert_eq!(whole(&pipelined), whole(&bytes), "{name}");
    }
}

#[test]
fn fields_are_told_apart() {
    let will = properties(&[0x18, 0, 0, 0, 5]);
    let bytes =
        v5(0xee, &[0x21, 0, 10], &[&field("id"), &will, &field("a/b"), &field("gone"), &field("user"), &field([0xff])]);
    let connect = whole(&bytes);
    assert_eq!((connect.level, connect.client_id, connect.keep_alive), (Level::V5, "id", 60));
    assert_eq!((connect.username, connect.password), (Some("user"), Some(&[0xff][..])));
    assert!(connect.clean_start);
    let values = |properties: baton_protocol::connect::Properties<'_>| {
        properties.iter().map(|property| format!("{property:?}")).collect::<Vec<_>>()
    };
    assert_eq!(values(connect.properties), [format!("Property {{ id: 33, value: {:?} }}", Value::Number(10))]);
    let will = connect.will.unwrap();
    assert_eq!((will.topic, will.payload, will.qos, will.retain), ("a/b", &b"gone"[..], 1, true));
    assert_eq!(values(will.properties), [format!("Property {{ id: 24, value: {:?} }}", Value::Number(5))]);
}

#[test]
fn credentials_are_not_shown() {
    let secret = [&[0x15][..], &field("M"), &[0x16], &field("tell-nobody-1")].concat();
    let bytes = v5(0xc2, &secret, &[&field("id"), &field("user"), &field("tell-nobody-2")]);
    let shown = format!("{:?}", whole(&bytes));
    assert!(shown.contains("user") && !shown.contains("tell-nobody"), "{shown}");
}

const LONG: [u8; 5] = [0x20, 3, 0, 0, 0];

/// The long form of MQTT 5's CONNACK with this reason.
fn refusal(reason: u8) -> Option<Vec<u8>> {
    let mut bytes = LONG.to_vec();
    bytes[3] = reason;
    Some(bytes)
}

#[test]
fn illegal_packets_are_answered_as_mqtt_prescribes() {
    let id = field("id");
    let will = [field("t"), field("w")].concat();
    let malformed = |level, fault| ConnectError::Malformed { level: Some(level), fault };
    let v311_malformed = |fault| malformed(Level::V311, fault);
    let v5_malformed = |fault| malformed(Level::V5, fault);
    let short = |return_code: u8| Some(vec![0x20, 2, 0, return_code]);
    let level = |name: &str, level: u8| packet(0x10, &[&field(name)[..], &[level, 2, 0, 60], &id].concat());
    let first = |first: u8, bytes: Vec<u8>| [&[first][..], &bytes[1..]].concat();
    let table = [
        // 3.1.1
        ("3.1.0-1: PUBLISH first", packet(0x30, &field("t")), ConnectError::NotConnect, None),
        ("3.1.0-1: HTTP", b"GET / HTTP/1.1\r\n".to_vec(), ConnectError::NotConnect, None),
        ("TLS", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc".to_vec(), ConnectError::UnknownProtocol, None),
        ("3.1.2-1: another name", level("MQTTX", 4), ConnectError::UnknownProtocol, None),
        ("3.1.2-1: in lower case", level("mqtt", 4), ConnectError::UnknownProtocol, None),
        ("3.1.2-2: level 6", level("MQTT", 6), ConnectError::UnknownLevel(6), short(1)),
        ("3.1.2-2: level 3 goes with MQIsdp", level("MQTT", 3), ConnectError::UnknownLevel(3), short(1)),
        ("3.1: level 4 goes with MQTT", level("MQIsdp", 4), ConnectError::UnknownLevel(4), short(1)),
        ("a bridge's first try", level("MQTT", 0x84), ConnectError::UnknownLevel(0x84), short(1)),
        ("2.2.2-2", first(0x11, v311(2, &[&id])), v311_malformed(Fault::HeaderFlags), None),
        ("3.1.2-3", v311(0x03, &[&id]), v311_malformed(Fault::ReservedFlag), None),
        ("3.1.2-13", v311(0x0a, &[&id]), v311_malformed(Fault::WillFlags), None),
        ("3.1.2-15", v311(0x22, &[&id]), v311_malformed(Fault::WillFlags), None),
        ("3.1.2-14", v311(0x1e, &[&id, &will]), v311_malformed(Fault::WillQos), None),
        ("3.1.2-22", v311(0x42, &[&id, &field("p")]), v311_malformed(Fault::PasswordAlone), None),
        ("3.1.3-8", v311(0x00, &[&field("")]), ConnectError::IdRejected, short(2)),
        ("1.5.3-1", v311(0x02, &[&field([0xff])]), v311_malformed(Fault::NotUtf8), None),
        ("1.5.3-1: a surrogate", v311(0x02, &[&field([0xed, 0xa0, 0x80])]), v311_malformed(Fault::NotUtf8), None),
        ("1.5.3-1: too long a form", v311(0x02, &[&field([0xc0, 0x80])]), v311_malformed(Fault::NotUtf8), None),
        ("1.5.3-2", v311(0x02, &[&field("i\0d")]), v311_malformed(Fault::Nul), None),
        ("1.5.3-2: username", v311(0x82, &[&id, &field("\0")]), v311_malformed(Fault::Nul), None),
        ("3.1.3: bytes left", v311(0x02, &[&id, &[0]]), v311_malformed(Fault::Trailing), None),
        ("3.1.3: a password not flagged", v311(0x82, &[&id, &id, &id]), v311_malformed(Fault::Trailing), None),
        ("3.1.2-19: a username missing", v311(0x82, &[&id]), v311_malformed(Fault::Short), None),
        ("3.1.3: the id goes beyond", v311(0x02, &[&[0, 3, b'i', b'd']]), v311_malformed(Fault::Short), None),
        (
            "3.1.2.10: no keep alive",
            packet(0x10, &[&field("MQTT")[..], &[4, 2, 0]].concat()),
            v311_malformed(Fault::Short),
            None,
        ),
        ("a CONNECT of nothing", vec![0x10, 0], ConnectError::Malformed { level: None, fault: Fault::Short }, None),
        (
            "half a name",
            vec![0x10, 3, 0, 4, b'M', b'Q'],
            ConnectError::Malformed { level: None, fault: Fault::Short },
            None,
        ),
        (
            "2.2.3",
            vec![0x10, 0xff, 0xff, 0xff, 0x80],
            ConnectError::Malformed { level: None, fault: Fault::Varint },
            None,
        ),
        // 3.1
        ("3.1: a server refuses an empty id", v31(0x02, &[&field("")]), ConnectError::IdRejected, short(2)),
        ("3.1: half a username", v31(0x82, &[&id, &[0]]), malformed(Level::V31, Fault::Short), None),
        ("3.1: QoS 3", v31(0x1e, &[&id, &will]), malformed(Level::V31, Fault::WillQos), None),
        ("3.1: a password alone", v31(0x42, &[&id, &field("p")]), malformed(Level::V31, Fault::PasswordAlone), None),
        // 5
        ("2.1.3-1", first(0x18, v5(2, &[], &[&id])), v5_malformed(Fault::HeaderFlags), refusal(0x81)),
        (
            "1.5.5-1: the packet's length",
            {
                let short = v5(2, &[], &[&id]);
                [&[0x10, short[1] | 0x80, 0x00][..], &short[2..]].concat()
            },
            v5_malformed(Fault::Varint),
            refusal(0x81),
        ),
        (
            "1.5.5-1: the properties' length",
            packet(0x10, &[&field("MQTT")[..], &[5, 2, 0, 60, 0x80, 0x00], &id].concat()),
            v5_malformed(Fault::Varint),
            refusal(0x81),
        ),
        ("3.1.2-3", v5(0x03, &[], &[&id]), v5_malformed(Fault::ReservedFlag), refusal(0x81)),
        ("3.1.2-11", v5(0x0a, &[], &[&id]), v5_malformed(Fault::WillFlags), refusal(0x81)),
        ("3.1.2-13", v5(0x22, &[], &[&id]), v5_malformed(Fault::WillFlags), refusal(0x81)),
        ("3.1.2-12", v5(0x1e, &[], &[&id, &[0], &will]), v5_malformed(Fault::WillQos), refusal(0x81)),
        ("1.5.4-1", v5(0x02, &[], &[&field([0xff])]), v5_malformed(Fault::NotUtf8), refusal(0x81)),
        ("1.5.4-2", v5(0x02, &[], &[&field("\0")]), v5_malformed(Fault::Nul), refusal(0x81)),
        ("3.1.3", v5(0x02, &[], &[&id, &[0]]), v5_malformed(Fault::Trailing), refusal(0x81)),
        ("3.1.3.2: no properties of the will", v5(0x06, &[], &[&id]), v5_malformed(Fault::Short), refusal(0x81)),
        (
            "3.1.2.11.1: beyond the packet",
            packet(0x10, &[&field("MQTT")[..], &[5, 2, 0, 60, 0x7f], &id].concat()),
            v5_malformed(Fault::Short),
            refusal(0x81),
        ),
        (
            "2.2.2.1: a property beyond its properties",
            packet(0x10, &[&field("MQTT")[..], &[5, 2, 0, 60, 3, 0x11, 0, 0, 0, 9], &id].concat()),
            v5_malformed(Fault::Short),
            refusal(0x81),
        ),
        (
            "2.2.2.2: of PUBLISH",
            v5(2, &[0x23, 0, 1], &[&id]),
            v5_malformed(Fault::PropertyUnknown(0x23)),
            refusal(0x81),
        ),
        ("2.2.2.2: of nothing", v5(2, &[0x7f, 0], &[&id]), v5_malformed(Fault::PropertyUnknown(0x7f)), refusal(0x81)),
        ("2.2.2.2: of the will", v5(2, &[0x01, 0], &[&id]), v5_malformed(Fault::PropertyUnknown(0x01)), refusal(0x81)),
        (
            "3.1.3.2: of the CONNECT",
            v5(6, &[], &[&id, &properties(&[0x21, 0, 1]), &will]),
            v5_malformed(Fault::PropertyUnknown(0x21)),
            refusal(0x81),
        ),
        (
            "3.1.2.11.3: twice",
            v5(2, &[0x21, 0, 1, 0x21, 0, 1], &[&id]),
            v5_malformed(Fault::PropertyTwice(0x21)),
            refusal(0x82),
        ),
        (
            "3.1.3.2.2: twice",
            v5(6, &[], &[&id, &properties(&[0x01, 0, 0x01, 0]), &will]),
            v5_malformed(Fault::PropertyTwice(0x01)),
            refusal(0x82),
        ),
        ("3.1.2.11.3: 0", v5(2, &[0x21, 0, 0], &[&id]), v5_malformed(Fault::PropertyValue(0x21)), refusal(0x82)),
        ("3.1.2.11.4: 0", v5(2, &[0x27, 0, 0, 0, 0], &[&id]), v5_malformed(Fault::PropertyValue(0x27)), refusal(0x82)),
        ("3.1.2.11.6: 2", v5(2, &[0x19, 2], &[&id]), v5_malformed(Fault::PropertyValue(0x19)), refusal(0x82)),
        ("3.1.2.11.7: 2", v5(2, &[0x17, 2], &[&id]), v5_malformed(Fault::PropertyValue(0x17)), refusal(0x82)),
        (
            "3.1.2.11.10",
            v5(2, &[&[0x16][..], &field("d")].concat(), &[&id]),
            v5_malformed(Fault::DataWithoutMethod),
            refusal(0x82),
        ),
        (
            "1.5.4-2: in a property",
            v5(2, &[&[0x26][..], &field("k"), &field("\0")].concat(), &[&id]),
            v5_malformed(Fault::Nul),
            refusal(0x81),
        ),
    ];
    for (name, bytes, error, answer) in table {
        assert_eq!(parse(&bytes, limits::CONNECT_BYTES), Err(error), "{name}: {bytes:02x?}");
        assert_eq!(error.answer(), answer.as_deref(), "{name}");
        let cause = match error {
            ConnectError::UnknownLevel(_) => CloseCause::UnknownLevel,
            _ => CloseCause::BadConnect,
        };
        assert_eq!(error.cause(), cause, "{name}");
    }
}

/// What logs may show of a packet: no password, no value of a property.
#[test]
fn secrets_are_not_shown() {
    let secrets =
        [&[0x15][..], &field("SCRAM"), &[0x16], &field("hush"), &[0x26], &field("token"), &field("hush")].concat();
    let packet = v5(0xc2, &secrets, &[&field("id"), &field("user"), &field("hush")]);
    let Ok(Parsed::Connect(connect)) = parse(&packet, limits::CONNECT_BYTES) else { panic!("it is legal") };
    let shown = format!("{connect:?}");
    assert!(!shown.contains("hush") && !shown.contains("token"), "{shown}");
    assert!(shown.contains("password_bytes: Some(4)") && shown.contains("properties: [21, 22, 38]"), "{shown}");
}

/// What decides is refused when it arrives, not when the packet is whole: nobody has to wait for a client that dribbles.
#[test]
fn refusals_come_early() {
    let early = [
        (&b"\x30"[..], ConnectError::NotConnect),
        (&b"\x10\x7f\x00\x05"[..], ConnectError::UnknownProtocol),
        (&b"\x10\x7f\x00\x04MQTT\x07"[..], ConnectError::UnknownLevel(7)),
        (&b"\x10\x7f\x00\x06MQIsdp\x05"[..], ConnectError::UnknownLevel(5)),
        (&b"\x10\xff\xff\xff\xff"[..], ConnectError::Malformed { level: None, fault: Fault::Varint }),
    ];
    for (bytes, error) in early {
        assert_eq!(parse(bytes, limits::CONNECT_BYTES), Err(error), "{bytes:02x?}");
        assert!(parse(&bytes[..bytes.len() - 1], limits::CONNECT_BYTES).is_ok(), "{bytes:02x?} without its end");
    }
}

#[test]
fn the_limit_holds_before_anything_is_buffered() {
    for (bytes, level, answer) in [
        (v31(0x02, &[&field("id")]), Level::V31, None),
        (v311(0x02, &[&field("id")]), Level::V311, None),
        (v5(0x02, &[], &[&field("id")]), Level::V5, refusal(0x95)), // MQTT 5: 3.1.4-2, 4.13
    ] {
        let total = bytes.len();
        assert!(matches!(parse(&bytes, total), Ok(Parsed::Connect(_))));
        let error = ConnectError::TooLarge { level, total };
        assert_eq!((error.answer(), error.cause()), (answer.as_deref(), CloseCause::ConnectTooLarge));
        // Two bytes of header, the name's length, the name, the level.
        let head = 2 + 2 + if level == Level::V31 { 6 } else { 4 } + 1;
        for length in 2..head {
            assert_eq!(parse(&bytes[..length], total - 1), Ok(Parsed::Incomplete { need: length + 1 }));
        }
        assert_eq!(parse(&bytes[..head], total - 1), Err(error));
    }
    let largest = b"\x10\xff\xff\xff\x7f\x00\x04MQTT\x05";
    let error = ConnectError::TooLarge { level: Level::V5, total: 5 + 268_435_455 };
    assert_eq!(parse(largest, limits::CONNECT_BYTES), Err(error));
}

#[test]
fn a_server_that_is_unavailable_says_so() {
    assert_eq!(connack_unavailable(Level::V31), [0x20, 2, 0, 3]);
    assert_eq!(connack_unavailable(Level::V311), [0x20, 2, 0, 3]);
    assert_eq!(connack_unavailable(Level::V5), [0x20, 3, 0, 0x88, 0]);
}

#[test]
fn a_client_is_named_by_its_source() {
    let name = |bytes: &[u8], source| user_id(&whole(bytes), source).map(|id| id.as_str().to_owned());
    let both = v311(0x82, &[&field("id"), &field("user")]);
    assert_eq!(name(&both, UserIdSource::ClientId).as_deref(), Some("id"));
    assert_eq!(name(&both, UserIdSource::Username).as_deref(), Some("user"));
    let no_user = v311(0x02, &[&field("id")]);
    assert_eq!(name(&no_user, UserIdSource::Username).as_deref(), Some("id"));
    let no_id = v311(0x82, &[&field(""), &field("user")]);
    assert_eq!(name(&no_id, UserIdSource::ClientId), None);
    assert_eq!(name(&no_id, UserIdSource::Username).as_deref(), Some("user"));
    let neither = v311(0x82, &[&field(""), &field("")]);
    assert_eq!(name(&neither, UserIdSource::Username), None);
    let long = v311(0x02, &[&field("x".repeat(1_000))]);
    assert!(name(&long, UserIdSource::ClientId).is_some_and(|id| id.starts_with("sha256:")));
}
