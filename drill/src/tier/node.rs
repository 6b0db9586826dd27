//! One process of a tier.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    net::{SocketAddr, TcpStream},
    os::unix::process::CommandExt,
    path::PathBuf,
    process::{Child, Command, ExitStatus, Stdio},
};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use super::{
    ANSWER, Error, LOG_LINES, Layout, Role, Samples, Watchdog,
    broker::{BRIDGE, Foreign},
    http, io_error,
};

/// What a broker's log says where a connection isn't a client's: the sidecars' own, bridges', and those that never said
/// who they are.
const NO_CLIENT: [&str; 3] = ["baton-probe-", BRIDGE, "<unknown>"];

#[derive(Debug)]
pub(super) struct Node {
    pub(super) name: String,
    pub(super) role: Role,
    pub(super) listen: SocketAddr,
    /// `None`: a real broker, or a program that the tier knows nothing of.
    pub(super) admin: Option<SocketAddr>,
    /// Homes within a broker-sim.
    pub(super) homes: Vec<(String, SocketAddr)>,
    /// Configuration keys and values; for a real broker, lines of its file.
    pub(super) settings: BTreeMap<String, String>,
    /// A broker that isn't ours.
    pub(super) foreign: Option<Foreign>,
    /// Any other program.
    pub(super) program: Option<Vec<String>>,
    pub(super) log: PathBuf,
    pub(super) child: Option<Child>,
}

impl Node {
    pub(super) fn command(&self, layout: &Layout) -> Vec<String> {
        if let Some(command) = self.program.as_ref().or(self.foreign.as_ref().map(|foreign| &foreign.command)) {
            return command.clone();
        }
        let mut command = layout.program();
        command.push(self.role.word().into());
        for (key, value) in &self.settings {
            command.extend(["--set".into(), format!("{key}={value}")]);
        }
        command
    }

    pub(super) fn start(&mut self, layout: &Layout, watchdog: &mut Watchdog) -> Result<(), Error> {
        if self.child.is_some() {
            return Err(Error::Running(self.name.clone()));
        }
        if let Some(foreign) = &self.foreign {
            foreign.write_files(&self.settings)?;
        }
        let log = File::options().create(true).append(true).open(&self.log);
        let log = log.map_err(io_error(format!("opening {}", self.log.display())))?;
        let output = log.try_clone().map_err(io_error("opening a log"))?;
        let words = self.command(layout);
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).stdin(Stdio::null()).stdout(output).stderr(log).process_group(0);
        // What is set for the drill's own process isn't meant for this one.
        for (variable, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("BATON_")) {
            command.env_remove(variable);
        }
        if let Some(foreign) = &self.foreign {
            command.envs(foreign.environment.iter().map(|(name, value)| (name, value)));
        }
        let child = command.spawn().map_err(io_error(format!("starting {}", words[0])))?;
        watchdog.watch(child.id());
        self.child = Some(child);
        Ok(())
    }

    pub(super) fn pid(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    fn running(&self) -> Result<Pid, Error> {
        self.child.as_ref().map(Pid::from_child).ok_or_else(|| Error::NotRunning(self.name.clone()))
    }

    pub(super) fn signal(&self, signal: Signal) -> Result<(), Error> {
        let pid = self.running()?;
        kill_process(pid, signal).map_err(|error| io_error(format!("signalling {}", self.name))(error.into()))
    }

    pub(super) fn kill(&mut self, watchdog: &mut Watchdog) -> Result<(), Error> {
        let pid = self.running()?;
        // A leader that has ended is a group still, until it is reaped below.
        kill_process_group(pid, Signal::KILL).map_err(|e| io_error(format!("killing {}", self.name))(e.into()))?;
        if let Some(mut child) = self.child.take() {
            watchdog.forget(child.id());
            child.wait().map_err(io_error(format!("reaping {}", self.name)))?;
        }
        Ok(())
    }

    /// Its status, if it has ended.
    pub(super) fn reap(&mut self, watchdog: &mut Watchdog) -> Result<Option<ExitStatus>, Error> {
        let child = self.child.as_mut().ok_or_else(|| Error::NotRunning(self.name.clone()))?;
        let status = child.try_wait().map_err(io_error(format!("waiting for {}", self.name)))?;
        if status.is_some() {
            watchdog.forget(child.id());
            self.child = None;
        }
        Ok(status)
    }

    pub(super) fn is_ready(&self) -> bool {
        match self.admin {
            Some(admin) => http::request(admin, "GET", "/readyz", ANSWER).is_ok_and(|answer| answer.status == 200),
            None => TcpStream::connect_timeout(&self.listen, ANSWER).is_ok(),
        }
    }

    pub(super) fn metrics(&self) -> Result<Samples, Error> {
        let what = || format!("metrics of {}", self.name);
        let admin = self.admin.ok_or_else(|| Error::NoSuchNode(what()))?;
        let answer = http::request(admin, "GET", "/metrics", ANSWER).map_err(io_error(what()))?;
        let invalid = |line| io_error(what())(std::io::Error::other(format!("unreadable: {line}")));
        match answer.status {
            200 => Samples::parse(&answer.body).map_err(invalid),
            status => Err(invalid(format!("status {status}"))),
        }
    }

    pub(super) fn connects(&self) -> Result<f64, Error> {
        let Some(foreign) = &self.foreign else {
            let connects = self.metrics()?.value("baton_broker_connects_total", &[]);
            return connects.ok_or_else(|| Error::NoSuchNode(format!("broker {}", self.name)));
        };
        self.clients_logged(&[foreign.connected])
    }

    pub(super) fn wills(&self) -> Result<f64, Error> {
        let unknown = || Error::NoSuchNode(format!("count of wills at {}", self.name));
        match &self.foreign {
            None => self.metrics()?.value("baton_broker_wills_total", &[]).ok_or_else(unknown),
            Some(foreign) if foreign.cut.is_empty() => Err(unknown()),
            Some(foreign) => self.clients_logged(foreign.cut),
        }
    }

    /// Lines of its log that say one of these things of a client.
    fn clients_logged(&self, things: &[&str]) -> Result<f64, Error> {
        let says = |line: &str, things: &[&str]| things.iter().any(|thing| line.contains(thing));
        let counts = |line: &&str| says(line, things) && !says(line, &NO_CLIENT);
        Ok(self.log()?.lines().filter(counts).count() as f64)
    }

    pub(super) fn log(&self) -> Result<String, Error> {
        let log = fs::read(&self.log).map_err(io_error(format!("reading {}", self.log.display())))?;
        Ok(String::from_utf8_lossy(&log).into_owned())
    }

    pub(super) fn last_lines(&self) -> String {
        let text = self.log().unwrap_or_default();
        let lines: Vec<_> = text.lines().collect();
        lines[lines.len().saturating_sub(LOG_LINES)..].join("\n")
    }

    pub(super) fn late(&self, what: &str) -> Error {
        Error::Late { node: self.name.clone(), what: what.to_owned(), log: self.last_lines() }
    }
}
