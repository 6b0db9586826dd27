//! What a message costs edge, origin and sidecar in instructions, beside what it cost when that was recorded.
//!
//! Unlike time, a count hardly depends on what else the machine does, so that a few per cent show. What depends on time
//! are the timers: the slower the machine, the more of them fire per message. Hence the least of many short stretches,
//! the one that was disturbed least.

mod callgrind;
mod client;
mod record;

use std::{error::Error, net::Ipv4Addr, path::Path};

use baton_drill::{
    stage::Stage,
    tier::{Broker, Layout, Role, Tier},
};
use clap::Args;
use tokio::task::spawn_local;

use self::{
    callgrind::Counter,
    client::Client,
    record::{Conditions, Counts, MARGIN, Record},
};
use super::{Figures, figure::Figure, machine, sink};

/// Whose instructions are counted, and the process.
const PROCESSES: [(&str, &str); 3] = [("edge", "edge-1"), ("origin", "origin-1"), ("sidecar", "home-1")];
/// Messages before the first count.
const WARM: u32 = 500;
/// Messages from one count to the next.
const STRETCH: u32 = 500;
const STRETCHES: u32 = 20;
/// Where the record is, in the repository.
const RECORD: &str = "bench/instructions.toml";
/// Where the last stretch's profiles are left.
const PROFILES: &str = "target/instructions";

#[derive(Args, Debug)]
pub struct Options {
    /// Don't compare: record what comes out in bench/instructions.toml
    #[arg(long)]
    record: bool,
}

pub(super) fn run(options: &Options) -> Figures {
    if cfg!(debug_assertions) {
        return Err("built without --release: its instructions mean nothing".into());
    }
    let conditions = Conditions::here()?;
    println!("set-up:  1 edge, 1 origin, 1 sidecar, each under {}, before a broker that isn't", conditions.valgrind);
    println!("         1 client, 1 message of {} B under way, QoS 0, to itself", client::PAYLOAD);
    println!("         {STRETCHES} stretches of {STRETCH} messages; the figure is the least");
    println!();
    if options.record {
        let stretches = count()?;
        let record = Record { conditions, counts: Counts::least(&stretches) };
        table(&stretches, record.counts);
        record.write(Path::new(RECORD))?;
        println!("recorded in {RECORD}");
        return Ok(Vec::new());
    }
    let record = Record::read(Path::new(RECORD))?;
    let stretches = count()?;
    table(&stretches, record.counts);
    println!("callgrind_annotate {PROFILES}/edge-1 shows where they go");
    if record.conditions != conditions {
        println!("NOT COMPARED: recorded with {}; here are {conditions}", record.conditions);
        return Ok(Vec::new());
    }
    Ok(figures(Counts::least(&stretches), record.counts))
}

/// Instructions per message, of each stretch.
fn count() -> Result<Vec<Counts>, Box<dyn Error>> {
    let stage = Stage::new("sink", || ())?;
    let broker = stage.call(|_| async {
        let listener = super::listen((Ipv4Addr::LOCALHOST, 0).into(), false)?;
        let address = listener.local_addr()?;
        spawn_local(sink::accept(listener));
        std::io::Result::Ok(address)
    })?;
    let runner = callgrind::runner(Path::new(PROFILES))?;
    let layout = Layout { broker: Broker::At(broker), runner, ..Layout::new(machine::program()?) };
    // No question to the broker meanwhile: it would be counted.
    let mut tier = Tier::new(layout.set(Role::Sidecar, "sidecar.probe_every", "1h"))?;
    tier.start_all()?;
    let mut counters = Vec::new();
    for (_, node) in PROCESSES {
        counters.push(Counter::new(Path::new(PROFILES), node, tier.pid(node)?));
    }
    let mut client = Client::connect(tier.edges()[0])?;
    client.exchange(WARM)?;
    let mut take = || counters.iter_mut().map(Counter::take).collect::<Result<Vec<_>, _>>();
    take()?;
    let mut stretches = Vec::new();
    for _ in 0..STRETCHES {
        client.exchange(STRETCH)?;
        let totals = take()?;
        let [edge, origin, sidecar] = [0, 1, 2].map(|process| totals[process] / u64::from(STRETCH));
        stretches.push(Counts { edge, origin, sidecar });
    }
    Ok(stretches)
}

fn table(stretches: &[Counts], recorded: Counts) {
    println!("instructions per message");
    println!("process   least   most  recorded  difference");
    let least = Counts::least(stretches);
    for (nth, (role, _)) in PROCESSES.iter().enumerate() {
        let of = |counts: &Counts| counts.each()[nth];
        let most = stretches.iter().map(of).max().unwrap_or(0);
        let (least, recorded) = (of(&least), of(&recorded));
        let difference = difference(least, recorded);
        let advice = if difference < -MARGIN { "  record it" } else { "" };
        println!("{role:7}  {least:6} {most:6}  {recorded:8}  {:+8.1} %{advice}", difference * 100.0);
    }
    println!();
}

fn difference(count: u64, recorded: u64) -> f64 {
    count as f64 / recorded as f64 - 1.0
}

fn figures(counts: Counts, recorded: Counts) -> Vec<Figure> {
    let rows = PROCESSES.iter().zip(counts.each()).zip(recorded.each());
    rows.map(|(((role, _), count), recorded)| {
        let at_most = (recorded as f64 * (1.0 + MARGIN)).floor();
        Figure::at_most(format!("instructions: {role}, per message"), count as f64, at_most, "")
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_per_cent_more_are_too_many() {
        let recorded = Counts { edge: 1_000, origin: 2_000, sidecar: 1_000 };
        let met = |counts| figures(counts, recorded).iter().map(Figure::met).collect::<Vec<_>>();
        assert_eq!(met(Counts { edge: 1_030, origin: 2_060, sidecar: 1 }), [true; 3]);
        assert_eq!(met(Counts { edge: 1_031, ..recorded }), [false, true, true]);
        assert_eq!(met(Counts { origin: 2_061, ..recorded }), [true, false, true]);
        assert_eq!(met(Counts { sidecar: 1_031, ..recorded }), [true, true, false]);
    }
}
