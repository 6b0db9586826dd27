//! How processor time, memory and the time of a move grow with sessions, trunks and workers. A worker is a process: one more is
//! an edge and a sidecar more. An edge has one trunk to each origin, and each origin one to each sidecar.

use std::{error::Error, time::Duration};

use baton_drill::{
    load::{Load, Tempo},
    mqtt::Qos,
    pause::{Watch, pause},
    tier::{Layout, Role, Tier},
};
use clap::Args;

use super::{
    Figures,
    figure::Figure,
    machine,
    measure::{Cell, PATIENCE, Turn, count, millis, plan, valid, watch},
    stack::{Kind, Part, Stack, busiest_origin, tunnels_on},
};

/// Seconds in which an origin's tunnels must be elsewhere.
const TARGET: f64 = 5.0;
/// Between two looks at where the tunnels are.
const LOOK: Duration = Duration::from_millis(5);
const ROLES: [Role; 3] = [Role::Edge, Role::Origin, Role::Sidecar];

#[derive(Args, Debug)]
pub struct Options {
    /// Numbers of sessions
    #[arg(long, value_name = "NUMBER,...", value_delimiter = ',', default_values_t = [1_000, 2_000, 4_000, 8_000, 15_000],
        value_parser = clap::value_parser!(u32).range(2..=60_000))]
    sessions: Vec<u32>,
    /// Numbers of origins, to each of which every edge has a trunk
    #[arg(long, value_name = "NUMBER,...", value_delimiter = ',', default_values_t = [1, 2, 4, 8],
        value_parser = clap::value_parser!(u16).range(1..=64))]
    trunks: Vec<u16>,
    /// Numbers of workers: as many edges and as many sidecars
    #[arg(long, value_name = "NUMBER,...", value_delimiter = ',', default_values_t = [1, 2],
        value_parser = clap::value_parser!(u16).range(1..=16))]
    workers: Vec<u16>,
    /// Messages a second, of all clients together
    #[arg(long, default_value_t = 5_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    rate: u32,
    /// Seconds that each is measured under load
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: u64,
}

/// What a tier is made of, and how many it carries.
#[derive(Clone, Copy, Debug)]
struct Size {
    sessions: u32,
    trunks: u16,
    workers: u16,
}

/// What came of one.
#[derive(Clone, Debug)]
struct Point {
    turn: Turn,
    /// Bytes of each role, under load.
    memory: Vec<u64>,
    /// Origins that ended, with what was on them: drained, where there is a second one, and killed.
    moves: [Option<Move>; 2],
    suffered: bool,
}

#[derive(Clone, Copy, Debug)]
struct Move {
    tunnels: f64,
    seconds: f64,
    /// Nobody was left on an origin that was told to end.
    clean: bool,
}

pub(super) fn run(options: &Options) -> Figures {
    let Options { rate, seconds, .. } = *options;
    println!(
        "set-up:  as many edges and sidecars as workers, as many origins as trunks, a broker that does as little as it can"
    );
    println!(
        "load:    pairs, {rate} messages of 64 bytes a second in all, QoS 0, {seconds} s; then an origin is drained, with"
    );
    println!("         spread 0, and one is killed, both under that load");
    println!();
    println!(
        "                           us of processor time a message   memory, MB                latency  moved: tunnels, s"
    );
    println!(
        "sessions  trunks  workers   edge  origin  sidecar            edge  origin  sidecar     p99, ms  drained         killed"
    );
    let (mut points, mut wrongs) = (Vec::new(), 0);
    for &workers in &options.workers {
        for &trunks in &options.trunks {
            for &sessions in &options.sessions {
                let size = Size { sessions, trunks, workers };
                let turn = || {
                    let point = play(size, options);
                    // Whether or not the run counts: running it again must not hide what went wrong.
                    wrongs += usize::from(point.as_ref().map_or(true, |point| point.suffered));
                    point.map(|point| (point.clone(), point.turn.faults))
                };
                let point = valid(&format!("{sessions} sessions, {trunks} trunks, {workers} workers"), turn);
                point.iter().for_each(|point| row(size, point));
                points.push(point);
            }
        }
    }
    let valid = || points.iter().flatten();
    let longest = |at: usize| valid().filter_map(|point| point.moves[at]).map(|one| one.seconds).reduce(f64::max);
    let mut figures = vec![
        number("scale: runs, valid or not, that failed or made a client suffer", wrongs),
        number("scale: sizes that had no valid run", points.len() - valid().count()),
    ];
    let names =
        ["scale: longest until a drained origin had ended", "scale: longest until a killed one's tunnels were back"];
    for (name, longest) in names.into_iter().zip([longest(0), longest(1)]) {
        figures.extend(longest.map(|longest| Figure::at_most(name, longest, TARGET, "s")));
    }
    Ok(figures)
}

fn number(name: &str, n: usize) -> Figure {
    Figure::none(name, count(u64::try_from(n).unwrap_or(u64::MAX)))
}

fn play(size: Size, options: &Options) -> Result<Point, Box<dyn Error>> {
    let Size { sessions, trunks, workers } = size;
    let layout = Layout { edges: workers, origins: trunks, homes: workers, ..Layout::new(machine::program()?) };
    let mut stack = Stack::start_with(Kind::Baton, layout.set(Role::Origin, "drain.spread", "0s"))?;
    let tier = &mut stack.tier;
    let parts = ROLES.iter().map(|role| Part::role(tier, *role)).collect::<Result<Vec<_>, _>>()?;
    let cell = Cell {
        pairs: sessions / 2,
        qos: Qos::AtMostOnce,
        payload: 64,
        tempo: Tempo::Rate(options.rate),
        seconds: options.seconds,
    };
    let load = Load::start(plan(&tier.edges(), &cell))?;
    load.ready(PATIENCE)?;
    load.publish();
    load.received(u64::from(cell.pairs), PATIENCE)?;
    let turn = watch(&load, &cell, &parts)?;
    let memory = parts.iter().map(|part| Ok(part.look()?.rss)).collect::<std::io::Result<_>>()?;
    let all = f64::from(2 * cell.pairs);
    let moves = [if trunks > 1 { Some(drain(tier)?) } else { None }, Some(kill(tier, all)?)];
    let cut_off = moves.iter().flatten().any(|one| !one.clean);
    let suffered = !load.finish(PATIENCE).verdict.is_clean() || cut_off;
    Ok(Point { turn, memory, moves, suffered })
}

/// The origin with the most tunnels is told to end, ends, and is started again; until every edge is connected to it.
fn drain(tier: &mut Tier) -> Result<Move, Box<dyn Error>> {
    let (name, tunnels) = busiest_origin(tier)?;
    let links = |tier: &Tier| {
        let edges = tier.names(Role::Edge);
        edges.iter().map(|edge| tier.log_count(edge, "link.open")).sum::<Result<usize, _>>()
    };
    let before = links(tier)?;
    let watch = Watch::start();
    tier.terminate(&name)?;
    let clean = tier.exit(&name, PATIENCE)?.success();
    let seconds = watch.seconds();
    tier.restart(&name)?;
    let all = before + tier.names(Role::Edge).len();
    until("every edge connected to the new origin", || Ok(links(tier)? >= all))?;
    Ok(Move { tunnels, seconds, clean })
}

/// The origin with the most tunnels is killed: until all tunnels are there again. Where there is no other, it is started
/// again at once.
fn kill(tier: &mut Tier, all: f64) -> Result<Move, Box<dyn Error>> {
    let (name, tunnels) = busiest_origin(tier)?;
    let watch = Watch::start();
    tier.kill(&name)?;
    if tier.names(Role::Origin).len() == 1 {
        tier.restart(&name)?;
    }
    let origins = tier.names(Role::Origin);
    until("all tunnels back", || Ok(origins.iter().map(|origin| tunnels_on(tier, origin)).sum::<f64>() >= all))?;
    Ok(Move { tunnels, seconds: watch.seconds(), clean: true })
}

fn until(what: &str, mut holds: impl FnMut() -> Result<bool, Box<dyn Error>>) -> Result<(), Box<dyn Error>> {
    let watch = Watch::start();
    while !holds()? {
        if watch.elapsed() > PATIENCE {
            return Err(format!("not in {} s: {what}", PATIENCE.as_secs()).into());
        }
        pause(LOOK);
    }
    Ok(())
}

fn row(size: Size, point: &Point) {
    let Size { sessions, trunks, workers } = size;
    let Point { turn, memory, moves, .. } = point;
    let mb = |at: usize| memory.get(at).map_or(f64::NAN, |bytes| count(bytes / 1_000) / 1e3);
    let moved = |one: Option<Move>| {
        one.map_or("-".to_owned(), |Move { tunnels, seconds, .. }| format!("{tunnels:.0}, {seconds:.2}"))
    };
    let [drained, killed] = moves.map(moved);
    println!(
        "{sessions:8}  {trunks:6}  {workers:7}  {:5.1}  {:6.1}  {:7.1}           {:5.1}  {:6.1}  {:7.1}  {:10.1}  {drained:14}  {killed:14}{}",
        turn.cost(0),
        turn.cost(1),
        turn.cost(2),
        mb(0),
        mb(1),
        mb(2),
        millis(turn.window.latency.p99),
        if point.suffered { "  SUFFERED" } else { "" },
    );
}
