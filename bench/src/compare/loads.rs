//! Loads, and what came of them by stack.

use std::error::Error;

use baton_drill::{load::Tempo, mqtt::Qos};

use super::{Middle, Options, Wrongs};
use crate::{
    measure::{Cell, Turn, count, measure, plan, valid},
    stack::{Kind, Stack},
};

/// A load: its name on the command line and in tables, publishers, quality of service, pace.
pub(super) type Named = (&'static str, u32, Qos, Tempo);

pub(super) const MANY: &str = "1000:1";
pub(super) const FEW: &str = "100:0";
/// Messages that each publisher has under way in a closed loop.
pub(super) const MANY_WINDOW: u32 = 4;
pub(super) const FEW_WINDOW: u32 = 16;
pub(super) const CALM: &str = "100:0:5000";
/// The rates among which the highest is looked for that nobody is overwhelmed by, from the lowest on: where one is too much,
/// none that is higher is played.
pub(super) const RATES: [&str; 4] = ["1000:0:5000", "1000:0:10000", "1000:0:15000", "1000:0:20000"];

pub(super) const ALL: [Named; 7] = [
    (MANY, 1_000, Qos::AtLeastOnce, Tempo::Closed(MANY_WINDOW)),
    (FEW, 100, Qos::AtMostOnce, Tempo::Closed(FEW_WINDOW)),
    (CALM, 100, Qos::AtMostOnce, Tempo::Rate(5_000)),
    (RATES[0], 1_000, Qos::AtMostOnce, Tempo::Rate(5_000)),
    (RATES[1], 1_000, Qos::AtMostOnce, Tempo::Rate(10_000)),
    (RATES[2], 1_000, Qos::AtMostOnce, Tempo::Rate(15_000)),
    (RATES[3], 1_000, Qos::AtMostOnce, Tempo::Rate(20_000)),
];

/// One valid turn.
#[derive(Debug)]
struct Played {
    load: &'static str,
    kind: Kind,
    turn: Turn,
}

/// All turns.
#[derive(Debug, Default)]
pub(super) struct Loads {
    played: Vec<Played>,
    /// The rate that was too much, and the stack before which the load had no valid turn.
    pub(super) too_much: Option<(&'static str, Kind)>,
}

impl Loads {
    pub(super) fn play(stacks: &[Kind], options: &Options, wrongs: &Wrongs) -> Self {
        let mut loads = Self::default();
        for (name, pairs, qos, tempo) in ALL.into_iter().filter(|(name, ..)| options.wants(name)) {
            if RATES.contains(&name) && loads.too_much.is_some() {
                continue;
            }
            let cell = Cell { pairs, qos, payload: 64, tempo, seconds: options.seconds };
            println!("\n{name:38}  us of processor time per message       latency, us");
            println!("round  stack            messages/s    hops  each hop             broker     p50      p99  load");
            loads.rounds((name, &cell), stacks, options.rounds, wrongs);
        }
        loads
    }

    /// All rounds of a load; fewer if it is a rate that is too much.
    fn rounds(&mut self, (load, cell): (&'static str, &Cell), stacks: &[Kind], rounds: u32, wrongs: &Wrongs) {
        for round in 1..=rounds {
            for kind in stacks {
                let play = || {
                    let turn = turn(*kind, cell)?;
                    // The broker alone is there to be seen, and as fast as the load.
                    let doubts = if *kind == Kind::Direct { turn.faults.clone() } else { turn.doubts() };
                    Ok((turn, doubts))
                };
                let played = valid(&kind.to_string(), || wrongs.note(*kind, play(), |turn| turn.suffered));
                match played {
                    Some(turn) => {
                        row(round, *kind, &turn);
                        self.played.push(Played { load, kind: *kind, turn });
                    }
                    None if RATES.contains(&load) => {
                        println!("     {load} is too much for this machine: it and what is higher are left out");
                        self.played.retain(|played| played.load != load);
                        self.too_much = Some((load, *kind));
                        return;
                    }
                    None => {}
                }
            }
        }
    }

    /// What came of a load at a stack, turn by turn.
    fn of(&self, load: &str, kind: Kind) -> impl Iterator<Item = &Turn> {
        let hit = move |played: &&Played| played.kind == kind && played.load == load;
        self.played.iter().filter(hit).map(|played| &played.turn)
    }

    pub(super) fn middle(&self, load: &str, kind: Kind, what: impl Fn(&Turn) -> f64) -> Middle {
        Middle::of(self.of(load, kind).map(what))
    }

    pub(super) fn turns(&self, load: &str, kind: Kind) -> usize {
        self.of(load, kind).count()
    }

    /// The most that the host took in a turn that counts, as a share of all processors' time.
    pub(super) fn steal(&self) -> f64 {
        self.played.iter().map(|played| played.turn.steal).fold(0.0, f64::max)
    }

    /// The loads that were played.
    pub(super) fn names(&self) -> Vec<&'static str> {
        ALL.iter()
            .map(|(name, ..)| *name)
            .filter(|name| self.played.iter().any(|played| played.load == *name))
            .collect()
    }

    /// The stacks that a load was played at.
    pub(super) fn kinds(&self, load: &str) -> Vec<Kind> {
        super::ALL.into_iter().filter(|kind| self.turns(load, *kind) > 0).collect()
    }

    /// The best that some stacks reach: `best` of their medians.
    pub(super) fn best(
        &self,
        load: &str,
        among: impl Fn(Kind) -> bool,
        what: impl Fn(&Turn) -> f64,
        best: fn(f64, f64) -> f64,
    ) -> f64 {
        let medians =
            self.kinds(load).into_iter().filter(|kind| among(*kind)).map(|kind| self.middle(load, kind, &what).median);
        medians.reduce(best).unwrap_or(f64::NAN)
    }
}

impl Turn {
    /// Processor time per message of all hops.
    pub(super) fn hops(&self) -> f64 {
        (0..self.cpu.len().saturating_sub(1)).map(|hop| self.cost(hop)).fold(0.0, |sum, hop| sum + hop)
    }

    /// Of the broker behind them.
    pub(super) fn broker(&self) -> f64 {
        self.cost(self.cpu.len().saturating_sub(1))
    }

    /// The share of a processor that the busiest program took.
    pub(super) fn busiest(&self) -> f64 {
        self.cpu.iter().map(|cpu| cpu / self.seconds).fold(0.0, f64::max)
    }
}

fn turn(kind: Kind, cell: &Cell) -> Result<Turn, Box<dyn Error>> {
    let stack = Stack::start(kind)?;
    let parts: Vec<_> = stack.hops.iter().chain([&stack.broker]).cloned().collect();
    measure(plan(&[stack.address], cell), cell, &parts)
}

fn row(round: u32, kind: Kind, turn: &Turn) {
    let each: Vec<_> = (0..turn.cpu.len() - 1).map(|hop| format!("{:.2}", turn.cost(hop))).collect();
    println!(
        "{round:5}  {kind:15}  {:10.0}  {:6.2}  {:19}  {:6.2}  {:6.0}  {:7.0}  {:.2}",
        turn.speed(),
        turn.hops(),
        each.join(" + "),
        turn.broker(),
        count(turn.window.latency.p50),
        count(turn.window.latency.p99),
        turn.own_cores(),
    );
}
