//! docs/brokers.md and its pages: the table is what the behaviours' own lists say, and the recipes are what the tests'
//! brokers are started with.

use std::{collections::BTreeMap, fs, path::PathBuf};

use baton_drill::tier::{Broker, Error, Layout, Tier};

use crate::{
    behaviours::{AEDES, BROKER_SIM, MOSQUITTO, RABBITMQ, RUMQTTD, RUMQTTD_5},
    support::{BATON, skip},
};

/// What each column's broker lacks, by port.
const COLUMNS: [&[&[&str]]; 5] = [&[BROKER_SIM], &[MOSQUITTO], &[RABBITMQ], &[AEDES], &[RUMQTTD, RUMQTTD_5]];

fn text(path: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// All behaviours, and the versions of MQTT that each is played in.
fn behaviours() -> BTreeMap<String, String> {
    let modules = ["connecting", "delivery", "sessions", "version5"];
    let texts: Vec<_> = modules.iter().map(|module| text(&format!("tests/interop/behaviours/{module}.py"))).collect();
    let lines: Vec<_> = texts.iter().flat_map(|text| text.lines()).collect();
    let pair = |pair: &[&str]| {
        let versions = pair[0].strip_prefix("@behaviour(")?.strip_suffix(')')?;
        let name = pair[1].strip_prefix("def ")?.split('(').next()?;
        Some((name.to_owned(), versions.replace('3', "3.1").replace('4', "3.1.1")))
    };
    lines.windows(2).filter_map(pair).collect()
}

/// What a broker makes of a behaviour in these versions.
fn cell(name: &str, versions: &str, ports: &[&[&str]]) -> &'static str {
    let speaks =
        |port: &&[&str], version| !port.iter().any(|line| line.starts_with(&format!("absent MQTT {version}:")));
    let lacks = |line: &&str| line.split(' ').nth(1).is_some_and(|word| word.starts_with(&format!("{name}@")));
    if !versions.split(", ").any(|version| ports.iter().any(|port| speaks(port, version))) {
        "-"
    } else if ports.iter().any(|port| port.iter().any(lacks)) {
        "no"
    } else {
        "ok"
    }
}

#[test]
fn the_table_is_what_the_lists_say() {
    let behaviours = behaviours();
    assert!(behaviours.len() >= 30, "{behaviours:?}");
    let mut expected: Vec<_> = behaviours
        .iter()
        .map(|(name, versions)| {
            let cells = COLUMNS.map(|ports| cell(name, versions, ports)).join(" | ");
            format!("| `{name}` | {versions} | {cells} |")
        })
        .collect();
    let docs = text("docs/brokers.md");
    let mut found: Vec<_> =
        docs.lines().filter(|line| line.starts_with("| `") && line.matches('|').count() == 8).collect();
    found.sort_unstable();
    expected.sort_unstable();
    assert_eq!(found, expected);
}

/// Keys and values of all fenced blocks of a page that are some configuration, sections put before their keys.
fn recipe(page: &str, between: char) -> Vec<(String, String)> {
    let text = text(&format!("docs/brokers/{page}.md"));
    let mut blocks = text.split("```").skip(1).step_by(2);
    let block = blocks.find_map(|block| block.strip_prefix("ini\n").or(block.strip_prefix("toml\n")));
    let mut section = String::new();
    let mut settings = Vec::new();
    for line in block.expect("a configuration").lines().map(str::trim).filter(|line| !line.starts_with('#')) {
        if let Some(name) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            section = format!("{name}.");
        } else if let Some((key, value)) = line.split_once(between) {
            settings.push((format!("{section}{}", key.trim()), value.trim().to_owned()));
        }
    }
    settings
}

#[test]
fn recipes_are_what_the_tests_use() {
    for (broker, page, between) in [
        (Broker::Mosquitto, "mosquitto", ' '),
        (Broker::RabbitMq, "rabbitmq", '='),
        (Broker::Aedes, "aedes", ' '),
        (Broker::Rumqttd, "rumqttd", '='),
    ] {
        let tier = match Tier::new(Layout { broker, ..Layout::new(BATON) }) {
            Err(error @ Error::NotInstalled(_)) => {
                skip(&error.to_string());
                continue;
            }
            tier => tier.expect("ports and a directory"),
        };
        let used = tier.configuration("broker-1").expect("it has one");
        let recipe = recipe(page, between);
        assert!(recipe.len() >= 5, "{page}: {recipe:?}");
        for (key, value) in recipe {
            // Addresses are each tier's own, and this one is what a test of its own sets.
            let own = value.contains("1884") || key == "mqtt.proxy_protocol";
            // A listener of rumqttd's is one line there.
            let leaf = key.strip_prefix("v4.1.").unwrap_or(&key);
            let known = used.lines().any(|line| line.contains(leaf) && line.contains(&value));
            assert!(own || known || leaf == "name", "{page}: {key} {value} isn't in\n{used}");
        }
    }
}
