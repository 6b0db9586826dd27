//! Many clients and messages while origins leave and die in a row.

mod witness;

use std::{error::Error, time::Duration};

use baton_drill::{
    ledger::Verdict,
    load::{Load, Plan, Tempo},
    pause::{Watch, pause},
    tier::{Broker, Layout, Role, Tier},
};
use clap::{Args, ValueEnum};

use self::witness::Witness;
use super::{Figures, figure::Figure, machine};

/// Time for the slowest step: connecting all clients, or recovering from a fault.
const PATIENCE: Duration = Duration::from_secs(120);
/// Time between two looks at the edges.
const LOOK: Duration = Duration::from_millis(20);
/// Local addresses that the clients connect from.
const SOURCES: u8 = 4;
const EDGES: u16 = 2;
const ORIGINS: u16 = 3;
const HOMES: u16 = 3;

#[derive(Args, Debug)]
pub struct Options {
    /// Clients, which publish to each other in pairs
    #[arg(long, default_value_t = 2_000)]
    clients: u32,
    /// Messages a second, of all together; QoS 0, 1 and 2 in turn
    #[arg(long, default_value_t = 5_000)]
    rate: u32,
    /// Times that an origin is drained and restarted
    #[arg(long, default_value_t = 20)]
    drains: u32,
    /// Times that an origin is killed and restarted
    #[arg(long, default_value_t = 20)]
    kills: u32,
    /// The broker behind the tier
    #[arg(long, default_value = "sim")]
    broker: WhichBroker,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum WhichBroker {
    /// broker-sim, the homes within
    Sim,
    /// mosquitto, if it is installed, with three sidecars
    Mosquitto,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Fault {
    Drain,
    Kill,
}

impl Fault {
    fn word(self) -> &'static str {
        match self {
            Self::Drain => "drain",
            Self::Kill => "kill",
        }
    }
}

pub(super) fn run(options: &Options) -> Figures {
    let (broker, before) = match options.broker {
        WhichBroker::Sim => (Broker::Sim, "one broker-sim"),
        WhichBroker::Mosquitto => (Broker::Mosquitto, "one mosquitto, a sidecar each"),
    };
    let layout = Layout { edges: EDGES, origins: ORIGINS, homes: HOMES, broker, ..Layout::new(machine::program()?) };
    let mut tier = Tier::new(layout.set(Role::Broker, "sys_interval", "1"))?;
    let Options { clients, rate, drains, kills, .. } = options;
    println!("set-up:  {EDGES} edges, {ORIGINS} origins, {HOMES} homes before {before}");
    println!("         {clients} clients with wills, {rate} messages/s of 64 bytes, QoS 0, 1 and 2 in turn");
    println!("         {drains} drains and {kills} kills in turn, each of the origin with the most tunnels");
    println!();
    tier.start_all()?;
    let mut witness = (broker == Broker::Mosquitto).then(|| Witness::call(&tier)).transpose()?;
    let load = herd(&tier, *clients, *rate)?;
    let before = Account::take(&tier)?;
    if before.connects < f64::from(*clients) {
        return Err(format!("the broker counts {} CONNECTs of {clients} clients", before.connects).into());
    }
    witness.as_mut().map_or(Ok(()), |witness| witness.clients_came(*clients))?;
    let mut course = Course { tier, load, rate: *rate, at_fault: 0, unhit: 0 };
    println!("      time  fault  origin    tunnels  planned  broken  recovered  latency of the messages meanwhile");
    let watch = Watch::start();
    for fault in faults(*drains, *kills) {
        course.one(fault, &watch)?;
    }
    let after = Account::take(&course.tier)?;
    witness.as_mut().map_or(Ok(()), Witness::faults_are_over)?;
    let Course { load, at_fault, unhit, .. } = course;
    let report = load.finish(PATIENCE);
    println!("clients: {report}");
    let by_sys = witness.map_or(Ok(Vec::new()), |witness| witness.figures(&report.verdict.total()))?;
    let figures = figures(&report.verdict, after.connects - before.connects, after.wills - before.wills);
    let hits = [
        Figure::none("endurance: broken moves in drains", f64::from(at_fault)),
        Figure::none("endurance: faults that hit nothing", f64::from(unhit)),
    ];
    Ok(figures.into_iter().chain(hits).chain(by_sys).collect())
}

/// All clients, once messages flow.
fn herd(tier: &Tier, clients: u32, rate: u32) -> Result<Load, Box<dyn Error>> {
    let plan = Plan {
        sources: SOURCES,
        tempo: Tempo::Rate(rate),
        wills: true,
        ..Plan::new("endurance", &tier.edges(), clients)
    };
    let load = Load::start(plan)?;
    load.ready(PATIENCE)?;
    load.publish();
    load.received(2 * u64::from(rate), PATIENCE)?;
    // What was before the first fault isn't its latency.
    let _ = load.take_window();
    Ok(load)
}

/// What clients and broker noticed.
fn figures(verdict: &Verdict, connects: f64, wills: f64) -> Vec<Figure> {
    let total = verdict.total();
    let count = |n: u64| f64::from(u32::try_from(n).unwrap_or(u32::MAX));
    vec![
        Figure::none("endurance: clients dropped", count(verdict.dropped())),
        Figure::none("endurance: messages lost", count(total.lost)),
        Figure::none("endurance: messages duplicated", count(total.duplicated)),
        Figure::none("endurance: messages reordered", count(total.reordered)),
        Figure::none("endurance: acknowledgements missing", count(total.unacknowledged)),
        Figure::none("endurance: new CONNECTs at the broker", connects),
        Figure::none("endurance: wills and other strays", wills + count(verdict.strays)),
    ]
}

/// Both kinds in turn for as long as there are any.
fn faults(drains: u32, kills: u32) -> Vec<Fault> {
    let turn = |nth| [(nth < drains).then_some(Fault::Drain), (nth < kills).then_some(Fault::Kill)];
    (0..drains.max(kills)).flat_map(turn).flatten().collect()
}

/// What the broker saw.
struct Account {
    connects: f64,
    wills: f64,
}

impl Account {
    fn take(tier: &Tier) -> Result<Self, Box<dyn Error>> {
        Ok(Self { connects: tier.connects("broker-1")?, wills: tier.wills("broker-1")? })
    }
}

/// How sessions have moved so far, at all edges.
#[derive(Clone, Copy)]
struct Moved {
    planned: f64,
    broken: f64,
}

struct Course {
    tier: Tier,
    load: Load,
    rate: u32,
    /// Moves in drains that weren't make-before-break.
    at_fault: u32,
    /// Faults that hit no tunnel.
    unhit: u32,
}

impl Course {
    fn one(&mut self, fault: Fault, watch: &Watch) -> Result<(), Box<dyn Error>> {
        let (origin, tunnels) = self.fullest()?;
        let before = self.moved()?;
        let at = watch.seconds();
        let recovering = Watch::start();
        match fault {
            Fault::Drain => {
                self.tier.terminate(&origin)?;
                let status = self.tier.exit(&origin, PATIENCE)?;
                if !status.success() {
                    return Err(format!("{origin} left sessions behind ({status})").into());
                }
            }
            Fault::Kill => self.tier.kill(&origin)?,
        }
        while !self.recovered(before.planned + before.broken + tunnels)? {
            if recovering.elapsed() > PATIENCE {
                return Err(format!("not every session has recovered from the {} of {origin}", fault.word()).into());
            }
            pause(LOOK);
        }
        let recovered = recovering.seconds();
        self.tier.restart(&origin)?;
        self.load.received(u64::from(self.rate), PATIENCE)?;
        let after = self.moved()?;
        let (planned, broken) = (after.planned - before.planned, after.broken - before.broken);
        let moved = if fault == Fault::Drain { planned } else { broken };
        self.unhit += u32::from(moved == 0.0);
        self.at_fault += u32::from(fault == Fault::Drain && broken > 0.0);
        println!(
            "{at:8.1} s  {:5}  {origin:8}  {tunnels:7}  {planned:7}  {broken:6}  {recovered:7.2} s  {}, {} dropped",
            fault.word(),
            self.load.take_window().latency,
            self.load.progress().counts.dropped,
        );
        Ok(())
    }

    /// Whether every session is live, and so many have moved: right after a kill all seem live, for nobody knows yet.
    fn recovered(&self, moves: f64) -> Result<bool, Box<dyn Error>> {
        for edge in self.tier.names(Role::Edge) {
            let samples = self.tier.metrics(&edge)?;
            if samples.total("baton_sessions", &[("state", "live")]) != samples.total("baton_sessions", &[]) {
                return Ok(false);
            }
        }
        let moved = self.moved()?;
        Ok(moved.planned + moved.broken >= moves)
    }

    fn fullest(&self) -> Result<(String, f64), Box<dyn Error>> {
        let mut fullest = (String::new(), -1.0);
        for origin in self.tier.names(Role::Origin) {
            let tunnels = self.tier.metrics(&origin)?.total("baton_tunnels", &[]);
            if tunnels > fullest.1 {
                fullest = (origin, tunnels);
            }
        }
        Ok(fullest)
    }

    fn moved(&self) -> Result<Moved, Box<dyn Error>> {
        let mut moved = Moved { planned: 0.0, broken: 0.0 };
        for edge in self.tier.names(Role::Edge) {
            let samples = self.tier.metrics(&edge)?;
            moved.planned += samples.total("baton_moves_total", &[("kind", "planned"), ("outcome", "accepted")]);
            moved.broken += samples.total("baton_moves_total", &[("kind", "broken"), ("outcome", "accepted")]);
        }
        Ok(moved)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drains_and_kills_take_turns() {
        let words: Vec<_> = faults(3, 2).into_iter().map(Fault::word).collect();
        assert_eq!(words, ["drain", "kill", "drain", "kill", "drain"]);
        assert!(faults(0, 0).is_empty());
    }
}
