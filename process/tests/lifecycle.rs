//! A role process's life: this program runs itself as a small role, and watches what becomes of it. It has its own
//! `main`, because a role decides the exit code.

use std::{
    env, io,
    io::{BufRead, BufReader},
    os::unix::process::ExitStatusExt,
    process::{Child, Command, ExitCode, ExitStatus, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

use baton_process::{
    config::{Inputs, Reader, Shared},
    env::Env,
    phase::Phase,
    role::Role,
    run::{Exit, mistaken, run_role},
};
use rustix::process::{Pid, Signal, kill_process};
use tokio::signal::unix::{SignalKind, signal};
use tracing::info;

/// Longest wait for a child to say or do something that takes it milliseconds.
const PATIENCE: Duration = Duration::from_secs(20);

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    if let [word, behaviour, sets @ ..] = arguments.as_slice()
        && word == "role"
    {
        return role(behaviour.clone(), sets);
    }
    let tests: [(&str, fn()); 6] = [
        ("a_drain_with_nothing_left_exits_0", a_drain_with_nothing_left_exits_0),
        ("a_drain_that_leaves_sessions_exits_3", a_drain_that_leaves_sessions_exits_3),
        ("a_second_signal_changes_nothing", a_second_signal_changes_nothing),
        ("a_failure_exits_1_and_says_why", a_failure_exits_1_and_says_why),
        ("a_panic_aborts_with_one_line", a_panic_aborts_with_one_line),
        ("a_mistake_exits_2_and_binds_nothing", a_mistake_exits_2_and_binds_nothing),
    ];
    for (name, test) in tests {
        test();
        println!("test {name} ... ok");
    }
    ExitCode::SUCCESS
}

/// What the child is.
fn role(behaviour: String, sets: &[String]) -> ExitCode {
    let mut reader = Reader::new(&Inputs { sets: sets.to_vec(), ..Inputs::default() });
    let shared = Shared::read(&mut reader, Role::Edge);
    if let Err(report) = reader.finish() {
        return mistaken(&report);
    }
    let work = async |env: Env| {
        env.phases.enter(Phase::Serving);
        env.ready.set();
        info!(target: "baton", event = "test.serving");
        match behaviour.as_str() {
            "fail" => return Err(io::Error::other("the sky fell")),
            "panic" => panic!("the sky\nfell"),
            _ => env.phases.wait_for(Phase::Draining).await,
        }
        if behaviour == "linger" {
            // Not ended by a drain, so that whatever a second signal did would show.
            let mut released = signal(SignalKind::user_defined1())?;
            info!(target: "baton", event = "test.lingering");
            released.recv().await;
        }
        Ok(if behaviour == "leave" { Exit::Left(2) } else { Exit::Done })
    };
    run_role(Role::Edge, shared, axum::Router::new(), work)
}

/// A child, killed if the test ends before it.
struct Watched {
    child: Child,
    lines: mpsc::Receiver<String>,
    heard: Vec<String>,
}

impl Watched {
    fn start(behaviour: &str, sets: &[&str]) -> Self {
        let mut child = Command::new(env::current_exe().expect("a path"))
            .args(["role", behaviour])
            .args(sets)
            .env_remove("RUST_BACKTRACE")
            .stderr(Stdio::piped())
            .spawn()
            .expect("started");
        let stderr = child.stderr.take().expect("piped");
        // A few dozen lines are all that a child says.
        let (sender, lines) = mpsc::sync_channel(1024);
        thread::spawn(move || BufReader::new(stderr).lines().map_while(Result::ok).try_for_each(|l| sender.send(l)));
        Self { child, lines, heard: Vec::new() }
    }

    fn hear(&mut self, word: &str) -> String {
        loop {
            let line = self.lines.recv_timeout(PATIENCE);
            let line = line.unwrap_or_else(|_| panic!("no {word:?} in {:#?}", self.heard));
            self.heard.push(line.clone());
            if line.contains(word) {
                return line;
            }
        }
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("it lives");
    }

    /// How it ended, and every line that it said.
    fn end(mut self) -> (ExitStatus, Vec<String>) {
        while let Ok(line) = self.lines.recv_timeout(PATIENCE) {
            self.heard.push(line);
        }
        (self.child.wait().expect("a child"), std::mem::take(&mut self.heard))
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

const QUIET: &[&str] = &["admin.listen=127.0.0.1:0"];

fn a_drain_with_nothing_left_exits_0() {
    for signal in [Signal::TERM, Signal::INT] {
        let mut role = Watched::start("drain", QUIET);
        role.hear("test.serving");
        role.signal(signal);
        let (status, lines) = role.end();
        assert_eq!(status.code(), Some(0), "{lines:#?}");
        let order = ["process.start", "test.serving", "process.drain", "process.stop"];
        let places: Vec<_> = order.map(|word| lines.iter().position(|line| line.contains(word))).into();
        assert!(places.is_sorted() && places.iter().all(Option::is_some), "{lines:#?}");
    }
}

fn a_drain_that_leaves_sessions_exits_3() {
    let mut role = Watched::start("leave", &["admin.listen=127.0.0.1:0", "log.format=json"]);
    role.hear("test.serving");
    role.signal(Signal::TERM);
    let (status, lines) = role.end();
    assert_eq!(status.code(), Some(3), "{lines:#?}");
    let last = lines.last().expect("it spoke");
    assert!(
        last.starts_with('{') && last.contains("\"event\":\"process.stop\"") && last.contains("\"left\":2"),
        "{last}"
    );
}

fn a_second_signal_changes_nothing() {
    let mut role = Watched::start("linger", QUIET);
    role.hear("test.serving");
    role.signal(Signal::TERM);
    role.hear("test.lingering");
    role.signal(Signal::TERM);
    role.signal(Signal::INT);
    role.signal(Signal::USR1);
    let (status, lines) = role.end();
    assert_eq!(status.code(), Some(0), "{lines:#?}");
    assert_eq!(lines.iter().filter(|line| line.contains("process.drain")).count(), 1, "{lines:#?}");
}

fn a_failure_exits_1_and_says_why() {
    let (status, lines) = Watched::start("fail", QUIET).end();
    assert_eq!(status.code(), Some(1), "{lines:#?}");
    assert!(lines.last().is_some_and(|line| line.contains("the sky fell")), "{lines:#?}");
}

fn a_panic_aborts_with_one_line() {
    let (status, lines) = Watched::start("panic", QUIET).end();
    assert_eq!(status.signal(), Some(6), "{lines:#?}");
    let last = lines.last().expect("it spoke");
    assert!(last.contains("process.panic") && last.contains("lifecycle.rs"), "{lines:#?}");
}

fn a_mistake_exits_2_and_binds_nothing() {
    let (status, lines) = Watched::start("drain", &["admin.listen=127.0.0.1:0", "log.level=loud"]).end();
    assert_eq!(status.code(), Some(2), "{lines:#?}");
    assert_eq!(lines, ["--set: log.level: expected one of error, warn, info, debug, trace, got \"loud\""]);
}
