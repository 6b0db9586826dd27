//! A sidecar whose local ports end: shown in a network of its own, where there are few of them.

use std::{fs, process::Command, thread, time::Instant};

use baton_drill::tier::{Broker, Layout, Role, Tier};
use nix::sched::{CloneFlags, unshare};

use crate::support::{
    BATON, PATIENCE, edges_total, sessions, skip, start, until,
    wire::{Wire, connect},
};

/// The ports of that network: few, and above those that a tier listens on.
const RANGE: &str = "61000 61511";
/// Connections that a sidecar makes with them from one address: a sixteenth is left alone.
const ROOM: usize = 480;
/// Clients in all.
const CLIENTS: usize = 600;
/// Milliseconds for which an open waits that found no room.
const WAIT: u128 = 2_000;
const CONNACK: [u8; 4] = [0x20, 2, 0, 0];

/// Plays a story on a thread that has a network of its own; all that it starts has it as well.
fn with_few_ports(story: impl FnOnce() + Send + 'static) {
    let name = thread::current().name().unwrap_or("ports").to_owned();
    let thread = thread::Builder::new().name(name).spawn(|| match few_ports() {
        Ok(()) => {
            story();
            None
        }
        Err(why) => Some(why),
    });
    match thread.expect("a thread").join() {
        Ok(None) => {}
        Ok(Some(why)) => skip(&format!("no network of its own can be had: {why}")),
        Err(panic) => std::panic::resume_unwind(panic),
    }
}

fn few_ports() -> Result<(), String> {
    unshare(CloneFlags::CLONE_NEWNET).map_err(|e| e.to_string())?;
    let up = Command::new("ip").args(["link", "set", "lo", "up"]).status().map_err(|e| format!("ip: {e}"))?;
    if !up.success() {
        return Err(format!("ip link set lo up: {up}"));
    }
    fs::write("/proc/sys/net/ipv4/ip_local_port_range", RANGE).map_err(|e| format!("the range of ports: {e}"))
}

/// Two edges, since each of them has no more ports than the broker; one home.
fn tier() -> Option<Tier> {
    let layout = Layout { broker: Broker::Mosquitto, edges: 2, ..Layout::new(BATON) };
    // So that nobody waits for anything but a port.
    start(layout.set(Role::Sidecar, "limits.home_opens_per_second", "100000"))
}

fn clients(tier: &Tier, numbers: std::ops::Range<usize>) -> Vec<Wire> {
    let edges = tier.edges();
    numbers.map(|n| Wire::saying(edges[n % edges.len()], &connect(4, &format!("client-{n}")))).collect()
}

fn all_are_taken(wires: &mut [Wire]) {
    for wire in wires {
        assert_eq!(wire.hears(), CONNACK);
    }
}

fn connections(tier: &Tier, metric: &str) -> Option<f64> {
    tier.metrics("home-1").expect("it answers").value(metric, &[("name", "broker_connections")])
}

fn put_off(tier: &Tier) -> f64 {
    let labels = [("kind", "open"), ("outcome", "busy")];
    tier.metrics("home-1").expect("it answers").total("baton_attaches_total", &labels)
}

#[test]
#[expect(clippy::disallowed_methods, reason = "real processes keep real time")]
fn whoever_finds_no_port_waits_for_one() {
    with_few_ports(|| {
        let Some(tier) = tier() else { return };
        assert_eq!(connections(&tier, "baton_limit"), Some(ROOM as f64));
        let mut first = clients(&tier, 0..ROOM);
        all_are_taken(&mut first);
        assert_eq!(connections(&tier, "baton_limit_used"), Some(ROOM as f64));
        assert_eq!(tier.log_count("home-1", "broker.full").expect("it has a log"), 0);

        let mut late = clients(&tier, ROOM..CLIENTS);
        let waiting = late.len() as f64;
        until("they wait", || sessions(&tier, "opening") == waiting && put_off(&tier) >= waiting);
        assert_eq!(tier.log_count("home-1", "broker.full").expect("it has a log"), 1);
        // They ask again, but never in a hurry.
        let (before, began) = (put_off(&tier), Instant::now());
        until("each has asked again", || put_off(&tier) >= before + 2.0 * waiting);
        let rounds = began.elapsed().as_millis() / WAIT + 2;
        assert!(put_off(&tier) <= before + waiting * rounds as f64, "{} in {rounds} rounds", put_off(&tier) - before);
        assert_eq!(edges_total(&tier, "baton_client_closes_total", &[]), 0.0);
        assert_eq!(connections(&tier, "baton_limit_used"), Some(ROOM as f64));

        for mut leaving in first.drain(..late.len()) {
            leaving.say(&[0xe0, 0]);
        }
        all_are_taken(&mut late);
        assert_eq!(tier.log_count("home-1", "broker.full").expect("it has a log"), 1, "once in a while is enough");
    });
}

#[test]
fn further_addresses_are_further_ports() {
    with_few_ports(|| {
        let Some(mut tier) = tier() else { return };
        tier.kill("home-1").expect("it ran");
        tier.set("home-1", "sidecar.sources", "127.0.0.2,127.0.0.3").expect("it's there");
        tier.restart("home-1").expect("it comes back");
        tier.ready("origin-1", PATIENCE).expect("it finds the home");
        assert_eq!(connections(&tier, "baton_limit"), Some(2.0 * ROOM as f64));
        let mut all = clients(&tier, 0..CLIENTS);
        all_are_taken(&mut all);
        assert_eq!(connections(&tier, "baton_limit_used"), Some(CLIENTS as f64));
        assert_eq!(put_off(&tier), 0.0);
    });
}
