//! `baton bench`: the numbers that the tier is held to, each by one command.
//!
//! A bench starts its own tier of processes of this very program, says what it set up, shows what it saw in a table,
//! and ends with a line for each figure: what came out, what it had to be, met or missed.

mod broker;
mod chaos;
mod cpu;
mod endurance;
mod figure;
pub mod machine;
mod memory;
mod moves;
mod payload;
mod resources;

use std::{error::Error, process::ExitCode};

use clap::Subcommand;

use self::figure::Figure;

/// What a bench comes to: its figures, or why there are none.
type Figures = Result<Vec<Figure>, Box<dyn Error>>;

/// Which bench.
#[derive(Subcommand, Debug)]
pub enum Bench {
    /// Clients and messages while origins are drained and killed in a row: nothing may be lost, nobody dropped
    Endurance(endurance::Options),
    /// Every kind of fault by a seeded schedule, several at a time: who is to hold holds
    Chaos(chaos::Options),
    /// One origin leaves with all of its tunnels at once: how long until all are elsewhere
    Moves(moves::Options),
    /// What an idle session costs each process in memory
    Memory(memory::Options),
    /// What a message costs edge and origin in processor time, beside two TCP hops of HAProxy
    Cpu(cpu::Options),
    /// What broker-sim carries, beside mosquitto, without a tier
    Broker(broker::Options),
    /// What connects, moves and restarts by the thousand leave behind: nothing
    Resources(resources::Options),
    /// How fast large payloads pass over a long way, with the window that a session has
    Payload(payload::Options),
}

/// Runs a bench of the program that calls itself `version`: 0 if every figure is met, else 1.
pub fn run(bench: Bench, version: &str) -> ExitCode {
    let figures = machine::prepare(version).map_err(Into::into).and_then(|()| match bench {
        Bench::Endurance(options) => endurance::run(&options),
        Bench::Chaos(options) => chaos::run(&options),
        Bench::Moves(options) => moves::run(&options),
        Bench::Memory(options) => memory::run(&options),
        Bench::Cpu(options) => cpu::run(&options),
        Bench::Broker(options) => broker::run(&options),
        Bench::Resources(options) => resources::run(&options),
        Bench::Payload(options) => payload::run(&options),
    });
    match figures {
        Ok(figures) => {
            println!();
            figures.iter().for_each(|figure| println!("{figure}"));
            if figures.iter().all(Figure::met) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            eprintln!("baton bench: {error}");
            ExitCode::FAILURE
        }
    }
}
