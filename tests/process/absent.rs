//! Nothing is up yet: clients get the answer that MQTT has for that, or what they want if it comes in time.

use std::time::{Duration, Instant};

use baton_drill::tier::{Broker, Layout, Role, Tier};

use crate::support::{
    BATON, PATIENCE, closed, sessions, tier, until,
    wire::{Wire, connect},
};

/// "Server unavailable" for 3.1 and 3.1.1, and for 5.
const UNAVAILABLE: [(u8, &[u8]); 3] = [(3, &[0x20, 2, 0, 3]), (4, &[0x20, 2, 0, 3]), (5, &[0x20, 3, 0, 0x88, 0])];

fn layout(broker: Broker) -> Layout {
    Layout { broker, ..Layout::new(BATON) }
}

/// Every version's clients are told that there is no server.
fn all_are_told(tier: &Tier) {
    let edge = tier.address("edge-1").expect("it has one");
    let waiting = UNAVAILABLE.map(|(level, _)| Wire::saying(edge, &connect(level, "early")));
    for (wire, (level, answer)) in waiting.into_iter().zip(UNAVAILABLE) {
        assert_eq!(wire.last_words(), answer, "level {level}");
    }
    assert_eq!(closed(tier, "unavailable"), 3.0);
    assert_eq!(tier.log_count("edge-1", "cause=unavailable").expect("it has a log"), 3);
}

/// A client that waits gets its answer once the rest is there.
fn one_waits(tier: &mut Tier, rest: impl FnOnce(&mut Tier)) {
    let mut wire = Wire::saying(tier.address("edge-1").expect("it has one"), &connect(4, "patient"));
    until("the edge has its CONNECT", || sessions(tier, "opening") == 1.0);
    rest(tier);
    assert_eq!(wire.hears(), [0x20, 2, 0, 0]);
}

/// Starts a process that can't get ready, and waits until it serves.
fn begin(tier: &mut Tier, node: &str) {
    tier.start(node).expect("it isn't running");
    // The admin address comes first, the port for clients and this line after it.
    let serving = || tier.log_count(node, "edge.serving").is_ok_and(|lines| lines == 1);
    until("the edge serves", || !node.starts_with("edge") || serving());
}

#[test]
fn no_origin_is_up() {
    let Some(mut tier) = tier(layout(Broker::Sim).set(Role::Edge, "limits.open_wait", "500ms")) else { return };
    begin(&mut tier, "edge-1");
    assert_eq!(tier.request("edge-1", "GET", "/readyz").expect("it answers").status, 503);
    all_are_told(&tier);
    tier.start_all().expect("the rest starts");
    let mut wire = Wire::saying(tier.address("edge-1").expect("it has one"), &connect(5, "late"));
    assert_eq!(wire.hears::<1>(), [0x20]);
}

#[test]
fn no_origin_is_up_yet() {
    let Some(mut tier) = tier(layout(Broker::Sim)) else { return };
    begin(&mut tier, "edge-1");
    one_waits(&mut tier, |tier| tier.start_all().expect("the rest starts"));
}

/// `nodes` are up, and no home is.
fn no_home(broker: Broker, nodes: &[&str]) {
    let Some(mut tier) = tier(layout(broker).set(Role::Edge, "limits.open_wait", "500ms")) else { return };
    for node in nodes {
        begin(&mut tier, node);
    }
    tier.ready("edge-1", PATIENCE).expect("an origin is enough for an edge");
    all_are_told(&tier);
    tier.start_all().expect("the rest starts");
    for node in nodes {
        tier.ready(node, PATIENCE).expect("it finds what it needs");
    }
    let mut wire = Wire::saying(tier.address("edge-1").expect("it has one"), &connect(4, "late"));
    assert_eq!(wire.hears(), [0x20, 2, 0, 0]);
}

#[test]
fn no_broker_sim_is_up() {
    no_home(Broker::Sim, &["origin-1", "edge-1"]);
}

#[test]
fn no_sidecar_is_up() {
    no_home(Broker::Mosquitto, &["origin-1", "edge-1"]);
}

#[test]
fn no_mosquitto_is_up() {
    no_home(Broker::Mosquitto, &["home-1", "origin-1", "edge-1"]);
}

#[test]
fn no_home_is_up_yet() {
    let Some(mut tier) = tier(layout(Broker::Sim)) else { return };
    for node in ["origin-1", "edge-1"] {
        tier.start(node).expect("it isn't running");
    }
    tier.ready("edge-1", PATIENCE).expect("an origin is enough for an edge");
    one_waits(&mut tier, |tier| tier.start_all().expect("the rest starts"));
}

#[test]
#[expect(clippy::disallowed_methods, reason = "real processes keep real time")]
fn nobody_waits_for_those_before_them() {
    const CLIENTS: u8 = 20;
    let Some(mut tier) = tier(layout(Broker::Sim).set(Role::Edge, "limits.open_wait", "1s")) else { return };
    begin(&mut tier, "edge-1");
    let edge = tier.address("edge-1").expect("it has one");
    let began = Instant::now();
    let waiting: Vec<_> = (0..CLIENTS).map(|n| Wire::saying(edge, &connect(4, &format!("early-{n}")))).collect();
    for wire in waiting {
        assert_eq!(wire.last_words(), [0x20, 2, 0, 3]);
    }
    // One after another they would take a second each.
    assert!(began.elapsed() < Duration::from_secs(u64::from(CLIENTS) / 2), "{:?}", began.elapsed());
    assert_eq!(closed(&tier, "unavailable"), f64::from(CLIENTS));
}
