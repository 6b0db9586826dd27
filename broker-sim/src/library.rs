//! A broker in one line, for tests in Rust.
//!
//! It runs on a thread of its own, on a port that was free, and ends when its handle is dropped.
//!
//! ```
//! use std::{io::{Read, Write}, net::TcpStream};
//!
//! let broker = baton_broker_sim::start(baton_broker_sim::Config::default())?;
//! let mut client = TcpStream::connect(broker.addr())?;
//! client.write_all(b"\x10\x0d\0\x04MQTT\x04\x02\0\0\0\x01c")?;
//! let mut connack = [0; 4];
//! client.read_exact(&mut connack)?;
//! assert_eq!(connack, [0x20, 2, 0, 0]);
//! assert_eq!(broker.counts().connects, 1);
//! # std::io::Result::Ok(())
//! ```
//!
//! One that misbehaves, from the start or from now on:
//!
//! ```
//! use std::{io::{Read, Write}, net::TcpStream};
//!
//! let config = baton_broker_sim::Config { faults: "connack not-authorized first 1".into(), ..Default::default() };
//! let broker = baton_broker_sim::start(config)?;
//! let mut answer = |connect: &[u8]| {
//!     let mut client = TcpStream::connect(broker.addr())?;
//!     client.write_all(connect)?;
//!     let mut connack = [0; 4];
//!     client.read_exact(&mut connack)?;
//!     std::io::Result::Ok(connack)
//! };
//! let connect = b"\x10\x0d\0\x04MQTT\x04\x02\0\0\0\x01c";
//! assert_eq!(answer(connect)?, [0x20, 2, 0, 5], "not authorized");
//! assert_eq!(answer(connect)?, [0x20, 2, 0, 0]);
//!
//! broker.faults().add("cut on connect client c").unwrap();
//! assert!(answer(connect).is_err());
//! assert_eq!(broker.faults().list().iter().map(|rule| rule.hits).collect::<Vec<_>>(), [1, 1]);
//! # std::io::Result::Ok(())
//! ```
//!
//! And what was said:
//!
//! ```
//! use std::{io::{Read, Write}, net::TcpStream};
//! use baton_broker_sim::transcript::What;
//!
//! let broker = baton_broker_sim::start(baton_broker_sim::Config::default())?;
//! let mut client = TcpStream::connect(broker.addr())?;
//! client.write_all(b"\x10\x0d\0\x04MQTT\x04\x02\0\0\0\x01c\xc0\0")?;
//! client.read_exact(&mut [0; 6])?;
//! let said: Vec<String> = broker.transcript().into_iter().filter_map(|line| match line.what {
//!     What::In(seen) => Some(format!("{} > {}", line.client, seen.packet)),
//!     What::Out(seen) => Some(format!("{} < {}", line.client, seen.packet)),
//!     _ => None,
//! }).collect();
//! assert_eq!(said, ["c > CONNECT", "c > PINGREQ", "c < CONNACK", "c < PINGRESP"]);
//! # std::io::Result::Ok(())
//! ```

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    sync::mpsc,
    thread::{self, JoinHandle},
};

use baton_process::{
    config::{Inputs, Reader, Shared},
    env::Env,
    net::{TcpKind, TcpListen},
    role::Role,
    run::Exit,
};
use tokio::{
    runtime::{Builder, LocalOptions},
    sync::oneshot,
};

use crate::{
    admin::{Asker, Requests, requests},
    broker::{Counts, Credentials, Limits},
    config::{self, Crash},
    faults::{Rule, Script, Status},
    run::{Listeners, run_recorded},
    transcript::{Kept, Line, Recorder},
};

/// What a broker is to be like.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where it listens, for MQTT over TCP and over WebSocket; by default on loopback, on any port that is free.
    pub listen: SocketAddr,
    /// Who may connect, `user:password` a line; empty: anybody.
    pub users: String,
    /// What it does wrong from the start, a rule a line.
    pub faults: String,
    /// What repeats chance in the rules.
    pub seed: u64,
    /// Its bounds.
    pub limits: Limits,
    /// A file for its transcript, besides the newest lines, which [`Handle::transcript`] has.
    pub transcript: Option<PathBuf>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: (Ipv4Addr::LOCALHOST, 0).into(),
            users: String::new(),
            faults: String::new(),
            seed: 0,
            limits: Limits::default(),
            transcript: None,
        }
    }
}

/// A broker that runs. Dropped, it ends at once: its connections break, its port is free, its thread is gone.
#[derive(Debug)]
pub struct Handle {
    addr: SocketAddr,
    asker: Asker,
    kept: Kept,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<io::Result<Exit>>>,
}

/// Starts a broker; it listens when this returns.
///
/// # Errors
/// A rule or a user is none, the address can't be had, or the transcript can't be written.
pub fn start(config: Config) -> io::Result<Handle> {
    let users = Credentials::parse(&config.users).map_err(|mistake| invalid(&[format!("users, {mistake}")]))?;
    let script = Script::parse("faults", &config.faults).map_err(|mistakes| invalid(&mistakes))?;
    let recorder = match &config.transcript {
        Some(path) => Recorder::default().to_file(path)?,
        None => Recorder::default(),
    };
    let (recorder, kept) = recorder.kept();
    let (asker, requests) = requests();
    let (stop, stopped) = oneshot::channel();
    let (listens, listening) = mpsc::sync_channel(1);
    let users = (!config.users.is_empty()).then_some(users);
    let plan = Plan { config, users, script, recorder, requests, listens };
    let thread = thread::Builder::new().name("broker".into()).spawn(move || plan.run(stopped))?;
    match listening.recv() {
        Ok(addr) => Ok(Handle { addr, asker, kept, stop: Some(stop), thread: Some(thread) }),
        Err(_) => Err(why(thread)),
    }
}

fn invalid(mistakes: &[impl ToString]) -> io::Error {
    let lines: Vec<_> = mistakes.iter().map(ToString::to_string).collect();
    io::Error::new(io::ErrorKind::InvalidInput, lines.join("\n"))
}

/// Why a broker that has ended before it listened has done so.
fn why(thread: JoinHandle<io::Result<Exit>>) -> io::Error {
    match thread.join() {
        Ok(Err(error)) => error,
        _ => io::Error::other("the broker has ended"),
    }
}

/// What the thread needs.
struct Plan {
    config: Config,
    users: Option<Credentials>,
    script: Script,
    recorder: Recorder,
    requests: Requests,
    listens: mpsc::SyncSender<SocketAddr>,
}

impl Plan {
    fn run(self, stopped: oneshot::Receiver<()>) -> io::Result<Exit> {
        let runtime = Builder::new_current_thread().enable_all().build_local(LocalOptions::default())?;
        runtime.block_on(async move {
            let mut reader = Reader::new(&Inputs::default());
            let shared = Shared::read(&mut reader, Role::BrokerSim);
            let role = config::Config {
                users: self.users,
                faults: self.script.rules,
                seed: self.script.seed.or(Some(self.config.seed)),
                crash: Crash::End,
                ..config::Config::read(&mut reader)
            };
            let env = Env::simulated(Role::BrokerSim, shared, self.config.seed);
            let plain = TcpListen::bind("listen", &self.config.listen.to_string(), TcpKind::Session, &env.metrics)?;
            let addr = plain.local_addr()?;
            let listeners = Listeners { plain, homes: Vec::new() };
            // Whoever waits for it is gone only if it has panicked.
            let _ = self.listens.send(addr);
            let serving = run_recorded(role, self.config.limits, env, listeners, self.requests, self.recorder);
            tokio::select! {
                biased;
                _ = stopped => Ok(Exit::Done),
                exit = serving => exit,
            }
        })
    }
}

impl Handle {
    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// What it does wrong.
    pub fn faults(&self) -> Faults<'_> {
        Faults(self)
    }

    /// What it has seen and holds; all 0 once it has crashed.
    pub fn counts(&self) -> Counts {
        self.asker.ask_and_wait(|desk| desk.handle.counts()).unwrap_or_default()
    }

    /// The newest lines of its transcript, the oldest of them first.
    pub fn transcript(&self) -> Vec<Line> {
        self.kept.lines()
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // How it ended is nobody's business any more; if it panicked, that has been shown.
            let _ = thread.join();
        }
    }
}

/// What a broker does wrong, as it runs. Once it has crashed there are no rules, and none can be added.
#[derive(Clone, Copy, Debug)]
pub struct Faults<'a>(&'a Handle);

impl Faults<'_> {
    /// Puts rules in force, one a line, all or none; the number of the first.
    ///
    /// # Errors
    /// Why not, a line for each mistake.
    pub fn add(&self, rules: &str) -> io::Result<u64> {
        let rules: Vec<Rule> = Script::parse("faults", rules).map_err(|mistakes| invalid(&mistakes))?.rules;
        let added = self.0.asker.ask_and_wait(|desk| desk.handle.add_faults(rules));
        added.ok_or(io::ErrorKind::NotConnected)?.map_err(|_| io::ErrorKind::QuotaExceeded.into())
    }

    /// The rules in force, each with how many it has hit.
    pub fn list(&self) -> Vec<Status> {
        self.0.asker.ask_and_wait(|desk| desk.handle.faults()).unwrap_or_default()
    }

    /// Takes a rule out of force; whether it was.
    pub fn remove(&self, number: u64) -> bool {
        self.0.asker.ask_and_wait(move |desk| desk.handle.remove_faults(Some(number))) == Some(1)
    }

    /// Takes all rules out of force.
    pub fn clear(&self) {
        self.0.asker.ask_and_wait(|desk| desk.handle.remove_faults(None));
    }
}
