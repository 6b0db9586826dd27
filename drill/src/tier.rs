//! A tier of child processes: brokers, homes, origins and edges on loopback, that start, restart and die at command.
//!
//! ```no_run
//! # fn main() -> Result<(), baton_drill::tier::Error> {
//! use std::time::Duration;
//! use baton_drill::tier::{Layout, Tier};
//!
//! let mut tier = Tier::new(Layout { origins: 2, ..Layout::new("target/release/baton") })?;
//! tier.start_all()?;
//! tier.terminate("origin-1")?;
//! let status = tier.exit("origin-1", Duration::from_secs(30))?;
//! assert!(status.success());
//! tier.restart("origin-1")?;
//! # Ok(())
//! # }
//! ```
//!
//! **Names.** `edge-1` …, `origin-1` …, `broker-1` …; before a real broker there is a sidecar per home, which has
//! the home's name, `home-1` …; with broker-sim the homes are in the brokers.
//!
//! **Nothing outlives a drill.** Each process leads a group of its own; dropping the tier kills and reaps every group,
//! which covers a panic that unwinds. For all else (a panic that aborts, SIGKILL, an interrupt at the terminal) a shell
//! watches a pipe from this process and kills the groups when it closes. No handler or hook is installed: those belong
//! to the program that drills.
//!
//! **Blocking.** The interface blocks, with a bound everywhere. Loads, proxies and recorders play on threads of their
//! own and go on meanwhile.

use std::{
    collections::BTreeMap,
    fmt, fs, io,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::ExitStatus,
    sync::atomic::{AtomicU32, Ordering},
    thread,
    time::Duration,
};

pub use rustix::process::Signal;

mod broker;
pub mod http;
mod layout;
mod links;
mod node;
pub(crate) mod patience;
mod ports;
mod samples;
mod watchdog;

pub use broker::{Broker, PASSWORD, USER};
pub use layout::{Layout, Role};
use node::Node;
use patience::Patience;
use ports::Ports;
pub use samples::Samples;
use watchdog::Watchdog;

/// How long a process may take until it is ready. RabbitMQ needs ten seconds of a processor that it may have to share, and
/// waits four more for others of its kind.
const READY: Duration = Duration::from_secs(60);
/// How long one answer of an admin port may take.
const ANSWER: Duration = Duration::from_secs(5);
/// Lines of a process's log in an error.
const LOG_LINES: usize = 12;

/// What went wrong with a tier.
#[derive(Debug)]
pub enum Error {
    /// A program isn't on this machine.
    NotInstalled(&'static str),
    /// The tier has no process of this name, or it isn't of the kind that was asked for.
    NoSuchNode(String),
    /// The process isn't running.
    NotRunning(String),
    /// The process is running already.
    Running(String),
    /// The process ended when it shouldn't have.
    Exited {
        /// Which.
        node: String,
        /// How.
        status: ExitStatus,
        /// The last lines that it wrote.
        log: String,
    },
    /// Something didn't happen in time.
    Late {
        /// At which process.
        node: String,
        /// What was waited for.
        what: String,
        /// The last lines that it wrote.
        log: String,
    },
    /// The operating system, or an admin port, refused.
    Io {
        /// What was tried.
        what: String,
        /// The refusal.
        error: io::Error,
    },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotInstalled(program) => write!(f, "{program} is not installed"),
            Self::NoSuchNode(node) => write!(f, "no {node} in this tier"),
            Self::NotRunning(node) => write!(f, "{node} is not running"),
            Self::Running(node) => write!(f, "{node} is running already"),
            Self::Exited { node, status, log } => write!(f, "{node} ended ({status}); it said last:\n{log}"),
            Self::Late { node, what, log } => write!(f, "{node} was late: {what}; it said last:\n{log}"),
            Self::Io { what, error } => write!(f, "{what}: {error}"),
        }
    }
}

impl std::error::Error for Error {}

fn io_error(what: impl Into<String>) -> impl FnOnce(io::Error) -> Error {
    let what = what.into();
    |error| Error::Io { what, error }
}

/// The processes. Dropping it kills them all.
#[derive(Debug)]
pub struct Tier {
    layout: Layout,
    nodes: Vec<Node>,
    ports: Ports,
    watchdog: Watchdog,
    directory: PathBuf,
    /// Whether the directory outlives the tier.
    keep: bool,
}

impl Tier {
    /// Picks names and ports; starts nothing yet, so that settings can be changed first.
    ///
    /// # Errors
    /// [`Error::NotInstalled`], or no port, directory or process is to be had.
    pub fn new(layout: Layout) -> Result<Self, Error> {
        static TIERS: AtomicU32 = AtomicU32::new(0);
        let number = TIERS.fetch_add(1, Ordering::Relaxed);
        let directory = std::env::temp_dir().join(format!("baton-drill-{}-{number}", std::process::id()));
        let mut ports = Ports::claim().map_err(io_error("claiming ports"))?;
        let watchdog = Watchdog::start().map_err(io_error("starting the watchdog"))?;
        fs::create_dir_all(&directory).map_err(io_error(format!("creating {}", directory.display())))?;
        let nodes = layout.nodes(&mut ports, &directory)?;
        Ok(Self { layout, nodes, ports, watchdog, directory, keep: false })
    }

    /// Adds a program that isn't ours: how it is started, and where it will listen (an address of [`Self::free_address`]).
    ///
    /// # Errors
    /// There is a process of this name.
    pub fn add(&mut self, name: &str, listen: SocketAddr, command: Vec<String>) -> Result<(), Error> {
        if self.index(name).is_ok() {
            return Err(Error::Running(name.to_owned()));
        }
        self.nodes.push(Node {
            name: name.to_owned(),
            role: Role::Other,
            listen,
            admin: None,
            homes: Vec::new(),
            settings: BTreeMap::new(),
            foreign: None,
            program: Some(command),
            log: self.directory.join(format!("{name}.log")),
            child: None,
        });
        Ok(())
    }

    /// Sends a signal to a process.
    ///
    /// # Errors
    /// If it isn't running.
    pub fn signal(&self, name: &str, signal: Signal) -> Result<(), Error> {
        self.node(name)?.signal(signal)
    }

    /// Starts every process that isn't running, brokers first, and waits until all are ready.
    ///
    /// # Errors
    /// If one can't be started, ends, or isn't ready within 60 s.
    pub fn start_all(&mut self) -> Result<(), Error> {
        let names: Vec<_> = self.nodes.iter().filter(|node| node.pid().is_none()).map(|n| n.name.clone()).collect();
        names.iter().try_for_each(|name| self.start(name))?;
        names.iter().try_for_each(|name| self.ready(name, READY))
    }

    /// Starts one process, with the ports that it always has, and doesn't wait for it.
    ///
    /// # Errors
    /// If it is running, or can't be started.
    pub fn start(&mut self, name: &str) -> Result<(), Error> {
        let at = self.index(name)?;
        self.nodes[at].start(&self.layout, &mut self.watchdog)
    }

    /// Starts one process that isn't running, and waits until it is ready.
    ///
    /// # Errors
    /// As [`Self::start`] and [`Self::ready`].
    pub fn restart(&mut self, name: &str) -> Result<(), Error> {
        self.start(name)?;
        self.ready(name, READY)
    }

    /// Waits until a process says that it is ready (`/readyz`; a real broker: accepts connections).
    ///
    /// # Errors
    /// If it ends, or takes longer than `patience`.
    pub fn ready(&mut self, name: &str, patience: Duration) -> Result<(), Error> {
        let at = self.index(name)?;
        self.wait(at, patience, "ready", |node| node.is_ready().then_some(()))
    }

    /// Waits until the metrics of a process fulfil `condition`, and returns them.
    ///
    /// # Errors
    /// If it ends, or takes longer than `patience`; then `what` is in the message.
    pub fn until(
        &mut self,
        name: &str,
        patience: Duration,
        what: &str,
        condition: impl Fn(&Samples) -> bool,
    ) -> Result<Samples, Error> {
        let at = self.index(name)?;
        self.wait(at, patience, what, |node| node.metrics().ok().filter(&condition))
    }

    /// SIGTERM: a process that drains, then ends.
    ///
    /// # Errors
    /// If it isn't running.
    pub fn terminate(&self, name: &str) -> Result<(), Error> {
        self.node(name)?.signal(Signal::TERM)
    }

    /// SIGKILL to its whole group, and waits for its end.
    ///
    /// # Errors
    /// If it isn't running.
    pub fn kill(&mut self, name: &str) -> Result<(), Error> {
        let at = self.index(name)?;
        self.nodes[at].kill(&mut self.watchdog)
    }

    /// SIGSTOP: a process that hangs, with every connection open.
    ///
    /// # Errors
    /// If it isn't running.
    pub fn stop(&self, name: &str) -> Result<(), Error> {
        self.node(name)?.signal(Signal::STOP)
    }

    /// SIGCONT: it goes on.
    ///
    /// # Errors
    /// If it isn't running.
    pub fn cont(&self, name: &str) -> Result<(), Error> {
        self.node(name)?.signal(Signal::CONT)
    }

    /// Waits for the end of a process.
    ///
    /// # Errors
    /// If it isn't running, or goes on for longer than `patience`.
    pub fn exit(&mut self, name: &str, patience: Duration) -> Result<ExitStatus, Error> {
        let at = self.index(name)?;
        let patience = Patience::new(patience);
        loop {
            if let Some(status) = self.nodes[at].reap(&mut self.watchdog)? {
                return Ok(status);
            }
            if !patience.pass() {
                return Err(self.nodes[at].late("end"));
            }
        }
    }

    /// Changes a setting of one process, in force when it is started next.
    ///
    /// # Errors
    /// If there is no such process.
    pub fn set(&mut self, name: &str, key: &str, value: &str) -> Result<(), Error> {
        let at = self.index(name)?;
        self.nodes[at].settings.insert(key.to_owned(), value.to_owned());
        Ok(())
    }

    /// The configuration that a real broker is started with.
    ///
    /// # Errors
    /// If there is no such process, or it is one of ours.
    pub fn configuration(&self, name: &str) -> Result<String, Error> {
        let node = self.node(name)?;
        let foreign = node.foreign.as_ref().ok_or_else(|| Error::NoSuchNode(format!("broker {name}")))?;
        Ok(foreign.lines(&node.settings))
    }

    /// The process id, while it runs.
    ///
    /// # Errors
    /// If there is no such process, or it isn't running.
    pub fn pid(&self, name: &str) -> Result<u32, Error> {
        self.node(name)?.pid().ok_or_else(|| Error::NotRunning(name.to_owned()))
    }

    /// Where a process listens: edges and brokers for MQTT, origins and homes for links. A home within a broker-sim
    /// has an address too.
    ///
    /// # Errors
    /// If there is no such process.
    pub fn address(&self, name: &str) -> Result<SocketAddr, Error> {
        let home = self.nodes.iter().flat_map(|node| &node.homes).find(|(home, _)| home == name);
        home.map_or_else(|| self.node(name).map(|node| node.listen), |(_, address)| Ok(*address))
    }

    /// Where a process serves `/metrics`; a real broker doesn't.
    ///
    /// # Errors
    /// If there is no such process, or it has no admin port.
    pub fn admin(&self, name: &str) -> Result<SocketAddr, Error> {
        self.node(name)?.admin.ok_or_else(|| Error::NoSuchNode(format!("admin port of {name}")))
    }

    /// MQTT addresses of all edges.
    pub fn edges(&self) -> Vec<SocketAddr> {
        self.nodes.iter().filter(|node| node.role == Role::Edge).map(|node| node.listen).collect()
    }

    /// Names of all processes of a role, in order.
    pub fn names(&self, role: Role) -> Vec<String> {
        self.nodes.iter().filter(|node| node.role == role).map(|node| node.name.clone()).collect()
    }

    /// All processes in the order in which they are started, running or not.
    pub fn nodes(&self) -> impl Iterator<Item = (&str, Role)> {
        self.nodes.iter().map(|node| (node.name.as_str(), node.role))
    }

    /// Lets the logs be, when the tier is dropped.
    pub fn keep_logs(&mut self) {
        self.keep = true;
    }

    /// Gives the running processes, their logs and ports up to whoever wants them: nothing is killed.
    pub fn leave_running(mut self) {
        for child in self.nodes.iter_mut().filter_map(|node| node.child.take()) {
            self.watchdog.forget(child.id());
        }
        self.keep = true;
    }

    /// The command that a process is started with, to show it.
    ///
    /// # Errors
    /// If there is no such process.
    pub fn command(&self, name: &str) -> Result<String, Error> {
        Ok(self.node(name)?.command(&self.layout).join(" "))
    }

    /// What a process says about itself.
    ///
    /// # Errors
    /// If it has no admin port, or doesn't answer within 5 s.
    pub fn metrics(&self, name: &str) -> Result<Samples, Error> {
        self.node(name)?.metrics()
    }

    /// A request to a process's admin port, such as `POST /refuse-resume?user=x`.
    ///
    /// # Errors
    /// If it has no admin port, or doesn't answer within 5 s.
    pub fn request(&self, name: &str, method: &str, path: &str) -> Result<http::Response, Error> {
        let admin = self.admin(name)?;
        http::request(admin, method, path, ANSWER).map_err(io_error(format!("{method} {path} at {name}")))
    }

    /// Puts rules in force at a broker-sim, one a line (docs/broker-sim.md).
    ///
    /// # Errors
    /// If it has no admin port, or doesn't answer within 5 s.
    pub fn fault(&self, name: &str, rules: &str) -> Result<http::Response, Error> {
        let admin = self.admin(name)?;
        http::request_with(admin, "POST", "/faults", rules, ANSWER).map_err(io_error(format!("{rules} at {name}")))
    }

    /// Everything that a process wrote, over all its starts.
    ///
    /// # Errors
    /// If there is no such process, or the file can't be read.
    pub fn log(&self, name: &str) -> Result<String, Error> {
        self.node(name)?.log()
    }

    /// Clients that a broker has taken, sidecars' own left out: broker-sim says so since its last start, others log it
    /// over all their starts.
    ///
    /// # Errors
    /// If it is no broker, or doesn't say.
    pub fn connects(&self, broker: &str) -> Result<f64, Error> {
        self.node(broker)?.connects()
    }

    /// Wills that a broker has published: broker-sim says so. Of mosquitto it is the connections that ended without
    /// DISCONNECT, which it logs: as many wills, if each client has one.
    ///
    /// # Errors
    /// If it is no broker, or doesn't say.
    pub fn wills(&self, broker: &str) -> Result<f64, Error> {
        self.node(broker)?.wills()
    }

    /// Lines of a process's log that contain `text`.
    ///
    /// # Errors
    /// As [`Self::log`].
    pub fn log_count(&self, name: &str, text: &str) -> Result<usize, Error> {
        Ok(self.log(name)?.lines().filter(|line| line.contains(text)).count())
    }

    /// A free address on loopback, for a proxy: nobody else gets it while this tier lives.
    ///
    /// # Errors
    /// If no port is left.
    pub fn free_address(&mut self) -> Result<SocketAddr, Error> {
        self.ports.next().map_err(io_error("picking a port"))
    }

    /// Where logs and generated files are, until the tier is dropped; kept after a panic, or if processes are left.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    fn index(&self, name: &str) -> Result<usize, Error> {
        let found = self.nodes.iter().position(|node| node.name == name);
        found.ok_or_else(|| Error::NoSuchNode(name.to_owned()))
    }

    fn node(&self, name: &str) -> Result<&Node, Error> {
        Ok(&self.nodes[self.index(name)?])
    }

    fn wait<T>(
        &mut self,
        at: usize,
        patience: Duration,
        what: &str,
        look: impl Fn(&Node) -> Option<T>,
    ) -> Result<T, Error> {
        let patience = Patience::new(patience);
        loop {
            if let Some(found) = look(&self.nodes[at]) {
                return Ok(found);
            }
            if let Some(status) = self.nodes[at].reap(&mut self.watchdog)? {
                let Node { name, .. } = &self.nodes[at];
                return Err(Error::Exited { node: name.clone(), status, log: self.nodes[at].last_lines() });
            }
            if !patience.pass() {
                return Err(self.nodes[at].late(what));
            }
        }
    }
}

impl Drop for Tier {
    fn drop(&mut self) {
        for node in &mut self.nodes {
            match node.kill(&mut self.watchdog) {
                Ok(()) | Err(Error::NotRunning(_)) => {}
                Err(error) => eprintln!("{error}"),
            }
        }
        if thread::panicking() {
            for node in &self.nodes {
                eprintln!("--- {} said last:\n{}", node.name, node.last_lines());
            }
            return eprintln!("--- all of it is in {}", self.directory.display());
        }
        if !self.keep {
            // Where it can't be removed, it stays among other temporary files.
            drop(fs::remove_dir_all(&self.directory));
        }
    }
}
