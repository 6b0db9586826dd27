//! Edges and homes that leave: their clients have a time to go by themselves, and nobody else notices.

use std::time::Duration;

use baton_drill::{
    client::Client,
    load::{Load, Plan, Shape},
    tier::{Broker, Role, Tier},
};

use crate::support::{PATIENCE, Play, layout, plan, tier, until};

before_both_brokers!(an_edge_whose_clients_stay an_edge_whose_clients_go a_home_whose_clients_stay);

/// Milliseconds that an edge takes whose homes don't answer.
const LINGER: u32 = 5_000;
const ABORTED: [(&str, &str); 1] = [("cause", "aborted")];

/// Processes that hold sessions: a broker-sim has both homes.
fn holders(broker: Broker) -> &'static [&'static str] {
    if broker == Broker::Sim { &["broker-1"] } else { &["home-1", "home-2"] }
}

/// The usual load at the second edge, and ten clients who do nothing at the first.
fn two_loads(broker: Broker, deadline: &str) -> Option<(Play, Load)> {
    let mut tier = tier(layout(broker, 2).set(Role::Edge, "drain.deadline", deadline))?;
    tier.start_all().expect("the tier starts");
    let addresses = vec![tier.address("edge-2").expect("it has one")];
    let plan = Plan { addresses, ..plan(&tier, "load") };
    let idle = Plan { shape: Shape::Idle, wills: true, ..Plan::new("idle", &tier.edges()[..1], 10) };
    let idle = Load::start(idle).expect("a thread");
    idle.ready(PATIENCE).unwrap_or_else(|late| panic!("{late}"));
    Some((Play::begin_with(tier, plan), idle))
}

/// Nobody at the other edge has noticed anything.
fn others_go_on(play: Play) {
    play.goes_on();
    let report = play.load.finish(PATIENCE);
    assert!(report.verdict.is_clean(), "{report}");
}

fn refuses(tier: &Tier) {
    until("it isn't ready", || tier.request("edge-1", "GET", "/readyz").is_ok_and(|answer| answer.status == 503));
    let address = tier.address("edge-1").expect("it has one");
    // A connection that comes as the listener goes is reset by the kernel; from then on they are refused.
    let refused = |error: std::io::Error| error.kind() == std::io::ErrorKind::ConnectionRefused;
    until("nobody listens", || std::net::TcpStream::connect_timeout(&address, PATIENCE).is_err_and(refused));
}

fn an_edge_whose_clients_stay(broker: Broker) {
    let Some((mut play, idle)) = two_loads(broker, "500ms") else { return };
    play.tier.terminate("edge-1").expect("it runs");
    let status = play.tier.exit("edge-1", PATIENCE).expect("it ends");
    assert_eq!(status.code(), Some(3));
    idle.until(PATIENCE, |progress| progress.counts.dropped == 10).unwrap_or_else(|late| panic!("{late}"));
    assert_eq!(play.tier.log_count("edge-1", "cause=shutdown").expect("it has a log"), 10);
    // What was between them and the broker is over before the edge is: nobody waits a grace time for wills.
    let ended = |home: &&str| play.tier.metrics(home).expect("it answers").total("baton_client_closes_total", &ABORTED);
    assert_eq!(holders(broker).iter().map(ended).sum::<f64>(), 10.0);
    let log = play.tier.log("edge-1").expect("it has one");
    let took =
        log.split("edge.drained").nth(1).and_then(|line| line.split("time_ms=").nth(1)).expect("it says how long");
    let took: u32 = took.split_whitespace().next().and_then(|word| word.parse().ok()).expect("milliseconds");
    assert!((500..LINGER).contains(&took), "{took}");
    if broker == Broker::Sim {
        let wills = || play.tier.metrics("broker-1").expect("it answers").total("baton_broker_wills_total", &[]);
        until("their wills are published", || wills() == 10.0);
    }
    others_go_on(play);
}

fn an_edge_whose_clients_go(broker: Broker) {
    let Some((mut play, idle)) = two_loads(broker, "30s") else { return };
    play.tier.terminate("edge-1").expect("it runs");
    refuses(&play.tier);
    play.tier.terminate("edge-1").expect("a second time changes nothing");
    (0..10).for_each(|number| idle.client(number, Client::leave).expect("it is there"));
    let status = play.tier.exit("edge-1", PATIENCE).expect("it ends");
    assert!(status.success(), "{status}");
    assert_eq!(play.tier.log_count("edge-1", "cause=client_left").expect("it has a log"), 10);
    others_go_on(play);
}

fn a_home_whose_clients_stay(broker: Broker) {
    let role = if broker == Broker::Sim { Role::BrokerSim } else { Role::Sidecar };
    let home = holders(broker)[0];
    let Some(mut play) = Play::begin(layout(broker, 2).set(role, "drain.deadline", "500ms")) else { return };
    play.tier.terminate(home).expect("it runs");
    let status = play.tier.exit(home, PATIENCE).expect("it ends");
    assert_eq!(status.code(), Some(3));
    // Its sessions are over, and their clients know at once, not after a grace time.
    let dropped = play.load.until(Duration::from_secs(5), |progress| progress.counts.dropped > 0);
    dropped.unwrap_or_else(|late| panic!("{late}"));
    if broker == Broker::Mosquitto {
        // Those of the other home go on.
        play.goes_on();
        let report = play.load.finish(PATIENCE);
        assert!(report.survivors.total().received > 0, "{report}");
    }
}
