//! How many clients a second can connect and subscribe, and how long each takes.

use baton_drill::{
    load::{self, Plan, Shape},
    pause::Watch,
};
use clap::Args;

use super::{
    Figures,
    against::Against,
    measure::{PATIENCE, count, millis, sources},
    report::Report,
    stack::{Part, unpaced},
};

#[derive(Args, Debug)]
pub struct Options {
    #[command(flatten)]
    against: Against,
    /// Clients that connect and stay, some at a time
    #[arg(long, default_value_t = 5_000, value_parser = clap::value_parser!(u32).range(1..=60_000))]
    clients: u32,
}

/// What came of it.
#[derive(Clone, Debug)]
pub(crate) struct Rush {
    pub(crate) seconds: f64,
    /// Microseconds that a client took.
    pub(crate) joins: baton_drill::ledger::Spread,
    /// Processor time of each part, in seconds.
    pub(crate) cpu: Vec<f64>,
}

pub(super) fn run(options: &Options) -> Figures {
    let clients = options.clients;
    let subject = options.against.subject_as(unpaced()?)?;
    println!("load:    {clients} clients that connect, subscribe and stay, 64 at a time");
    let rush = rush(&subject.addresses, clients, &subject.parts)?;
    let mut report = Report::new("connect");
    report.put("clients", f64::from(clients) / rush.seconds, "per second");
    for (name, value) in [("p50", rush.joins.p50), ("p99", rush.joins.p99), ("longest", rush.joins.max)] {
        report.put(format!("until subscribed, {name}"), millis(value), "ms");
    }
    for (part, cpu) in subject.parts.iter().zip(&rush.cpu) {
        report.put(format!("processor time, {}", part.name), cpu * 1e6 / f64::from(clients), "us per client");
    }
    options.against.finish(report, &[])
}

/// Lets them connect.
pub(crate) fn rush(
    addresses: &[std::net::SocketAddr],
    clients: u32,
    parts: &[Part],
) -> Result<Rush, Box<dyn std::error::Error>> {
    let look = || parts.iter().map(Part::look).collect::<std::io::Result<Vec<_>>>();
    let plan = Plan {
        shape: Shape::Selves,
        mix: vec![baton_drill::mqtt::Qos::AtMostOnce],
        sources: sources(addresses),
        ..Plan::new("bench", addresses, clients)
    };
    let before = look()?;
    let watch = Watch::start();
    let load = load::Load::start(plan)?;
    load.ready(PATIENCE)?;
    let seconds = watch.seconds();
    let after = look()?;
    let joins = load.take_window().joins;
    if joins.count != u64::from(clients) {
        return Err(format!("{} of {clients} clients are connected", count(joins.count)).into());
    }
    let report = load.finish(PATIENCE);
    if !report.verdict.is_clean() {
        return Err(report.to_string().into());
    }
    let cpu = before.iter().zip(&after).map(|(before, after)| super::measure::cpu(before, after)).collect();
    Ok(Rush { seconds, joins, cpu })
}
