//! One origin only: its sessions have nowhere to go, and wait.

use baton_drill::tier::{Broker, Layout, Role, Tier};

use crate::support::{PATIENCE, Play, carried, closed, layout, moved, plan, tier, until};

before_both_brokers!(restarted killed);

fn restarted(broker: Broker) {
    let layout = layout(broker, 1).set(Role::Origin, "drain.deadline", "1s");
    let Some(mut play) = Play::begin(layout) else { return };
    let moves = carried(&play.tier, "origin-1");
    play.tier.terminate("origin-1").expect("it runs");
    let status = play.tier.exit("origin-1", PATIENCE).expect("it ends");
    assert_eq!(status.code(), Some(3), "its sessions had nowhere to go");
    play.tier.start("origin-1").expect("it isn't running");
    play.recovers("broken", moves);
    play.ends_unnoticed();
}

fn killed(broker: Broker) {
    let Some(mut play) = Play::begin(layout(broker, 1)) else { return };
    let moves = carried(&play.tier, "origin-1");
    play.tier.kill("origin-1").expect("it ran");
    play.tier.start("origin-1").expect("it isn't running");
    play.recovers("broken", moves);
    play.ends_unnoticed();
}

/// A deploy that starts the new one while the old one drains needs no second origin.
#[test]
fn its_successor_listens_at_the_same_address() {
    let Some(mut tier) = tier(layout(Broker::Sim, 2)) else { return };
    let shared = tier.address("origin-1").expect("it has one").to_string();
    tier.set("origin-2", "origin.listen", &shared).expect("there is one");
    for edge in tier.names(Role::Edge) {
        tier.set(&edge, "edge.origins", &format!("[{shared:?}]")).expect("there is one");
    }
    for node in ["broker-1", "origin-1", "edge-1", "edge-2"] {
        tier.start(node).expect("it isn't running");
    }
    ["origin-1", "edge-1", "edge-2"].into_iter().for_each(|node| tier.ready(node, PATIENCE).expect("it starts"));
    let plan = plan(&tier, "load");
    let mut play = Play::begin_with(tier, plan);
    let moves = carried(&play.tier, "origin-1");
    play.tier.terminate("origin-1").expect("it runs");
    until("it has stopped listening", || ready(&play.tier, "origin-1") != 200);
    play.tier.start("origin-2").expect("it isn't running");
    let status = play.tier.exit("origin-1", PATIENCE).expect("it ends");
    assert!(status.success(), "{status}");
    play.recovers("planned", moves);
    assert_eq!(moved(&play.tier, "broken"), 0.0);
    play.ends_unnoticed();
}

fn ready(tier: &Tier, node: &str) -> u16 {
    tier.request(node, "GET", "/readyz").map_or(0, |response| response.status)
}

/// Beyond the grace time nobody is kept waiting, and the brokers publish what clients that vanish leave behind.
#[test]
fn gone_for_good() {
    let layout: Layout = layout(Broker::Sim, 1).set(Role::BrokerSim, "anchor.grace", "1s");
    let Some(mut play) = Play::begin(layout) else { return };
    let clients = play.load.plan().clients;
    play.tier.kill("origin-1").expect("it ran");
    play.load.until(PATIENCE, move |progress| progress.counts.dropped == clients).unwrap_or_else(|l| panic!("{l}"));
    assert_eq!(closed(&play.tier, "grace"), f64::from(clients));
    let wills = |tier: &Tier| tier.metrics("broker-1").expect("it answers").total("baton_broker_wills_total", &[]);
    until("every will is published", || wills(&play.tier) == f64::from(clients));
}
