//! Connections between tiers that are begun and no more, in thousands, and peers that say much and hear nothing.

use std::{net::SocketAddr, time::Duration};

use baton_protocol::capsule::encode_data_head;
use bytes::BytesMut;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::{
    frames::{Frames, INITIAL_WINDOW_SIZE, PREFACE, control, kind, open},
    peer::Peer,
    scene::{Attack, Scene, UNDER_WAY, pause},
    support::wire::{Wire, connect, packet, string},
};

/// Connections that an origin, or a home, serves at a time.
const CONNECTIONS: usize = 4_096;
/// Of the attacker: past that limit, with what the others have.
const HALF_OPEN: usize = CONNECTIONS + 104;

/// Bytes for a connection that has said something: what HTTP/2 sets up for it, until it is let go.
const EACH: u64 = 44 * 1024;

/// A machine's own limit is often a thousand descriptors.
fn with_descriptors() {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).expect("up to the hard limit anybody may");
}

/// What a connection is begun with. The last is a frame that announces more than comes.
fn beginnings() -> [Vec<u8>; 4] {
    let begun = Frames(PREFACE.into()).frame(kind::SETTINGS, 0, 0, &[]);
    [Vec::new(), PREFACE[..10].into(), PREFACE.into(), [&begun.0[..], b"\0\x40\0\x01"].concat()]
}

fn half_open(node: &str, port: &str) {
    with_descriptors();
    let scene = Scene::begin();
    let address = scene.tier.address(port).expect("it has one");
    // Silence is noticed after 5 s, before the preface and behind it; those beyond the limit wait for that.
    let counts = [("baton_link_closes_total", &[("reason", "silent")][..], CONNECTIONS as f64)];
    // Three in four say something.
    let margin = CONNECTIONS as u64 / 4 * 3 * EACH;
    let before = scene.usage(node).rss;
    // The second time takes what the first has left.
    for _ in 0..2 {
        let margin = (before + margin).saturating_sub(scene.usage(node).rss);
        scene.suffers(Attack { margin, ..Attack::new("half-open", node, &counts) }, |scene| {
            let beginnings = beginnings();
            let begin = |n: usize| Wire::saying(address, &beginnings[n % beginnings.len()]);
            let wires: Vec<_> = (0..HALF_OPEN).map(begin).collect();
            scene.flows("the port is full");
            // Somebody who speaks gets through when the first of those who don't have been let go.
            assert!(answers(address), "the port stays closed");
            wires.into_iter().for_each(|wire| drop(wire.last_words()));
        });
    }
    scene.ends_unnoticed();
}

/// Whether a whole HTTP/2 connection can be had here.
fn answers(address: SocketAddr) -> bool {
    let mut peer = Peer::to(address);
    peer.say(&Frames::default().frame(kind::PING, 0, 0, &[7; 8]));
    // SETTINGS, its acknowledgement and a pong.
    peer.leaves().frames >= 3
}

#[test]
fn connections_to_an_origin() {
    half_open("origin-1", "origin-1");
}

#[test]
fn connections_to_a_home() {
    half_open("broker-1", "home-1");
}

/// Longer than silence is borne: it isn't silent, but never lets anything through.
const WITHHELD: Duration = Duration::from_secs(8);

/// Bytes that the session may have under way, as the rogue's open says (`frames::open`).
const WINDOW: f64 = 262_144.0;

/// A client's CONNECT, and that it wants to hear everything.
fn listener() -> Vec<u8> {
    let mut body = vec![0, 1];
    string("#", &mut body);
    body.push(0);
    [connect(4, "withholding"), packet(0x82, &body)].concat()
}

/// An edge that lets nothing come on its tunnels, and answers every PING: what its session is sent waits within bounds.
#[test]
fn a_window_that_stays_closed() {
    let scene = Scene::begin();
    let origin = scene.tier.address("origin-1").expect("it has one");
    let mut capsule = BytesMut::new();
    let words = listener();
    encode_data_head(&mut capsule, 0, 0, words.len());
    capsule.extend_from_slice(&words);
    let counts = [("baton_attaches_total", &[("kind", "open")][..], 1.0)];
    // The broker first: it keeps what it has for the session for a while.
    for (key, on) in [(1, "broker-1"), (2, "origin-1")] {
        let frames =
            Frames::default().setting(INITIAL_WINDOW_SIZE, 0).headers(1, &control("rogue")).headers(3, &open(key));
        scene.suffers(Attack::new("a closed window", on, &counts), |scene| {
            let tunnel = scene.counting("origin-1", ("baton_tunnels", &[], 1.0));
            let waiting = scene.counting("broker-1", ("baton_buffered_bytes", &[], UNDER_WAY));
            let mut peer = Peer::to(origin);
            assert!(peer.say(&frames));
            tunnel.is_reached("it has a tunnel");
            assert!(peer.say(&Frames::default().data(3, &capsule)));
            pause(WITHHELD);
            waiting.is_reached("messages wait for it");
            scene.flows("nothing is let through");
            tunnel.is_reached("its tunnel is kept");
            let held = waiting.rise();
            assert!(held <= WINDOW + UNDER_WAY, "{held} bytes are held for it");
            let heard = peer.leaves();
            assert!(heard.goaway.is_none() && heard.headers >= 2, "{heard:?}");
        });
    }
    scene.ends_unnoticed();
}
