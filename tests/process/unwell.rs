//! A broker that hangs: its home takes nobody new, and keeps whom it has.

use baton_drill::tier::{Broker, Layout, Role, Tier};

use crate::support::{
    BATON, PATIENCE, edges_total, sessions, start, until,
    wire::{Wire, connect},
};

const CLIENTS: usize = 16;
const CONNACK: [u8; 4] = [0x20, 2, 0, 0];

/// Two homes with a broker each, which are asked every second whether they are well.
fn tier_of(home_down: &str) -> Option<Tier> {
    let layout = Layout { broker: Broker::Mosquitto, brokers: 2, homes: 2, ..Layout::new(BATON) };
    let layout = layout.set(Role::Sidecar, "sidecar.probe_every", "1s");
    // The hang is to be seen and over before clients are told that there is no server.
    let layout = layout.set(Role::Edge, "limits.open_wait", "60s");
    let tier = start(layout.set(Role::Origin, "origin.home_down", home_down))?;
    // One home is enough for an origin to be ready, and then gets all clients.
    until("the origin has both homes", || {
        let log = tier.log("origin-1").expect("it has one");
        ["home-1", "home-2"].iter().all(|home| log.contains(&format!("event=\"link.open\" home={home}")))
    });
    Some(tier)
}

fn clients(tier: &Tier, name: &str) -> Vec<Wire> {
    let edge = tier.edges()[0];
    (0..CLIENTS).map(|n| Wire::saying(edge, &connect(4, &format!("{name}-{n}")))).collect()
}

fn attached(tier: &Tier, home: &str) -> f64 {
    tier.metrics(home).expect("it answers").total("baton_sessions", &[("state", "attached")])
}

fn is_ready(tier: &Tier, home: &str) -> bool {
    tier.request(home, "GET", "/readyz").expect("it answers").status == 200
}

/// Plays a hang of one broker, `during` which new clients have come, who are given.
fn through_a_hang(home_down: &str, during: impl FnOnce(&Tier, &mut Vec<Wire>)) {
    let Some(tier) = tier_of(home_down) else { return };
    let mut live = clients(&tier, "live");
    live.iter_mut().for_each(|wire| assert_eq!(wire.hears(), CONNACK));
    let kept = attached(&tier, "home-1");
    assert!(kept > 0.0 && kept < CLIENTS as f64, "{kept} of {CLIENTS} at one home");
    tier.stop("broker-1").expect("it runs");
    until("its sidecar sees that it hangs", || !is_ready(&tier, "home-1"));
    assert_eq!(tier.log_count("home-1", "broker.down").expect("it has a log"), 1);
    let mut late = clients(&tier, "late");
    during(&tier, &mut late);
    assert_eq!(attached(&tier, "home-1"), kept, "what lives is kept, and nobody comes");

    tier.cont("broker-1").expect("it is there");
    until("its sidecar sees that it is well", || is_ready(&tier, "home-1"));
    assert_eq!(tier.log_count("home-1", "broker.up").expect("it has a log"), 2);
    until("everybody is taken", || sessions(&tier, "live") == 2.0 * CLIENTS as f64);
    for wire in live.iter_mut().chain(&mut late) {
        wire.say(&[0xc0, 0]);
    }
    live.iter_mut().for_each(|wire| assert_eq!(wire.hears(), [0xd0, 0]));
    assert_eq!(edges_total(&tier, "baton_client_closes_total", &[]), 0.0);
}

#[test]
fn new_clients_wait_for_it() {
    through_a_hang("wait", |tier, _late| {
        let refused = |tier: &Tier| {
            let labels = [("kind", "open"), ("outcome", "unreachable")];
            tier.metrics("home-1").expect("it answers").total("baton_attaches_total", &labels)
        };
        until("its home has refused them", || refused(tier) > 0.0 && sessions(tier, "opening") > 0.0);
    });
}

#[test]
fn new_clients_go_to_the_next_home_where_that_is_allowed() {
    through_a_hang("next", |_tier, late| {
        late.iter_mut().for_each(|wire| assert_eq!(wire.hears(), CONNACK));
    });
}

#[test]
fn a_broker_that_dies_is_seen_at_once() {
    let Some(mut tier) = tier_of("next") else { return };
    tier.kill("broker-1").expect("it ran");
    let mut late = clients(&tier, "late");
    late.iter_mut().for_each(|wire| assert_eq!(wire.hears(), CONNACK));
    assert_eq!(attached(&tier, "home-2"), CLIENTS as f64);
    tier.restart("broker-1").expect("it comes back");
    tier.ready("home-1", PATIENCE).expect("its sidecar finds it");
}
