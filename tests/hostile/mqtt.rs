//! The port for MQTT clients: who says nothing, too little, too much or nonsense, and who doesn't read.

use std::{
    io::{ErrorKind, Write},
    net::{SocketAddr, TcpStream},
};

use baton_drill::tier::Role;

use crate::{
    scene::{Attack, Counted, Scene, layout},
    support::{
        closed, start, until,
        wire::{Wire, connect, packet, string},
    },
};

/// Clients that the edge may have, others and attackers.
const SESSIONS: usize = 500;
/// Connections of the attacker: past that limit several times.
const CONNECTIONS: usize = 2_000;
/// Bytes of a CONNECT, at most.
const CONNECT_BYTES: usize = 64 * 1024;
/// Bytes that all sessions may hold together.
const BUDGET: usize = 4 << 20;
/// Causes for which one attack may have clients refused.
const CAUSES: usize = 2;
/// Lines about refused clients of one cause: at once, and a second (docs/interfaces.md, "Logs").
const LINES: usize = 20;

fn scene() -> Scene {
    let layout = layout()
        .set(Role::Edge, "limits.sessions", &SESSIONS.to_string())
        .set(Role::Edge, "limits.connect_bytes", &CONNECT_BYTES.to_string())
        .set(Role::Edge, "limits.connect_time", "2s")
        .set(Role::Edge, "limits.buffered_bytes", &BUDGET.to_string());
    Scene::with(start(layout).expect("nothing need be installed"))
}

/// Clients closed for this cause, at least so many.
fn closes<const N: usize>(cause: &'static [(&'static str, &'static str); N], least: usize) -> Counted<'static> {
    ("baton_client_closes_total", cause, least as f64)
}

fn attack<'a>(what: &'a str, counts: &'a [Counted<'a>]) -> Attack<'a> {
    let lines = CAUSES * LINES;
    Attack { lines, lines_a_second: lines as f64, ..Attack::new(what, "edge-1", counts) }
}

/// Connections that say this; those that are reset at once are left out.
fn many(address: SocketAddr, connections: usize, bytes: &[u8]) -> Vec<Wire> {
    let wires = (0..connections).filter_map(|_| Wire::unless_reset(address));
    wires
        .map(|mut wire| {
            wire.say(bytes);
            wire
        })
        .collect()
}

/// A CONNECT of so many bytes in all.
fn connect_of(bytes: usize) -> Vec<u8> {
    let mut body = Vec::new();
    string("MQTT", &mut body);
    body.extend([4, 0x06, 0, 60]);
    string("large", &mut body);
    string("topic", &mut body);
    // First byte, length, and two of the will's length.
    let head = 1 + if bytes > 16_384 { 3 } else { 2 };
    string(&"x".repeat(bytes - head - 2 - body.len()), &mut body);
    let packet = packet(0x10, &body);
    assert_eq!(packet.len(), bytes);
    packet
}

#[test]
fn instead_of_a_session() {
    let scene = scene();
    let edge = scene.tier.edges()[0];
    // Those who are there already, and those who still fit.
    let room = SESSIONS - scene.others();

    scene.suffers(
        attack(
            "half-open",
            &[closes(&[("cause", "overload")], CONNECTIONS - SESSIONS), closes(&[("cause", "connect_timeout")], room)],
        ),
        |scene| {
            let silent = many(edge, CONNECTIONS, &[]);
            until("the edge is full", || closed(&scene.tier, "overload") >= (CONNECTIONS - SESSIONS) as f64);
            scene.flows("the edge is full");
            silent.into_iter().for_each(|wire| assert!(wire.last_words().is_empty()));
        },
    );
    scene.suffers(attack("one byte at a time", &[closes(&[("cause", "connect_timeout")], room)]), |scene| {
        let mut dribbling = many(edge, room, &[]);
        let before = closed(&scene.tier, "connect_timeout");
        let whole = connect_of(4_096);
        let mut bytes = whole.iter().copied();
        until("time is up", || {
            let byte = bytes.next().expect("it takes a minute and more");
            dribbling.iter_mut().for_each(|wire| wire.say(&[byte]));
            closed(&scene.tier, "connect_timeout") >= before + room as f64
        });
    });
    for (what, cause, bytes, answer) in [
        ("a CONNECT that is too large", &[("cause", "connect_too_large")], connect_of(CONNECT_BYTES + 1), &[][..]),
        ("a CONNECT of 256 MB", &[("cause", "connect_too_large")], b"\x10\xff\xff\xff\x7f\0\x04MQTT\x04".to_vec(), &[]),
        ("noise", &[("cause", "bad_connect")], vec![0xff; 64], &[]),
        (
            "a level that is none",
            &[("cause", "unknown_level")],
            b"\x10\x0d\0\x04MQTT\x09\x02\0\x3c\0\x01x".to_vec(),
            &[0x20, 2, 0, 1],
        ),
    ] {
        scene.suffers(attack(what, &[closes(cause, room)]), |_| {
            for wire in many(edge, room, &bytes) {
                assert_eq!(wire.last_words(), answer, "{what}");
            }
        });
    }
    for (what, cause, reset) in [
        ("they leave amid a CONNECT", &[("cause", "client_left")], false),
        ("they vanish amid a CONNECT", &[("cause", "client_reset")], true),
    ] {
        scene.suffers(attack(what, &[closes(cause, room)]), |_| {
            many(edge, room, &connect(4, "half")[..7]).into_iter().for_each(|wire| wire.goes(reset));
        });
    }
    // A CONNECT of exactly the limit is none too large.
    assert_eq!(Wire::saying(edge, &connect_of(CONNECT_BYTES)).hears(), [0x20, 2, 0, 0]);
    scene.ends_unnoticed();
}

/// Each holds less than it may, and all together more than there is: the largest go, and the others have no part in it.
#[test]
fn connects_that_fill_the_memory() {
    let scene = scene();
    let edge = scene.tier.edges()[0];
    let most = connect_of(CONNECT_BYTES);
    let counts = [closes(&[("cause", "overload")], 1), closes(&[("cause", "connect_timeout")], 1)];
    scene.suffers(attack("CONNECTs but for their last byte", &counts), |scene| {
        let wires = many(edge, SESSIONS - scene.others(), &most[..CONNECT_BYTES - 1]);
        scene.flows("the budget is used up");
        wires.into_iter().for_each(|wire| assert!(wire.last_words().is_empty()));
    });
    scene.ends_unnoticed();
}

/// A client that has its CONNACK.
fn client(edge: SocketAddr, id: &str) -> Wire {
    let mut wire = Wire::saying(edge, &connect(4, id));
    assert_eq!(wire.hears(), [0x20, 2, 0, 0]);
    wire
}

fn subscribe(topic: &str) -> Vec<u8> {
    let mut body = vec![0, 1];
    string(topic, &mut body);
    body.push(0);
    packet(0x82, &body)
}

fn publish(topic: &str, payload: usize) -> Vec<u8> {
    let mut body = Vec::new();
    string(topic, &mut body);
    body.resize(body.len() + payload, b'x');
    packet(0x30, &body)
}

/// Sends this again and again until `enough`, or until the connection is gone.
fn pour(stream: &mut TcpStream, bytes: &[u8], mut enough: impl FnMut() -> bool) {
    while !enough() {
        match stream.write_all(bytes) {
            Err(error) if !matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset) => {
                panic!("{error}")
            }
            Err(_) => return,
            Ok(()) => {}
        }
    }
}

/// Subscribers who don't read: each holds no more than its window, all together more than there is.
#[test]
fn who_does_not_read() {
    let scene = scene();
    let edge = scene.tier.edges()[0];
    let stalled = 60;
    let counts = [closes(&[("cause", "overload")], 1)];
    scene.suffers(attack("subscribers who don't read", &counts), |scene| {
        let mut subscribers: Vec<_> = (0..stalled).map(|n| client(edge, &format!("stalled-{n}"))).collect();
        for subscriber in &mut subscribers {
            subscriber.say(&subscribe("flood"));
            assert_eq!(subscriber.hears(), [0x90, 3, 0, 1, 0]);
        }
        let mut publisher = client(edge, "publisher").into_stream();
        let message = publish("flood", 8 * 1024);
        pour(&mut publisher, &message, || closed(&scene.tier, "overload") >= 1.0);
        scene.flows("the budget is used up");
    });
    scene.ends_unnoticed();
}

/// Who sends as fast as it can, and packets as large as MQTT has them.
#[test]
fn who_sends_too_much() {
    let scene = scene();
    let edge = scene.tier.edges()[0];
    scene.suffers(attack("messages to nobody", &[closes(&[("cause", "client_left")], 4)]), |_| {
        let message = publish("nobody", 16 * 1024).repeat(16);
        let pouring = |n| {
            let mut stream = client(edge, &format!("pouring-{n}")).into_stream();
            move || {
                let mut left = 150;
                pour(&mut stream, &message, || {
                    left -= 1;
                    left == 0
                });
            }
        };
        let threads: Vec<_> = (0..4).map(|n| std::thread::spawn(pouring.clone()(n))).collect();
        threads.into_iter().for_each(|thread| thread.join().expect("it only writes"));
    });
    scene.suffers(attack("a packet of 256 MB", &[closes(&[("cause", "broker_left")], 1)]), |_| {
        let mut stream = client(edge, "huge").into_stream();
        stream.write_all(&[0x30, 0xff, 0xff, 0xff, 0x7f]).expect("it's there");
        pour(&mut stream, &[b'x'; 65_536], || false);
    });
    scene.ends_unnoticed();
}
