//! Every broker that isn't ours, without any relay: it starts, serves counted clients, and leaves nothing behind.

use std::{
    fs,
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    path::Path,
    time::Duration,
};

use baton_drill::{
    load::{Load, Plan, Shape, Tempo},
    mqtt::Qos,
    tier::{Broker, Error, Layout, Tier},
};

const PATIENCE: Duration = Duration::from_secs(60);

/// A tier of one broker; `None`, with a note, where it isn't installed.
fn tier(broker: Broker) -> Option<Tier> {
    match Tier::new(Layout { edges: 0, origins: 0, homes: 0, broker, ..Layout::new("baton") }) {
        Err(error @ Error::NotInstalled(_)) => {
            skip(&error.to_string());
            None
        }
        tier => Some(tier.expect("ports and a directory")),
    }
}

/// Notes that the test of this thread can't run here.
fn skip(reason: &str) {
    let test = std::thread::current().name().unwrap_or("brokers").to_owned();
    eprintln!("skipped: {test}: {reason}");
    if let Some(file) = std::env::var_os("BATON_SKIPS") {
        let mut file = fs::File::options().create(true).append(true).open(file).expect("BATON_SKIPS is a file");
        writeln!(file, "{test}: {reason}").expect("it can be written");
    }
}

/// Two side by side: each serves `clients`, which says how many there were. One is killed and one told to end, and neither
/// leaves anything.
fn live_and_die(broker: Broker, clients: impl Fn(SocketAddr) -> f64) {
    let (Some(mut one), Some(mut other)) = (tier(broker), tier(broker)) else { return };
    one.start("broker-1").expect("it isn't running");
    other.start("broker-1").expect("it isn't running");
    for tier in [&mut one, &mut other] {
        tier.ready("broker-1", PATIENCE).unwrap_or_else(|error| panic!("{error}"));
        let connected = clients(tier.address("broker-1").expect("there is one"));
        until("it has logged each client", || tier.connects("broker-1").expect("it has a log") >= connected);
        assert_eq!(tier.connects("broker-1").expect("it has a log"), connected);
        let its_own = living(tier.directory());
        assert!(its_own.contains(&tier.pid("broker-1").expect("it runs")), "it is known by the tier's directory");
    }
    one.kill("broker-1").expect("it runs");
    until_nothing_lives(one.directory());
    other.terminate("broker-1").expect("it runs");
    other.exit("broker-1", PATIENCE).expect("it ends");
    until_nothing_lives(other.directory());
}

/// Counted clients whose messages all arrive in order and once: many small ones, few large ones, and fans.
fn counted(address: SocketAddr, mix: &[Qos]) -> f64 {
    let mut clients = 0.0;
    let plan = |name: &str| Plan { mix: mix.to_vec(), tempo: Tempo::Closed(2), ..Plan::new(name, &[address], 6) };
    for (plan, messages) in [
        (plan("small"), 600),
        (Plan { payload: 1_000_000, clients: 2, ..plan("large") }, 12),
        (Plan { shape: Shape::Fans(5), keep_alive: 1, ..plan("fans") }, 300),
    ] {
        clients += f64::from(plan.clients);
        let load = Load::start(plan).expect("a thread");
        load.ready(PATIENCE).unwrap_or_else(|late| panic!("{late}"));
        load.publish();
        load.received(messages, PATIENCE).unwrap_or_else(|late| panic!("{late}"));
        let report = load.finish(PATIENCE);
        assert!(report.verdict.is_clean(), "{report}");
    }
    clients
}

/// Processes, beyond those that have ended and wait for somebody to ask how, which were told of this directory.
fn living(directory: &Path) -> Vec<u32> {
    let name = directory.as_os_str().as_encoded_bytes();
    let told = |process: &Path, file: &str| {
        fs::read(process.join(file)).is_ok_and(|text| text.windows(name.len()).any(|window| window == name))
    };
    let processes = fs::read_dir("/proc").expect("this is Linux").flatten().map(|entry| entry.path());
    let told = processes.filter(|process| told(process, "environ") || told(process, "cmdline"));
    told.filter_map(|process| process.file_name()?.to_str()?.parse().ok()).collect()
}

/// What helps a process, in a session of its own, ends by itself when that has gone.
fn until_nothing_lives(directory: &Path) {
    until("nothing is left of it", || living(directory).is_empty());
}

#[expect(clippy::disallowed_methods, reason = "other processes are waited for, and no session waits here")]
fn until(what: &str, condition: impl Fn() -> bool) {
    const LOOK: Duration = Duration::from_millis(20);
    for _ in 0..PATIENCE.as_millis() / LOOK.as_millis() {
        if condition() {
            return;
        }
        std::thread::sleep(LOOK);
    }
    panic!("it took too long: {what}");
}

#[test]
fn mosquitto() {
    live_and_die(Broker::Mosquitto, |address| counted(address, &Qos::ALL));
}

#[test]
fn rabbitmq() {
    live_and_die(Broker::RabbitMq, |address| counted(address, &[Qos::AtMostOnce, Qos::AtLeastOnce]));
}

#[test]
fn aedes() {
    live_and_die(Broker::Aedes, |address| counted(address, &Qos::ALL));
}

#[test]
fn rumqttd() {
    live_and_die(Broker::Rumqttd, |address| counted(address, &Qos::ALL));
}

#[test]
fn rumqttd_for_mqtt_5() {
    live_and_die(Broker::Rumqttd5, |address| {
        let mut wire = TcpStream::connect_timeout(&address, PATIENCE).unwrap();
        wire.set_read_timeout(Some(PATIENCE)).unwrap();
        wire.write_all(b"\x10\x0f\0\x04MQTT\x05\x02\0\x3c\0\0\x02me").unwrap();
        let mut connack = [0; 4];
        wire.read_exact(&mut connack).unwrap();
        assert!(matches!(connack, [0x20, _, 0, 0]), "{connack:?}");
        1.0
    });
}
