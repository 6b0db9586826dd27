//! What a broker does to its clients reaches them, and what it does to itself stays with it: a broker played by hand.

use std::{
    io::{ErrorKind, Read, Write},
    net::{TcpListener, TcpStream},
    thread,
    time::Duration,
};

use baton_drill::tier::{Broker, Layout, Tier};

use crate::support::{
    BATON, PATIENCE, closed, edges_total, tier, until,
    wire::{Wire, connect, packet},
};

/// Bytes that a session may have under way in one direction, by default.
const WINDOW: f64 = 262_144.0;
/// More than windows and sockets hold between a broker and its client.
const TOO_MUCH: usize = 64 << 20;
/// Longer than anything in the tier waits for a peer between tiers: probes, silence, unacknowledged bytes, black holes.
const LONG: Duration = Duration::from_secs(16);

/// A tier before a broker that the test plays.
struct Stage {
    tier: Tier,
    listener: TcpListener,
}

impl Stage {
    fn set() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let broker = Broker::At(listener.local_addr().expect("it's bound"));
        let mut tier = tier(Layout { broker, ..Layout::new(BATON) }).expect("nothing need be installed");
        tier.start_all().expect("the tier starts");
        Self { tier, listener }
    }

    /// A client that has said its CONNECT, and its connection at the broker, which has read it.
    fn client(&self, level: u8, id: &str) -> (Wire, TcpStream) {
        let hello = connect(level, id);
        let client = Wire::saying(self.tier.edges()[0], &hello);
        loop {
            let (mut stream, _) = self.listener.accept().expect("the sidecar connects");
            stream.set_read_timeout(Some(PATIENCE)).expect("a legal time");
            let mut heard = vec![0; hello.len()];
            // Whoever says nothing only asked whether the broker takes connections.
            if stream.read_exact(&mut heard).is_ok() {
                assert_eq!(heard, hello, "{id}");
                return (client, stream);
            }
        }
    }
}

/// A CONNACK for 3.1.1 that refuses: not authorised.
const REFUSED: [u8; 4] = [0x20, 2, 0, 5];

#[test]
fn a_refusal_with_unread_input_behind_it_arrives() {
    let stage = Stage::set();
    let (mut client, mut broker) = stage.client(4, "hasty");
    // It doesn't wait for its CONNACK, and its broker doesn't read what it says: closing resets the connection.
    let early = packet(0x30, b"\0\x01tearly");
    client.say(&early);
    until("it has arrived", || broker.peek(&mut [0; 64]).is_ok_and(|bytes| bytes == early.len()));
    broker.write_all(&REFUSED).expect("it listens");
    drop(broker);
    assert_eq!(client.last_words(), REFUSED);
    until("it is counted", || closed(&stage.tier, "broker_reset") == 1.0);
}

#[test]
fn a_farewell_arrives_before_the_end() {
    // DISCONNECT: session taken over, in MQTT 5.
    const FAREWELL: [u8; 4] = [0xe0, 2, 0x8e, 0];
    let stage = Stage::set();
    let (client, mut broker) = stage.client(5, "guest");
    broker.write_all(&FAREWELL).expect("it listens");
    drop(broker);
    assert_eq!(client.last_words(), FAREWELL);
    until("it is counted", || closed(&stage.tier, "broker_left") == 1.0);
}

#[test]
fn what_is_no_mqtt_passes_as_it_is() {
    let stage = Stage::set();
    let (mut client, mut broker) = stage.client(4, "patient");
    broker.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").expect("it listens");
    assert_eq!(client.hears(), *b"HTTP/1.1 400 Bad Request\r\n\r\n");
    client.say(b"\xff\xff\xff\xff");
    let mut heard = [0; 4];
    broker.read_exact(&mut heard).expect("it says something");
    assert_eq!(heard, [0xff; 4]);
    assert_eq!(edges_total(&stage.tier, "baton_client_closes_total", &[]), 0.0);
}

fn held(tier: &Tier, node: &str) -> f64 {
    tier.metrics(node).expect("it answers").total("baton_buffered_bytes", &[("where", "sessions")])
}

/// Writes until nothing more is taken, because `node` has a window full of it. How many bytes were taken.
fn flood(stream: &mut TcpStream, tier: &Tier, node: &str) -> usize {
    let noise = [0; 64 * 1024];
    let mut taken = 0;
    stream.set_nonblocking(true).expect("a socket");
    let mut fill = || loop {
        match stream.write(&noise) {
            Ok(bytes) => taken += bytes,
            Err(error) if error.kind() == ErrorKind::WouldBlock => break,
            Err(error) => panic!("{error}"),
        }
        assert!(taken < TOO_MUCH, "nothing bounds it");
    };
    until("it is no longer read", || {
        fill();
        held(tier, node) >= WINDOW
    });
    fill();
    stream.set_nonblocking(false).expect("a socket");
    taken
}

/// Everybody else, at the same edge and home, is served.
fn others_are_served(stage: &Stage, id: &str) {
    let (mut client, mut broker) = stage.client(4, id);
    for n in 0..=255 {
        client.say(&[n; 100]);
        let mut heard = [0; 100];
        broker.read_exact(&mut heard).expect("it comes");
        broker.write_all(&heard).expect("it is taken");
        assert_eq!(client.hears(), [n; 100]);
    }
}

#[test]
fn a_flood_to_a_client_that_does_not_read_is_the_brokers_to_keep() {
    let stage = Stage::set();
    let (mut client, mut broker) = stage.client(4, "reader");
    let taken = flood(&mut broker, &stage.tier, "home-1");
    others_are_served(&stage, "other");
    for node in ["edge-1", "home-1"] {
        let bytes = held(&stage.tier, node);
        assert!(bytes <= 2.0 * WINDOW, "{node} holds {bytes}");
    }
    let mut left = taken;
    while left >= 4096 {
        assert_eq!(client.hears(), [0; 4096]);
        left -= 4096;
    }
    assert_eq!(edges_total(&stage.tier, "baton_client_closes_total", &[("cause", "slow")]), 0.0);
}

#[test]
#[expect(clippy::disallowed_methods, reason = "how long it takes is what is tried")]
fn a_broker_that_does_not_read_for_long_is_not_cut_off() {
    let stage = Stage::set();
    let (client, mut broker) = stage.client(4, "writer");
    let mut client = client.into_stream();
    let taken = flood(&mut client, &stage.tier, "edge-1");
    thread::sleep(LONG);
    others_are_served(&stage, "other");
    let mut heard = vec![1; taken];
    broker.read_exact(&mut heard).expect("all that was taken arrives");
    assert!(heard.iter().all(|byte| *byte == 0));
    assert_eq!(edges_total(&stage.tier, "baton_client_closes_total", &[("cause", "broker_reset")]), 0.0);
}
