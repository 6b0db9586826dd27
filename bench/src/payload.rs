//! How fast large payloads pass over a long way: a session may have a window's bytes under way in each direction, so
//! the round trip bounds what it carries.

use std::{error::Error, net::SocketAddr, time::Duration};

use baton_drill::{
    load::{Load, Plan, Shape, Tempo},
    mqtt::Qos,
    pause::Watch,
    proxy::Proxy,
    tier::{Layout, Tier},
};
use clap::Args;

use super::{Figures, figure::Figure, machine};

/// Bytes of a payload.
const PAYLOAD: usize = 1 << 20;
/// Messages that each publisher keeps under way: never fewer bytes than a window holds.
const UNDER_WAY: u32 = 4;
/// Milliseconds each way for which there is a target, and by default.
const DELAY: u64 = 25;
/// Millions of bytes a second that each session has to carry over such a way: the window would allow 5.2.
const TARGET: f64 = 4.0;
/// Time for the slowest step.
const PATIENCE: Duration = Duration::from_secs(120);

#[derive(Args, Debug)]
pub struct Options {
    /// Sessions at once
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=64))]
    sessions: u32,
    /// Messages of 1 MiB that each session carries while it's measured
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    messages: u32,
    /// Milliseconds that the way between edge and origin takes, each way
    #[arg(long, default_value_t = DELAY, value_parser = clap::value_parser!(u64).range(0..=1_000))]
    delay: u64,
}

/// What one way came to.
struct Carried {
    /// Millions of bytes a second, each session.
    rate: f64,
    clean: bool,
}

pub(super) fn run(options: &Options) -> Figures {
    let Options { sessions, messages, delay } = *options;
    println!("set-up:  1 edge, 1 origin, 1 broker-sim; {delay} ms each way between edge and origin");
    println!(
        "         {sessions} sessions at once, QoS 1, payloads of 1 MiB back to back, {messages} of them measured"
    );
    println!();
    let mut tier = Tier::new(Layout::new(machine::program()?))?;
    // Over any other way the rate is shown, and nothing is asked of it.
    let target = if delay == DELAY { TARGET } else { 0.0 };
    let delay = Duration::from_millis(delay);
    let between = delayed(&mut tier, "origin-1", delay)?;
    tier.set("edge-1", "edge.origins", &between.address().to_string())?;
    let direct = delayed(&mut tier, "broker-1", delay)?;
    tier.start_all()?;
    let edge = tier.address("edge-1")?;
    let broker = tier.address("broker-1")?;

    let alone = carry(options, "alone", direct.address(), broker)?;
    println!("without Baton, the same delay between client and broker: {:.2} MB/s each session", alone.rate);
    let mut figures = Vec::new();
    let mut suffered = u8::from(!alone.clean);
    // Who publishes through the edge is heard by somebody at the broker itself, and the other way round.
    for (way, publisher, receiver) in [("up", edge, broker), ("down", broker, edge)] {
        let before = between.hits();
        let Carried { rate, clean } = carry(options, way, publisher, receiver)?;
        let after = between.hits();
        let passed = if way == "up" { after.up - before.up } else { after.down - before.down };
        println!("{way:4}: {rate:.2} MB/s each session; {:.1} MB over the long way", mega(passed));
        suffered += u8::from(!clean || mega(passed) < mega_bytes(sessions * messages));
        figures.push(Figure::at_least(format!("payload: {way}, per session"), rate, target, "MB/s"));
    }
    figures.push(Figure::none("payload: messages or clients that suffered", f64::from(suffered)));
    Ok(figures)
}

/// A proxy before a node of the tier.
fn delayed(tier: &mut Tier, node: &str, delay: Duration) -> Result<Proxy, Box<dyn Error>> {
    let proxy = Proxy::start(tier.free_address()?, tier.address(node)?)?;
    proxy.delay(delay, delay);
    Ok(proxy)
}

fn carry(
    options: &Options,
    name: &str,
    publisher: SocketAddr,
    receiver: SocketAddr,
) -> Result<Carried, Box<dyn Error>> {
    let load = Load::start(Plan {
        shape: Shape::OneWay,
        mix: vec![Qos::AtLeastOnce],
        tempo: Tempo::Closed(UNDER_WAY),
        payload: PAYLOAD,
        ..Plan::new(name, &[publisher, receiver], 2 * options.sessions)
    })?;
    load.ready(PATIENCE)?;
    load.publish();
    // Until TCP has found out how much the way holds.
    load.received(u64::from(UNDER_WAY * options.sessions), PATIENCE)?;
    let watch = Watch::start();
    let before = load.progress().totals.received;
    let after = load.received(u64::from(options.messages * options.sessions), PATIENCE)?.totals.received;
    let seconds = watch.seconds();
    let carried = mega_bytes(u32::try_from(after - before)?);
    let clean = load.finish(PATIENCE).verdict.is_clean();
    Ok(Carried { rate: carried / seconds / f64::from(options.sessions), clean })
}

fn mega_bytes(messages: u32) -> f64 {
    f64::from(messages) * PAYLOAD as f64 / 1e6
}

/// Millions.
fn mega(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}
