//! What isn't a load: memory of idle sessions, connecting, and one restart of the hop in the middle.

use super::{Middle, Options, Tried, Wrongs};
use crate::{
    connect::rush,
    idle::{Crowd, slopes},
    measure::{Theft, valid},
    restart::{self, Disruption, Herd, How, disrupt},
    stack::{Kind, Stack, unpaced},
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
    pub(super) fn play(stacks: &[Kind], options: &Options, wrongs: &Wrongs) -> Self {
        let mut rest = Self::default();
        // What Baton is held to needs as many rounds as loads do; the others are shown beside it.
        let hops = |round: u32| {
            let plays = move |kind: &Kind| match kind {
                Kind::Direct => false,
                Kind::Baton => true,
                _ => round <= options.slow_rounds,
            };
            stacks.iter().copied().filter(plays)
        };
        println!("\nround  stack            memory, kB per idle session, of each hop");
        for round in 1..=options.rounds.max(options.slow_rounds) {
            for kind in hops(round) {
                rest.memory.extend(memory(round, kind, wrongs).map(|memory| (kind, memory)));
            }
        }
        println!("\nround  stack            clients/s");
        for round in 1..=options.rounds {
            for kind in stacks {
                rest.connects.extend(connects(round, *kind, wrongs).map(|speed| (*kind, speed)));
            }
        }
        println!(
            "\nround  stack            restart                        dropped    lost  p99.9 beyond  longest beyond"
        );
        for round in 1..=options.rounds.max(options.slow_rounds) {
            for kind in hops(round) {
                let restarts =
                    restarts(round, kind, wrongs).into_iter().map(|(how, disruption)| (kind, how, disruption));
                rest.restarts.extend(restarts);
            }
        }
        rest.held = valid("one edge", || wrongs.note(Kind::Baton, hold(), |_| false));
        rest
    }

    pub(super) fn memory_of(&self, kind: Kind, hop: usize) -> Middle {
        let of_kind = self.memory.iter().filter(|(of, _)| *of == kind);
        Middle::of(of_kind.filter_map(|(_, memory)| memory.get(hop).copied()))
    }

    pub(super) fn connects_of(&self, kind: Kind) -> Middle {
        Middle::of(self.connects.iter().filter(|(of, _)| *of == kind).map(|(_, speed)| *speed))
    }

    /// The ways in which stacks were restarted, as they were played.
    pub(super) fn ways(&self) -> Vec<(Kind, &'static str)> {
        let mut ways = Vec::new();
        for (kind, how, _) in &self.restarts {
            if !ways.contains(&(*kind, *how)) {
                ways.push((*kind, *how));
            }
        }
        ways
    }

    pub(super) fn restarts_of(&self, kind: Kind, how: &str) -> impl Iterator<Item = &Disruption> {
        let of = move |(k, h, _): &&(Kind, &str, Disruption)| *k == kind && *h == how;
        self.restarts.iter().filter(of).map(|(.., disruption)| disruption)
    }

    pub(super) fn restart_of(&self, kind: Kind, how: &str, what: impl Fn(&Disruption) -> f64) -> Middle {
        Middle::of(self.restarts_of(kind, how).map(what))
    }
}

fn memory(round: u32, kind: Kind, wrongs: &Wrongs) -> Option<Vec<f64>> {
    let play = || {
        let (theft, stack) = (Theft::watch()?, Stack::start(kind)?);
        let memory = slopes(&[stack.address], CROWD, &stack.hops)?.parts;
        Ok((memory, theft.faults()?))
    };
    let memory = valid(&kind.to_string(), || wrongs.note(kind, play(), |_| false))?;
    let each: Vec<_> = memory.iter().map(|slope| format!("{slope:.2}")).collect();
    println!("{round:5}  {kind:15}  {}", each.join(" + "));
    Some(memory)
}

fn connects(round: u32, kind: Kind, wrongs: &Wrongs) -> Option<f64> {
    let play = || {
        let (theft, stack) = (Theft::watch()?, Stack::start_with(kind, unpaced()?)?);
        let rush = rush(&[stack.address], CLIENTS, &[])?;
        Ok((f64::from(CLIENTS) / rush.seconds, theft.faults()?))
    };
    let speed = valid(&kind.to_string(), || wrongs.note(kind, play(), |_| false))?;
    println!("{round:5}  {kind:15}  {speed:9.0}");
    Some(speed)
}

/// Lets one edge hold many sessions: that it does is what `slopes` waits for. How many those were.
fn hold() -> Tried<u32> {
    let stack = Stack::start(Kind::Baton)?;
    slopes(&[stack.address], HELD, &stack.hops)?;
    println!("\nBaton held {} sessions in one edge, one origin, one sidecar", HELD.many);
    Ok((HELD.many, Vec::new()))
}

/// One restart of the hop in the middle, in the best way that there is; ours in two.
fn restarts(round: u32, kind: Kind, wrongs: &Wrongs) -> Vec<(&'static str, Disruption)> {
    let ways: &[Way] = match kind {
        Kind::Baton => &[("drain", Some(How::Drain)), ("SIGKILL", Some(How::Kill))],
        _ => &[(kind.reload(), None)],
    };
    let one = |(name, how): &Way| {
        let play = || {
            let theft = Theft::watch()?;
            let mut stack = if how.is_some() { restart::tier()? } else { Stack::start(kind)? };
            let (address, parts) = (stack.address, stack.hops.clone());
            let restart = || match how {
                Some(how) => restart::restart(&mut stack, *how),
                None => stack.reload(),
            };
            Ok((disrupt(&[address], HERD, &parts, restart)?, theft.faults()?))
        };
        let suffered = |disruption: &Disruption| disruption.suffered() > 0.0;
        let disruption = valid(&kind.to_string(), || wrongs.note(kind, play(), suffered))?;
        row(round, kind, name, &disruption);
        Some((*name, disruption))
    };
    ways.iter().filter_map(one).collect()
}

/// What it is called, and how an origin of ours ends.
type Way = (&'static str, Option<How>);

fn row(round: u32, kind: Kind, how: &str, disruption: &Disruption) {
    let (p999, longest) = disruption.beyond();
    let (dropped, lost) = (disruption.verdict.dropped(), disruption.verdict.total().lost);
    println!("{round:5}  {kind:15}  {how:29}  {dropped:7}  {lost:6}  {p999:9.1} ms  {longest:11.1} ms");
}
