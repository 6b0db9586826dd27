//! Every client before every broker, at once: through Baton while origins drain and die, and without.

use std::{net::SocketAddr, thread};

use baton_drill::{
    mqtt::Qos,
    tier::{Broker, Tier},
};

use crate::{
    client::{self, Client, Part, Told},
    lacks::Lack,
    support::{carried, closed, connects, drain, edges_total, is_known, layout, moved, sessions, skip, start, until},
};

/// Messages of each client that are under way during each fault.
const BATCH: usize = 150;

macro_rules! before {
    ($($test:ident: $broker:ident)*) => {
        $(#[test] fn $test() { every_client(Broker::$broker) })*
    };
}

before!(broker_sim: Sim mosquitto: Mosquitto rabbitmq: RabbitMq aedes: Aedes rumqttd: Rumqttd rumqttd_for_mqtt_5: Rumqttd5);

fn every_client(broker: Broker) {
    let parts: Vec<_> = client::all().into_iter().filter(is_here).collect();
    let Some(mut tier) = start(layout(broker, 2)) else { return };
    let playing: Vec<_> = parts.iter().filter_map(|part| as_far_as_it_goes(broker, part)).collect();
    assert!(!playing.is_empty(), "nobody plays");
    through_faults(&mut tier, &playing);
    without_baton(broker, tier.address("broker-1").expect("it has one"), &parts, &playing);
}

fn is_here(part: &Part) -> bool {
    let installed = (part.installed)();
    installed.inspect_err(|what| skip(&format!("{part}: {what}"))).is_ok()
}

/// A client at the highest quality of service at which nothing is known to be wrong.
fn as_far_as_it_goes(broker: Broker, part: &Part) -> Option<Part> {
    let lower = Qos::ALL.into_iter().rev().filter(|qos| *qos <= part.qos);
    lower.map(|qos| Part { qos, ..*part }).find(|part| Lack::of(broker, part).is_none())
}

/// All of them play on while each origin drains and dies, and none of them notices.
fn through_faults(tier: &mut Tier, parts: &[Part]) {
    let edges = tier.edges();
    let mut clients: Vec<_> = parts.iter().map(|part| (part, started(part, &edges))).collect();
    let connections = parts.iter().map(|part| f64::from(part.connections)).sum();
    let each = |clients: &mut Vec<(&Part, Box<dyn Client>)>, what: fn(&mut dyn Client) -> Told| {
        for (part, client) in clients {
            what(&mut **client).unwrap_or_else(|why| panic!("{part}: {why}"));
        }
    };
    each(&mut clients, |client| client.publish(BATCH));
    each(&mut clients, |client| client.has_all());
    until("each has a session", || sessions(tier, "live") == connections);
    for fault in [drains as fn(&mut Tier, &str), dies] {
        for origin in ["origin-1", "origin-2"] {
            each(&mut clients, |client| client.publish(BATCH));
            fault(tier, origin);
            each(&mut clients, |client| client.has_all());
            tier.restart(origin).expect("it comes back");
            until("the edges know it", || is_known(tier, origin));
        }
    }
    // Whoever one origin didn't carry the other did, so each session has met each fault.
    assert!(moved(tier, "planned") >= connections && moved(tier, "broken") >= connections);
    assert_eq!(edges_total(tier, "baton_client_closes_total", &[]), 0.0);
    until("the broker has logged each client", || connects(tier) >= connections);
    for (part, client) in clients {
        client.leave().unwrap_or_else(|why| panic!("{part}: {why}"));
    }
    // After DISCONNECT each side may be the first to close.
    until("all leave in order", || closed(tier, "client_left") + closed(tier, "broker_left") == connections);
    assert_eq!(connects(tier), connections, "one connected again");
}

fn started(part: &Part, addresses: &[SocketAddr]) -> Box<dyn Client> {
    part.start(addresses).unwrap_or_else(|why| panic!("{part}: {why}"))
}

fn drains(tier: &mut Tier, origin: &str) {
    assert!(drain(tier, origin) > 0.0, "{origin} carried nothing");
}

fn dies(tier: &mut Tier, origin: &str) {
    let moves = moved(tier, "broken") + carried(tier, origin);
    tier.kill(origin).expect("it ran");
    until("its sessions have moved", || moved(tier, "broken") >= moves);
}

/// With nothing between: what plays through Baton plays here, and what is known to fail fails.
fn without_baton(broker: Broker, address: SocketAddr, parts: &[Part], playing: &[Part]) {
    let lacking = parts.iter().filter(|part| Lack::of(broker, part).is_some());
    thread::scope(|scope| {
        let began = |part| (part, scope.spawn(move || alone(part, address)));
        let outcomes: Vec<_> = playing.iter().chain(lacking).map(began).collect();
        for (part, outcome) in outcomes {
            let outcome = outcome.join().expect("it says what is wrong");
            match (Lack::of(broker, part), outcome) {
                (None, outcome) => outcome.unwrap_or_else(|why| panic!("{part}, without Baton: {why}")),
                (Some(lack), Err(why)) => println!("{part}: {}: {why}", lack.reason),
                (Some(lack), Ok(())) => panic!("{part}: it works, but for this is said to fail: {}", lack.reason),
            }
        }
    });
}

fn alone(part: &Part, address: SocketAddr) -> Told {
    let mut client = part.start(&[address])?;
    client.publish(BATCH)?;
    client.has_all()?;
    client.leave()
}
