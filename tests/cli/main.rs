//! The command line, as people and supervisors meet it: flags, reports, exit codes.

mod check;
mod errors;

use std::{
    fs,
    io::{Read, Write},
    net::TcpListener,
    process::{Command, Output},
    time::Duration,
};

use baton_drill::tier::{Layout, Role, Tier};

const BATON: &str = env!("CARGO_BIN_EXE_baton");
/// Longest wait for what takes milliseconds.
const PATIENCE: Duration = Duration::from_secs(20);
/// Every role, with a key that is its own.
const ROLES: [(&str, &str); 4] = [
    ("edge", "edge.listen"),
    ("origin", "origin.listen"),
    ("sidecar", "anchor.listen"),
    ("broker-sim", "broker_sim.listen"),
];

fn baton(arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    let mut command = Command::new(BATON);
    for (variable, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("BATON_")) {
        command.env_remove(variable);
    }
    command.args(arguments).envs(variables.iter().copied()).output().expect("the program starts")
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn the_version_names_the_commit_and_the_wire() {
    let output = baton(&["--version"], &[]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        text.starts_with("baton 0.") && text.contains("(commit ") && text.contains("wire dcr/1, snapshot 1"),
        "{text}"
    );
}

#[test]
fn flags_that_do_not_exist_exit_2() {
    for arguments in
        [&[][..], &["no-such-verb"], &["broker-sim", "--no-such-flag"], &["broker-sim", "--log-format", "x"]]
    {
        assert_eq!(baton(arguments, &[]).status.code(), Some(2), "{arguments:?}");
    }
}

#[test]
fn a_check_says_ok_and_binds_nothing() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("bound");
    for (role, listen) in ROLES {
        let sets = [format!("{listen}={address}"), format!("admin.listen={address}")];
        let output = baton(&[role, "--check", "--set", &sets[0], "--set", &sets[1]], &[]);
        assert_eq!((output.status.code(), &*output.stdout), (Some(0), &b"configuration ok\n"[..]), "{output:?}");
        assert_eq!(stderr(&output), "", "{role}");
    }
}

#[test]
fn every_mistake_of_every_source_is_in_one_report() {
    let directory = tempdir("mistakes");
    let file = format!("{directory}/baton.toml");
    fs::write(&file, "[log]\nlevel = \"loud\"\n").expect("written");
    for (role, listen) in ROLES {
        let set = format!("{listen}=nowhere");
        let arguments = [role, "--config", &file, "--set", &set, "--log-format", "json"];
        let output = baton(&arguments, &[("BATON_DRAIN__SPREAD", "soon")]);
        assert_eq!((output.status.code(), &*output.stdout), (Some(2), &b""[..]), "{output:?}");
        let link = if matches!(role, "origin" | "sidecar") { " on loopback, or links.allow_remote = true" } else { "" };
        let expected = [
            format!("--set: {listen}: expected an address to listen on (ip:port){link}, got \"nowhere\""),
            "BATON_DRAIN__SPREAD: drain.spread: expected a duration from 0s to 1h, got \"soon\"".into(),
            format!("{file}:2: log.level: expected one of error, warn, info, debug, trace, got \"loud\""),
        ];
        assert_eq!(stderr(&output).lines().collect::<Vec<_>>(), expected, "{role}");
    }
}

#[test]
fn a_file_that_cannot_be_read_does_not_hide_other_mistakes() {
    let huge = format!("{}/huge.toml", tempdir("huge"));
    fs::write(&huge, vec![b'\n'; (1 << 20) + 1]).expect("written");
    for (file, why) in [("/nonexistent", "No such file"), ("/", "directory"), (&*huge, "more than 1048576 bytes")] {
        let output = baton(&["broker-sim", "--check", "--config", file, "--set", "log.level=loud"], &[]);
        let report = stderr(&output);
        assert_eq!((output.status.code(), report.lines().count()), (Some(2), 2), "{report}");
        assert!(report.starts_with("--config: expected a file to read, got ") && report.contains(why), "{report}");
    }
}

#[test]
fn the_command_line_beats_the_environment() {
    let environment = [("BATON_LOG__LEVEL", "loud")];
    assert_eq!(baton(&["broker-sim", "--check"], &environment).status.code(), Some(2));
    assert_eq!(baton(&["broker-sim", "--check", "--set", "log.level=info"], &environment).status.code(), Some(0));
}

#[test]
fn a_sidecar_names_its_broker_by_a_flag_of_its_own() {
    assert_eq!(baton(&["sidecar", "--check", "--broker", "tcp://127.0.0.1:1884"], &[]).status.code(), Some(0));
    let output = baton(&["sidecar", "--check", "--broker", "ssl://127.0.0.1:8883"], &[]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).starts_with("--broker: sidecar.broker: expected "), "{output:?}");
}

#[test]
fn a_broker_that_misbehaves_is_told_what_is_wrong_with_its_rules() {
    let file = format!("{}/wrong.faults", tempdir("faults"));
    fs::write(&file, "# a comment\ndrop puback evry 3\nseed x\n").expect("written");
    let output = baton(&["broker-sim", "--check", "--faults", &file, "--fault", "delay puback"], &[]);
    let report = stderr(&output);
    let lines: Vec<_> = report.lines().collect();
    assert_eq!((output.status.code(), lines.len(), &*output.stdout), (Some(2), 3, &b""[..]), "{report}");
    assert!(lines[0].starts_with(&format!("{file}:2:13: expected ")) && lines[0].ends_with("got \"evry\""), "{report}");
    assert_eq!(lines[1], format!("{file}:3:6: expected a whole number, got \"x\""));
    assert!(lines[2].starts_with("--fault:1:7: expected a time from 1ms to 1h"), "{report}");
    let arguments = ["broker-sim", "--check", "--listen", "127.0.0.1:0", "--fault", "drop puback 3", "--seed", "7"];
    assert_eq!(baton(&arguments, &[]).status.code(), Some(0));
    let output = baton(&["broker-sim", "--check", "--fault", "drop puback", "--fault", "drop pubak"], &[]);
    assert!(stderr(&output).starts_with("--fault 2:1:6: expected "), "{output:?}");
    fs::write(&file, "drop puback\n".repeat(1000)).expect("written");
    let output = baton(&["broker-sim", "--check", "--faults", &file, "--fault", "drop puback"], &[]);
    assert_eq!(stderr(&output), "--faults, --fault: expected at most 1000 rules in all, got 1001\n");
    let output = baton(&["broker-sim", "--check", "--faults", "/nonexistent"], &[]);
    assert!(stderr(&output).starts_with("--faults: expected a file to read, got /nonexistent: "), "{output:?}");
}

#[test]
fn a_transcript_is_shown_up_to_a_line_that_is_none() {
    let file = format!("{}/t.jsonl", tempdir("transcript"));
    let head = "{\"transcript\":1,\"program\":\"baton 0.1.0\",\"started_unix_ms\":0}";
    let line = "{\"ms\":1500,\"conn\":1,\"client\":\"c\",\"event\":\"close\",\"why\":\"left\"}";
    fs::write(&file, format!("{head}\n{line}\n")).expect("written");
    let output = baton(&["broker-sim", "show", &file], &[]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let shown = "     1.500     1 c                --  close: left\n";
    assert_eq!(String::from_utf8_lossy(&output.stdout), shown);
    fs::write(&file, format!("{head}\n{line}\nbroken\n")).expect("written");
    let output = baton(&["broker-sim", "show", &file, "--client", "c"], &[]);
    assert_eq!((output.status.code(), &*String::from_utf8_lossy(&output.stdout)), (Some(1), shown));
    assert!(stderr(&output).starts_with(&format!("{file}: line 3: ")), "{output:?}");
}

#[test]
fn an_address_in_use_exits_1_and_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("bound").to_string();
    for (role, listen) in ROLES {
        for key in [listen, "admin.listen"] {
            let set = format!("{key}={address}");
            let output = baton(&[role, "--set", "admin.listen=127.0.0.1:0", "--set", &set], &[]);
            let log = stderr(&output);
            assert_eq!(output.status.code(), Some(1), "{log}");
            assert!(
                log.lines().last().is_some_and(|line| line.contains(&format!("can't listen on {address}"))),
                "{log}"
            );
        }
    }
}

#[test]
#[expect(clippy::disallowed_methods, reason = "this test has no runtime that a blocking connect could stop")]
fn a_drain_exits_0_when_the_clients_have_left_and_3_when_one_stays() {
    let layout = Layout { edges: 0, origins: 0, ..Layout::new(BATON) }.set(Role::BrokerSim, "drain.deadline", "200ms");
    let mut tier = Tier::new(layout).expect("a tier");
    for (stays, code) in [(false, 0), (true, 3)] {
        tier.start("broker-1").expect("started");
        tier.ready("broker-1", PATIENCE).expect("ready");
        let mut client =
            std::net::TcpStream::connect(tier.address("broker-1").expect("it has one")).expect("it listens");
        client.write_all(b"\x10\x0f\0\x04MQTT\x04\x02\0\x3c\0\x03cli").expect("sent");
        let mut connack = [0; 4];
        client.read_exact(&mut connack).expect("answered");
        assert_eq!(connack, [0x20, 2, 0, 0]);
        let client = stays.then_some(client);
        tier.terminate("broker-1").expect("it runs");
        let status = tier.exit("broker-1", PATIENCE).expect("it ends");
        assert_eq!(status.code(), Some(code), "{}", tier.log("broker-1").expect("it has one"));
        drop(client);
    }
}

/// A directory of this test's own, under the one that cargo keeps for such things.
fn tempdir(name: &str) -> String {
    let directory = format!("{}/cli-{name}", env!("CARGO_TARGET_TMPDIR"));
    fs::create_dir_all(&directory).expect("made");
    directory
}
