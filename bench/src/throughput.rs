//! How many messages a second pass, as fast as they can, and what each costs in processor time.

use baton_drill::load::Tempo;
use clap::Args;

use super::{
    Figures,
    against::{Against, Load},
    measure::{Turn, measure, plan},
    report::Report,
};

#[derive(Args, Debug)]
pub struct Options {
    #[command(flatten)]
    against: Against,
    #[command(flatten)]
    load: Load,
    /// Messages that each publisher has under way
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    window: u32,
}

pub(super) fn run(options: &Options) -> Figures {
    let cell = options.load.cell(Tempo::Closed(options.window));
    let subject = options.against.subject_under(&options.load)?;
    println!("load:    {}, {} under way each", options.load, options.window);
    let turn = measure(plan(&subject.addresses, &cell), &cell, &subject.parts)?;
    let mut report = Report::new("throughput");
    report.put("messages", turn.speed(), "per second");
    turn.put_latency(&mut report);
    turn.put_costs(&subject.parts, &mut report);
    options.against.finish(report, &turn.doubts())
}

impl Turn {
    /// From when a message was due until its arrival.
    pub(crate) fn put_latency(&self, report: &mut Report) {
        let latency = self.window.latency;
        for (name, value) in
            [("p50", latency.p50), ("p99", latency.p99), ("p99.9", latency.p999), ("longest", latency.max)]
        {
            report.put(format!("latency, {name}"), super::measure::millis(value), "ms");
        }
    }

    /// Processor time, of each part and of the load.
    pub(crate) fn put_costs(&self, parts: &[super::stack::Part], report: &mut Report) {
        for (at, part) in parts.iter().enumerate() {
            report.put(format!("processor time, {}", part.name), self.cost(at), "us per message");
        }
        report.put("processor time, this load", self.own_cores(), "processors");
        report.put("taken by the host", self.steal * 100.0, "%");
    }
}
