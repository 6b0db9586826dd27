//! `baton bench` on a small scale: that it runs, hits what it means to hit, and says so. Its numbers are for an optimised
//! build on a quiet machine; those that are no matter of speed must hold here too.

#[path = "support/skip.rs"]
mod skip;

use std::process::{Command, Output};

use self::skip::skip;

fn bench(arguments: &[&str]) -> (Output, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_baton"));
    // No test depends on which other proxies a machine has.
    let output =
        command.arg("bench").args(arguments).env("BATON_ENVOY", "/nowhere").output().expect("the program starts");
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    (output, text)
}

fn assert_met(text: &str, figures: &[&str]) {
    for figure in figures {
        assert!(text.contains(&format!("{figure}: 0, target 0, met")), "{figure} in\n{text}");
    }
}

#[test]
fn origins_come_and_go_and_no_message_suffers() {
    let (output, text) = bench(&["endurance", "--clients", "60", "--rate", "300", "--drains", "2", "--kills", "2"]);
    assert!(output.status.success(), "{text}");
    assert_eq!(text.matches("  drain  ").count(), 2, "{text}");
    assert_eq!(text.matches("  kill   ").count(), 2, "{text}");
    let names = ["clients dropped", "messages lost", "new CONNECTs at the broker", "faults that hit nothing"];
    assert_met(&text, &names.map(|name| format!("endurance: {name}")).each_ref().map(String::as_str));
}

#[test]
fn mosquitto_s_own_account_says_so_too() {
    let (output, text) = bench(&[
        "endurance",
        "--broker",
        "mosquitto",
        "--clients",
        "60",
        "--rate",
        "300",
        "--drains",
        "1",
        "--kills",
        "1",
    ]);
    if text.contains("mosquitto is not installed") {
        return skip("mosquitto is not installed");
    }
    assert!(output.status.success(), "{text}");
    assert!(text.contains("$SYS:    60 connections before the first fault, 0 from then on;"), "{text}");
    let names = ["new connections", "lost connections", "messages, wills included, that aren't the published ones"];
    assert_met(&text, &names.map(|name| format!("endurance: {name} by $SYS")).each_ref().map(String::as_str));
}

#[test]
fn broker_sim_carries_what_it_is_given_beside_mosquitto() {
    let (_, text) = bench(&["broker", "--pairs", "20", "--rounds", "1", "--seconds", "1", "--idle", "200"]);
    if text.contains("mosquitto is not installed") {
        return skip("mosquitto is not installed");
    }
    // Whose messages are more is a matter of speed.
    for qos in 0..=1 {
        let figure = format!("broker: 20 pairs, QoS {qos}, of mosquitto's messages a second: ");
        assert!(text.contains(&figure), "{figure} in\n{text}");
    }
    assert!(text.contains("broker: idle clients at once: 200, target at least 200, met"), "{text}");
    assert_met(&text, &["broker: of those dropped"]);
}

/// More at once than one connection between edge and origin takes (4,096).
#[test]
fn a_herd_moves_make_before_break_and_nobody_is_left_behind() {
    let (_, text) = bench(&["moves", "--tunnels", "6000"]);
    let names = ["tunnels not moved make-before-break", "broken", "clients or messages that suffered"];
    assert_met(&text, &names.map(|name| format!("moves: {name}")).each_ref().map(String::as_str));
}

#[test]
fn memory_is_a_slope_per_role() {
    let (_, text) = bench(&["idle", "--few", "20", "--many", "60", "--quiet", "1"]);
    for role in ["edge", "origin", "sidecar"] {
        assert!(text.contains(&format!("idle: {role}, per session: ")), "{text}");
    }
    let (output, text) = bench(&["idle", "--few", "20", "--many", "20"]);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("--few must be less than --many"), "{text}");
}

#[test]
fn a_load_is_measured_and_told_to_programs_too() {
    let file = format!("{}/throughput.json", env!("CARGO_TARGET_TMPDIR"));
    let arguments = ["throughput", "--pairs", "5", "--window", "1", "--qos", "1", "--seconds", "1", "--json", &file];
    let (_, text) = bench(&arguments);
    let json: serde_json::Value = serde_json::from_slice(&std::fs::read(&file).expect("it is written")).expect("JSON");
    let value = |name: &str| {
        let values = json["values"].as_array().expect("values");
        let found = values.iter().find(|value| value["name"] == name).unwrap_or_else(|| panic!("{name} in {json}"));
        found["value"].as_f64().expect("a number")
    };
    assert!(value("messages") > 10.0 && value("latency, p50") > 0.0, "{text}");
    for role in ["edge", "origin", "sidecar", "broker"] {
        assert!(value(&format!("processor time, {role}")).is_finite(), "{text}");
    }
}

/// Any MQTT address will do: here broker-sim's, of which the bench knows nothing.
#[test]
fn whatever_speaks_mqtt_is_measured() {
    let broker = baton_broker_sim::start(baton_broker_sim::Config::default()).expect("it starts");
    let address = broker.addr().to_string();
    let (_, text) = bench(&["latency", &address, "--pairs", "5", "--rate", "50", "--qos", "2", "--seconds", "1"]);
    assert!(text.contains(&format!("what listens at {address}")) && text.contains("latency, p99.9"), "{text}");
    let (output, text) = bench(&["connect", &address, "--clients", "50"]);
    assert!(output.status.success() && text.contains("until subscribed, p99"), "{text}");
    let own = format!("me={}", std::process::id());
    let (output, text) = bench(&["idle", &address, "--few", "5", "--many", "10", "--quiet", "0", "--process", &own]);
    assert!(output.status.success() && text.contains("memory, me"), "{text}");
    assert!(broker.counts().connects >= 10 + 50 + 10, "{:?}", broker.counts());
}

#[test]
fn a_restart_is_measured_against_a_control() {
    for how in ["drain", "kill"] {
        let (output, text) = bench(&["restart", "--clients", "40", "--rate", "400", "--seconds", "3", "--how", how]);
        assert!(output.status.success(), "{text}");
        for none in ["clients dropped", "messages lost", "duplicated", "reordered"] {
            let line = text.lines().find(|line| line.starts_with(none)).unwrap_or_else(|| panic!("{none} in\n{text}"));
            assert_eq!(line.split_whitespace().last(), Some("0"), "{text}");
        }
        assert!(text.contains("beyond the control, p99.9"), "{text}");
    }
}

#[test]
fn stacks_take_turns_and_a_page_is_written() {
    let directory = env!("CARGO_TARGET_TMPDIR");
    let loads = ["--load", "100:0:5000", "--rounds", "1", "--seconds", "1"];
    let stacks = ["--stack", "tokio", "--stack", "envoy"];
    let (_, text) = bench(&[&["compare", "--write", directory][..], &stacks, &loads].concat());
    for stack in ["Baton", "tokio relay x1", "tokio relay x2"] {
        // A turn that isn't valid, as on a machine with other work, is left out by its own line.
        let played = |line: &str| line.starts_with("    1  ") || line.contains(", left out: ");
        assert!(text.lines().any(|line| line.contains(stack) && played(line)), "{stack} in\n{text}");
    }
    let page = std::fs::read_to_string(format!("{directory}/benchmarks.md")).expect("it is written");
    assert!(page.starts_with("# Baton beside other proxies"), "{page}");
    assert!(page.contains("- Envoy is left out: BATON_ENVOY names no file\n"), "{page}");
}

#[test]
fn every_size_is_drained_killed_and_nobody_suffers() {
    let sizes = ["--sessions", "100,200", "--trunks", "1,2", "--workers", "2", "--rate", "200", "--seconds", "1"];
    let (_, text) = bench(&[&["scale"][..], &sizes].concat());
    for (sessions, trunks) in [(100, 1_u8), (200, 1), (100, 2), (200, 2)] {
        let row = text.lines().find(|line| line.starts_with(&format!("{sessions:8}  {trunks:6}  {:7}", 2)));
        let Some(row) = row else {
            // On a machine with other work the load may be late three times.
            let left_out = |line: &str| {
                line.contains(&format!("{sessions} sessions, {trunks} trunks, 2 workers: NOT VALID, left out"))
            };
            assert!(text.lines().any(left_out), "{sessions} sessions, {trunks} trunks in\n{text}");
            continue;
        };
        // Where there is a second origin, one is drained before one is killed; at least half of all are on it.
        assert_eq!(row.matches(", ").count(), usize::from(trunks), "{row}");
    }
    assert_met(&text, &["scale: runs, valid or not, that failed or made a client suffer"]);
}

#[test]
fn wrong_arguments_are_one_clear_line() {
    for (arguments, expected) in [
        (
            &["latency", "nowhere"][..],
            "error: invalid value 'nowhere' for '[IP:PORT]...': invalid socket address syntax",
        ),
        (&["throughput", "--qos", "3"], "error: invalid value '3' for '--qos <QOS>': 3 is not in 0..=2"),
        (&["latency", "--qos", "2"], "baton bench: --qos 2: the broker that is started here takes 0 and 1"),
        (
            &["compare", "--stack", "squid"],
            "error: invalid value 'squid' for '--stack <NAME>': expected the beginning of one of: ",
        ),
        (&["compare", "--load", "9:9"], "error: invalid value '9:9' for '--load <PAIRS:QOS[:RATE]>'"),
        (
            &["compare", "--write", "/nowhere"],
            "error: invalid value '/nowhere' for '--write <DIRECTORY>': expected a directory",
        ),
        (
            &["idle", "127.0.0.1:1", "--process", "x"],
            "error: invalid value 'x' for '--process <NAME=PID>': expected NAME=PID",
        ),
        (&["restart", "127.0.0.1:1"], "baton bench: --command: expected the command that restarts what listens there"),
    ] {
        let (output, text) = bench(arguments);
        assert!(!output.status.success() && text.contains(expected), "{text}");
    }
}

#[test]
fn nothing_is_left_behind() {
    let (_, text) = bench(&["resources", "--connects", "400", "--moves", "2", "--restarts", "2"]);
    assert_met(
        &text,
        &["processes with more than at first", "loads that suffered"]
            .map(|name| format!("resources: {name}"))
            .each_ref()
            .map(String::as_str),
    );
    assert!(text.contains("target at least 800, met"), "{text}");
}

#[test]
fn chaos_has_a_pace_that_can_be_kept() {
    for pace in ["0", "11"] {
        let (output, text) = bench(&["chaos", "--faults-per-second", pace]);
        assert_eq!(output.status.code(), Some(1), "{text}");
        assert!(text.contains("--faults-per-second must be from 0.1 to 10"), "{text}");
    }
}

#[test]
fn payloads_pass_in_both_directions() {
    let (_, text) = bench(&["payload", "--messages", "2", "--sessions", "2", "--delay", "5"]);
    for way in ["up", "down"] {
        assert!(text.contains(&format!("payload: {way}, per session: ")), "{text}");
    }
    assert_met(&text, &["payload: messages or clients that suffered"]);
}
