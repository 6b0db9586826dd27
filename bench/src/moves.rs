//! How long it takes until a leaving origin's tunnels are elsewhere.

use std::time::Duration;

use baton_drill::{
    load::{Load, Plan, Tempo},
    pause::Watch,
    tier::{Layout, Role, Samples, Tier},
};
use clap::Args;

use super::{Figures, figure::Figure, machine};

/// Seconds in which all must be moved.
const TARGET: f64 = 5.0;
/// Time for the slowest step, connecting all clients.
const PATIENCE: Duration = Duration::from_secs(120);
/// Local addresses that the clients connect from.
const SOURCES: u8 = 8;

#[derive(Args, Debug)]
pub struct Options {
    /// Tunnels on the origin that leaves
    #[arg(long, default_value_t = 15_000)]
    tunnels: u32,
}

pub(super) fn run(options: &Options) -> Figures {
    let tunnels = options.tunnels;
    let layout = Layout { origins: 2, ..Layout::new(machine::program()?) }
        .set(Role::Origin, "drain.spread", "0s")
        .set(Role::Edge, "limits.opens_per_second", "5000")
        .set(Role::BrokerSim, "limits.home_opens_per_second", "5000");
    let mut tier = Tier::new(layout)?;
    println!("set-up:  1 edge, 2 origins, 1 broker-sim with 1 home; {tunnels} clients that say nothing, spread 0");
    println!();
    for node in ["broker-1", "origin-1", "edge-1"] {
        tier.restart(node)?;
    }
    let watch = Watch::start();
    let plan = Plan { sources: SOURCES, tempo: Tempo::Rate(2_000), ..Plan::new("moves", &tier.edges(), tunnels) };
    let load = Load::start(plan)?;
    load.ready(PATIENCE)?;
    let all = f64::from(tunnels);
    row("all clients are connected through origin-1", &watch, &tier, tier.metrics("edge-1")?);
    tier.restart("origin-2")?;
    row("origin-2 is up", &watch, &tier, tier.metrics("edge-1")?);

    let leaving = Watch::start();
    tier.terminate("origin-1")?;
    let moved = tier.until("edge-1", PATIENCE, "every tunnel moved", move |samples| {
        planned(samples) + broken(samples) >= all && live(samples) >= all
    })?;
    let took = leaving.seconds();
    row("origin-1 is left", &watch, &tier, moved.clone());
    let status = tier.exit("origin-1", PATIENCE)?;
    row(&format!("origin-1 ended ({status}), {:.2} s after SIGTERM", leaving.seconds()), &watch, &tier, moved.clone());

    load.publish();
    load.received(u64::from(tunnels), PATIENCE)?;
    row("as many messages went through origin-2", &watch, &tier, tier.metrics("edge-1")?);
    let report = load.finish(PATIENCE);
    println!("clients: {report}");
    Ok(vec![
        Figure::at_most(format!("moves: time until {tunnels} tunnels were moved"), took, TARGET, "s"),
        Figure::none("moves: tunnels not moved make-before-break", (all - planned(&moved)).max(0.0)),
        Figure::none("moves: broken", broken(&moved)),
        Figure::none("moves: clients or messages that suffered", f64::from(u8::from(!report.verdict.is_clean()))),
        Figure::none("moves: exit status of the origin", f64::from(status.code().unwrap_or(-1).abs())),
    ])
}

fn planned(samples: &Samples) -> f64 {
    samples.total("baton_moves_total", &[("kind", "planned"), ("outcome", "accepted")])
}

fn broken(samples: &Samples) -> f64 {
    samples.total("baton_moves_total", &[("kind", "broken")])
}

fn live(samples: &Samples) -> f64 {
    samples.total("baton_sessions", &[("state", "live")])
}

fn row(what: &str, watch: &Watch, tier: &Tier, edge: Samples) {
    let on = |origin| tier.metrics(origin).map_or(0.0, |samples| samples.total("baton_tunnels", &[]));
    println!(
        "{:7.2} s  {what}: tunnels {}/{}, moved {} planned, {} broken",
        watch.seconds(),
        on("origin-1"),
        on("origin-2"),
        planned(&edge),
        broken(&edge)
    );
}
