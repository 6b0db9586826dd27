//! Faults of every kind by a seeded schedule, several at a time.

use std::time::Duration;

use baton_drill::chaos::{self, Plan};
use clap::Args;

use super::{Figures, figure::Figure, machine};

/// Seconds of a run, at one fault a second, for each hit that every class of faults must have.
const SECONDS_PER_HIT: f64 = 30.0;

#[derive(Args, Debug)]
pub struct Options {
    /// Number from which all that goes wrong follows
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Seconds over which faults begin
    #[arg(long, default_value_t = 600, value_parser = clap::value_parser!(u32).range(1..=86_400))]
    seconds: u32,
    /// Faults that begin in a second
    #[arg(long, default_value_t = 1.0)]
    faults_per_second: f64,
}

pub(super) fn run(options: &Options) -> Figures {
    let Options { seed, seconds, faults_per_second } = *options;
    if !(0.1..=10.0).contains(&faults_per_second) {
        return Err("--faults-per-second must be from 0.1 to 10".into());
    }
    let every = Duration::from_secs_f64(1.0 / faults_per_second);
    let faults = usize::try_from(Duration::from_secs(seconds.into()).as_millis() / every.as_millis())?;
    let plan = Plan { binary: machine::program()?, seed, faults, every };
    println!("set-up:  4 edges, 4 origins, 3 sidecars before a broker-sim each, a proxy on every link");
    println!("         {faults} faults, at most one every {} ms", every.as_millis());
    println!("again:   baton bench chaos --seed {seed} --seconds {seconds} --faults-per-second {faults_per_second}");
    println!();
    let report = chaos::play(&plan, |line| println!("{line}"))?;
    println!("\n{report}");
    let count = |n: usize| f64::from(u32::try_from(n).unwrap_or(u32::MAX));
    let least = report.tallies.values().map(|tally| tally.hits).min().unwrap_or(0);
    let due = (count(faults) / SECONDS_PER_HIT).floor();
    Ok(vec![
        Figure::at_least("chaos: hits of the class of faults that has fewest", f64::from(least), due, ""),
        Figure::none("chaos: violations", count(report.violations.len())),
    ])
}
