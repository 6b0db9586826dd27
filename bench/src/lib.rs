//! `baton bench`: numbers, each by one command.
//!
//! What `throughput`, `latency`, `connect`, `idle` and `restart` measure, they measure of any MQTT address; without one, of a
//! tier of this very program. The others start what they need, and end with a line for each figure: what came out, what
//! it had to be, met or missed.
//!
//! | Module | Holds |
//! |---|---|
//! | `against`, `measure`, `report` | what is measured, one turn under load, what is told of it |
//! | `throughput`, `latency`, `connect`, `idle`, `restart` | those five |
//! | `stack`, `sink`, `relay` | what clients' bytes pass through: ours and others'; the broker behind; a relay to compare with |
//! | `compare` | all stacks in turn, and the page that is written of it |
//! | `scale` | how it grows with sessions, trunks and workers |
//! | `instructions` | a message's way, counted under callgrind |
//! | `endurance`, `chaos`, `moves`, `resources`, `payload`, `broker` | what the tier and broker-sim are held to |
//! | `figure`, `machine` | a number with its target; what it was measured on |
//! | [`chart`] | lines over time, drawn |

mod against;
mod broker;
mod chaos;
pub mod chart;
mod compare;
mod connect;
mod endurance;
mod figure;
mod idle;
mod instructions;
mod latency;
pub mod machine;
mod measure;
mod moves;
mod payload;
mod relay;
mod report;
mod resources;
mod restart;
mod scale;
mod sink;
mod stack;
mod throughput;

use std::{error::Error, io, net::SocketAddr, process::ExitCode};

use clap::Subcommand;
use tokio::net::{TcpListener, TcpSocket};

use self::figure::Figure;

/// Connections that may wait for `accept`.
const BACKLOG: u32 = 4_096;

/// What a bench comes to: its figures, or why there are none.
type Figures = Result<Vec<Figure>, Box<dyn Error>>;

/// Which bench.
#[derive(Subcommand, Debug)]
pub enum Bench {
    /// How many messages a second pass, and what each costs in processor time
    Throughput(throughput::Options),
    /// How long messages take at a fixed rate
    Latency(latency::Options),
    /// How many clients a second can connect
    Connect(connect::Options),
    /// What a silent client costs in memory
    Idle(idle::Options),
    /// What clients notice of one restart of what stands between them and the broker
    Restart(restart::Options),
    /// Baton beside HAProxy, nginx, Envoy and a plain relay (`bench/compare` installs them first)
    Compare(compare::Options),
    /// How processor time, memory and moves grow with sessions, trunks and workers
    Scale(scale::Options),
    /// What a message costs edge, origin and sidecar in instructions, beside what was recorded
    Instructions(instructions::Options),
    /// Clients and messages while origins are drained and killed in a row: nothing may be lost, nobody dropped
    Endurance(endurance::Options),
    /// Every kind of fault by a seeded schedule, several at a time: who is to hold holds
    Chaos(chaos::Options),
    /// One origin leaves with all of its tunnels at once: how long until all are elsewhere
    Moves(moves::Options),
    /// What connects, moves and restarts by the thousand leave behind: nothing
    Resources(resources::Options),
    /// How fast large payloads pass over a long way, with the window that a session has
    Payload(payload::Options),
    /// What broker-sim carries, beside mosquitto, without a tier
    Broker(broker::Options),
    /// Be the broker behind the stacks that are measured
    #[command(hide = true)]
    Sink {
        /// Where
        listen: SocketAddr,
    },
    /// Be the plain relay that is compared
    #[command(hide = true)]
    Relay {
        /// Where
        listen: SocketAddr,
        /// The next hop
        to: SocketAddr,
        /// Threads
        threads: u8,
    },
}

/// Listens, with a backlog for a herd; `shared`: several threads have this address.
fn listen(address: SocketAddr, shared: bool) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.set_reuseaddr(true)?;
    socket.set_reuseport(shared)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Runs a bench of the program that calls itself `version`: 0 if every figure is met, else 1.
pub fn run(bench: Bench, version: &str) -> ExitCode {
    match figures(bench, version) {
        Ok(figures) => {
            if !figures.is_empty() {
                println!();
            }
            figures.iter().for_each(|figure| println!("{figure}"));
            if figures.iter().all(Figure::met) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            eprintln!("baton bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn figures(bench: Bench, version: &str) -> Figures {
    // What only serves is silent: others speak.
    if !matches!(bench, Bench::Sink { .. } | Bench::Relay { .. }) {
        machine::introduce(version);
    }
    machine::raise_open_files()?;
    match bench {
        Bench::Throughput(options) => throughput::run(&options),
        Bench::Latency(options) => latency::run(&options),
        Bench::Connect(options) => connect::run(&options),
        Bench::Idle(options) => idle::run(&options),
        Bench::Restart(options) => restart::run(&options),
        Bench::Compare(options) => compare::run(&options),
        Bench::Scale(options) => scale::run(&options),
        Bench::Instructions(options) => instructions::run(&options),
        Bench::Endurance(options) => endurance::run(&options),
        Bench::Chaos(options) => chaos::run(&options),
        Bench::Moves(options) => moves::run(&options),
        Bench::Resources(options) => resources::run(&options),
        Bench::Payload(options) => payload::run(&options),
        Bench::Broker(options) => broker::run(&options),
        Bench::Sink { listen } => Ok(sink::run(listen).map(|()| Vec::new())?),
        Bench::Relay { listen, to, threads } => Ok(relay::run(listen, to, threads).map(|()| Vec::new())?),
    }
}
