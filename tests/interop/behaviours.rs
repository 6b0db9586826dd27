//! MQTT's behaviours before every broker, with Baton and without: what a broker does by itself, it does through edge,
//! origin and sidecar as well, while origins drain and die in the middle of every behaviour.
//!
//! `behaviours/` plays them, and says how it tells of them. It plays at the broker's own port first, so what the broker
//! doesn't do, or does otherwise than MQTT says, is known from the same suite; it is listed here.

use std::{collections::BTreeSet, net::SocketAddr, path::PathBuf};

use baton_drill::tier::{Broker, PASSWORD, Tier, USER};

use crate::{
    client::script::{paho_is_installed, python},
    program::Program,
    support::{carried, closed, drain, edges_total, is_known, layout, moved, sessions, skip, start, until},
};

/// Behaviours that no broker here is without: with fewer, the suite itself doesn't work.
const FEWEST: usize = 20;

macro_rules! before {
    ($($test:ident: $broker:ident, lacks $lacks:ident)*) => {
        $(#[test] fn $test() { are_the_same_through_baton(Broker::$broker, $lacks) })*
    };
}

before! {
    broker_sim: Sim, lacks BROKER_SIM
    mosquitto: Mosquitto, lacks MOSQUITTO
    rabbitmq: RabbitMq, lacks RABBITMQ
    aedes: Aedes, lacks AEDES
    rumqttd: Rumqttd, lacks RUMQTTD
    rumqttd_for_mqtt_5: Rumqttd5, lacks RUMQTTD_5
}

/// All lines of what broker-sim doesn't do by itself; so for each broker.
pub(crate) const BROKER_SIM: &[&str] = &[
    // It knows no users.
    "absent wrong_password@3.1: it takes any password",
    "absent wrong_password@3.1.1: it takes any password",
    "absent wrong_password@5: it takes any password",
];

pub(crate) const MOSQUITTO: &[&str] = &[
    // 2.0.11 takes the connection for closed already when it is about to send DISCONNECT on it.
    "fails client_takeover_with_a_word@5: DISCONNECT None, after the middle",
];

pub(crate) const RABBITMQ: &[&str] = &[
    // 3.10 stumbles over the CONNECT before it could refuse it.
    "absent MQTT 5: its answer is the end",
    "absent qos_2@3.1: it grants QoS 1 for 2",
    "absent qos_2@3.1.1: it grants QoS 1 for 2",
    "absent qos_2_across@3.1.1: it grants QoS 1 for 2",
    // It looks for retained messages by the filter's own text.
    "fails retained_by_wildcard@3.1.1: message b'early is here' instead of b'second', before the middle",
    // It drops the will with the older connection.
    "fails will_of_who_is_taken_over@3.1.1: message b'end' instead of b'taken over', after the middle",
];

pub(crate) const AEDES: &[&str] = &[
    "absent MQTT 5: its answer is 0001",
    // It makes up a name.
    "fails no_client_id_to_keep@3.1.1: CONNACK 0000 instead of 0002, before the middle",
    // What it sends again looks as if it were sent for the first time.
    "fails unacknowledged_again@3.1.1: marked as sent again False instead of True, after the middle",
];

pub(crate) const RUMQTTD: &[&str] = &[
    "absent MQTT 3.1: its answer is the end",
    // That has another port.
    "absent MQTT 5: its answer is the end",
    // With users, it would let in nobody else.
    "absent wrong_password@3.1.1: it takes any password",
    // It goes by the subscription's alone.
    "fails lower_qos@3.1.1: QoS 1 instead of 0, before the middle",
    // As Aedes.
    "fails unacknowledged_again@3.1.1: marked as sent again False instead of True, after the middle",
];

pub(crate) const RUMQTTD_5: &[&str] = &[
    "absent MQTT 3.1: its answer is the end",
    "absent MQTT 3.1.1: its answer is the end",
    "absent wrong_password@5: it takes any password",
    "fails lower_qos@5: QoS 1 instead of 0, before the middle",
    "fails unacknowledged_again@5: marked as sent again False instead of True, after the middle",
    // It ends the older connection without a word.
    "fails client_takeover_with_a_word@5: DISCONNECT None, after the middle",
    // Every DISCONNECT is a farewell to the will too.
    "fails will_as_a_farewell@5: message b'end' instead of b'asked for', after the middle",
    // It takes No Local, and sends it all the same.
    "fails subscription_options@5: message b'of its own' instead of b'of another', before the middle",
];

fn lacks_of(played: &BTreeSet<String>) -> BTreeSet<&str> {
    played.iter().map(String::as_str).filter(|line| is_lack(line)).collect()
}

/// Plays at the broker, then through a tier before it. `lacks`: what isn't ok at the broker itself.
fn are_the_same_through_baton(broker: Broker, lacks: &[&str]) {
    if let Err(what) = paho_is_installed() {
        return skip(&what);
    }
    let Some(mut tier) = start(layout(broker, 2)) else { return };
    let broker = tier.address("broker-1").expect("there is one");
    let expected: BTreeSet<_> = lacks.iter().copied().collect();
    // Baton has no part in this: what others do now and then, under load, isn't what they do.
    let mut direct = play("direct", [broker, broker], |_| {});
    for again in ["direct-2", "direct-3"] {
        if lacks_of(&direct) != expected {
            direct = play(again, [broker, broker], |_| {});
        }
    }
    assert_eq!(lacks_of(&direct), expected, "(without Baton)");

    let edges = tier.edges();
    let relayed = play("relayed", [edges[0], edges[1]], |clients| move_all(&mut tier, clients));
    // Of what fails anyway nothing is asked.
    let failing: Vec<_> = lacks.iter().filter_map(|line| line.strip_prefix("fails ")?.split(':').next()).collect();
    let is_asked = |line: &&String| !failing.contains(&about(line));
    let direct: BTreeSet<_> = direct.iter().filter(is_asked).collect();
    let relayed: BTreeSet<_> = relayed.iter().filter(is_asked).collect();
    assert!(direct.iter().filter(|line| line.starts_with("ok ")).count() >= FEWEST, "{direct:#?}");
    let (lost, new): (Vec<_>, Vec<_>) = (direct.difference(&relayed).collect(), relayed.difference(&direct).collect());
    assert!(direct == relayed, "only without Baton: {lost:#?}\nonly through it: {new:#?}");
    // And no client was closed by Baton's own doing, but for those without a client id, which it refuses as brokers do.
    let by_others = ["client_left", "client_reset", "broker_left", "broker_reset", "bad_connect"];
    let closes = by_others.iter().map(|cause| closed(&tier, cause)).sum::<f64>();
    assert_eq!(edges_total(&tier, "baton_client_closes_total", &[]), closes);
}

fn is_lack(line: &str) -> bool {
    line.starts_with("fails ") || line.starts_with("absent ")
}

/// The behaviour that a line tells of.
fn about(line: &str) -> &str {
    let (_, rest) = line.split_once(' ').unwrap_or_default();
    rest.split(": ").next().unwrap_or_default()
}

/// Moves so many sessions, which are all that there are: each at least once as its origin drains, and once as it dies.
fn move_all(tier: &mut Tier, clients: f64) {
    until("who has left is gone", || edges_total(tier, "baton_sessions", &[]) == clients);
    let closes = edges_total(tier, "baton_client_closes_total", &[]);
    let first = drain(tier, "origin-1");
    comes_back(tier, "origin-1");
    assert_eq!(carried(tier, "origin-2"), clients);
    tier.kill("origin-2").expect("it ran");
    until("all sessions move", || moved(tier, "broken") == clients && sessions(tier, "live") == clients);
    comes_back(tier, "origin-2");
    assert_eq!(drain(tier, "origin-1"), clients);
    comes_back(tier, "origin-1");
    assert_eq!((moved(tier, "planned"), moved(tier, "broken")), (first + clients, clients));
    assert_eq!(edges_total(tier, "baton_client_closes_total", &[]), closes);
}

fn comes_back(tier: &mut Tier, origin: &str) {
    tier.restart(origin).expect("it comes back");
    until("the edges know it", || is_known(tier, origin));
}

/// All lines about all behaviours, played at two ports. `middle` is given the number of connections that there are.
fn play(label: &str, ports: [SocketAddr; 2], middle: impl FnOnce(f64)) -> BTreeSet<String> {
    let mut command = python();
    // -B: it leaves nothing in the source tree.
    command.arg("-B").arg(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/interop/behaviours"));
    command.args([label, USER, PASSWORD]).args(ports.map(|address| address.port().to_string()));
    let mut program = Program::start(&mut command);
    let next = |program: &Program| program.line().unwrap_or_else(|why| panic!("behaviours, {label}: {why}"));
    let line = next(&program);
    let clients = line.strip_prefix("middle ").and_then(|clients| clients.parse().ok());
    middle(clients.unwrap_or_else(|| panic!("behaviours, {label}: {line} in place of the middle")));
    program.say("go").unwrap_or_else(|why| panic!("behaviours, {label}: {why}"));
    let lines = std::iter::repeat_with(|| next(&program)).take_while(|line| line != "over").collect();
    program.ends().unwrap_or_else(|why| panic!("behaviours, {label}: {why}"));
    lines
}
