//! `docs/mqtt-conformance.md` has every statement of the standards once, and names tests that are there.

use std::{collections::BTreeMap, fs, path::Path};

use baton_broker_sim::broker::Limits;

/// Statements of MQTT 5.0 (Appendix B): section, and its first and last number.
const OF_5: &str = "\
    1.5.4:1-3 1.5.5:1-1 1.5.7:1-1 2.1.3:1-1 2.2.1:2-6 2.2.2:1-1 3.1.0:1-2 3.1.2:1-30 3.1.3:1-12 3.1.4:1-6 3.2.0:1-2 \
    3.2.2:1-22 3.3.1:1-13 3.3.2:1-20 3.3.4:1-10 3.4.2:1-3 3.5.2:1-3 3.6.1:1-1 3.6.2:1-3 3.7.2:1-3 3.8.1:1-1 \
    3.8.3:1-5 3.8.4:1-8 3.9.2:1-2 3.9.3:1-2 3.10.1:1-1 3.10.3:1-2 3.10.4:1-6 3.11.2:1-2 3.11.3:1-2 3.12.4:1-1 \
    3.14.0:1-1 3.14.1:1-1 3.14.2:1-4 3.14.4:1-3 3.15.1:1-1 3.15.2:1-3 4.1.0:1-2 4.2.0:1-1 4.3.1:1-1 4.3.2:1-5 \
    4.3.3:1-13 4.4.0:1-2 4.5.0:1-2 4.6.0:1-6 4.7.0:1-1 4.7.1:1-2 4.7.2:1-1 4.7.3:1-4 4.8.2:1-6 4.9.0:1-3 4.12.0:1-7 \
    4.12.1:1-2 4.13.1:1-1 4.13.2:1-1 6.0.0:1-4";
/// Statements of MQTT 3.1.1 (Appendix B, and chapter 7).
const OF_311: &str = "\
    1.5.3:1-3 2.2.2:1-2 2.3.1:1-7 3.1.0:1-2 3.1.2:1-24 3.1.3:1-11 3.1.4:1-5 3.2.0:1-1 3.2.2:1-6 3.3.1:1-12 3.3.2:1-3 \
    3.3.4:1-1 3.3.5:1-2 3.6.1:1-1 3.8.1:1-1 3.8.3:1-4 3.8.4:1-6 3.9.3:1-2 3.10.1:1-1 3.10.3:1-2 3.10.4:1-6 \
    3.12.4:1-1 3.14.1:1-1 3.14.4:1-3 4.1.0:1-2 4.3.1:1-1 4.3.2:1-2 4.3.3:1-2 4.4.0:1-1 4.5.0:1-2 4.6.0:1-6 4.7.1:1-3 \
    4.7.2:1-1 4.7.3:1-4 4.8.0:1-2 6.0.0:1-4 7.0.0:1-2 7.1.1:1-1 7.1.2:1-1";
/// Letters that a reason for having no test has at least: a word isn't one.
const REASON: usize = 16;

/// The numbers of a list like those above.
fn numbers(list: &str) -> Vec<String> {
    let section = |entry: &str| {
        let (section, range) = entry.split_once(':').unwrap();
        let (first, last) = range.split_once('-').unwrap();
        let range = first.parse::<u32>().unwrap()..=last.parse().unwrap();
        range.map(|n| format!("MQTT-{section}-{n}")).collect::<Vec<_>>()
    };
    list.split_whitespace().flat_map(section).collect()
}

fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Number or bound, words, and what shows it, of each row below a heading but the table's own.
fn table(document: &str, heading: &str) -> Vec<[String; 3]> {
    let (_, below) = document.split_once(&format!("\n## {heading}\n")).expect(heading);
    let rows = below.lines().take_while(|line| !line.starts_with("## ")).filter(|line| line.starts_with("| "));
    rows.skip(1)
        .map(|row| {
            let cells: Vec<_> = row.trim_matches('|').split(" | ").map(|cell| cell.trim().to_owned()).collect();
            cells.try_into().unwrap_or_else(|cells| panic!("three cells: {cells:?}"))
        })
        .collect()
}

/// The tests of one file: functions with an attribute of a test before them.
fn tests_of(source: &str) -> Vec<String> {
    let lines: Vec<_> = source.lines().map(str::trim).collect();
    let is_test = |line: &str| line == "#[test]" || line.starts_with("#[tokio::test");
    let name = |line: &str| Some(line.split_once("fn ")?.1.split_once('(')?.0.to_owned());
    lines.windows(2).filter(|pair| is_test(pair[0])).filter_map(|pair| name(pair[1])).collect()
}

#[test]
fn every_statement_is_there_once() {
    let document = read("../docs/mqtt-conformance.md");
    for (heading, list) in [("MQTT 5.0", OF_5), ("MQTT 3.1.1", OF_311)] {
        let found: Vec<_> = table(&document, heading).into_iter().map(|[number, ..]| number).collect();
        assert_eq!(found, numbers(list), "{heading}, in the standard's order");
    }
}

#[test]
fn every_statement_and_bound_has_a_test_or_a_reason() {
    let document = read("../docs/mqtt-conformance.md");
    let mut files = BTreeMap::new();
    for [number, _, shown] in ["Bounds", "MQTT 5.0", "MQTT 3.1.1"].iter().flat_map(|heading| table(&document, heading))
    {
        if let Some(reason) = shown.strip_prefix("Client: ").or_else(|| shown.strip_prefix("No: ")) {
            assert!(reason.len() >= REASON, "{number}: {reason}");
            continue;
        }
        let names: Vec<_> = shown.split_whitespace().collect();
        assert!(!names.is_empty(), "{number}: no test and no reason");
        for name in names {
            let (file, test) = name.trim_matches('`').split_once("::").unwrap_or_else(|| panic!("{number}: {name}"));
            let path = if file.contains('/') { file.to_owned() } else { format!("tests/broker/{file}.rs") };
            let tests = files.entry(path).or_insert_with_key(|path| tests_of(&read(path)));
            assert!(tests.iter().any(|known| known == test), "{number}: there is no {name}");
        }
    }
    assert!(files.len() > 10, "{files:?}");
}

/// A number as the document writes it.
fn grouped(n: usize) -> String {
    if n < 1000 { n.to_string() } else { format!("{},{:03}", grouped(n / 1000), n % 1000) }
}

#[test]
fn the_bounds_are_the_brokers() {
    let limits = Limits::default();
    let mib = |bytes: usize| format!("{} MiB", bytes as f64 / f64::from(1 << 20));
    let expected = [
        format!("{} MQTT sessions", grouped(limits.sessions)),
        format!("{} subscriptions", grouped(limits.subscriptions)),
        format!("{} topics", grouped(limits.retained)),
        format!("{} of retained messages", mib(limits.retained_bytes)),
        format!("{} messages that wait", grouped(limits.queued_messages)),
        format!("{} of messages that wait", mib(limits.queued_bytes)),
        format!("{} given to a connection", mib(limits.unsent_bytes)),
        format!("{} messages of QoS 1 and 2 sent", grouped(limits.inflight)),
        format!("{} messages of QoS 1 and 2 from", grouped(limits.receive.get().into())),
        format!("{} of a packet", mib(limits.packet_bytes)),
        format!("{} s from the connection", limits.connect / 1000),
    ];
    let bounds = table(&read("../docs/mqtt-conformance.md"), "Bounds");
    for (expected, [bound, ..]) in expected.iter().zip(&bounds) {
        assert!(bound.starts_with(expected), "{bound}: {expected}");
    }
    assert!(bounds.len() > expected.len(), "and those that can't be configured");
}
