//! What isn't a load: memory of idle sessions, connecting, and one restart of the hop in the middle.

use std::error::Error;

use super::{Middle, Options};
use crate::{
    connect::rush,
    idle::{Crowd, slopes},
    restart::{self, Disruption, Herd, How, disrupt},
    stack::{Kind, Stack},
};

/// Clients that connect, in the measurement of that.
pub(super) const CLIENTS: u32 = 5_000;
/// Between these numbers memory is a slope. HAProxy has two descriptors a connection, and 20,000 at most here.
pub(super) const CROWD: Crowd = Crowd { few: 2_000, many: 8_000, quiet: 5 };
/// Sessions that one edge has to hold.
const HELD: Crowd = Crowd { few: 2_000, many: 15_000, quiet: 1 };
pub(super) const HERD: Herd = Herd { clients: 2_000, rate: 5_000, seconds: 12 };

#[derive(Debug, Default)]
pub(super) struct Rest {
    /// Kilobytes per idle session of each hop.
    pub(super) memory: Vec<(Kind, Vec<f64>)>,
    /// Clients a second.
    pub(super) connects: Vec<(Kind, f64)>,
    pub(super) restarts: Vec<(Kind, &'static str, Disruption)>,
    /// Sessions that one edge, one origin and one sidecar have held.
    pub(super) held: Option<u32>,
}

impl Rest {
    pub(super) fn play(stacks: &[Kind], options: &Options) -> Result<Self, Box<dyn Error>> {
        let mut rest = Self::default();
        let hops = || stacks.iter().copied().filter(|kind| *kind != Kind::Direct);
        println!("\nround  stack            memory, kB per idle session, of each hop");
        for round in 1..=options.slow_rounds {
            for kind in hops() {
                let stack = Stack::start(kind)?;
                let memory = slopes(&[stack.address], CROWD, &stack.hops)?.parts;
                let each: Vec<_> = memory.iter().map(|slope| format!("{slope:.2}")).collect();
                println!("{round:5}  {kind:15}  {}", each.join(" + "));
                rest.memory.push((kind, memory));
            }
        }
        println!("\nround  stack            clients/s");
        for round in 1..=options.slow_rounds {
            for kind in stacks {
                let stack = Stack::start(*kind)?;
                let rush = rush(&[stack.address], CLIENTS, &[])?;
                let speed = f64::from(CLIENTS) / rush.seconds;
                println!("{round:5}  {kind:15}  {speed:9.0}");
                rest.connects.push((*kind, speed));
            }
        }
        println!(
            "\nround  stack            restart                        dropped    lost  p99.9 beyond  longest beyond"
        );
        for round in 1..=options.slow_rounds {
            for kind in hops() {
                for (how, disruption) in restarts(kind)? {
                    row(round, kind, how, &disruption);
                    rest.restarts.push((kind, how, disruption));
                }
            }
        }
        rest.held = Some(hold()?);
        Ok(rest)
    }

    pub(super) fn memory_of(&self, kind: Kind, hop: usize) -> Middle {
        let of_kind = self.memory.iter().filter(|(of, _)| *of == kind);
        Middle::of(of_kind.filter_map(|(_, memory)| memory.get(hop).copied()))
    }

    pub(super) fn connects_of(&self, kind: Kind) -> Middle {
        Middle::of(self.connects.iter().filter(|(of, _)| *of == kind).map(|(_, speed)| *speed))
    }
}

/// Lets one edge hold many sessions: that it does is what `slopes` waits for. How many those were.
fn hold() -> Result<u32, Box<dyn Error>> {
    let stack = Stack::start(Kind::Baton)?;
    slopes(&[stack.address], HELD, &stack.hops)?;
    println!("\nBaton held {} sessions in one edge, one origin, one sidecar", HELD.many);
    Ok(HELD.many)
}

/// One restart of the hop in the middle, in the best way that there is; ours in two.
fn restarts(kind: Kind) -> Result<Vec<(&'static str, Disruption)>, Box<dyn Error>> {
    if kind == Kind::Baton {
        let one = |how| {
            let mut stack = restart::tier()?;
            let parts = stack.hops.clone();
            disrupt(&[stack.address], HERD, &parts, || restart::restart(&mut stack, how))
        };
        return Ok(vec![("drain", one(How::Drain)?), ("SIGKILL", one(How::Kill)?)]);
    }
    let mut stack = Stack::start(kind)?;
    let parts = stack.hops.clone();
    let disruption = disrupt(&[stack.address], HERD, &parts, || stack.reload())?;
    Ok(vec![(kind.reload(), disruption)])
}

fn row(round: u32, kind: Kind, how: &str, disruption: &Disruption) {
    let (p999, longest) = disruption.beyond();
    let (dropped, lost) = (disruption.verdict.dropped(), disruption.verdict.total().lost);
    println!("{round:5}  {kind:15}  {how:29}  {dropped:7}  {lost:6}  {p999:9.1} ms  {longest:11.1} ms");
}
