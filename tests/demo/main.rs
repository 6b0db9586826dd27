//! The demo as a visitor runs it: from outside, by what it prints and how it ends.

#![allow(clippy::unwrap_used, reason = "a fixture that fails is a failed test")]

mod browser;
mod page;
#[path = "../support/skip.rs"]
mod skip;

use std::{
    fs,
    io::{BufRead, BufReader, Read},
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Output, Stdio},
    sync::mpsc::{Receiver, RecvTimeoutError, channel},
    thread,
    time::Duration,
};

use baton_drill::{
    load::{Load, Plan},
    tier::{Broker, Error, Layout, Tier},
};
use rustix::{
    process::{Pid, Signal, kill_process},
    pty::OpenptFlags,
};

use self::skip::skip;

const PATIENCE: Duration = Duration::from_secs(30);
/// Time for a demo to say its next line; the slowest come after some seconds.
const SILENCE: Duration = Duration::from_secs(60);
/// Looks at what others do, and the time between two.
const LOOKS: u32 = 3_000;
const LOOK: Duration = Duration::from_millis(10);
/// Columns of a line.
const WIDTH: usize = 100;
/// Seconds that a visitor is promised to wait at most.
const PROMISED: f64 = 60.0;

/// What is left to say after an interrupt.
const STOPPED: &str = "\nbaton demo: stopped, with every process of it\n";

/// A demo that runs, with temporary files of its own.
struct Demo {
    child: Child,
    lines: Receiver<String>,
    temporary: PathBuf,
}

impl Demo {
    fn start(test: &str, flags: &[&str]) -> Self {
        let (mut command, temporary) = prepare(test, flags);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let (says, lines) = channel();
        // It ends with the demo, or with the test.
        thread::spawn(move || output.lines().map(Result::unwrap).try_for_each(|line| says.send(line)));
        Self { child, lines, temporary }
    }

    /// Reads on until a line contains `text`; returns what was read, that line last.
    fn until(&mut self, text: &str) -> Vec<String> {
        let mut read = Vec::new();
        loop {
            match self.lines.recv_timeout(SILENCE) {
                Ok(line) => read.push(line),
                Err(why) => panic!("{why} before {text}: {read:#?}"),
            }
            if read.last().is_some_and(|line| line.contains(text)) {
                return read;
            }
        }
    }

    /// All that is still to come, and the end. Nothing may be left behind.
    fn finish(self) -> (Vec<String>, ExitStatus) {
        let (lines, errors, status) = self.fail();
        eprint!("{errors}");
        (lines, status)
    }

    /// The same, with what it says on standard error: a few lines, which a pipe holds.
    fn fail(mut self) -> (Vec<String>, String, ExitStatus) {
        let mut lines = Vec::new();
        loop {
            match self.lines.recv_timeout(SILENCE) {
                Ok(line) => lines.push(line),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => panic!("silence after {lines:#?}"),
            }
        }
        let errors = std::io::read_to_string(self.child.stderr.take().unwrap()).unwrap();
        let status = self.child.wait().unwrap();
        assert_eq!(fs::read_dir(&self.temporary).unwrap().count(), 0, "temporary files are left: {errors}");
        nobody_is_left(&self.temporary);
        (lines, errors, status)
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

/// Waits until every process of a demo has ended, which its environment tells: where it would have put its temporary files.
/// After an interrupt the watchdog kills them once the demo is gone, and nobody here is told.
fn nobody_is_left(temporary: &Path) {
    let mark = format!("TMPDIR={}", temporary.display());
    // Of one that has ended, or is somebody else's, it can't be read.
    let environment = |process: &Path| fs::read(process.join("environ")).unwrap_or_default();
    let is_left = |process: &PathBuf| environment(process).split(|byte| *byte == 0).any(|word| word == mark.as_bytes());
    let left = || fs::read_dir("/proc").unwrap().map(|entry| entry.unwrap().path()).find(is_left);
    let gone = eventually(|| left().is_none().then_some(()));
    assert!(gone.is_some(), "{:?} is left", left());
}

/// Looks until something is found.
fn eventually<T>(mut look: impl FnMut() -> Option<T>) -> Option<T> {
    for _ in 0..LOOKS {
        if let Some(found) = look() {
            return Some(found);
        }
        thread::park_timeout(LOOK);
    }
    None
}

/// A demo, and where its temporary files will be.
fn prepare(test: &str, flags: &[&str]) -> (Command, PathBuf) {
    let temporary = Path::new(env!("CARGO_TARGET_TMPDIR")).join(test);
    fs::create_dir_all(&temporary).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_baton"));
    command.arg("demo").args(["--clients", "40"]).args(flags).env("TMPDIR", &temporary);
    (command, temporary)
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
    skip(&error.to_string());
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
fn both_arms_are_played_and_drawn() {
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join("both.svg");
    let flags = ["--plot", file.to_str().unwrap(), "--rate", "400", "--seconds", "1"];
    let (lines, status) = Demo::start("both", &flags).finish();
    let text = lines.join("\n");
    assert!(status.success(), "{text}");
    assert!(lines.iter().all(|line| line.is_ascii() && line.len() <= WIDTH), "{text}");
    assert!(lines.last().is_some_and(|line| line.starts_with("VERDICT: PASSED, BOTH ARMS")), "{text}");
    let row = |name: &str| lines.iter().find_map(|line| line.strip_prefix(name)).expect(&text);
    assert!(row("with DCR  ").split_whitespace().take(4).all(|number| number == "0"), "{text}");
    let dropped = row("without DCR  ").split_whitespace().next().unwrap();
    assert!(dropped.parse::<u32>().unwrap() >= 40, "{text}");
    // Nothing is wrong before the first event in either arm.
    let first = lines.iter().filter(|line| line.contains("QoS 0, 1 and 2 in turn"));
    let rates: Vec<_> = first.map(|line| number(line, "delivered/s")).collect();
    assert!(rates.len() == 2 && rates.iter().all(|rate| (1..=440).contains(rate)), "{text}");

    let drawing = fs::read_to_string(&file).unwrap();
    fs::remove_file(&file).unwrap();
    assert!(drawing.contains("by Baton&apos;s DCR: 0 clients dropped, 0 messages lost, 0 new CONNECTs"), "{drawing}");
    assert_eq!(drawing.matches(": deployed").count(), 6, "{drawing}");
    assert_eq!(drawing.matches(": kill -9").count(), 2, "{drawing}");
    // From the top: without DCR somebody connects again, with it nobody.
    let connects: Vec<_> = lines_over_time(&drawing, "#D55E00").iter().map(|heights| extent(heights)).collect();
    assert!(matches!(connects[..], [(top, bottom), _] if bottom > top), "{connects:?}");
    assert!(matches!(connects[..], [_, (top, bottom)] if bottom == top), "{connects:?}");
}

/// The topmost and the lowest of some heights.
fn extent(heights: &[f64]) -> (f64, f64) {
    heights.iter().fold((f64::MAX, f64::MIN), |(top, bottom), height| (top.min(*height), bottom.max(*height)))
}

/// Heights of the lines of a colour that have more than two points, from the drawing's top.
fn lines_over_time(drawing: &str, colour: &str) -> Vec<Vec<f64>> {
    let lines = drawing.lines().filter(|line| line.starts_with("<polyline") && line.contains(colour));
    let heights = |line: &str| {
        let points = line.split("points=\"").nth(1).unwrap().split('"').next().unwrap();
        let heights = points.split_whitespace().map(|point| point.split(',').nth(1).unwrap().parse().unwrap());
        heights.collect::<Vec<f64>>()
    };
    lines.map(heights).filter(|heights| heights.len() > 2).collect()
}

#[test]
fn a_drawing_that_cannot_be_written_is_told_before_anything_is_played() {
    let output = demo(&["--plot", "/nowhere/at/all.svg"]);
    let errors = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(1), &b""[..]), "{errors}");
    assert!(errors.starts_with("baton demo: --plot /nowhere/at/all.svg: ") && errors.lines().count() == 1, "{errors}");
}

#[test]
fn flags_that_cannot_be_used_are_told() {
    let mistakes: [(&[&str], &str); 5] = [
        (&["--clients", "1"], "'1' for '--clients <CLIENTS>': 1 is not in 20..=5000"),
        (&["--rate", "0"], "'0' for '--rate <RATE>': 0 is not in 1..=100000"),
        (&["--rate", "many"], "'many' for '--rate <RATE>'"),
        (&["--seconds", "0"], "'0' for '--seconds <SECONDS>': 0 is not in 1..=600"),
        (&["--plot", "x.svg", "--without-dcr"], "'--plot <FILE.svg>' cannot be used with '--without-dcr'"),
    ];
    for (flags, words) in mistakes {
        let output = demo(flags);
        let errors = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(2), &b""[..]), "{errors}");
        assert!(
            errors.lines().next().is_some_and(|line| line.starts_with("error: ") && line.contains(words)),
            "{errors}"
        );
    }
}

/// One that ends by itself at once.
fn demo(flags: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_baton")).arg("demo").args(flags).output().unwrap()
}

#[test]
fn a_process_that_dies_is_named() {
    let mut demo = Demo::start("dies", &[]);
    demo.until("DEPLOY origin-1");
    let processes = children(&demo);
    let edge = processes.iter().find(|pid| {
        let words = fs::read_to_string(format!("/proc/{}/cmdline", pid.as_raw_nonzero())).unwrap_or_default();
        words.split('\0').nth(1) == Some("edge")
    });
    kill_process(*edge.unwrap(), Signal::KILL).unwrap();
    let (_, errors, status) = demo.fail();
    assert_eq!(status.code(), Some(1));
    let words = "baton demo: edge-1 ended in the middle of it (signal: 9 (SIGKILL)), and nobody here asked it to\n";
    assert_eq!(errors, words);
}

#[test]
fn on_a_terminal_a_line_is_rewritten_and_colours_are_used_unless_they_are_unwanted() {
    for (name, plain) in [("colours", ""), ("plain", "1")] {
        let seen = on_a_terminal(name, plain, "DEPLOY origin-1");
        assert!(
            seen.contains("\r\x1b[K\x1b[?7l") && seen.contains(" 40 clients connected, 0 dropped\x1b[?7h"),
            "{seen:?}"
        );
        assert_eq!(seen.contains("\x1b[1m"), plain.is_empty(), "{seen:?}");
    }
}

/// What a demo writes to a terminal until `text` shows, when it is interrupted.
fn on_a_terminal(test: &str, plain: &str, text: &str) -> String {
    let master = rustix::pty::openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    rustix::pty::grantpt(&master).unwrap();
    rustix::pty::unlockpt(&master).unwrap();
    let name = rustix::pty::ptsname(&master, Vec::new()).unwrap().into_string().unwrap();
    let slave = fs::File::options().read(true).write(true).open(name).unwrap();
    let (mut command, temporary) = prepare(test, &[]);
    command.env("TERM", "xterm").env("NO_COLOR", plain).stdout(slave).stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    // It holds the terminal too, which would outlive the demo.
    drop(command);
    let (mut master, mut seen, mut bytes) = (fs::File::from(master), String::new(), [0; 4_096]);
    while !seen.contains(text) {
        let read = master.read(&mut bytes).unwrap_or_else(|error| panic!("{error}: {seen:?}"));
        seen.push_str(&String::from_utf8_lossy(&bytes[..read]));
    }
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130), "{seen:?}");
    nobody_is_left(&temporary);
    seen
}

#[test]
fn an_interrupt_at_any_time_ends_every_process() {
    for (name, moment) in [
        ("at-once", "mqtt clients --->"),
        ("started", "are up, a process each"),
        ("connected", "clients are connected"),
        ("deploying", "DEPLOY origin-1"),
        ("crashed", "CRASH"),
    ] {
        let mut demo = Demo::start(name, &["--seconds", "1"]);
        demo.until(moment);
        assert!(name == "at-once" || children(&demo).len() >= 6, "{moment}");
        demo.signal(Signal::INT);
        let (_, errors, status) = demo.fail();
        assert_eq!((status.code(), errors.as_str()), (Some(130), STOPPED), "{moment}");
    }
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
    // The README's file, where its commands look for it.
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("readme");
    fs::create_dir_all(&directory).unwrap();
    let (_, file) = texts[0].split_once("```toml\n").unwrap();
    fs::write(directory.join("baton.toml"), file.split("```").next().unwrap()).unwrap();
    for command in commands {
        let mut baton = Command::new(env!("CARGO_BIN_EXE_baton"));
        let output = baton.current_dir(&directory).args(words(command)).arg("--check").output().unwrap();
        assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
    }
}
