//! What each role tells in numbers: the families of a real scrape, with their types and labels, and docs/interfaces.md's list.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use baton_drill::tier::{Layout, Tier, http};

use crate::{compare, quoted, section};

/// Longest wait for what takes milliseconds.
const PATIENCE: Duration = Duration::from_secs(20);
/// A CONNECT of MQTT 3.1.1.
const CONNECT: &[u8] = b"\x10\x0f\0\x04MQTT\x04\x02\0\x3c\0\x03cli";

/// A family of metrics.
#[derive(Default, PartialEq, Eq)]
struct Family {
    kind: String,
    labels: BTreeSet<String>,
}

/// The families of a scrape, by the names that samples have.
fn add(scrape: &str, families: &mut BTreeMap<String, Family>) {
    let mut family = String::new();
    for line in scrape.lines() {
        if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' ')) {
            let suffix = match kind {
                "counter" => "_total",
                "info" => "_info",
                _ => "",
            };
            family = format!("{name}{suffix}");
            families.entry(family.clone()).or_default().kind = kind.into();
        } else if !line.starts_with('#') {
            let labels =
                line.split_once('{').and_then(|(_, rest)| rest.split_once('}')).map_or("", |(labels, _)| labels);
            let names = labels.split(',').filter_map(|label| label.split_once("=\"")).map(|(name, _)| name.to_owned());
            let entry = families.get_mut(&family).expect("its type comes first");
            entry.labels.extend(names.filter(|name| name != "le"));
        }
    }
}

/// A session, so that families without a series from the start get one: opened, moved, and ended.
fn play(tier: &mut Tier) {
    let mut client = connect(tier.edges()[0]);
    client.write_all(CONNECT).expect("sent");
    let mut connack = [0; 4];
    client.read_exact(&mut connack).expect("answered");
    tier.kill("origin-1").expect("it runs");
    tier.until("edge-1", PATIENCE, "the edge has lost its link", |samples| {
        samples.total("baton_link_closes_total", &[]) >= 1.0
    })
    .expect("it notices");
    tier.restart("origin-1").expect("it starts again");
    // No HTTP/2.
    let origin = tier.address("origin-1").expect("it has one");
    connect(origin).write_all(b"GET / HTTP/1.0\r\n\r\n").expect("sent");
    tier.until("origin-1", PATIENCE, "garbage is counted", |samples| {
        samples.total("baton_refused_input_total", &[]) >= 1.0
    })
    .expect("it is");
}

#[expect(clippy::disallowed_methods, reason = "this test has no runtime that a blocking connect could stop")]
fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).expect("it listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("set");
    stream
}

#[test]
fn the_numbers_of_every_role() {
    let mut tier = Tier::new(Layout { edges: 1, origins: 1, homes: 1, ..Layout::new(env!("CARGO_BIN_EXE_baton")) })
        .expect("ports and a directory");
    tier.start_all().expect("it starts");
    let mut families = BTreeMap::new();
    play(&mut tier);
    for node in ["edge-1", "origin-1", "broker-1"] {
        let scrape = tier.request(node, "GET", "/metrics").expect("it answers");
        add(&scrape.body, &mut families);
    }
    // A sidecar shows its own numbers whether its broker is there or not.
    let [listen, admin, broker] = [(); 3].map(|()| tier.free_address().expect("a port"));
    let sets =
        [format!("anchor.listen={listen}"), format!("admin.listen={admin}"), format!("sidecar.broker=tcp://{broker}")];
    let sets = sets.into_iter().flat_map(|set| ["--set".to_owned(), set]);
    let command = [env!("CARGO_BIN_EXE_baton"), "sidecar"].map(str::to_owned).into_iter().chain(sets);
    tier.add("sidecar", listen, command.collect()).expect("a new name");
    tier.restart("sidecar").expect("it starts");
    let scrape = http::request(admin, "GET", "/metrics", PATIENCE).expect("it answers");
    add(&scrape.body, &mut families);

    let shown = |family: &Family| {
        let labels = family.labels.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
        format!("{}{}{labels}", family.kind, if labels.is_empty() { "" } else { " by " })
    };
    let found: String = families.iter().map(|(name, family)| format!("{name}: {}\n", shown(family))).collect();
    agrees_with_the_document(&families);
    compare("metrics.txt", &found);
}

/// docs/interfaces.md names each family, with each of its labels, and no other.
fn agrees_with_the_document(families: &BTreeMap<String, Family>) {
    let document = section("## Admin address");
    let names = |text: &str| -> BTreeSet<String> {
        let names = quoted(text).filter(|word| word.starts_with("baton_"));
        names.map(|name| name.split('{').next().expect("split gives at least one").to_owned()).collect()
    };
    let documented = names(&document);
    assert_eq!(documented, families.keys().cloned().collect(), "docs/interfaces.md has, the roles have");
    for row in document.lines().filter(|line| line.starts_with("| `")) {
        for name in names(row) {
            let lacks: Vec<_> =
                families[&name].labels.iter().filter(|label| !row.contains(&format!("`{label}`"))).collect();
            assert!(lacks.is_empty(), "docs/interfaces.md, {name}, lacks the labels {lacks:?}");
        }
    }
}
