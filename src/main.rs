//! The `baton` binary: one file per verb.

mod broker_sim;
mod check;
mod demo;
mod edge;
mod flags;
mod origin;
mod sidecar;

use std::process::ExitCode;

use baton_bench::Bench;
use baton_protocol::session::snapshot;
use clap::{Parser, Subcommand};

use self::flags::Flags;

/// The program, its commit, and what it speaks with others of its kind.
const VERSION: &str =
    concat!(env!("CARGO_PKG_VERSION"), " (commit ", env!("BATON_COMMIT"), "; wire dcr/1, snapshot 1)");
const _: () = assert!(snapshot::VERSION == 1, "the text above names it");

/// An MQTT relay tier that restarts without dropping a client
#[derive(Parser, Debug)]
#[command(name = "baton", version = VERSION, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand, Debug)]
enum Verb {
    /// Run an edge: where clients connect
    Edge(Flags),
    /// Run an origin: routes tunnels to homes, and hands them over when it goes
    Origin(Flags),
    /// Run the broker's half of the protocol before an unmodified broker
    Sidecar(sidecar::Options),
    /// Run a simulated MQTT broker, which misbehaves on command, for clients under test and for a tier
    BrokerSim(broker_sim::Options),
    /// Check configuration files for the roles that they are for, all mistakes in one report; binds and dials nothing
    Check(check::Options),
    /// Show it: a whole tier on this machine, deploys, a crash, and what its clients noticed
    Demo(demo::Options),
    /// Measure what the tier is held to, with nothing else installed
    #[command(subcommand)]
    Bench(Bench),
}

fn main() -> ExitCode {
    match Cli::parse().verb {
        Verb::Edge(flags) => edge::run(flags),
        Verb::Origin(flags) => origin::run(flags),
        Verb::Sidecar(options) => sidecar::run(options),
        Verb::BrokerSim(options) => broker_sim::run(options),
        Verb::Check(options) => check::run(&options),
        Verb::Demo(options) => demo::run(&options),
        Verb::Bench(bench) => baton_bench::run(bench, VERSION),
    }
}
