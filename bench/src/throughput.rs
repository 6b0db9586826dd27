//! How many messages a second pass, and what each costs in processor time.

use baton_drill::{load::Tempo, mqtt::Qos};
use clap::Args;

use super::{
    Figures,
    against::Against,
    measure::{Cell, measure, millis, plan},
};

#[derive(Args, Debug)]
pub struct Options {
    #[command(flatten)]
    against: Against,
    /// Publishers, each with a subscriber of its own
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pairs: u32,
    /// Quality of service: 0, 1 or 2
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=2))]
    qos: u8,
    /// Bytes of payload
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(40..=1_048_576))]
    bytes: u32,
    /// Messages that each publisher has under way
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    window: u32,
    /// Seconds that are measured
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=3_600))]
    seconds: u64,
}

pub(super) fn run(options: &Options) -> Figures {
    let Options { pairs, qos, bytes, window, seconds, .. } = *options;
    let cell = Cell {
        pairs,
        qos: Qos::from_level(qos).unwrap_or(Qos::ExactlyOnce),
        payload: usize::try_from(bytes)?,
        tempo: Tempo::Closed(window),
        seconds,
    };
    let subject = options.against.subject()?;
    println!("load:    {pairs} publishers, a subscriber each, QoS {qos}, {bytes} bytes, {window} under way each");
    let turn = measure(plan(&subject.addresses, &cell), &cell, &subject.parts)?;
    println!();
    println!("messages/s  {:10.0}", turn.speed());
    println!("latency     {}", turn.window.latency);
    for (at, part) in subject.parts.iter().enumerate() {
        println!("{:10}  {:10.2} us of processor time per message", part.name, turn.cost(at));
    }
    println!("{:10}  {:10.2} processors", "this load", turn.own_cores());
    turn.faults.iter().for_each(|fault| println!("NOT VALID: {fault}"));
    let _ = millis;
    Ok(Vec::new())
}
