//! Processes that die.

use baton_drill::{
    load::{Plan, Shape},
    tier::{Broker, Layout, Role},
};

use crate::support::{BATON, PATIENCE, Play, carried, closed, edges_total, layout, moved, plan, start, until};

before_both_brokers!(an_origin_under_load two_origins_at_once an_origin_that_drains a_home an_edge);

fn an_origin_under_load(broker: Broker) {
    let Some(mut play) = Play::begin(layout(broker, 2)) else { return };
    let mut moves = 0.0;
    for origin in ["origin-1", "origin-2"] {
        moves += carried(&play.tier, origin);
        play.tier.kill(origin).expect("it ran");
        play.recovers("broken", moves);
        assert_eq!(moved(&play.tier, "broken"), moves, "each of its sessions moves once");
        play.tier.restart(origin).expect("it comes back");
    }
    play.ends_unnoticed();
}

fn two_origins_at_once(broker: Broker) {
    let Some(mut play) = Play::begin(layout(broker, 3)) else { return };
    let moves = carried(&play.tier, "origin-1") + carried(&play.tier, "origin-2");
    play.tier.kill("origin-1").expect("it ran");
    play.tier.kill("origin-2").expect("it ran");
    play.recovers("broken", moves);
    play.ends_unnoticed();
}

fn an_origin_that_drains(broker: Broker) {
    let layout = layout(broker, 2).set(Role::Origin, "drain.spread", "20s");
    let Some(mut play) = Play::begin(layout) else { return };
    let moves = carried(&play.tier, "origin-1");
    play.tier.terminate("origin-1").expect("it runs");
    until("some have moved", || moved(&play.tier, "planned") > 0.0);
    play.tier.kill("origin-1").expect("it is still there");
    until("the others have moved", || moved(&play.tier, "planned") + moved(&play.tier, "broken") >= moves);
    assert!(moved(&play.tier, "broken") > 0.0, "none was left to be killed");
    play.goes_on();
    play.ends_unnoticed();
}

/// For contrast: without resumes a tunnel's loss is its client's, and the broker publishes the will, once its home has
/// waited in vain.
#[test]
fn an_origin_without_resumes() {
    let layout = layout(Broker::Sim, 2).set(Role::Edge, "edge.dcr", "false");
    let layout = layout.set(Role::BrokerSim, "anchor.grace", "1s");
    let Some(mut play) = Play::begin(layout) else { return };
    let lost = carried(&play.tier, "origin-1");
    assert!(lost > 0.0);
    play.tier.kill("origin-1").expect("it ran");
    until("its clients are dropped", || f64::from(play.load.progress().counts.dropped) == lost);
    assert_eq!(moved(&play.tier, "broken"), 0.0);
    let wills = || play.tier.metrics("broker-1").expect("it answers").total("baton_broker_wills_total", &[]);
    until("their wills are published", || wills() == lost);
}

/// Its clients are let go as soon as it says that it doesn't know them; the other home's go on.
fn a_home(broker: Broker) {
    // Two brokers, or one that serves both homes: either way one of the two homes goes, and half of the clients.
    let brokers = if broker == Broker::Sim { 2 } else { 1 };
    let layout = Layout { broker, brokers, origins: 2, homes: 2, ..Layout::new(BATON) };
    let home = if broker == Broker::Sim { "broker-1" } else { "home-1" };
    let Some(tier) = start(layout) else { return };
    let plan = Plan { shape: Shape::Selves, ..plan(&tier, "load") };
    let mut play = Play::begin_with(tier, plan.clone());
    let lost = play.tier.metrics(home).expect("it answers").total("baton_sessions", &[("state", "attached")]);
    assert!(lost > 0.0 && lost < f64::from(plan.clients), "{lost} of {} at one home", plan.clients);

    play.tier.kill(home).expect("it ran");
    play.load.received(4 * u64::from(plan.clients), PATIENCE).unwrap_or_else(|late| panic!("{late}"));
    assert_eq!(edges_total(&play.tier, "baton_client_closes_total", &[]), 0.0, "they have a grace time");
    play.tier.restart(home).expect("it comes back");
    until("its sessions are let go", || closed(&play.tier, "gone") == lost);
    play.load.received(4 * u64::from(plan.clients), PATIENCE).unwrap_or_else(|late| panic!("{late}"));
    assert_eq!(edges_total(&play.tier, "baton_client_closes_total", &[]), lost);

    let report = play.load.finish(PATIENCE);
    assert!(report.survivors.is_clean(), "{}", report.survivors);
    // And it serves whoever comes.
    let again = Play::begin_with(play.tier, Plan { name: "again".into(), ..plan });
    assert!(again.load.finish(PATIENCE).verdict.is_clean());
}

/// It takes its connections with it, as ever; who comes back is served.
#[test]
fn mosquitto_itself() {
    let Some(mut play) = Play::begin(layout(Broker::Mosquitto, 2)) else { return };
    let plan = play.load.plan().clone();
    let clients = plan.clients;
    play.tier.kill("broker-1").expect("it ran");
    let dropped = play.load.until(PATIENCE, move |progress| progress.counts.dropped == clients);
    dropped.unwrap_or_else(|late| panic!("{late}"));
    let by_broker = || closed(&play.tier, "broker_left") + closed(&play.tier, "broker_reset");
    until("every close is counted", || by_broker() == f64::from(clients));
    play.tier.restart("broker-1").expect("it comes back");
    let again = Play::begin_with(play.tier, Plan { name: "again".into(), ..plan });
    assert!(again.load.finish(PATIENCE).verdict.is_clean());
}

/// Nothing holds a dead process's sockets. Clients of other edges are not concerned.
fn an_edge(broker: Broker) {
    let Some(tier) = start(layout(broker, 2)) else { return };
    let plan = |name: &str, edge: usize| Plan { addresses: vec![tier.edges()[edge]], ..plan(&tier, name) };
    let (first, second) = (plan("first", 0), plan("second", 1));
    let first = Play::begin_with(tier, first);
    let mut second = Play::begin_with(first.tier, second);
    second.tier.kill("edge-1").expect("it ran");
    let clients = first.load.plan().clients;
    let dropped = first.load.until(PATIENCE, move |progress| progress.counts.dropped == clients);
    dropped.unwrap_or_else(|late| panic!("{late}"));
    second.goes_on();
    let report = second.load.finish(PATIENCE);
    assert!(report.verdict.is_clean(), "{report}");
    second.tier.restart("edge-1").expect("it comes back");
    let third = Plan { name: "third".into(), ..first.load.plan().clone() };
    assert!(Play::begin_with(second.tier, third).load.finish(PATIENCE).verdict.is_clean());
}
