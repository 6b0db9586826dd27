//! What use leaves behind in the processes: nothing.

use baton_drill::wear::{self, CLIENTS, CONNECTS, MOVES, Wear};
use clap::Args;

use super::{Figures, figure::Figure, machine};

/// Bytes that a connect, or a session's move, may leave in the memory of a process: what can't be told from the
/// allocator's own movements.
const KEPT: f64 = 64.0;

#[derive(Args, Debug)]
pub struct Options {
    /// Connections that clients make, half of which end without a word
    #[arg(long, default_value_t = 100_000)]
    connects: u32,
    /// Times that all sessions of an origin move because its link is cut
    #[arg(long, default_value_t = 1_000)]
    moves: u32,
    /// Times that an origin is drained or killed, in turn, and started again
    #[arg(long, default_value_t = 100)]
    restarts: u32,
}

pub(super) fn run(options: &Options) -> Figures {
    let Options { connects, moves, restarts } = *options;
    println!("set-up:  1 edge, 2 origins, 1 sidecar before a broker-sim; a proxy on each link to an origin");
    println!(
        "         {connects} connects, {CLIENTS} at a time; then {moves} cuts and {restarts} restarts of origins,"
    );
    println!("         each while {CLIENTS} sessions with messages under way are at that origin");
    println!("         looked at while nobody is connected: /proc/PID and the processes' own gauges");
    println!();
    let wear = Wear { binary: machine::program()?, connects, moves, restarts };
    let report = wear::play(&wear, |step| println!("{step}"))?;
    println!("\n{report}");
    let left = report.left();
    left.iter().chain(&report.suffered).for_each(|line| println!("{line}"));
    let count = |n: usize| f64::from(u32::try_from(n).unwrap_or(u32::MAX));
    let grown = |step, count: u32| report.grown(step) as f64 / f64::from((count - count / 2).max(1));
    let (connect, cut) = (grown(CONNECTS, connects), grown(MOVES, moves));
    let due = f64::from(CLIENTS) * f64::from(moves + restarts);
    Ok(vec![
        Figure::none("resources: processes with more than at first", count(left.len())),
        Figure::at_most("resources: memory kept per connect, in the second half", connect, KEPT, "B"),
        Figure::at_most("resources: memory kept per move, in the second half", cut / f64::from(CLIENTS), KEPT, "B"),
        Figure::at_least("resources: moves", report.moved.0 + report.moved.1, due, ""),
        Figure::none("resources: loads that suffered", count(report.suffered.len())),
    ])
}
