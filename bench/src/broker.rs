//! What broker-sim carries, beside mosquitto: no tier, the same clients in the same closed loop, the two in turn.

use std::{error::Error, time::Duration};

use baton_drill::{
    load::{Load, Plan, Shape, Tempo},
    mqtt::Qos,
    pause::{Watch, pause},
    proc::Usage,
    tier::{Broker, Layout, Tier},
};
use clap::Args;

use super::{Figures, figure::Figure, machine};

/// Of mosquitto's messages a second.
const TARGET: f64 = 1.0;
/// Messages that each publisher has under way.
const WINDOW: u32 = 4;
/// Time for the slowest step, connecting all clients.
const PATIENCE: Duration = Duration::from_secs(120);
/// Time under load before a measurement.
const WARM: Duration = Duration::from_secs(1);
/// Local addresses that the clients connect from.
const SOURCES: u8 = 8;
/// Seconds after which an idle client asks whether the broker is there.
const KEEP_ALIVE: u16 = 10;
const KIB: f64 = 1024.0;

#[derive(Args, Debug)]
pub struct Options {
    /// Numbers of publishers, each of whom has a subscriber of its own
    #[arg(long, value_delimiter = ',', default_values_t = [100, 1_000])]
    pairs: Vec<u32>,
    /// Rounds, in each of which either broker takes its turn
    #[arg(long, default_value_t = 5)]
    rounds: u32,
    /// Seconds that each turn is measured
    #[arg(long, default_value_t = 4)]
    seconds: u64,
    /// Clients that broker-sim is to hold while they say nothing
    #[arg(long, default_value_t = 15_000)]
    idle: u32,
}

/// One turn of one broker.
#[derive(Clone, Copy, Debug)]
struct Turn {
    /// Messages a second.
    speed: f64,
    /// Processor time of the broker per message, in microseconds.
    cost: f64,
    /// Cores that the clients took: near 1, they were the limit.
    clients: f64,
}

pub(super) fn run(options: &Options) -> Figures {
    println!("set-up:  publishers with a subscriber each, 64 bytes, {WINDOW} messages under way each");
    println!("         clients -> plain port of broker-sim, and clients -> mosquitto");
    println!("         {} rounds, a fresh broker for each turn, measured for {} s", options.rounds, options.seconds);
    println!();
    println!("pairs  QoS  broker      messages/s       least..most  us per message  clients' cores");
    let mut figures = Vec::new();
    for &pairs in &options.pairs {
        for qos in [Qos::AtMostOnce, Qos::AtLeastOnce] {
            figures.push(compare(pairs, qos, options)?);
        }
    }
    figures.extend(idle(options)?);
    Ok(figures)
}

fn compare(pairs: u32, qos: Qos, options: &Options) -> Result<Figure, Box<dyn Error>> {
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..options.rounds {
        ours.push(take_turn(Broker::Sim, pairs, qos, options)?);
        theirs.push(take_turn(Broker::Mosquitto, pairs, qos, options)?);
    }
    for (name, turns) in [("broker-sim", &ours), ("mosquitto", &theirs)] {
        let [least, speed, most] = spread(turns, |turn| turn.speed);
        let ([_, cost, _], [_, clients, _]) = (spread(turns, |turn| turn.cost), spread(turns, |turn| turn.clients));
        println!(
            "{pairs:5}  {:3}  {name:10}  {speed:10.0}  {least:7.0}..{most:7.0}  {cost:14.2}  {clients:14.2}",
            qos.level()
        );
    }
    let ratio = spread(&ours, |turn| turn.speed)[1] / spread(&theirs, |turn| turn.speed)[1];
    let name = format!("broker: {pairs} pairs, QoS {}, of mosquitto's messages a second", qos.level());
    Ok(Figure::at_least(name, ratio, TARGET, ""))
}

/// The least, the median and the most.
fn spread(turns: &[Turn], what: fn(&Turn) -> f64) -> [f64; 3] {
    let mut values: Vec<_> = turns.iter().map(what).collect();
    values.sort_by(f64::total_cmp);
    let at = |index: usize| values.get(index).copied().unwrap_or(f64::NAN);
    [at(0), at(values.len() / 2), at(values.len().saturating_sub(1))]
}

fn take_turn(broker: Broker, pairs: u32, qos: Qos, options: &Options) -> Result<Turn, Box<dyn Error>> {
    let mut tier = Tier::new(Layout { broker, ..Layout::new(machine::program()?) })?;
    tier.restart("broker-1")?;
    let load = Load::start(Plan {
        shape: Shape::OneWay,
        mix: vec![qos],
        tempo: Tempo::Closed(WINDOW),
        sources: SOURCES,
        ..Plan::new("broker", &[tier.address("broker-1")?], 2 * pairs)
    })?;
    load.ready(PATIENCE)?;
    load.publish();
    load.received(u64::from(pairs), PATIENCE)?;
    pause(WARM);

    let (broker, clients) = (tier.pid("broker-1")?, std::process::id());
    let look = || Ok::<_, Box<dyn Error>>((load.progress().totals.received, Usage::of(broker)?, Usage::of(clients)?));
    let (watch, earlier) = (Watch::start(), look()?);
    pause(Duration::from_secs(options.seconds));
    let (seconds, later) = (watch.seconds(), look()?);
    let report = load.finish(PATIENCE);
    if !report.verdict.is_clean() {
        return Err(format!("{broker:?}: {report}").into());
    }
    let messages = f64::from(u32::try_from(later.0 - earlier.0)?);
    let cpu = |later: Usage, earlier: Usage| (later - earlier).cpu.as_secs_f64();
    Ok(Turn {
        speed: messages / seconds,
        cost: cpu(later.1, earlier.1) * 1e6 / messages,
        clients: cpu(later.2, earlier.2) / seconds,
    })
}

/// Many clients who say nothing but that they are there.
fn idle(options: &Options) -> Figures {
    if options.idle == 0 {
        return Ok(Vec::new());
    }
    let mut tier = Tier::new(Layout::new(machine::program()?))?;
    tier.restart("broker-1")?;
    let broker = tier.pid("broker-1")?;
    let before = Usage::of(broker)?.rss;
    let load = Load::start(Plan {
        shape: Shape::Idle,
        keep_alive: KEEP_ALIVE,
        sources: SOURCES,
        ..Plan::new("idle", &[tier.address("broker-1")?], options.idle)
    })?;
    let watch = Watch::start();
    load.ready(PATIENCE)?;
    let seconds = watch.seconds();
    // A broker that lost sight of some would close them by then (one and a half times that).
    pause(2 * Duration::from_secs(KEEP_ALIVE.into()));
    let connected = tier.metrics("broker-1")?.total("baton_broker_connections", &[]);
    let rss = Usage::of(broker)?.rss.saturating_sub(before);
    let report = load.finish(PATIENCE);
    let dropped = report.ended.len();
    println!();
    println!(
        "idle: {connected} clients connected in {seconds:.1} s, and still after {} s; {:.2} KiB of memory each",
        2 * KEEP_ALIVE,
        f64::from(u32::try_from(rss)?) / f64::from(options.idle) / KIB
    );
    Ok(vec![
        Figure::at_least("broker: idle clients at once", connected, f64::from(options.idle), ""),
        Figure::none("broker: of those dropped", f64::from(u32::try_from(dropped)?)),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_spread_is_of_what_was_asked_for() {
        let turn = |speed| Turn { speed, cost: 0.0, clients: 0.0 };
        assert_eq!(spread(&[turn(3.0), turn(1.0), turn(2.0)], |turn| turn.speed), [1.0, 2.0, 3.0]);
        assert!(spread(&[], |turn| turn.speed)[1].is_nan());
    }
}
