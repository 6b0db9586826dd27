//! How long messages take at a fixed rate. Each counts from when it was due, whether or not it could go then: a load that
//! waits for slow answers would leave out just those messages that were slow.

use baton_drill::load::Tempo;
use clap::Args;

use super::{
    Figures,
    against::{Against, Load},
    measure::{measure, millis, plan},
    report::Report,
};

#[derive(Args, Debug)]
pub struct Options {
    #[command(flatten)]
    against: Against,
    #[command(flatten)]
    load: Load,
    /// Messages a second, of all publishers together
    #[arg(long, default_value_t = 5_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    rate: u32,
}

pub(super) fn run(options: &Options) -> Figures {
    let cell = options.load.cell(Tempo::Rate(options.rate));
    let subject = options.against.subject_under(&options.load)?;
    println!("load:    {}, {} messages a second in all", options.load, options.rate);
    let turn = measure(plan(&subject.addresses, &cell), &cell, &subject.parts)?;
    let mut report = Report::new("latency");
    report.put("messages", turn.speed(), "per second");
    turn.put_latency(&mut report);
    report.put("of it this load's own lateness, p99", millis(turn.window.lateness.p99), "ms");
    turn.put_costs(&subject.parts, &mut report);
    options.against.finish(report, &turn.doubts())
}
