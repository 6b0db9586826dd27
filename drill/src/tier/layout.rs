//! Which processes a tier has, and what each is told.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use super::{Broker, Error, broker::Place, node::Node, ports::Ports};

/// What a process is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Takes MQTT clients.
    Edge,
    /// Between edges and homes.
    Origin,
    /// A home before a real broker.
    Sidecar,
    /// The simulated broker, with homes inside.
    BrokerSim,
    /// A real broker.
    Broker,
    /// A program that was added.
    Other,
}

impl Role {
    /// The word that starts it, if it is ours.
    pub fn word(self) -> &'static str {
        match self {
            Self::Edge => "edge",
            Self::Origin => "origin",
            Self::Sidecar => "sidecar",
            Self::BrokerSim => "broker-sim",
            Self::Broker => "broker",
            Self::Other => "other",
        }
    }
}

/// Which processes.
#[derive(Clone, Debug)]
pub struct Layout {
    /// The `baton` program.
    pub binary: PathBuf,
    /// What runs the program, with its arguments: a profiler, say. Empty: nothing does.
    pub runner: Vec<String>,
    /// Number of edges.
    pub edges: u16,
    /// Number of origins; each edge knows all.
    pub origins: u16,
    /// Number of homes; each origin knows all.
    pub homes: u16,
    /// What the homes lead to.
    pub broker: Broker,
    /// Number of broker processes, each with topics of its own; homes are dealt out to them in turn. At least one, where
    /// there are homes.
    pub brokers: u16,
    /// Whether those share their topics nevertheless: the first is bridged to each further one. Mosquitto only.
    pub bridged: bool,
    /// Further settings: role, key, value.
    pub settings: Vec<(Role, String, String)>,
}

impl Layout {
    /// One edge, one origin, one broker-sim with one home.
    pub fn new(binary: impl Into<PathBuf>) -> Self {
        let binary = binary.into();
        Self {
            binary,
            runner: Vec::new(),
            edges: 1,
            origins: 1,
            homes: 1,
            broker: Broker::Sim,
            brokers: 1,
            bridged: false,
            settings: Vec::new(),
        }
    }

    /// Nothing: a place for programs that are added ([`super::Tier::add`]).
    pub fn empty(binary: impl Into<PathBuf>) -> Self {
        Self { edges: 0, origins: 0, homes: 0, brokers: 0, ..Self::new(binary) }
    }

    /// The words that start a program of ours.
    pub(super) fn program(&self) -> Vec<String> {
        let binary = self.binary.to_string_lossy().into_owned();
        self.runner.iter().cloned().chain([binary]).collect()
    }

    /// With a setting for every process of a role.
    #[must_use]
    pub fn set(mut self, role: Role, key: &str, value: &str) -> Self {
        self.settings.push((role, key.to_owned(), value.to_owned()));
        self
    }

    /// All nodes, in the order in which they are started.
    pub(super) fn nodes(&self, ports: &mut Ports, directory: &Path) -> Result<Vec<Node>, Error> {
        let mut making = Making { ports, directory, settings: &self.settings };
        let homes = making.addresses("home", self.homes)?;
        let origins = making.addresses("origin", self.origins)?;
        let mut nodes = Vec::new();
        let mut brokers = Vec::new();
        let processes = if matches!(self.broker, Broker::At(_)) { 0 } else { self.brokers };
        let addresses = making.addresses("broker", processes)?;
        for (nth, (name, listen)) in addresses.iter().cloned().enumerate() {
            brokers.push(listen);
            let peers = if self.bridged && nth == 0 { &addresses[1..] } else { &[] };
            let own = homes.iter().skip(nth).step_by(processes.into()).cloned().collect();
            match self.broker {
                Broker::Sim => nodes.push(making.broker_sim(name, listen, own)?),
                Broker::SimApart => {
                    // It can't be without a home; nobody knows of this one.
                    let unused = (format!("{name}-inside"), making.address()?);
                    nodes.push(making.broker_sim(name, listen, vec![unused])?);
                }
                Broker::At(_) => {}
                foreign => nodes.push(making.foreign(foreign, name, listen, peers)?),
            }
        }
        if let Broker::At(address) = self.broker {
            brokers.push(address);
        }
        if self.broker != Broker::Sim {
            for ((name, listen), broker) in homes.iter().zip(brokers.iter().cycle()) {
                nodes.push(making.sidecar(name, *listen, *broker, self.broker.probe())?);
            }
        }
        let homes = homes.iter().map(|(home, address)| (format!("origin.homes.{home}"), address.to_string()));
        for (name, listen) in &origins {
            let own = [("origin.name".to_owned(), name.clone()), ("origin.listen".to_owned(), listen.to_string())];
            nodes.push(making.node(Role::Origin, name.clone(), *listen, own.into_iter().chain(homes.clone()))?);
        }
        let origins = format!("{:?}", origins.iter().map(|(_, address)| address.to_string()).collect::<Vec<_>>());
        for (name, listen) in making.addresses("edge", self.edges)? {
            let own =
                [("edge.name", name.clone()), ("edge.listen", listen.to_string()), ("edge.origins", origins.clone())];
            nodes.push(making.node(Role::Edge, name, listen, own)?);
        }
        Ok(nodes)
    }
}

struct Making<'a> {
    ports: &'a mut Ports,
    directory: &'a Path,
    settings: &'a [(Role, String, String)],
}

impl Making<'_> {
    fn address(&mut self) -> Result<SocketAddr, Error> {
        self.ports.next().map_err(super::io_error("picking a port"))
    }

    fn addresses(&mut self, word: &str, count: u16) -> Result<Vec<(String, SocketAddr)>, Error> {
        (1..=count).map(|nth| Ok((format!("{word}-{nth}"), self.address()?))).collect()
    }

    fn node<K: Into<String>>(
        &mut self,
        role: Role,
        name: String,
        listen: SocketAddr,
        settings: impl IntoIterator<Item = (K, String)>,
    ) -> Result<Node, Error> {
        let admin = self.address()?;
        let mut node = self.bare(role, name, listen, settings);
        node.settings.entry("admin.listen".to_owned()).or_insert_with(|| admin.to_string());
        node.admin = Some(admin);
        Ok(node)
    }

    fn broker_sim(
        &mut self,
        name: String,
        listen: SocketAddr,
        homes: Vec<(String, SocketAddr)>,
    ) -> Result<Node, Error> {
        let own = homes.iter().map(|(home, address)| (format!("broker_sim.homes.{home}"), address.to_string()));
        let listener = ("broker_sim.listen".to_owned(), listen.to_string());
        let node = self.node(Role::BrokerSim, name, listen, own.chain([listener]))?;
        Ok(Node { homes, ..node })
    }

    fn sidecar(&mut self, name: &str, listen: SocketAddr, broker: SocketAddr, probe: &str) -> Result<Node, Error> {
        let own = [
            ("anchor.name", name.to_owned()),
            ("anchor.listen", listen.to_string()),
            ("sidecar.broker", format!("tcp://{broker}")),
            ("sidecar.probe", probe.to_owned()),
        ];
        self.node(Role::Sidecar, name.to_owned(), listen, own)
    }

    fn foreign(
        &mut self,
        broker: Broker,
        name: String,
        listen: SocketAddr,
        peers: &[(String, SocketAddr)],
    ) -> Result<Node, Error> {
        let place = Place { name: &name, listen, internal: self.address()?, directory: self.directory, peers };
        let (foreign, own) = broker.foreign(&place)?;
        let node = self.bare(Role::Broker, name, listen, own);
        Ok(Node { foreign: Some(foreign), ..node })
    }

    fn bare<K: Into<String>>(
        &self,
        role: Role,
        name: String,
        listen: SocketAddr,
        settings: impl IntoIterator<Item = (K, String)>,
    ) -> Node {
        let mut settings: BTreeMap<String, String> = settings.into_iter().map(|(k, v)| (k.into(), v)).collect();
        let further = self.settings.iter().filter(|(of, _, _)| *of == role);
        settings.extend(further.map(|(_, key, value)| (key.clone(), value.clone())));
        let log = self.directory.join(format!("{name}.log"));
        Node {
            name,
            role,
            listen,
            admin: None,
            homes: Vec::new(),
            settings,
            foreign: None,
            program: None,
            log,
            child: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn commands(layout: &Layout) -> Vec<String> {
        let mut ports = Ports::claim().unwrap();
        let nodes = layout.nodes(&mut ports, Path::new("/d")).unwrap();
        nodes.iter().map(|node| node.command(layout).join(" ")).collect()
    }

    /// The value of `key` in a command.
    fn value<'a>(command: &'a str, key: &str) -> &'a str {
        let (_, rest) = command.split_once(&format!("--set {key}=")).expect(key);
        rest.split(" --set").next().expect("split yields at least one")
    }

    #[test]
    fn each_process_is_told_of_the_next() {
        let layout = Layout { edges: 2, origins: 3, homes: 3, ..Layout::new("baton") };
        let layout = layout.set(Role::Edge, "edge.dcr", "false");
        let commands = commands(&layout);
        let words: Vec<_> = commands.iter().map(|c| c.split(' ').nth(1).unwrap()).collect();
        assert_eq!(words, ["broker-sim", "origin", "origin", "origin", "edge", "edge"]);
        for origin in &commands[1..4] {
            for home in ["home-1", "home-2", "home-3"] {
                let address = value(&commands[0], &format!("broker_sim.homes.{home}"));
                assert_eq!(value(origin, &format!("origin.homes.{home}")), address);
            }
        }
        let origins: Vec<_> = commands[1..4].iter().map(|origin| value(origin, "origin.listen")).collect();
        assert_eq!(value(&commands[5], "edge.origins"), format!("{origins:?}"));
        assert_eq!(value(&commands[5], "edge.name"), "edge-2");
        assert_eq!(value(&commands[5], "edge.dcr"), "false");
        assert!(!commands[1].contains("edge.dcr"));
    }

    #[test]
    fn sidecars_stand_before_a_broker_that_is_elsewhere() {
        let broker = Broker::At(([127, 0, 0, 1], 9).into());
        let commands = commands(&Layout { homes: 2, broker, ..Layout::new("baton") });
        let words: Vec<_> = commands.iter().map(|c| c.split(' ').nth(1).unwrap()).collect();
        assert_eq!(words, ["sidecar", "sidecar", "origin", "edge"]);
        assert_eq!(value(&commands[1], "sidecar.broker"), "tcp://127.0.0.1:9");
        assert_eq!(value(&commands[1], "anchor.name"), "home-2");
        assert_eq!(value(&commands[1], "anchor.listen"), value(&commands[2], "origin.homes.home-2"));
    }

    #[test]
    fn sidecars_stand_before_simulated_brokers_that_are_apart() {
        let commands = commands(&Layout { homes: 2, brokers: 2, broker: Broker::SimApart, ..Layout::new("baton") });
        let words: Vec<_> = commands.iter().map(|c| c.split(' ').nth(1).unwrap()).collect();
        assert_eq!(words, ["broker-sim", "broker-sim", "sidecar", "sidecar", "origin", "edge"]);
        let plain = value(&commands[1], "broker_sim.listen");
        assert_eq!(value(&commands[3], "sidecar.broker"), format!("tcp://{plain}"));
        assert_eq!(value(&commands[3], "sidecar.probe"), "mqtt");
        assert!(!commands[1].contains("homes.home-2"), "{}", commands[1]);
    }

    #[test]
    fn a_runner_comes_before_the_program() {
        let runner = vec!["valgrind".to_owned(), "--tool=callgrind".to_owned()];
        let commands = commands(&Layout { runner, ..Layout::new("baton") });
        assert!(commands.iter().all(|command| command.starts_with("valgrind --tool=callgrind baton ")), "{commands:?}");
    }

    #[test]
    fn homes_are_dealt_out_to_brokers() {
        let commands = commands(&Layout { homes: 3, brokers: 2, ..Layout::new("baton") });
        assert!(commands[0].contains("home-1") && commands[0].contains("home-3") && !commands[0].contains("home-2"));
        assert!(commands[1].contains("home-2"));
    }
}
