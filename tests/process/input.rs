//! Bad input: one answer or a close, one cause, one line in the log, and nobody else notices.

use std::net::SocketAddr;

use baton_drill::{
    load::{Load, Plan, Tempo},
    tier::{Broker, Layout, Role, Tier},
};

use crate::support::{
    BATON, PATIENCE, closed, edges_total, start, tier, until,
    wire::{Wire, connect, packet, string},
};

/// Bytes of the largest CONNECT that the edge is told to take.
const CONNECT_BYTES: usize = 1_024;
/// A few clients who go on meanwhile.
const OTHERS: u32 = 20;

before_both_brokers!(instead_of_connect after_connect);

struct Bad {
    what: &'static str,
    bytes: Vec<u8>,
    answer: &'static [u8],
    cause: &'static str,
}

fn bad(what: &'static str, bytes: impl Into<Vec<u8>>, answer: &'static [u8], cause: &'static str) -> Bad {
    Bad { what, bytes: bytes.into(), answer, cause }
}

/// A CONNECT of MQTT 5 with these properties.
fn with_properties(properties: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    string("MQTT", &mut body);
    body.extend([5, 0x02, 0, 60, u8::try_from(properties.len()).expect("few")]);
    body.extend(properties);
    string("five", &mut body);
    packet(0x10, &body)
}

fn all() -> Vec<Bad> {
    let with = |at: usize, byte: u8| {
        let mut packet = connect(4, "odd");
        packet[at] = byte;
        packet
    };
    let long = "x".repeat(CONNECT_BYTES);
    vec![
        bad("HTTP", "GET / HTTP/1.1\r\nHost: mqtt\r\n\r\n", &[], "bad_connect"),
        bad("TLS", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", &[], "bad_connect"),
        bad("noise", [0xff; 64], &[], "bad_connect"),
        bad("PINGREQ first", [0xc0, 0], &[], "bad_connect"),
        bad("a length of five bytes", [0x10, 0xff, 0xff, 0xff, 0xff, 0x01], &[], "bad_connect"),
        bad("flags in the header", with(0, 0x11), &[], "bad_connect"),
        bad("another protocol", with(4, b'N'), &[], "bad_connect"),
        bad("the reserved flag", with(9, 0x03), &[], "bad_connect"),
        bad("level 6", with(8, 6), &[0x20, 2, 0, 1], "unknown_level"),
        bad("a bridge's level", with(8, 0x84), &[0x20, 2, 0, 1], "unknown_level"),
        bad(
            "no client id, and a session to keep",
            b"\x10\x0c\0\x04MQTT\x04\0\0\x3c\0\0",
            &[0x20, 2, 0, 2],
            "bad_connect",
        ),
        bad("an unknown property", with_properties(&[0x7f, 0]), &[0x20, 3, 0, 0x81, 0], "bad_connect"),
        bad("receive maximum 0", with_properties(&[0x21, 0, 0]), &[0x20, 3, 0, 0x82, 0], "bad_connect"),
        bad("too long, 3.1.1", connect(4, &long), &[], "connect_too_large"),
        bad("too long, 5", connect(5, &long), &[0x20, 3, 0, 0x95, 0], "connect_too_large"),
    ]
}

/// A tier, and a load of few clients in it that must notice nothing.
fn with_others(broker: Broker) -> Option<(Tier, Load)> {
    let layout = Layout { broker, ..Layout::new(BATON) };
    let layout = layout.set(Role::Edge, "limits.connect_bytes", &CONNECT_BYTES.to_string());
    let mut tier = tier(layout.set(Role::Edge, "limits.connect_time", "1s"))?;
    tier.start_all().expect("the tier starts");
    let load = Load::start(Plan { tempo: Tempo::Rate(200), wills: true, ..Plan::new("others", &tier.edges(), OTHERS) })
        .expect("a thread");
    load.ready(PATIENCE).unwrap_or_else(|late| panic!("{late}"));
    load.publish();
    Some((tier, load))
}

fn others_go_on(load: Load) {
    load.received(4 * u64::from(OTHERS), PATIENCE).unwrap_or_else(|late| panic!("{late}"));
    let report = load.finish(PATIENCE);
    assert!(report.verdict.is_clean(), "{report}");
}

fn lines(tier: &Tier, node: &str) -> usize {
    tier.log(node).expect("it has a log").lines().count()
}

fn instead_of_connect(broker: Broker) {
    let Some((tier, load)) = with_others(broker) else { return };
    let (edge, before) = (tier.edges()[0], lines(&tier, "edge-1"));
    let mut clients = 0;
    let mut counts = |tier: &Tier, what: &str, cause: &str, before: f64| {
        clients += 1;
        until(what, || closed(tier, cause) == before + 1.0);
        assert_eq!(edges_total(tier, "baton_client_closes_total", &[]), f64::from(clients), "{what}: one cause");
    };
    for Bad { what, bytes, answer, cause } in all() {
        let before = closed(&tier, cause);
        assert_eq!(Wire::saying(edge, &bytes).last_words(), answer, "{what}");
        counts(&tier, what, cause, before);
    }
    // Some say too little.
    let whole = connect(4, "dribble");
    assert_eq!(Wire::saying(edge, &whole[..whole.len() - 1]).last_words(), b"");
    counts(&tier, "half a CONNECT", "connect_timeout", 0.0);
    assert_eq!(Wire::to(edge).last_words(), b"");
    counts(&tier, "nothing", "connect_timeout", 1.0);
    Wire::saying(edge, &whole[..5]).goes(false);
    counts(&tier, "it leaves", "client_left", 0.0);
    let reset = Wire::saying(edge, &whole[..5]);
    until("it is known", || edges_total(&tier, "baton_sessions", &[("state", "connecting")]) == 1.0);
    reset.goes(true);
    counts(&tier, "it vanishes", "client_reset", 0.0);
    assert_eq!(lines(&tier, "edge-1") - before, clients as usize, "one line a client");

    // And some dribble in time.
    let mut wire = Wire::to(edge);
    whole.iter().for_each(|byte| wire.say(&[*byte]));
    assert_eq!(wire.hears(), [0x20, 2, 0, 0]);
    others_go_on(load);
}

/// What comes after CONNECT is the broker's business: it closes, and the client sees that.
fn after_connect(broker: Broker) {
    let Some((tier, load)) = with_others(broker) else { return };
    let edge = tier.edges()[0];
    for (number, level) in (1..).zip([3, 4, 5]) {
        let mut wire = Wire::saying(edge, &connect(level, "rude"));
        assert_eq!(wire.hears::<1>(), [0x20]);
        wire.say(&[0xff; 600]);
        wire.last_words();
        until("it is counted", || closed(&tier, "broker_left") + closed(&tier, "broker_reset") == f64::from(number));
    }
    assert_eq!(edges_total(&tier, "baton_client_closes_total", &[]), 3.0);
    others_go_on(load);
}

/// One more than the edge may have: that one is refused, and those who are there stay.
#[test]
fn one_client_too_many() {
    let most = 3;
    let layout = Layout::new(BATON).set(Role::Edge, "limits.sessions", &most.to_string());
    let Some(tier) = start(layout) else { return };
    let edge = tier.edges()[0];
    let mut clients: Vec<_> = (0..most).map(|n| Wire::saying(edge, &connect(4, &format!("client-{n}")))).collect();
    clients.iter_mut().for_each(|client| assert_eq!(client.hears(), [0x20, 2, 0, 0]));
    assert!(Wire::unless_reset(edge).is_none_or(|wire| wire.last_words().is_empty()));
    until("it is counted", || closed(&tier, "overload") == 1.0);
    for client in &mut clients {
        client.say(&[0xc0, 0]);
        assert_eq!(client.hears(), [0xd0, 0]);
    }
    assert_eq!(edges_total(&tier, "baton_client_closes_total", &[]), 1.0);
    clients.pop().expect("there are some").goes(false);
    until("there is room", || edges_total(&tier, "baton_limit_used", &[("name", "sessions")]) < f64::from(most));
    assert_eq!(Wire::saying(edge, &connect(4, "one-more")).hears(), [0x20, 2, 0, 0]);
}

/// A request that is good HTTP/2: preface, SETTINGS, and HEADERS for `GET / http`.
const GET: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0\0\0\x03\x01\x05\0\0\0\x01\x82\x86\x84";
/// A preface, and a frame of a size that nobody agreed to.
const HUGE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\xff\xff\xff\x04\0\0\0\0\0";

#[test]
fn on_the_ports_between_tiers() {
    let Some((mut tier, load)) = with_others(Broker::Sim) else { return };
    for (node, port) in [("origin-1", "origin-1"), ("broker-1", "home-1")] {
        let address = tier.address(port).expect("it has one");
        garbage(&mut tier, node, address);
    }
    // Who says nothing is let go as well.
    let silent = ["origin-1", "home-1"].map(|port| Wire::to(tier.address(port).expect("it has one")));
    silent.into_iter().for_each(|wire| assert_eq!(wire.last_words(), b""));
    // They serve each other as before.
    assert_eq!(tier.log_count("edge-1", "link.close").expect("it has a log"), 0);
    assert_eq!(tier.log_count("origin-1", "\"link.open\" home=home-1").expect("it has a log"), 1);
    others_go_on(load);
}

fn garbage(tier: &mut Tier, node: &str, address: SocketAddr) {
    let refused = |tier: &Tier, what| {
        tier.metrics(node).expect("it answers").total("baton_refused_input_total", &[("what", what)])
    };
    let before = lines(tier, node);
    let junk = [b"GET / HTTP/1.1\r\nHost: link\r\n\r\n".to_vec(), connect(4, "lost"), vec![0; 4_096], HUGE.to_vec()];
    for bytes in &junk {
        for _ in 0..5 {
            Wire::saying(address, bytes).last_words();
        }
    }
    until("it is counted", || refused(tier, "link") == 20.0);
    assert_eq!(tier.log_count(node, "link.refused").expect("it has a log"), 1, "one line a peer");
    assert_eq!(lines(tier, node) - before, 1);

    // Good HTTP/2, and no request of ours: refused, and only that.
    let mut wire = Wire::saying(address, GET);
    until("it is counted", || refused(tier, "attach") == 1.0);
    let answer = wire.hears::<9>();
    assert_eq!(answer[3], 4, "SETTINGS come first");
    wire.goes(false);
    assert_eq!(refused(tier, "link"), 20.0);
}
