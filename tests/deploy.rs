//! What is in deploy/: each example is a configuration that its role takes, and says the truth about defaults.

#[path = "support/roles.rs"]
mod roles;
#[path = "support/skip.rs"]
mod skip;

use std::{fs, path::PathBuf, process::Command};

use baton_process::role::Role;

use self::{roles::read, skip::skip};

const BATON: &str = env!("CARGO_BIN_EXE_baton");
/// The examples, with the roles that they are for.
const EXAMPLES: [(&str, Role); 4] =
    [("edge", Role::Edge), ("origin", Role::Origin), ("sidecar", Role::Sidecar), ("broker-sim", Role::BrokerSim)];
/// Seconds that a unit has to leave for what comes after a drain's deadline: farewells and last words.
const FAREWELL: u64 = 6;

fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("deploy").join(name)
}

fn text(name: &str) -> String {
    let path = path(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The example with every default that it shows as a comment given.
fn uncommented(example: &str) -> (String, usize) {
    let is_default = |line: &str| {
        let key = line.strip_prefix('#').and_then(|line| line.split_once(" = ")).map(|(key, _)| key);
        key.is_some_and(|key| !key.is_empty() && key.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'))
    };
    let defaults = example.lines().filter(|line| is_default(line)).count();
    let lines = example.lines().map(|line| if is_default(line) { &line[1..] } else { line });
    (lines.map(|line| format!("{line}\n")).collect(), defaults)
}

#[test]
fn each_example_is_a_configuration_for_its_role_alone() {
    for (name, role) in EXAMPLES {
        let file = path(&format!("{name}.toml")).display().to_string();
        for (arguments, says) in [
            (&[role.word(), "--check", "--config", &file][..], "configuration ok\n".to_owned()),
            (&["check", "--config", &file], format!("configuration ok for {role}: {file}\n")),
        ] {
            let output = Command::new(BATON).args(arguments).env_clear().output().expect("the program starts");
            assert_eq!((String::from_utf8_lossy(&output.stdout).into_owned(), output.status.code()), (says, Some(0)));
        }
    }
}

/// A key that there isn't, commented out or not, would be a mistake; a default that isn't one would make a difference.
#[test]
fn what_is_commented_out_is_the_default() {
    for (name, role) in EXAMPLES {
        let example = text(&format!("{name}.toml"));
        let (given, defaults) = uncommented(&example);
        assert!(defaults >= 5, "{name}.toml shows {defaults} defaults");
        assert_eq!(read(role, &given), read(role, &example), "{name}.toml");
    }
}

#[test]
fn a_unit_waits_for_the_drain_and_has_descriptors_for_the_sessions() {
    for (name, role) in &EXAMPLES[..3] {
        let unit = text(&format!("systemd/baton-{name}.service"));
        let number = |key: &str| {
            let line = unit.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
            line.and_then(|value| value.parse::<u64>().ok()).unwrap_or_else(|| panic!("{name}: {key}"))
        };
        let (shared, ..) = read(*role, &text(&format!("{name}.toml")));
        let deadline = shared.drain.deadline.expect("it's given, to be seen beside the unit's") / 1_000;
        assert!(number("TimeoutStopSec") >= deadline + FAREWELL, "{name}");
        assert!(number("LimitNOFILE") > shared.limits.sessions as u64, "{name}");
        let start = format!("ExecStart=/usr/local/bin/baton {name} --config /etc/baton/{name}.toml");
        assert!(unit.lines().any(|line| line == start), "{name}");
    }
}

#[test]
fn systemd_takes_the_units() {
    if Command::new("systemd-analyze").arg("--version").output().is_err() {
        skip("systemd-analyze is not installed");
        return;
    }
    let directory = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("units");
    fs::create_dir_all(&directory).expect("made");
    for (name, _) in &EXAMPLES[..3] {
        let file = format!("baton-{name}.service");
        // It looks whether the program is there.
        let unit = text(&format!("systemd/{file}")).replace("/usr/local/bin/baton", BATON);
        fs::write(directory.join(&file), unit).expect("written");
        let output = Command::new("systemd-analyze")
            .args(["verify", "--man=no"])
            .arg(directory.join(&file))
            .output()
            .expect("it runs");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let about_it: Vec<_> = said.lines().filter(|line| line.contains("baton-")).collect();
        assert!(output.status.success() && about_it.is_empty(), "{said}");
    }
}
