//! Connections between tiers that are begun and no more, in thousands, and peers that say much and hear nothing.

use std::net::SocketAddr;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::{
    frames::{Frames, PREFACE, kind},
    peer::Peer,
    scene::{Attack, Scene},
    support::wire::Wire,
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
