//! What clients notice of one restart of what stands between them and the broker.
//!
//! Two windows of one run, of the same length: in the second it is restarted. A receiver that waited a second for a message
//! while nothing was wrong tells of the load, not of the restart; so it is the difference that counts.

use std::{error::Error, fmt, process::Command, time::Duration};

use baton_drill::{
    ledger::{Verdict, Window},
    load::{Load, Plan, Tempo},
    mqtt::Qos,
    pause::{Watch, pause},
    tier::{Layout, Role},
};
use clap::{Args, ValueEnum};

use super::{
    Figures,
    against::Against,
    figure::Figure,
    machine,
    measure::{PATIENCE, count, cpu, millis, sources},
    report::Report,
    stack::{Kind, Part, Stack, busiest_origin},
};

/// When a client that was dropped connects again.
const BACK: Duration = Duration::from_millis(100);
/// Seconds under load before the first window.
const WARM: u64 = 2;

#[derive(Args, Debug)]
pub struct Options {
    #[command(flatten)]
    against: Against,
    /// Clients that publish to each other in pairs
    #[arg(long, default_value_t = 2_000, value_parser = clap::value_parser!(u32).range(2..=20_000))]
    clients: u32,
    /// Messages a second, of all together
    #[arg(long, default_value_t = 5_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    rate: u32,
    /// Seconds of each of the two windows
    #[arg(long, default_value_t = 15, value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: u64,
    /// The command that restarts it, for a shell; with an address only
    #[arg(long, value_name = "COMMAND", requires = "addresses")]
    command: Option<String>,
    /// How an origin of this program's own tier ends
    #[arg(long, value_enum, default_value_t = How::Drain, conflicts_with = "addresses")]
    how: How,
}

/// How a process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum How {
    /// It is asked to, and takes its time.
    Drain,
    /// SIGKILL.
    Kill,
}

impl fmt::Display for How {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if *self == Self::Drain { "drain" } else { "kill" })
    }
}

/// What clients noticed.
#[derive(Clone, Debug)]
pub(crate) struct Disruption {
    /// While nothing was restarted.
    pub(crate) control: Window,
    pub(crate) restart: Window,
    pub(crate) verdict: Verdict,
    /// Processor time of each part over the second window, in seconds.
    pub(crate) cpu: Vec<Option<f64>>,
}

/// What [`Disruption::suffered`] counts.
pub(crate) const SUFFERED: &str = "clients dropped, messages lost, doubled or reordered";

/// How much there is of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Herd {
    pub(crate) clients: u32,
    pub(crate) rate: u32,
    pub(crate) seconds: u64,
}

pub(super) fn run(options: &Options) -> Figures {
    let Options { clients, rate, seconds, how, .. } = *options;
    let herd = Herd { clients, rate, seconds };
    println!("load:    {clients} clients in pairs, {rate} messages a second in all, QoS 0 and 1 in turn;");
    println!("         {seconds} s as a control, {seconds} s in which it is restarted");
    let mut report = Report::new("restart");
    let mut figures = Vec::new();
    match (&options.command, options.against.addresses()) {
        (Some(command), addresses) => {
            let parts = options.against.parts();
            disrupt(addresses, herd, parts, || shell(command))?.put(parts, &mut report);
        }
        (None, []) => {
            let mut stack = tier()?;
            let parts = stack.hops.clone();
            println!("set-up:  edge, 2 origins and sidecar of this program; one origin: {how}, and started again");
            let disruption = disrupt(&[stack.address], herd, &parts, || restart(&mut stack, how))?;
            disruption.put(&parts, &mut report);
            figures.push(Figure::none(format!("{how}: {SUFFERED}"), disruption.suffered()));
        }
        (None, _) => return Err("--command: expected the command that restarts what listens there".into()),
    }
    options.against.finish(report, &[])?;
    Ok(figures)
}

/// Our own tier, with a second origin to move to.
pub(crate) fn tier() -> Result<Stack, Box<dyn Error>> {
    let mut stack = Stack::start_with(Kind::Baton, Layout { origins: 2, ..Layout::new(machine::program()?) })?;
    let hops = [Role::Edge, Role::Origin, Role::Sidecar].map(|role| Part::role(&stack.tier, role));
    stack.hops = hops.into_iter().collect::<Result<_, _>>()?;
    Ok(stack)
}

fn shell(command: &str) -> Result<(), Box<dyn Error>> {
    let status = Command::new("/bin/sh").args(["-c", command]).status()?;
    if status.success() { Ok(()) } else { Err(format!("--command: {status}").into()) }
}

/// Ends the origin that has more sessions, and starts it again.
pub(crate) fn restart(stack: &mut Stack, how: How) -> Result<(), Box<dyn Error>> {
    let tier = &mut stack.tier;
    let (busiest, _) = busiest_origin(tier)?;
    match how {
        How::Drain => {
            tier.terminate(&busiest)?;
            tier.exit(&busiest, PATIENCE)?;
        }
        How::Kill => tier.kill(&busiest)?,
    }
    Ok(tier.restart(&busiest)?)
}

/// Plays the two windows.
pub(crate) fn disrupt(
    addresses: &[std::net::SocketAddr],
    herd: Herd,
    parts: &[Part],
    restart: impl FnOnce() -> Result<(), Box<dyn Error>>,
) -> Result<Disruption, Box<dyn Error>> {
    let load = Load::start(Plan {
        mix: vec![Qos::AtMostOnce, Qos::AtLeastOnce],
        tempo: Tempo::Rate(herd.rate),
        returning: Some(BACK),
        sources: sources(addresses),
        ..Plan::new("bench", addresses, herd.clients)
    })?;
    load.ready(PATIENCE)?;
    load.publish();
    load.received(WARM * u64::from(herd.rate), PATIENCE)?;
    drop(load.take_window());
    pause(Duration::from_secs(herd.seconds));
    let control = load.take_window();

    // What a program took that has ended meanwhile nobody knows: it has no figure.
    let look = |part: &Part| part.look().ok();
    let before: Vec<_> = parts.iter().map(look).collect();
    let watch = Watch::start();
    restart()?;
    pause(Duration::from_secs(herd.seconds).saturating_sub(watch.elapsed()));
    let after = parts.iter().map(look);
    let restart = load.take_window();
    let cpu = before.into_iter().zip(after).map(|(before, after)| Some(cpu(&before?, &after?))).collect();
    let report = load.finish(PATIENCE);
    Ok(Disruption { control, restart, verdict: report.verdict, cpu })
}

impl Disruption {
    /// How many there are of [`SUFFERED`].
    pub(crate) fn suffered(&self) -> f64 {
        let total = self.verdict.total();
        count(self.verdict.dropped() + total.lost + total.duplicated + total.reordered)
    }

    /// Milliseconds that the slowest one in a thousand, and the slowest of all, waited longer than in the control.
    pub(crate) fn beyond(&self) -> (f64, f64) {
        let beyond = |what: fn(&Window) -> u64| millis(what(&self.restart).saturating_sub(what(&self.control)));
        (beyond(|window| window.waits.p999), beyond(|window| window.waits.max))
    }

    fn put(&self, parts: &[Part], report: &mut Report) {
        let total = self.verdict.total();
        let lost = [("clients dropped", self.verdict.dropped()), ("messages lost", total.lost)];
        let wrong = [("duplicated", total.duplicated), ("reordered", total.reordered)];
        for (name, value) in lost.into_iter().chain(wrong) {
            report.put(name, count(value), "");
        }
        let (p999, longest) = self.beyond();
        for (name, window) in [("control", &self.control), ("restart", &self.restart)] {
            report.put(format!("longest wait of a client, {name}, p50"), millis(window.waits.p50), "ms");
            report.put(format!("longest wait of a client, {name}, p99.9"), millis(window.waits.p999), "ms");
            report.put(format!("longest wait of a client, {name}, of all"), millis(window.waits.max), "ms");
            report.series(&format!("deliveries per 100 ms, {name}"), window.deliveries.clone());
        }
        report.put("beyond the control, p99.9", p999, "ms");
        report.put("beyond the control, of all", longest, "ms");
        for (part, cpu) in parts.iter().zip(&self.cpu) {
            if let Some(cpu) = cpu {
                report.put(format!("processor time, {}", part.name), *cpu, "s");
            }
        }
    }
}
