//! What a session costs that has been in use and now says nothing: memory of each program, as the slope between two numbers
//! of sessions, so that what a program needs in any case doesn't count.

use std::{error::Error, io, net::SocketAddr, time::Duration};

use baton_drill::{
    load::{Load, Plan, Shape, Tempo},
    mqtt::Qos,
    pause::pause,
};
use clap::Args;

use super::{
    Figures,
    against::Against,
    figure::Figure,
    measure::{PATIENCE, count, sources},
    report::Report,
    stack::Part,
};

/// Bytes of a message, and how many each client sends to itself before it falls silent.
const PAYLOAD: usize = 16 * 1024;
const MESSAGES: u32 = 4;
/// Messages a second, of all together: some clients at a time. All at once would measure how an allocator keeps what a
/// herd has needed once.
const RATE: u32 = 1_000;

/// Kilobytes of a session at edge, origin and sidecar.
const TARGETS: [(&str, f64); 3] = [("edge", 2.2), ("origin", 1.6), ("sidecar", 2.4)];

#[derive(Args, Debug)]
pub struct Options {
    #[command(flatten)]
    against: Against,
    #[command(flatten)]
    pub(crate) crowd: Crowd,
}

/// How many clients.
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct Crowd {
    /// Clients at the first look
    #[arg(long, default_value_t = 2_000, value_parser = clap::value_parser!(u32).range(1..=60_000))]
    pub(crate) few: u32,
    /// Clients at the second look
    #[arg(long, default_value_t = 8_000, value_parser = clap::value_parser!(u32).range(2..=60_000))]
    pub(crate) many: u32,
    /// Seconds without a byte before each look
    #[arg(long, default_value_t = 5)]
    pub(crate) quiet: u64,
}

pub(super) fn run(options: &Options) -> Figures {
    let Crowd { few, many, quiet } = options.crowd;
    if few >= many {
        return Err("--few must be less than --many".into());
    }
    let subject = options.against.subject()?;
    println!(
        "load:    {few}, then {many} clients; {MESSAGES} messages of {PAYLOAD} bytes each to itself; {quiet} s quiet"
    );
    let Slopes { parts, kernel } = slopes(&subject.addresses, options.crowd, &subject.parts)?;
    let mut report = Report::new("idle");
    report.put("clients held", f64::from(many), "");
    for (part, slope) in subject.parts.iter().zip(&parts) {
        report.put(format!("memory, {}", part.name), *slope, "kB per client");
    }
    report.put("memory, kernel of this machine", kernel, "kB per client");
    options.against.finish(report, &[])?;
    if subject.is_ours() { Ok(figures(&parts)) } else { Ok(Vec::new()) }
}

/// What a tier of ours is held to, from the edge on.
pub(crate) fn figures(slopes: &[f64]) -> Vec<Figure> {
    let each = TARGETS.iter().zip(slopes);
    each.map(|((name, most), slope)| Figure::at_most(format!("idle: {name}, per session"), *slope, *most, "kB"))
        .collect()
}

/// Kilobytes (1,000 bytes) of memory for a client more.
#[derive(Clone, Debug)]
pub(crate) struct Slopes {
    /// Of each part.
    pub(crate) parts: Vec<f64>,
    /// Of the kernel for its objects, on this machine: every end of a connection that is here.
    pub(crate) kernel: f64,
}

/// What a client more needs.
pub(crate) fn slopes(addresses: &[SocketAddr], crowd: Crowd, parts: &[Part]) -> Result<Slopes, Box<dyn Error>> {
    let first = settle(addresses, "few", crowd.few, crowd.quiet)?;
    let look = || -> io::Result<Vec<f64>> {
        let parts = parts.iter().map(|part| Ok(part.look()?.rss)).collect::<io::Result<Vec<_>>>()?;
        Ok(parts.into_iter().chain([slab()?]).map(|bytes| count(bytes / 1024)).collect())
    };
    let less = look()?;
    let second = settle(addresses, "more", crowd.many - crowd.few, crowd.quiet)?;
    let more = look()?;
    for load in [first, second] {
        let report = load.finish(PATIENCE);
        if !report.verdict.is_clean() {
            return Err(report.to_string().into());
        }
    }
    let clients = f64::from(crowd.many - crowd.few);
    let mut parts: Vec<_> = less.iter().zip(more).map(|(less, more)| (more - less) * 1.024 / clients).collect();
    let kernel = parts.pop().unwrap_or(f64::NAN);
    Ok(Slopes { parts, kernel })
}

/// Bytes that the kernel has in its pools of objects and can't have back: sockets, and what they need (proc(5), `SUnreclaim`).
fn slab() -> io::Result<u64> {
    let text = std::fs::read_to_string("/proc/meminfo")?;
    let line = text.lines().find_map(|line| line.strip_prefix("SUnreclaim:"));
    let kib = line.and_then(|value| value.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    Ok(kib.ok_or_else(|| io::Error::other("/proc/meminfo says nothing of SUnreclaim"))? * 1024)
}

/// Clients that have been in use, and are silent.
fn settle(addresses: &[SocketAddr], name: &str, clients: u32, quiet: u64) -> Result<Load, Box<dyn Error>> {
    let load = Load::start(Plan {
        shape: Shape::Selves,
        mix: vec![Qos::AtMostOnce],
        payload: PAYLOAD,
        tempo: Tempo::Rate(RATE),
        keep_alive: 0,
        sources: sources(addresses),
        ..Plan::new(name, addresses, clients)
    })?;
    load.ready(PATIENCE)?;
    load.publish();
    load.received(u64::from(clients) * u64::from(MESSAGES), PATIENCE)?;
    load.stop();
    load.until(PATIENCE, |progress| progress.totals.received == progress.totals.sent)?;
    pause(Duration::from_secs(quiet));
    Ok(load)
}
