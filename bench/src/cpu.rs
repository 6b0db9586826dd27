//! What a message costs edge and origin in processor time, beside two TCP hops of HAProxy.
//!
//! Same broker, same clients, same closed loop; the stacks take turns, so that whatever else the machine does hits
//! both. The figure is a ratio within one run: seconds per message depend on the machine, this hardly does.

mod haproxy;

use std::{error::Error, time::Duration};

use baton_drill::{
    load::{Load, Plan, Shape, Tempo},
    mqtt::Qos,
    pause::{Watch, pause},
    proc::Usage,
    tier::{Layout, Tier},
};
use clap::Args;

use self::haproxy::Haproxy;
use super::{Figures, figure::Figure, machine};

/// Of HAProxy's processor time per message.
const TARGET: f64 = 0.6;
/// Messages that each publisher has under way.
const WINDOW: u32 = 4;
/// Time for the slowest step, connecting all clients.
const PATIENCE: Duration = Duration::from_secs(60);
/// Time under load before the measurement.
const WARM: Duration = Duration::from_secs(1);
/// Local addresses that the clients connect from.
const SOURCES: u8 = 4;

#[derive(Args, Debug)]
pub struct Options {
    /// Publishers, each with a subscriber of its own
    #[arg(long, default_value_t = 1_000)]
    pairs: u32,
    /// Rounds, in each of which every stack takes its turn
    #[arg(long, default_value_t = 3)]
    rounds: u32,
    /// Seconds that each turn is measured
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// Messages a second, of all publishers together, instead of a closed loop; shown without a target
    #[arg(long)]
    rate: Option<u32>,
}

impl Options {
    fn tempo(&self) -> Tempo {
        self.rate.map_or(Tempo::Closed(WINDOW), Tempo::Rate)
    }

    fn load(&self) -> String {
        match self.rate {
            None => format!("{WINDOW} messages under way each"),
            Some(rate) => format!("{rate} messages/s in all"),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stack {
    /// Edge, origin, and a home of broker-sim.
    Baton,
    /// HAProxy twice with so many threads each, and broker-sim's plain port.
    Haproxy(u8),
}

impl Stack {
    const ALL: [Self; 3] = [Self::Haproxy(1), Self::Baton, Self::Haproxy(2)];

    fn name(self) -> &'static str {
        match self {
            Self::Baton => "edge + origin",
            Self::Haproxy(1) => "2 x HAProxy, 1 thread",
            Self::Haproxy(_) => "2 x HAProxy, 2 threads",
        }
    }
}

/// One turn.
#[derive(Clone, Copy, Debug)]
struct Turn {
    /// Messages a second.
    speed: f64,
    /// Processor time per message in microseconds, of the hop that clients connect to, of the other, of the broker.
    entry: f64,
    middle: f64,
    broker: f64,
    /// Milliseconds from a message being due until its arrival, over the whole turn.
    p50: f64,
    p99: f64,
}

impl Turn {
    fn hops(&self) -> f64 {
        self.entry + self.middle
    }
}

pub(super) fn run(options: &Options) -> Figures {
    let program = haproxy::program()
        .ok_or("HAProxy is not installed (Debian: apt-get install haproxy); nothing to compare with")?;
    println!("set-up:  {} publishers, a subscriber each, 64 bytes, {}", options.pairs, options.load());
    println!("         clients -> edge -> origin -> home of broker-sim");
    println!(
        "         clients -> HAProxy -> HAProxy -> plain port of broker-sim; mode tcp, {}",
        haproxy::version(&program)?
    );
    println!("         {} rounds, fresh processes for each turn, measured for {} s", options.rounds, options.seconds);
    println!("         processor time: user and system, of the processes' own accounts in /proc");
    let mut figures = Vec::new();
    for qos in [Qos::AtMostOnce, Qos::AtLeastOnce] {
        println!();
        println!("QoS {}                                        us per message", qos.level());
        println!("round  stack                   messages/s  entry  middle  both hops  broker    p50     p99");
        let mut turns: Vec<(Stack, Turn)> = Vec::new();
        for round in 1..=options.rounds {
            for stack in Stack::ALL {
                let turn = take_turn(stack, qos, options, &program)?;
                row(&round.to_string(), stack, &turn);
                turns.push((stack, turn));
            }
        }
        figures.push(judge(qos, &turns));
    }
    // The target is one for machines that are busy, which is when processor time is short.
    Ok(if options.rate.is_none() { figures } else { Vec::new() })
}

fn row(round: &str, stack: Stack, turn: &Turn) {
    let Turn { speed, entry, middle, broker, p50, p99 } = turn;
    let (name, hops) = (stack.name(), turn.hops());
    println!(
        "{round:>5}  {name:22}  {speed:10.0}  {entry:5.2}  {middle:6.2}  {hops:9.2}  {broker:6.2}  {p50:5.1}  {p99:6.1}"
    );
}

/// The ratio to whichever of HAProxy's forms needs less.
fn judge(qos: Qos, turns: &[(Stack, Turn)]) -> Figure {
    let of = |stack: Stack, what: fn(&Turn) -> f64| {
        median(turns.iter().filter(|(of, _)| *of == stack).map(|(_, turn)| what(turn)).collect())
    };
    for stack in Stack::ALL {
        let median = |what| of(stack, what);
        let turn = Turn {
            speed: median(|turn| turn.speed),
            entry: median(|turn| turn.entry),
            middle: median(|turn| turn.middle),
            broker: median(|turn| turn.broker),
            p50: median(|turn| turn.p50),
            p99: median(|turn| turn.p99),
        };
        row("median", stack, &turn);
    }
    let hops = |stack| of(stack, Turn::hops);
    let (one, two) = (hops(Stack::Haproxy(1)), hops(Stack::Haproxy(2)));
    let baton = hops(Stack::Baton);
    println!("ratio of the medians of both hops: {:.2} to 1 thread, {:.2} to 2 threads", baton / one, baton / two);
    let name = format!("cpu: QoS {}, of the processor time of two HAProxy hops at their best", qos.level());
    Figure::at_most(name, baton / one.min(two), TARGET, "")
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

fn take_turn(stack: Stack, qos: Qos, options: &Options, program: &std::path::Path) -> Result<Turn, Box<dyn Error>> {
    let mut tier = Tier::new(Layout::new(machine::program()?))?;
    let (address, entry, middle, _haproxies) = match stack {
        Stack::Baton => {
            tier.start_all()?;
            (tier.edges()[0], tier.pid("edge-1")?, tier.pid("origin-1")?, None)
        }
        Stack::Haproxy(threads) => {
            tier.restart("broker-1")?;
            let (address, between) = (tier.free_address()?, tier.free_address()?);
            let middle = Haproxy::start(program, tier.directory(), between, tier.address("broker-1")?, threads)?;
            let entry = Haproxy::start(program, tier.directory(), address, between, threads)?;
            (address, entry.pid(), middle.pid(), Some((entry, middle)))
        }
    };
    let load = Load::start(Plan {
        shape: Shape::OneWay,
        mix: vec![qos],
        tempo: options.tempo(),
        sources: SOURCES,
        ..Plan::new("cpu", &[address], 2 * options.pairs)
    })?;
    load.ready(PATIENCE)?;
    load.publish();
    load.received(u64::from(options.pairs), PATIENCE)?;
    pause(WARM);

    let pids = [entry, middle, tier.pid("broker-1")?];
    let look = || pids.map(Usage::of).into_iter().collect::<Result<Vec<_>, _>>();
    let (watch, messages, usage) = (Watch::start(), load.progress().totals.received, look()?);
    pause(Duration::from_secs(options.seconds));
    let (seconds, messages, later) = (watch.seconds(), load.progress().totals.received - messages, look()?);

    let report = load.finish(PATIENCE);
    if !report.verdict.is_clean() {
        return Err(format!("{}: {report}", stack.name()).into());
    }
    let messages = f64::from(u32::try_from(messages)?);
    let mut cost =
        later.iter().zip(usage).map(|(later, earlier)| (*later - earlier).cpu.as_secs_f64() * 1e6 / messages);
    let mut next = || cost.next().unwrap_or(f64::NAN);
    let ms = |micros: u64| Duration::from_micros(micros).as_secs_f64() * 1e3;
    let (p50, p99) = (ms(report.verdict.latency.p50), ms(report.verdict.latency.p99));
    Ok(Turn { speed: messages / seconds, entry: next(), middle: next(), broker: next(), p50, p99 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_better_haproxy_is_the_measure() {
        let turn =
            |cost: f64| Turn { speed: 1.0, entry: cost / 2.0, middle: cost / 2.0, broker: 0.0, p50: 0.0, p99: 0.0 };
        let turns = [
            (Stack::Baton, turn(4.0)),
            (Stack::Baton, turn(100.0)),
            (Stack::Baton, turn(6.0)),
            (Stack::Haproxy(1), turn(10.0)),
            (Stack::Haproxy(2), turn(20.0)),
        ];
        assert!(judge(Qos::AtMostOnce, &turns).met());
        assert!(!judge(Qos::AtMostOnce, &turns[1..]).met());
        assert!(!judge(Qos::AtMostOnce, &[]).met());
    }
}
