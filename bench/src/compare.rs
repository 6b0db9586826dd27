//! Baton beside what people would put there instead: every stack of fresh processes in turn, round after round, before the
//! same broker and under the same clients.

use std::error::Error;

use baton_drill::{load::Tempo, mqtt::Qos};
use clap::Args;

use super::{
    Figures,
    measure::{Cell, Turn, measure, plan},
    stack::{Kind, Stack},
};

#[derive(Args, Debug)]
pub struct Options {
    /// Rounds, in each of which every stack takes its turn
    #[arg(long, default_value_t = 7)]
    rounds: u32,
    /// Seconds that each turn is measured
    #[arg(long, default_value_t = 4)]
    seconds: u64,
    /// Only these stacks, by the beginning of their name
    #[arg(long, value_name = "NAME")]
    stack: Vec<String>,
    /// Only these loads, by their name
    #[arg(long, value_name = "PAIRS:QOS[:RATE]")]
    cell: Vec<String>,
}

const ALL: [Kind; 10] = [
    Kind::Direct,
    Kind::Haproxy(1),
    Kind::Baton,
    Kind::Nginx(1),
    Kind::Relay(1),
    Kind::Envoy(1),
    Kind::Haproxy(2),
    Kind::Nginx(2),
    Kind::Relay(2),
    Kind::Envoy(2),
];

/// A load, as it is called on the command line and in tables.
const CELLS: [(&str, u32, Qos, Tempo); 6] = [
    ("1000:1", 1_000, Qos::AtLeastOnce, Tempo::Closed(4)),
    ("100:0", 100, Qos::AtMostOnce, Tempo::Closed(16)),
    ("100:0:5000", 100, Qos::AtMostOnce, Tempo::Rate(5_000)),
    ("1000:0:5000", 1_000, Qos::AtMostOnce, Tempo::Rate(5_000)),
    ("1000:0:10000", 1_000, Qos::AtMostOnce, Tempo::Rate(10_000)),
    ("1000:0:20000", 1_000, Qos::AtMostOnce, Tempo::Rate(20_000)),
];

pub(super) fn run(options: &Options) -> Figures {
    let wanted =
        |wanted: &[String], name: &str| wanted.is_empty() || wanted.iter().any(|w| name.starts_with(w.as_str()));
    for (name, pairs, qos, tempo) in
        CELLS.into_iter().filter(|(name, ..)| options.cell.is_empty() || options.cell.iter().any(|cell| cell == name))
    {
        let cell = Cell { pairs, qos, payload: 64, tempo, seconds: options.seconds };
        println!("\n{name}");
        for round in 1..=options.rounds {
            for kind in ALL.into_iter().filter(|kind| wanted(&options.stack, &kind.to_string())) {
                if let Some(Err(_)) = kind.version() {
                    continue;
                }
                let turn = turn(kind, &cell)?;
                row(round, kind, &turn);
            }
        }
    }
    Ok(Vec::new())
}

fn turn(kind: Kind, cell: &Cell) -> Result<Turn, Box<dyn Error>> {
    let stack = Stack::start(kind)?;
    let parts: Vec<_> = stack.hops.iter().chain([&stack.broker]).cloned().collect();
    measure(plan(&[stack.address], cell), cell, &parts)
}

fn row(round: u32, kind: Kind, turn: &Turn) {
    let costs: Vec<_> = (0..turn.cpu.len()).map(|at| format!("{:6.2}", turn.cost(at))).collect();
    let hops: f64 = (0..turn.cpu.len() - 1).map(|at| turn.cost(at)).sum();
    println!(
        "{round:3}  {kind:14}  {:9.0}/s  hops {hops:6.2}  [{}]  load {:.2}  p50 {} p99 {} {:?}",
        turn.speed(),
        costs.join(" "),
        turn.own_cores(),
        turn.window.latency.p50,
        turn.window.latency.p99,
        turn.faults
    );
}
