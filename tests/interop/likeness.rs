//! broker-sim beside mosquitto: whatever a client does with one, the same comes of it with the other.
//!
//! | Module | |
//! |---|---|
//! | `habits` | what clients do, one list |
//! | `puppet` | a client that does what it is told |
//! | `rumqttc` | that client |
//! | `tools` | mosquitto's command lines, which live for one errand each |
//!
//! The other clients are the scripts beside those.

use std::{collections::BTreeMap, fmt::Display, fs, net::SocketAddr, path::Path};

use baton_broker_sim::Config;
use baton_drill::tier::{Broker, PASSWORD, Tier, USER};

use self::{
    habits::{HABITS, HABITS_5, Habit},
    puppet::{Puppet, Stage, script},
    rumqttc::Rumqttc,
};
use crate::{
    client::{
        Told, mosquitto_is_installed,
        script::{aiomqtt_is_installed, mqtt_js_is_installed, node, paho_is_installed, python},
    },
    support::{layout, skip, tier},
};

mod habits;
mod puppet;
mod rumqttc;
mod tools;

/// A client: its name, whether it is here, how it is started, and what doesn't come out as it has to.
struct Client {
    name: &'static str,
    installed: fn() -> Told,
    start: fn() -> Box<dyn Puppet>,
    /// Over WebSocket.
    websocket: bool,
    fails: &'static [&'static str],
}

#[test]
fn paho() {
    is_alike(&Client {
        name: "paho",
        installed: paho_is_installed,
        start: || Box::new(script(python(), "with_paho.py")),
        websocket: false,
        fails: &[],
    });
}

#[test]
fn aiomqtt() {
    is_alike(&Client {
        name: "aiomqtt",
        installed: aiomqtt_is_installed,
        start: || Box::new(script(python(), "with_aiomqtt.py")),
        websocket: false,
        fails: &[],
    });
}

#[test]
fn mqtt_js() {
    is_alike(&Client {
        name: "mqttjs",
        installed: mqtt_js_is_installed,
        start: || Box::new(script(node(), "with_mqttjs.js")),
        websocket: false,
        fails: &[],
    });
}

#[test]
fn mqtt_js_over_websocket() {
    is_alike(&Client {
        name: "mqttjs-ws",
        installed: mqtt_js_is_installed,
        start: || {
            let mut program = node();
            program.env("SCHEME", "ws");
            Box::new(script(program, "with_mqttjs.js"))
        },
        websocket: true,
        fails: &[],
    });
}

#[test]
fn of_rust() {
    is_alike(&Client {
        name: "rumqttc",
        installed: || Ok(()),
        start: || Box::new(Rumqttc::new()),
        websocket: false,
        fails: &[],
    });
}

/// Habits in versions of MQTT: with fewer, the list itself doesn't work.
const FEWEST: usize = 30;

/// What came of each habit.
type Outcomes = BTreeMap<String, Told>;

/// The name of one.
fn outcome_of(habit: &str, version: impl Display) -> String {
    format!("{habit}, MQTT {version}")
}

fn is_alike(client: &Client) {
    if let Err(what) = (client.installed)() {
        return skip(&what);
    }
    are_alike(client.websocket, client.fails, |broker, _| plays(client, broker));
}

#[test]
fn command_lines() {
    if let Err(what) = mosquitto_is_installed() {
        return skip(&what);
    }
    are_alike(false, &[], tools::plays);
}

/// What is played before mosquitto and before broker-sim comes out the same, and well but for what is listed.
fn are_alike(websocket: bool, fails: &[&str], plays: impl Fn(SocketAddr, &Path) -> Outcomes) {
    let Some(mut tier) = tier(layout(Broker::Mosquitto, 1)) else { return };
    let broker = start_mosquitto(&mut tier, websocket);
    let mosquitto = plays(broker, tier.directory());
    let users = format!("{USER}:{PASSWORD}");
    let broker = baton_broker_sim::start(Config { users, ..Config::default() }).expect("it starts");
    let simulated = plays(broker.addr(), tier.directory());
    let unlike: Vec<_> = mosquitto.iter().filter(|(name, came)| simulated.get(*name) != Some(came)).collect();
    let with_sim: Vec<_> = unlike.iter().map(|(name, _)| simulated.get(*name)).collect();
    assert!(unlike.is_empty(), "mosquitto: {unlike:#?}\nbroker-sim: {with_sim:#?}");
    let failing = mosquitto.iter().filter_map(|(name, came)| Some(format!("{name}: {}", came.as_ref().err()?)));
    assert_eq!(failing.collect::<Vec<_>>(), fails);
    assert!(simulated.len() >= FEWEST, "{simulated:#?}");
}

fn start_mosquitto(tier: &mut Tier, websocket: bool) -> SocketAddr {
    let further = tier.directory().join("further");
    let address = tier.free_address().expect("a port");
    fs::create_dir_all(&further).expect("a directory");
    let listener = format!("listener {} {}\nprotocol websockets\n", address.port(), address.ip());
    fs::write(further.join("websocket.conf"), listener).expect("a file");
    tier.set("broker-1", "include_dir", &further.to_string_lossy()).expect("it is there");
    tier.restart("broker-1").expect("the broker starts");
    if websocket { address } else { tier.address("broker-1").expect("it has one") }
}

/// All habits, one after another, by one program; by a new one after a failure, which may leave connections behind.
fn plays(client: &Client, broker: SocketAddr) -> Outcomes {
    let mut outcomes = Outcomes::new();
    let mut puppet = (client.start)();
    for Habit { name, versions, act } in HABITS.iter().chain(HABITS_5) {
        for version in *versions {
            let own = format!("{}-{name}-{version}", client.name);
            let mut stage = Stage::new(&mut *puppet, broker.port(), *version, own);
            let came = act(&mut stage).and_then(|()| stage.is_quiet());
            if came.is_err() {
                puppet = (client.start)();
            }
            outcomes.insert(outcome_of(name, version), came);
        }
    }
    outcomes
}
