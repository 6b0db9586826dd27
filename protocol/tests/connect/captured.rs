//! What other people's clients really send first, recorded from the wire.

use baton_protocol::connect::{ConnectError, Level, Parsed, parse};
use baton_protocol::limits;

/// Client, its bytes in hex, what they say.
const CAPTURED: [(&str, &str, (Level, &str, u16)); 12] = [
    (
        "mosquitto_pub 2.0.11 -V mqttv31, with a will and credentials",
        "102800064d514973647003ce003c000b6369642d6d7174747633310001770004676f6e65000175000170",
        (Level::V31, "cid-mqttv31", 60),
    ),
    (
        "mosquitto_pub 2.0.11 -V mqttv31",
        "102500064d51497364700302003c00176d6f73712d5477446b514f486c7a4c4b614b5644595062",
        (Level::V31, "mosq-TwDkQOHlzLKaKVDYPb", 60),
    ),
    (
        "mosquitto_pub 2.0.11 -V mqttv311, with a will and credentials",
        "102700044d51545404ce003c000c6369642d6d717474763331310001770004676f6e65000175000170",
        (Level::V311, "cid-mqttv311", 60),
    ),
    ("mosquitto_pub 2.0.11 -V mqttv311", "100c00044d5154540402003c0000", (Level::V311, "", 60)),
    (
        "mosquitto_pub 2.0.11 -V mqttv5, with a will and credentials",
        "102a00044d51545405ce003c03210014000a6369642d6d7174747635000001770004676f6e65000175000170",
        (Level::V5, "cid-mqttv5", 60),
    ),
    ("mosquitto_pub 2.0.11 -V mqttv5", "101000044d5154540502003c032100140000", (Level::V5, "", 60)),
    ("paho-mqtt 2.1.0, 3.1", "101200064d51497364700302001e00047061686f", (Level::V31, "paho", 30)),
    ("paho-mqtt 2.1.0, 3.1.1", "101000044d5154540402001e00047061686f", (Level::V311, "paho", 30)),
    ("paho-mqtt 2.1.0, 5", "101100044d5154540502001e0000047061686f", (Level::V5, "paho", 30)),
    ("MQTT.js 5.16.0, 3.1", "101100064d51497364700302003c00036a7333", (Level::V31, "js3", 60)),
    ("MQTT.js 5.16.0, 3.1.1", "100f00044d5154540402003c00036a7334", (Level::V311, "js4", 60)),
    (
        "MQTT.js 5.16.0, 5, with a session expiry and a user property",
        "101c00044d5154540502003c0c110000003c2600016100016200036a7335",
        (Level::V5, "js5", 60),
    ),
];

/// Mosquitto's bridge, at its first try and at the one after that was answered with return code 1.
const BRIDGE: [&str; 2] = [
    "103800044d515454842c003c0005766d2e62720022245359532f62726f6b65722f636f6e6e656374696f6e2f766d2e62722f7374617465000130",
    "103800044d515454042c003c0005766d2e62720022245359532f62726f6b65722f636f6e6e656374696f6e2f766d2e62722f7374617465000130",
];

fn bytes(hex: &str) -> Vec<u8> {
    let digit = |at| u8::from_str_radix(&hex[at..at + 2], 16).expect("hex digits");
    (0..hex.len()).step_by(2).map(digit).collect()
}

#[test]
fn real_clients_are_taken() {
    for (client, hex, expected) in CAPTURED {
        let bytes = bytes(hex);
        let parsed = parse(&bytes, limits::CONNECT_BYTES);
        let Ok(Parsed::Connect(connect)) = parsed else { panic!("{client}: {parsed:?}") };
        assert_eq!((connect.level, connect.client_id, connect.keep_alive), expected, "{client}");
        assert_eq!(connect.total, bytes.len(), "{client}");
    }
}

#[test]
fn a_bridge_is_answered_so_that_it_tries_again() {
    let first = parse(&bytes(BRIDGE[0]), limits::CONNECT_BYTES).unwrap_err();
    assert_eq!(first, ConnectError::UnknownLevel(0x84));
    assert_eq!(first.answer(), Some(&[0x20, 2, 0, 1][..]));
    let second = bytes(BRIDGE[1]);
    let Ok(Parsed::Connect(connect)) = parse(&second, limits::CONNECT_BYTES) else { panic!("the second try") };
    assert_eq!(connect.will.map(|will| (will.qos, will.retain, will.payload)), Some((1, true, &b"0"[..])));
}
