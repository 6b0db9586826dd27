//! What an idle session costs edge, origin and sidecar in user-space memory.
//!
//! The figure is a slope between two numbers of sessions, so that what a process needs in any case doesn't count. Each
//! session has carried bytes both ways before: buffers that were grown and kept show.

mod echo;
mod resident;
mod visitors;

use std::time::Duration;

use baton_drill::{
    pause::pause,
    tier::{Broker, Layout, Role, Tier},
};
use clap::Args;

use self::{echo::Echo, resident::Resident, visitors::Visitors};
use super::{Figures, figure::Figure, machine};

/// What is measured: the role, its process, and KiB that a session may cost it.
const TARGETS: [(&str, &str, f64); 3] =
    [("edge", "edge-1", 4.0), ("origin", "origin-1", 2.0), ("sidecar", "home-1", 4.0)];
/// Bytes that each session carries, each way.
const CARRIED: usize = 64 * 1024;
const KIB: f64 = 1024.0;

#[derive(Args, Debug)]
pub struct Options {
    /// Sessions at the first measurement
    #[arg(long, default_value_t = 2_000)]
    few: u32,
    /// Sessions at the second measurement
    #[arg(long, default_value_t = 8_000)]
    many: u32,
    /// Seconds without a byte before each measurement
    #[arg(long, default_value_t = 10)]
    idle: u64,
}

pub(super) fn run(options: &Options) -> Figures {
    let Options { few, many, idle } = *options;
    if few >= many {
        return Err("--few must be less than --many".into());
    }
    let echo = Echo::start()?;
    let layout = Layout { broker: Broker::At(echo.address()), ..Layout::new(machine::program()?) }
        .set(Role::Edge, "limits.opens_per_second", "5000")
        .set(Role::Sidecar, "limits.home_opens_per_second", "5000");
    let mut tier = Tier::new(layout)?;
    println!("set-up:  1 edge, 1 origin, 1 sidecar before a broker that answers CONNECT and then echoes");
    println!("         {few} and {many} sessions, {} KiB each way, then {idle} s idle", CARRIED / 1024);
    println!("         memory: /proc/PID/smaps_rollup, Rss and, of that, Anonymous; the figure is Rss");
    println!();
    tier.start_all()?;
    let mut visitors = Visitors::start(tier.edges()[0])?;
    let mut looks = Vec::new();
    println!("sessions  process       Rss KiB  Anonymous KiB");
    for sessions in [few, many] {
        visitors.join(sessions)?;
        pause(Duration::from_secs(idle));
        let live = tier.metrics("edge-1")?.total("baton_sessions", &[("state", "live")]);
        if live != f64::from(sessions) {
            return Err(format!("{live} of {sessions} sessions are live").into());
        }
        let mut look = Vec::new();
        for (role, node, _) in TARGETS {
            let resident = Resident::of(tier.pid(node)?)?;
            println!("{sessions:8}  {role:8}  {:11.0}  {:13.0}", resident.rss / KIB, resident.anonymous / KIB);
            look.push(resident);
        }
        looks.push(look);
    }
    visitors.check()?;
    println!();
    println!("per session            Rss KiB  Anonymous KiB");
    let mut figures = Vec::new();
    for (((role, _, target), few_resident), many_resident) in TARGETS.iter().zip(&looks[0]).zip(&looks[1]) {
        let per_session = |less: f64, more: f64| (more - less) / f64::from(many - few) / KIB;
        let rss = per_session(few_resident.rss, many_resident.rss);
        let anonymous = per_session(few_resident.anonymous, many_resident.anonymous);
        println!("          {role:8}  {rss:11.2}  {anonymous:13.2}");
        figures.push(Figure::at_most(format!("memory: {role}, per idle session"), rss, *target, "KiB"));
    }
    Ok(figures)
}
