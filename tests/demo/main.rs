//! The demo as a visitor runs it: from outside, by what it prints and how it ends.

#![allow(clippy::unwrap_used, reason = "a fixture that fails is a failed test")]

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, ExitStatus, Stdio},
    thread,
    time::Duration,
};

use baton_drill::{
    load::{Load, Plan},
    tier::{Broker, Error, Layout, Tier},
};
use rustix::process::{Pid, Signal, kill_process};

const PATIENCE: Duration = Duration::from_secs(30);
/// Looks at processes that are to end, and the time between two.
const LOOKS: u32 = 1_000;
const LOOK: Duration = Duration::from_millis(10);
/// Columns of a line.
const WIDTH: usize = 100;
/// Seconds that a visitor is promised to wait at most.
const PROMISED: f64 = 60.0;

/// A demo that runs, with temporary files of its own.
struct Demo {
    child: Child,
    lines: std::io::Lines<BufReader<ChildStdout>>,
    temporary: PathBuf,
}

impl Demo {
    fn start(test: &str, flags: &[&str]) -> Self {
        let temporary = Path::new(env!("CARGO_TARGET_TMPDIR")).join(test);
        fs::create_dir_all(&temporary).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_baton"));
        command.arg("demo").args(["--clients", "40"]).args(flags).env("TMPDIR", &temporary).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines, temporary }
    }

    /// Reads on until a line contains `text`; returns what was read, that line last.
    fn until(&mut self, text: &str) -> Vec<String> {
        let mut read = Vec::new();
        for line in self.lines.by_ref() {
            read.push(line.unwrap());
            if read.last().is_some_and(|line| line.contains(text)) {
                return read;
            }
        }
        panic!("the demo ended without {text}: {read:#?}");
    }

    /// All that is still to come, and the end. Nothing may be left behind.
    fn finish(mut self) -> (Vec<String>, ExitStatus) {
        let lines: Vec<_> = self.lines.by_ref().map(Result::unwrap).collect();
        let status = self.child.wait().unwrap();
        assert_eq!(fs::read_dir(&self.temporary).unwrap().count(), 0, "temporary files are left");
        (lines, status)
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        // Has ended already, unless the test failed.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn seconds(line: &str) -> Option<f64> {
    line.split_once(" s  ")?.0.trim().parse().ok()
}

/// The number before ` word`.
fn number(line: &str, word: &str) -> u64 {
    let before = line.split(&format!(" {word}")).next().unwrap();
    before.rsplit(' ').next().unwrap().replace(',', "").parse().unwrap_or_else(|_| panic!("no {word} in {line}"))
}

fn pid_in(line: &str, after: &str) -> Pid {
    let (_, rest) = line.split_once(after).unwrap();
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    Pid::from_raw(digits.parse().unwrap()).unwrap()
}

fn port_in(line: &str) -> SocketAddr {
    let port = line.split(" -p ").nth(1).and_then(|rest| rest.split(' ').next()).unwrap().parse().unwrap();
    (Ipv4Addr::LOCALHOST, port).into()
}

#[test]
fn nobody_notices_three_deploys_and_a_crash() {
    nobody_notices("passes", &[]);
}

#[test]
fn nor_do_they_before_two_mosquittos() {
    if !has_mosquitto() {
        return;
    }
    let lines = nobody_notices("mosquittos", &["--broker", "mosquitto"]);
    let bridged = lines.iter().any(|line| line.contains("broker-1 and broker-2 share their topics"));
    assert!(bridged, "{lines:#?}");
}

/// Whether it is installed; notes that the test of this thread can't run otherwise.
fn has_mosquitto() -> bool {
    let layout = Layout { broker: Broker::Mosquitto, ..Layout::new(env!("CARGO_BIN_EXE_baton")) };
    let error = match Tier::new(layout) {
        Err(error @ Error::NotInstalled(_)) => error,
        tier => return tier.map(|_| true).unwrap(),
    };
    let line = format!("{}: {error}", thread::current().name().unwrap());
    eprintln!("skipped: {line}");
    let skips = std::env::var_os("BATON_SKIPS").map(|file| fs::File::options().create(true).append(true).open(file));
    skips.into_iter().for_each(|file| writeln!(file.unwrap(), "{line}").unwrap());
    false
}

fn nobody_notices(name: &str, flags: &[&str]) -> Vec<String> {
    let (lines, status) = Demo::start(name, flags).finish();
    let text = lines.join("\n");
    assert!(status.success(), "{text}");
    assert!(lines.iter().all(|line| line.is_ascii() && line.len() <= WIDTH && !line.contains('\x1b')), "{text}");
    assert!(lines.iter().filter_map(|line| seconds(line)).all(|at| at < PROMISED), "{text}");
    for event in ["DEPLOY origin-1", "DEPLOY origin-2", "DEPLOY origin-3", "CRASH origin-"] {
        assert_eq!(lines.iter().filter(|line| line.contains(event)).count(), 1, "{event}: {text}");
    }
    let [.., head, tail] = lines.as_slice() else { panic!("{text}") };
    assert!(head.starts_with("VERDICT: PASSED: 40 clients") && head.ends_with("3 deploys, 1 kill:"), "{text}");
    assert!(number(head, "messages") >= 1_000, "{text}");
    for word in ["dropped", "lost", "duplicated", "reordered", "new CONNECTs", "wills"] {
        assert_eq!(number(tail, word), 0, "{text}");
    }
    lines
}

#[test]
fn without_dcr_the_same_script_shows_the_storm() {
    shows_the_storm("contrast", &["--without-dcr"]);
}

#[test]
fn so_it_does_before_two_mosquittos() {
    if has_mosquitto() {
        shows_the_storm("mosquittos-contrast", &["--without-dcr", "--broker", "mosquitto"]);
    }
}

fn shows_the_storm(name: &str, flags: &[&str]) {
    let (lines, status) = Demo::start(name, flags).finish();
    let text = lines.join("\n");
    assert!(status.success(), "{text}");
    assert!(lines.iter().filter_map(|line| seconds(line)).all(|at| at < PROMISED), "{text}");
    let at = lines.iter().position(|line| line.starts_with("VERDICT: WITHOUT DCR, AS EXPECTED: 40")).expect(&text);
    for word in ["dropped", "new CONNECTs", "wills"] {
        assert!(number(&lines[at + 1], word) >= 40, "{text}");
    }
}

#[test]
fn an_interrupt_in_the_middle_ends_every_process() {
    let mut demo = Demo::start("interrupted", &[]);
    let lines = demo.until("DEPLOY origin-1");
    let origin = pid_in(lines.last().unwrap(), "SIGTERM to ");
    let processes = children(&demo);
    assert!(processes.len() >= 6 && processes.contains(&origin), "{processes:?}");
    demo.signal(Signal::INT);
    let (_, status) = demo.finish();
    assert_eq!(status.code(), Some(130));
    // The watchdog kills them once the demo is gone, and nobody here is told.
    let gone = (0..LOOKS).any(|_| {
        thread::park_timeout(LOOK);
        !processes.iter().any(|pid| is_running(*pid))
    });
    assert!(gone, "{processes:?}");
}

/// Whether a process runs: one that has ended and that nobody has reaped yet doesn't.
fn is_running(pid: Pid) -> bool {
    let status = fs::read_to_string(format!("/proc/{}/status", pid.as_raw_nonzero())).unwrap_or_default();
    status.lines().any(|line| line.starts_with("State:") && !line.contains('Z') && !line.contains('X'))
}

/// Its processes, but for the shell that watches over them.
fn children(demo: &Demo) -> Vec<Pid> {
    let pid = demo.child.id();
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
    let pids = children.split_whitespace().map(|pid| Pid::from_raw(pid.parse().unwrap()).unwrap());
    pids.filter(|pid| {
        let name = fs::read_to_string(format!("/proc/{}/comm", pid.as_raw_nonzero())).unwrap_or_default();
        name.trim() == "baton"
    })
    .collect()
}

#[test]
fn what_it_leaves_running_can_be_used_and_broken_by_hand() {
    can_be_used_and_broken("kept", &["--keep"]);
}

#[test]
fn so_can_what_it_leaves_before_two_mosquittos() {
    if has_mosquitto() {
        can_be_used_and_broken("mosquittos-kept", &["--keep", "--broker", "mosquitto"]);
    }
}

fn can_be_used_and_broken(name: &str, flags: &[&str]) {
    let mut demo = Demo::start(name, flags);
    let lines = demo.until("kill -KILL");
    assert!(lines.iter().any(|line| line.starts_with("VERDICT: PASSED")), "{}", lines.join("\n"));
    let find = |text: &str| lines.iter().find(|line| line.contains(text)).unwrap();
    let edges = [port_in(find("mosquitto_sub")), port_in(find("mosquitto_pub"))];
    assert_ne!(edges[0], edges[1]);
    let load = Load::start(Plan::new("hello", &edges, 2)).unwrap();
    load.ready(PATIENCE).unwrap();
    load.publish();
    for (line, signal) in [(find("kill -TERM"), Signal::TERM), (find("kill -KILL"), Signal::KILL)] {
        let word = if signal == Signal::TERM { "-TERM " } else { "-KILL " };
        kill_process(pid_in(line, word), signal).unwrap();
        let seen = demo.until("it is started again");
        assert!(seen.last().unwrap().contains("origin-"), "{seen:?}");
        let moved = demo.until("sessions moved: ").pop().unwrap();
        assert!(moved.ends_with("clients dropped: 0"), "{moved}");
    }
    load.received(3, PATIENCE).unwrap();
    let report = load.finish(PATIENCE);
    assert!(report.verdict.is_clean(), "{report}");
    demo.signal(Signal::INT);
    let (_, status) = demo.finish();
    assert_eq!(status.code(), Some(0));
}

/// Words of a command line, with single quotes as a shell takes them.
fn words(line: &str) -> Vec<String> {
    let parts = line.split('\'').enumerate();
    let quoted = |(nth, part): (usize, &str)| if nth % 2 == 1 { part.replace(' ', "\0") } else { part.to_owned() };
    let line: String = parts.map(quoted).collect();
    line.split_whitespace().map(|word| word.replace('\0', " ")).collect()
}

#[test]
fn the_documents_commands_are_understood() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let pages =
        ["README", "docs/brokers/mosquitto", "docs/brokers/rabbitmq", "docs/brokers/aedes", "docs/brokers/rumqttd"];
    let texts: Vec<_> = pages.iter().map(|page| fs::read_to_string(root.join(format!("{page}.md"))).unwrap()).collect();
    let commands: Vec<_> =
        texts.iter().flat_map(|text| text.lines()).filter_map(|line| line.strip_prefix("baton ")).collect();
    assert!(commands.len() >= 4 * pages.len(), "{commands:?}");
    for command in commands {
        let output = Command::new(env!("CARGO_BIN_EXE_baton")).args(words(command)).arg("--check").output().unwrap();
        assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
    }
}
