//! The tier: real edges, origins, sidecars and broker-sims, each a process on a host of its own.

use std::{cell::RefCell, rc::Rc};

use baton_broker_sim::{admin, run::Listeners};
use baton_process::{
    config::{Inputs, Reader, Shared},
    env::Env,
    metrics::Metrics,
    role::Role,
};
use baton_protocol::id::NodeName;
use rand::{Rng, RngExt, SeedableRng, rngs::SmallRng};

use crate::{
    bytes::{self, Book},
    net::{Host, Link, Net},
    process::Process,
    totals::Totals,
};

/// What stands behind the origins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cast {
    /// Sidecars, each before a recorder that knows every byte.
    Recorders,
    /// Sidecars before one broker-sim.
    Sidecars,
    /// One broker-sim with all homes in it.
    Inside,
}

/// What a process is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Edge,
    Origin,
    Sidecar,
    Broker,
}

/// How many there are of what.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Size {
    pub(crate) edges: u16,
    pub(crate) origins: u16,
    pub(crate) homes: u16,
}

/// A process and its host.
pub(crate) struct Node {
    pub(crate) kind: Kind,
    pub(crate) host: Host,
    pub(crate) name: String,
    pub(crate) number: u16,
    process: RefCell<Option<Process>>,
}

/// All of them.
pub(crate) struct Tier {
    pub(crate) net: Net,
    pub(crate) cast: Cast,
    /// What links are like where nothing is wrong with them.
    pub(crate) base: Link,
    size: Size,
    pub(crate) nodes: Vec<Node>,
    book: Rc<Book>,
    chance: RefCell<SmallRng>,
    /// What the processes that are over have counted.
    pub(crate) totals: RefCell<Totals>,
    /// Settings besides those that say who is where.
    sets: Vec<(Kind, &'static str)>,
}

const CLIENTS_PORT: u16 = 1883;
const ORIGIN_PORT: u16 = 7101;
const HOME_PORT: u16 = 7201;

impl Tier {
    /// Machines, with nothing on them yet.
    pub(crate) fn new(
        net: Net,
        base: Link,
        cast: Cast,
        size: Size,
        chance: SmallRng,
        sets: Vec<(Kind, &'static str)>,
    ) -> Self {
        let (sidecars, brokers) = match cast {
            Cast::Recorders => (size.homes, size.homes),
            Cast::Sidecars => (size.homes, 1),
            Cast::Inside => (0, 1),
        };
        let mut nodes = Vec::new();
        for (kind, word, many) in [
            (Kind::Broker, "broker", brokers),
            (Kind::Sidecar, "home", sidecars),
            (Kind::Origin, "origin", size.origins),
            (Kind::Edge, "edge", size.edges),
        ] {
            for number in 1..=many {
                let name = format!("{word}-{number}");
                let host = net.host(&name);
                nodes.push(Node { kind, host, name, number, process: RefCell::default() });
            }
        }
        let (book, totals) = (Rc::default(), RefCell::default());
        Self { net, cast, base, size, nodes, book, chance: RefCell::new(chance), totals, sets }
    }

    /// What the recorders know their clients by.
    pub(crate) fn book(&self) -> &Rc<Book> {
        &self.book
    }

    /// The processes of a kind.
    pub(crate) fn of(&self, kind: Kind) -> impl Iterator<Item = &Node> {
        self.nodes.iter().filter(move |node| node.kind == kind)
    }

    /// Starts everything.
    pub(crate) fn start_all(&self) {
        self.nodes.iter().for_each(|node| self.start(node, &[]));
    }

    /// Starts a process, with these settings besides.
    pub(crate) fn start(&self, node: &Node, sets: &[String]) {
        assert!(!node.runs(), "{} runs already", node.name);
        let seed = self.chance.borrow_mut().next_u64();
        let process = match node.kind {
            Kind::Edge => self.edge(node, sets, seed),
            Kind::Origin => self.origin(node, sets, seed),
            Kind::Sidecar => self.sidecar(node, sets, seed),
            Kind::Broker => self.broker(node, sets, seed),
        };
        *node.process.borrow_mut() = Some(process);
    }

    /// Takes the numbers of a process that is over.
    pub(crate) fn bury(&self, node: &Node) {
        if let Some(process) = node.process.borrow_mut().take() {
            self.totals.borrow_mut().add(node.kind, &process.metrics);
        }
    }

    fn read<C>(&self, role: Role, kind: Kind, own: &[String], read: impl FnOnce(&mut Reader) -> C) -> (Shared, C) {
        let common = self.sets.iter().filter(|(of, _)| *of == kind).map(|(_, set)| (*set).to_owned());
        let sets = common.chain(own.iter().cloned()).chain(["links.allow_remote=true".to_owned()]).collect();
        let mut reader = Reader::new(&Inputs { sets, ..Inputs::default() });
        let both = (Shared::read(&mut reader, role), read(&mut reader));
        reader.finish().unwrap_or_else(|mistakes| panic!("{mistakes}"));
        both
    }

    fn edge(&self, node: &Node, sets: &[String], seed: u64) -> Process {
        let origins: Vec<_> = self.of(Kind::Origin).map(|origin| format!("{}:{ORIGIN_PORT}", origin.name)).collect();
        let own = [format!("edge.name={}", node.name), format!("edge.origins={}", origins.join(","))];
        let own = [&own, sets].concat();
        let (shared, config) = self.read(Role::Edge, Kind::Edge, &own, baton_edge::Config::read);
        let (listener, dial) = (self.net.listen(node.host, &node.address()), self.net.dialer(node.host));
        let env = Env::simulated(Role::Edge, shared, seed);
        Process::start(&self.net, node.host, env, |env| baton_edge::run(config, env, listener, dial))
    }

    fn origin(&self, node: &Node, sets: &[String], seed: u64) -> Process {
        let homes = (1..=self.size.homes).map(|home| {
            let (name, address) = (home_name(home), self.home_address(home));
            format!("origin.homes.{name}={address}")
        });
        let own: Vec<_> = homes.chain([format!("origin.name={}", node.name)]).chain(sets.iter().cloned()).collect();
        let (shared, config) = self.read(Role::Origin, Kind::Origin, &own, baton_origin::Config::read);
        let (listener, dial) = (self.net.listen(node.host, &node.address()), self.net.dialer(node.host));
        let env = Env::simulated(Role::Origin, shared, seed);
        Process::start(&self.net, node.host, env, |env| baton_origin::run(config, env, listener, dial))
    }

    fn sidecar(&self, node: &Node, sets: &[String], seed: u64) -> Process {
        let broker = if self.cast == Cast::Recorders { node.number } else { 1 };
        let own =
            [format!("anchor.name={}", node.name), format!("sidecar.broker=tcp://broker-{broker}:{CLIENTS_PORT}")];
        let own = [&own, sets].concat();
        let (shared, config) = self.read(Role::Sidecar, Kind::Sidecar, &own, baton_sidecar::Config::read);
        let (listener, reach) = (self.net.listen(node.host, &node.address()), self.net.dialer(node.host));
        let env = Env::simulated(Role::Sidecar, shared, seed);
        Process::start(&self.net, node.host, env, |env| baton_sidecar::run(config, env, listener, reach))
    }

    fn broker(&self, node: &Node, sets: &[String], seed: u64) -> Process {
        let plain = self.net.listen(node.host, &node.address());
        if self.cast == Cast::Recorders {
            let (shared, ()) = self.read(Role::BrokerSim, Kind::Broker, &[], |_| ());
            let env = Env::simulated(Role::BrokerSim, shared, seed);
            let book = Rc::clone(&self.book);
            return Process::start(&self.net, node.host, env, |env| bytes::record(plain, book, env));
        }
        let (shared, config) = self.read(Role::BrokerSim, Kind::Broker, sets, baton_broker_sim::config::Config::read);
        let inside = if self.cast == Cast::Inside { self.size.homes } else { 0 };
        let homes = (1..=inside).map(|home| {
            (
                NodeName::new(&home_name(home)).expect("a legal name"),
                self.net.listen(node.host, &self.home_address(home)),
            )
        });
        let listeners = Listeners { plain, homes: homes.collect() };
        let env = Env::simulated(Role::BrokerSim, shared, seed);
        let (_, requests) = admin::routes();
        Process::start(&self.net, node.host, env, |env| baton_broker_sim::run::run(config, env, listeners, requests))
    }

    fn home_address(&self, home: u16) -> String {
        match self.cast {
            Cast::Inside => format!("broker-1:{}", HOME_PORT + home),
            Cast::Recorders | Cast::Sidecars => format!("{}:{HOME_PORT}", home_name(home)),
        }
    }

    /// A number of the tier's own chance.
    pub(crate) fn chance(&self) -> SmallRng {
        SmallRng::seed_from_u64(self.chance.borrow_mut().random())
    }
}

fn home_name(number: u16) -> String {
    format!("home-{number}")
}

impl Node {
    /// Where it takes clients, edges or origins.
    pub(crate) fn address(&self) -> String {
        let port = match self.kind {
            Kind::Edge | Kind::Broker => CLIENTS_PORT,
            Kind::Origin => ORIGIN_PORT,
            Kind::Sidecar => HOME_PORT,
        };
        format!("{}:{port}", self.name)
    }

    /// Whether its process is there.
    pub(crate) fn runs(&self) -> bool {
        self.process.borrow().as_ref().is_some_and(Process::runs)
    }

    /// Asks its process something.
    pub(crate) fn with<R>(&self, ask: impl FnOnce(&Process) -> R) -> Option<R> {
        self.process.borrow().as_ref().map(ask)
    }

    /// A number of its process.
    pub(crate) fn metrics(&self) -> Option<Metrics> {
        self.with(|process| process.metrics.clone())
    }
}
