//! One turn: a load before a stack, watched for some seconds.

use std::{error::Error, io, time::Duration};

use baton_drill::{
    ledger::{Spread, Window},
    load::{Load, Plan, Shape, Tempo},
    mqtt::Qos,
    pause::{Watch, pause},
    proc::Family,
};

use super::stack::Part;

/// Time for the slowest step, connecting all clients.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);
/// Time under load before the measurement.
const WARM: Duration = Duration::from_secs(1);
/// Local addresses that the clients connect from: each has ports for some 28,000 connections.
const SOURCES: u8 = 4;

/// What is asked of a stack.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cell {
    /// Publishers, each with a subscriber of its own.
    pub(crate) pairs: u32,
    pub(crate) qos: Qos,
    /// Bytes of a message's payload.
    pub(crate) payload: usize,
    pub(crate) tempo: Tempo,
    pub(crate) seconds: u64,
}

/// What came of it.
#[derive(Clone, Debug)]
pub(crate) struct Turn {
    /// Messages that arrived.
    pub(crate) messages: u64,
    pub(crate) seconds: f64,
    /// Processor time of each part, in seconds.
    pub(crate) cpu: Vec<f64>,
    /// The load's own.
    pub(crate) own_cpu: f64,
    /// Of all processors' time, how much the machine's host took for itself.
    pub(crate) steal: f64,
    pub(crate) window: Window,
    /// What was wrong with the run: nothing is to be concluded from it.
    pub(crate) faults: Vec<String>,
    /// Clients were dropped, or messages lost, doubled or reordered: a fault too, and never an accident.
    pub(crate) suffered: bool,
    /// That the load itself was what was slow, if it was: fine for a broker that has nothing before it.
    pub(crate) limit: Option<String>,
}

impl Turn {
    /// Messages a second.
    pub(crate) fn speed(&self) -> f64 {
        count(self.messages) / self.seconds
    }

    /// Microseconds of processor time per message of one part.
    pub(crate) fn cost(&self, part: usize) -> f64 {
        self.cpu.get(part).map_or(f64::NAN, |cpu| cpu * 1e6 / count(self.messages))
    }

    /// All that speaks against it.
    pub(crate) fn doubts(&self) -> Vec<String> {
        self.faults.iter().chain(&self.limit).cloned().collect()
    }

    /// Processors that the load itself kept busy.
    pub(crate) fn own_cores(&self) -> f64 {
        self.own_cpu / self.seconds
    }
}

/// As many as they are: far below what a float can't tell apart.
pub(crate) fn count(n: u64) -> f64 {
    u32::try_from(n).map_or(f64::INFINITY, f64::from)
}

/// Milliseconds, for a table.
pub(crate) fn millis(micros: u64) -> f64 {
    count(micros) / 1e3
}

/// How much of a processor the load may use up in a closed loop before it may be what is slow.
const OWN_CORES: f64 = 0.9;
/// How late the load itself may be at a fixed rate, in microseconds, for one message in a hundred.
const LATE: u64 = 1_000;
/// Share of a fixed rate that has to arrive, but for what may be under way at both ends of a window.
const KEPT: f64 = 0.98;
const AT_THE_ENDS: u64 = 2;
/// How much the host may take.
const STEAL: f64 = 0.05;

/// Plays a cell to these addresses, and looks at these programs.
pub(crate) fn measure(plan: Plan, cell: &Cell, parts: &[Part]) -> Result<Turn, Box<dyn Error>> {
    let load = Load::start(plan)?;
    load.ready(PATIENCE)?;
    load.publish();
    load.received(u64::from(cell.pairs), PATIENCE)?;
    let mut turn = watch(&load, cell, parts)?;
    let report = load.finish(PATIENCE);
    turn.suffered = !report.verdict.is_clean();
    if turn.suffered {
        turn.faults.push(report.to_string());
    }
    Ok(turn)
}

/// Looks for a while at a load that is under way, and at these programs.
pub(crate) fn watch(load: &Load, cell: &Cell, parts: &[Part]) -> Result<Turn, Box<dyn Error>> {
    pause(WARM);
    let before = Look::now(load, parts)?;
    let watch = Watch::start();
    drop(load.take_window());
    pause(Duration::from_secs(cell.seconds));
    let after = Look::now(load, parts)?;
    let seconds = watch.seconds();

    let mut turn = Turn {
        messages: after.received - before.received,
        seconds,
        cpu: before.parts.iter().zip(&after.parts).map(|(before, after)| cpu(before, after)).collect(),
        own_cpu: cpu(&before.own, &after.own),
        steal: after.machine.stolen_since(&before.machine),
        window: load.take_window(),
        faults: Vec::new(),
        suffered: false,
        limit: None,
    };
    turn.judge(cell);
    Ok(turn)
}

impl Turn {
    fn judge(&mut self, cell: &Cell) {
        let Spread { p99: late, .. } = self.window.lateness;
        match cell.tempo {
            // Late by itself, or because what it writes to doesn't read: both aren't the rate that was asked for.
            Tempo::Rate(_) if late > LATE => self.faults.push(format!("the load was {:.1} ms late", millis(late))),
            Tempo::Rate(rate) if count(self.messages + AT_THE_ENDS) < KEPT * f64::from(rate) * self.seconds => {
                self.faults.push(format!("{:.0} messages a second arrived, not {rate}", self.speed()));
            }
            Tempo::Closed(_) if self.own_cores() > OWN_CORES => {
                self.limit = Some(format!("the load used up {:.2} processors", self.own_cores()));
            }
            _ => {}
        }
        self.faults.extend(too_much(self.steal));
        if self.messages == 0 {
            self.faults.push("no message arrived".to_owned());
        }
    }
}

/// The clients of a cell.
pub(crate) fn plan(addresses: &[std::net::SocketAddr], cell: &Cell) -> Plan {
    Plan {
        shape: Shape::OneWay,
        mix: vec![cell.qos],
        tempo: cell.tempo,
        payload: cell.payload,
        sources: sources(addresses),
        ..Plan::new("bench", addresses, 2 * cell.pairs)
    }
}

/// Local addresses to connect from, on loopback only: elsewhere the kernel knows better.
pub(crate) fn sources(addresses: &[std::net::SocketAddr]) -> u8 {
    if addresses.iter().all(|address| address.ip().is_loopback()) { SOURCES } else { 0 }
}

/// Tries until nothing speaks against what comes out, a few times; what speaks against each try is said. What fails speaks
/// against itself: a stack that doesn't come up, or loses what it mustn't, takes nothing from the others.
pub(crate) fn valid<T>(what: &str, mut turn: impl FnMut() -> Result<(T, Vec<String>), Box<dyn Error>>) -> Option<T> {
    const TRIES: u32 = 3;
    for left in (0..TRIES).rev() {
        let then = if left > 0 { "run again" } else { "left out" };
        match turn() {
            Ok((result, faults)) if faults.is_empty() => return Some(result),
            Ok((_, faults)) => println!("     {what}: NOT VALID, {then}: {}", faults.join("; ")),
            Err(error) => println!("     {what}: FAILED, {then}: {error}"),
        }
    }
    None
}

/// What the host takes from the machine, from now on.
pub(crate) struct Theft(Machine);

impl Theft {
    pub(crate) fn watch() -> io::Result<Self> {
        Ok(Self(Machine::now()?))
    }

    /// What speaks against what was measured meanwhile.
    pub(crate) fn faults(&self) -> io::Result<Vec<String>> {
        Ok(too_much(Machine::now()?.stolen_since(&self.0)).into_iter().collect())
    }
}

/// That the host took so much that nothing is to be concluded, if it did.
fn too_much(steal: f64) -> Option<String> {
    (steal > STEAL).then(|| format!("the host took {:.0} %", steal * 100.0))
}

struct Look {
    received: u64,
    parts: Vec<Family>,
    own: Family,
    machine: Machine,
}

impl Look {
    fn now(load: &Load, parts: &[Part]) -> io::Result<Self> {
        Ok(Self {
            received: load.progress().totals.received,
            parts: parts.iter().map(Part::look).collect::<io::Result<_>>()?,
            own: own()?,
            machine: Machine::now()?,
        })
    }
}

/// Seconds of processor time between two looks.
pub(crate) fn cpu(before: &Family, after: &Family) -> f64 {
    after.cpu.saturating_sub(before.cpu).as_secs_f64()
}

/// This process alone: its children are the stack.
fn own() -> io::Result<Family> {
    let usage = baton_drill::proc::Usage::of(std::process::id())?;
    Ok(Family { cpu: usage.cpu, rss: usage.rss, processes: 1 })
}

/// What all processors did, in ticks (proc(5), /proc/stat).
#[derive(Clone, Copy, Debug)]
struct Machine {
    all: u64,
    stolen: u64,
}

impl Machine {
    fn now() -> io::Result<Self> {
        let text = std::fs::read_to_string("/proc/stat")?;
        let line = text.lines().find_map(|line| line.strip_prefix("cpu "));
        let ticks: Vec<u64> = line.unwrap_or("").split_whitespace().filter_map(|word| word.parse().ok()).collect();
        // user nice system idle iowait irq softirq steal; guests are in user already.
        let stolen = *ticks.get(7).ok_or_else(|| io::Error::other("/proc/stat says nothing of stolen time"))?;
        Ok(Self { all: ticks.iter().take(8).sum(), stolen })
    }

    fn stolen_since(&self, before: &Self) -> f64 {
        let all = self.all.saturating_sub(before.all).max(1);
        count(self.stolen.saturating_sub(before.stolen)) / count(all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_valid_is_tried_again_and_left_out_at_last() {
        let mut tries = 0;
        let mut turn = |good| {
            valid("a turn", || {
                tries += 1;
                match tries {
                    1 => Err("not even up".into()),
                    _ => Ok((tries, if tries >= good { vec![] } else { vec!["late".to_owned()] })),
                }
            })
        };
        assert_eq!(turn(3), Some(3));
        assert_eq!(turn(9), None);
    }
}
