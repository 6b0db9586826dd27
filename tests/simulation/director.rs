//! Who lets things go wrong: draws faults by chance, several at work at once, applies them and mends them.

use std::{cell::RefCell, rc::Rc, time::Duration};

use baton_drill::bytes::{Ending, Party};
use baton_process::run::Exit;
use baton_protocol::limits::Millis;
use rand::{
    RngExt,
    rngs::SmallRng,
    seq::{IndexedRandom, IteratorRandom},
};
use tokio::{task::JoinSet, time::sleep};

use crate::{
    clients::Clients,
    fault::{Fault, Hits, WEIGHTS},
    journal::Journal,
    judge::{Homes, Judge},
    net::Link,
    process::Process,
    tier::{Cast, Kind, Node, Tier},
    totals::{Totals, gauge},
};

/// Longest outage, in milliseconds: detection and the next attach fit in the grace time several times over.
const OUTAGE: Millis = 9_000;
/// Longest pause between two faults, in milliseconds.
const BETWEEN: Millis = 2_500;
/// How long everything has been well before an origin is drained whose sessions must all move in order: by then nobody
/// waits for an attach that a fault has cost.
const WELL: Duration = Duration::from_secs(30);

/// Time after which everybody knows of what has happened: some round trips over the slowest link.
const KNOWN: Duration = Duration::from_secs(1);

/// Who directs the faults of a run.
pub(crate) struct Director {
    tier: Rc<Tier>,
    judge: Rc<Judge>,
    clients: Clients,
    chance: RefCell<SmallRng>,
    hits: RefCell<Hits>,
}

impl Director {
    pub(crate) fn new(tier: Rc<Tier>, judge: Rc<Judge>, clients: Clients, chance: SmallRng) -> Rc<Self> {
        Rc::new(Self { tier, judge, clients, chance: RefCell::new(chance), hits: RefCell::default() })
    }

    pub(crate) fn hits(&self) -> Hits {
        self.hits.borrow().clone()
    }

    fn draw<T>(&self, draw: impl FnOnce(&mut SmallRng) -> T) -> T {
        draw(&mut self.chance.borrow_mut())
    }

    fn millis(&self, from: Millis, to: Millis) -> Duration {
        Duration::from_millis(self.draw(|chance| chance.random_range(from..=to)))
    }

    fn note(&self, fault: Fault, hit: bool, what: &str) {
        Journal::note(format_args!("FAULT {fault:?} {what}{}", if hit { "" } else { ", hits nothing" }));
        let mut hits = self.hits.borrow_mut();
        let (applied, hits) = hits.entry(fault).or_default();
        *applied += 1;
        *hits += u64::from(hit);
    }

    /// Plays faults until the time is over, and waits until the last one is mended.
    pub(crate) async fn direct(self: Rc<Self>, until: Millis) {
        let mut playing = JoinSet::new();
        while self.judge.now() < until {
            sleep(self.millis(50, BETWEEN)).await;
            if self.draw(|chance| chance.random_ratio(1, 30)) {
                mended(&mut playing).await;
                self.calm_drain().await;
                continue;
            }
            let (fault, _) = *self.draw(|chance| WEIGHTS.choose_weighted(chance, |(_, weight)| *weight)).expect("some");
            playing.spawn_local(Rc::clone(&self).play(fault));
        }
        mended(&mut playing).await;
    }

    async fn play(self: Rc<Self>, fault: Fault) {
        match fault {
            Fault::Slow | Fault::OneWay | Fault::Partition | Fault::Held => self.link(fault).await,
            Fault::Reset => self.reset(),
            Fault::SlowReader => self.slow_reader().await,
            Fault::Leave => self.leave(),
            Fault::Stop => self.stop().await,
            Fault::DrainOrigin => self.drain_origin().await,
            Fault::KillOrigin | Fault::PowerOrigin => self.restart(fault, Kind::Origin).await,
            Fault::KillEdge | Fault::DrainEdge => self.restart(fault, Kind::Edge).await,
            Fault::KillHome if self.tier.cast == Cast::Inside => self.restart(fault, Kind::Broker).await,
            Fault::KillHome => self.restart(fault, Kind::Sidecar).await,
            Fault::KillBroker => self.restart(fault, Kind::Broker).await,
            Fault::CalmDrain | Fault::RingChange => {}
        }
    }

    /// A running process of this kind.
    fn node(&self, kind: Kind) -> Option<&Node> {
        let running = self.tier.of(kind).filter(|node| node.runs());
        self.draw(|chance| running.choose(chance))
    }

    /// Two neighbours, the one that dials first.
    fn neighbours(&self, brokers_too: bool) -> (&Node, &Node) {
        let anchors = if self.tier.cast == Cast::Inside { Kind::Broker } else { Kind::Sidecar };
        let mut pairs = vec![(Kind::Edge, Kind::Origin), (Kind::Origin, anchors)];
        if brokers_too && anchors == Kind::Sidecar {
            pairs.push((Kind::Sidecar, Kind::Broker));
        }
        self.draw(|chance| {
            let (dialing, dialed) = *pairs.choose(chance).expect("some");
            let one = |kind, chance: &mut SmallRng| self.tier.of(kind).choose(chance).expect("one of each");
            let dialing = one(dialing, chance);
            let dialed = match (dialing.kind, self.tier.cast) {
                // A recorder has one sidecar.
                (Kind::Sidecar, Cast::Recorders) => {
                    self.tier.of(dialed).find(|node| node.number == dialing.number).expect("its own")
                }
                _ => one(dialed, chance),
            };
            (dialing, dialed)
        })
    }

    async fn link(&self, fault: Fault) {
        let (one, other) = self.neighbours(fault != Fault::Held);
        let net = &self.tier.net;
        let (latency, jitter) = self.draw(|chance| (chance.random_range(0..400), chance.random_range(0..200)));
        let change = |link: &mut Link| match fault {
            Fault::Slow => (link.latency, link.jitter) = (latency, jitter),
            Fault::Held => link.no_new += 1,
            _ => link.blocked += 1,
        };
        let normal = self.tier.base;
        let mend = |link: &mut Link| match fault {
            Fault::Slow => (link.latency, link.jitter) = (normal.latency, normal.jitter),
            Fault::Held => link.no_new -= 1,
            _ => link.blocked -= 1,
        };
        let upwards: bool = self.draw(|chance| chance.random());
        let (up, down) = if fault == Fault::OneWay { (upwards, !upwards) } else { (true, true) };
        self.judge.disturb(true);
        let mut hit = false;
        if up {
            hit |= net.set_link(one.host, other.host, change);
        }
        if down {
            hit |= net.set_link(other.host, one.host, change);
        }
        if fault == Fault::Held {
            hit = net.reset(one.host, other.host) > 0;
        }
        let time = self.millis(300, OUTAGE);
        self.note(fault, hit, &format!("{} - {} {}", one.name, other.name, time.as_millis()));
        sleep(time).await;
        if up {
            net.set_link(one.host, other.host, mend);
        }
        if down {
            net.set_link(other.host, one.host, mend);
        }
        Journal::note(format_args!("MENDED {fault:?} {} - {}", one.name, other.name));
        self.judge.disturb(false);
    }

    fn reset(&self) {
        // Not between a sidecar and its broker: that ends sessions, as it would without us.
        let (one, other) = self.neighbours(false);
        let hit = self.tier.net.reset(one.host, other.host) > 0;
        self.judge.disturb(true);
        self.judge.disturb(false);
        self.note(Fault::Reset, hit, &format!("{} - {}", one.name, other.name));
    }

    async fn slow_reader(&self) {
        let slow = self.draw(|chance| self.clients.slow(chance));
        self.note(Fault::SlowReader, slow.is_some(), "");
        let Some(mend) = slow else { return };
        sleep(self.millis(500, 2 * OUTAGE)).await;
        mend();
    }

    fn leave(&self) {
        let ending = self.draw(|chance| {
            let party = if chance.random_ratio(2, 3) { Party::Client } else { Party::Broker };
            if chance.random_ratio(2, 3) { Ending::HalfClose(party) } else { Ending::Reset(party) }
        });
        let left = self.draw(|chance| self.clients.leave(ending, chance));
        self.note(Fault::Leave, left.is_some(), &format!("{} {ending:?}", left.unwrap_or_default()));
    }

    async fn stop(&self) {
        let kinds = [Kind::Origin, Kind::Origin, Kind::Edge, Kind::Sidecar, Kind::Broker];
        let kind = self.draw(|chance| *kinds.choose(chance).expect("some"));
        let Some(node) = self.node(kind) else { return };
        let (time, hit) = (self.millis(200, OUTAGE), self.tier.net.connections(node.host) > 0);
        self.note(Fault::Stop, hit, &format!("{} {}", node.name, time.as_millis()));
        self.judge.disturb(true);
        node.with(Process::stop);
        sleep(time).await;
        // Whoever was killed meanwhile has a successor, which wasn't stopped.
        node.with(Process::go_on);
        Journal::note(format_args!("MENDED {}", node.name));
        self.judge.disturb(false);
    }

    /// Takes a process away and starts another in its place.
    async fn restart(&self, fault: Fault, kind: Kind) {
        let Some(node) = self.node(kind) else { return };
        self.judge.disturb(true);
        let connections = self.tier.net.connections(node.host) as u64;
        let hit = if kind == Kind::Origin { connections } else { self.clients.taken_away(node, fault) };
        let homes = match kind {
            Kind::Broker if self.tier.cast != Cast::Recorders => Homes::All,
            Kind::Sidecar | Kind::Broker => Homes::One(format!("home-{}", node.number)),
            Kind::Edge | Kind::Origin => Homes::None,
        };
        self.judge.takes(node.host, homes);
        self.note(fault, hit > 0, &node.name);
        match fault {
            Fault::PowerOrigin => drop(node.with(Process::power_off)),
            Fault::DrainEdge => {
                node.with(Process::drain);
                self.ended(node).await;
            }
            _ => drop(node.with(Process::kill)),
        }
        sleep(self.millis(100, OUTAGE / 2)).await;
        if fault == Fault::PowerOrigin {
            self.tier.net.power_on(node.host);
        }
        self.replace(node);
        self.judge.disturb(false);
    }

    async fn ended(&self, node: &Node) {
        while node.runs() {
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// Starts the next process at this place, if nobody did; an origin now and then with another ring.
    fn replace(&self, node: &Node) {
        if node.runs() {
            return;
        }
        self.tier.bury(node);
        let changes = node.kind == Kind::Origin && self.draw(|chance| chance.random_ratio(1, 3));
        if changes {
            self.note(Fault::RingChange, self.clients.connected() > 0, &node.name);
        }
        let sets = changes.then(|| format!("origin.ring.seed={}", self.draw(|chance| chance.random_range(1..99))));
        Journal::note(format_args!("STARTS {}", node.name));
        self.tier.start(node, sets.as_slice());
        self.judge.gives_back(node.host);
    }

    async fn drain_origin(&self) {
        let Some(node) = self.node(Kind::Origin) else { return };
        self.judge.disturb(true);
        let tunnels = node.metrics().map_or(0, |metrics| gauge(&metrics, "baton_tunnels"));
        self.note(Fault::DrainOrigin, tunnels > 0, &format!("{} with {tunnels}", node.name));
        node.with(Process::drain);
        self.ended(node).await;
        sleep(self.millis(100, OUTAGE / 2)).await;
        self.replace(node);
        self.judge.disturb(false);
    }

    /// Planned and broken moves so far, at the edges that are there.
    fn moves(&self) -> (u64, u64) {
        let mut totals = Totals::default();
        self.tier.of(Kind::Edge).filter_map(Node::metrics).for_each(|metrics| totals.add(Kind::Edge, &metrics));
        (totals.planned, totals.broken)
    }

    /// A drain while all else is well: every move is make-before-break, and nothing is left.
    async fn calm_drain(&self) {
        sleep(WELL).await;
        let Some(node) = self.node(Kind::Origin) else { return };
        let tunnels = node.metrics().map_or(0, |metrics| gauge(&metrics, "baton_tunnels"));
        self.note(Fault::CalmDrain, tunnels > 0, &format!("{} with {tunnels}", node.name));
        let ((planned, broken), resets) = (self.moves(), self.tier.net.frames().resets);
        node.with(Process::drain);
        self.ended(node).await;
        // The last tunnel may have ended just before its edge hears that the next is accepted.
        sleep(KNOWN).await;
        let (exit, after) = (node.with(Process::exit).flatten(), self.moves());
        if exit != Some(Exit::Done) || after != (planned + tunnels, broken) {
            let moved = format!("moves were ({planned}, {broken}) and are {after:?}");
            self.judge.violated(&format!("{} with {tunnels} drained as {exit:?}; {moved}", node.name));
        }
        let resets = self.tier.net.frames().resets - resets;
        if resets > 0 {
            self.judge.violated(&format!("{} drained with {resets} RST_STREAM", node.name));
        }
        self.replace(node);
        // It is known to the edges before anything else happens.
        sleep(KNOWN).await;
    }
}

async fn mended(playing: &mut JoinSet<()>) {
    while let Some(played) = playing.join_next().await {
        played.expect("a fault plays to its end");
    }
}
