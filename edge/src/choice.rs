//! Through which origin a session attaches: two at random, the better of them.
//!
//! Two random choices spread sessions nearly as evenly as knowing the least loaded would, and a herd that decides on
//! the same facts at the same moment doesn't fall on one origin.

use baton_protocol::limits::Millis;
use rand::{Rng, RngExt};

/// The least milliseconds for which an origin is avoided.
pub const PENALTY: Millis = 1_000;
/// Milliseconds to which the penalty doubles each time that the origin earns another.
pub const PENALTY_MAX: Millis = 60_000;
/// Attaches whose outcomes are remembered one by one.
pub const OUTCOMES: u32 = 20;
/// Milliseconds within which two losses of a connection make its origin bad.
pub const LOSS_SPAN: Millis = 60_000;
/// Milliseconds after which half of the failures is forgiven. An origin that recovered would otherwise need traffic
/// to show it and get none, for as long as the others are idle enough.
pub const FORGIVE: Millis = 10_000;

/// Certainty, in the fixed point of the share of failures.
const ONE: u32 = 1 << 16;
/// The floor of the share of successes: a hundredth.
const FLOOR: u32 = ONE / 100;
/// A new outcome counts for an eighth in the moving average.
const WEIGHT: u32 = 8;
const OUTCOME_BITS: u32 = (1 << OUTCOMES) - 1;

/// What attaches through one origin have come to. It belongs to the origin's address and outlives its connections:
/// that a connection was lost is known only after it is gone.
///
/// What counts: an answer of a home (200, or a refusal that only the home can give) is a success. T_attach, 502, 504,
/// "draining", a lost stream and whatever isn't understood is a failure. "busy" and "handover" are neither. A lost
/// connection is one loss, however many attaches went with it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Health {
    /// Moving average of failures, 0 ..= ONE, as of `averaged`.
    failing: u32,
    averaged: Millis,
    /// The last [`OUTCOMES`] attaches since the last penalty ran out, 1 for a failure, the newest lowest.
    failures: u32,
    lost: Option<Millis>,
    penalty: Millis,
    bad_until: Millis,
}

impl Health {
    /// Of an origin of which nothing is known: taken for good.
    pub fn new() -> Self {
        Self::default()
    }

    /// An attach was answered by a home.
    pub fn record_success(&mut self, now: Millis) {
        self.forgive(now);
        self.failing -= self.failing / WEIGHT;
        self.failures = (self.failures << 1) & OUTCOME_BITS;
    }

    /// An attach failed, and the origin may be why.
    pub fn record_failure(&mut self, now: Millis) {
        self.forgive(now);
        self.failing += (ONE - self.failing) / WEIGHT;
        // The stragglers of what was punished already are no new evidence.
        if self.is_bad(now) {
            return;
        }
        self.failures = ((self.failures << 1) | 1) & OUTCOME_BITS;
        if self.failures.count_ones() > OUTCOMES / 2 {
            self.punish(now);
        }
    }

    /// The origin's connection was lost, and it hadn't asked for moves.
    pub fn record_loss(&mut self, now: Millis) {
        if self.lost.is_some_and(|then| now.saturating_sub(then) < LOSS_SPAN) {
            self.punish(now);
        }
        self.lost = Some(now);
    }

    /// Whether to use the origin only if no other is left.
    pub fn is_bad(&self, now: Millis) -> bool {
        now < self.bad_until
    }

    /// The cost of one more tunnel where there are `load` already; the lower, the better. (load + 1) / success.
    pub fn score(&self, load: u64, now: Millis) -> u64 {
        let success = (ONE - self.failing_at(now)).max(FLOOR);
        load.saturating_add(1).saturating_mul(u64::from(ONE)) / u64::from(success)
    }

    fn failing_at(&self, now: Millis) -> u32 {
        let halvings = now.saturating_sub(self.averaged) / FORGIVE;
        u32::try_from(halvings).ok().and_then(|by| self.failing.checked_shr(by)).unwrap_or(0)
    }

    fn forgive(&mut self, now: Millis) {
        self.failing = self.failing_at(now);
        self.averaged += now.saturating_sub(self.averaged) / FORGIVE * FORGIVE;
    }

    /// The penalty doubles unless the last one ended at least as long ago as the longest takes.
    fn punish(&mut self, now: Millis) {
        let again = self.penalty > 0 && now.saturating_sub(self.bad_until) < PENALTY_MAX;
        self.penalty = if again { (self.penalty * 2).min(PENALTY_MAX) } else { PENALTY };
        self.bad_until = now.saturating_add(self.penalty);
        self.failures = 0;
    }
}

/// A connection to an origin, as it stands.
#[derive(Clone, Copy, Debug)]
pub struct Candidate<'a> {
    /// Which of the configured origins it leads to.
    pub origin: usize,
    /// The process that answered on the control stream (`dcr-instance`).
    pub instance: &'a str,
    /// Connected, answered on the control stream, and below its bound of tunnels.
    pub ready: bool,
    /// Attaches here get no answer, as far as is known.
    pub mute: bool,
    /// The origin asked for moves. No attach starts here.
    pub solicited: bool,
    /// Tunnels that it carries.
    pub tunnels: u32,
    /// Attaches in flight, *and* those that wait for a slot here: or a herd would see none of itself.
    pub attaching: u32,
    /// The origin's.
    pub health: &'a Health,
}

/// Where a session would rather not attach.
#[derive(Clone, Copy, Debug, Default)]
pub struct Avoid<'a> {
    /// The origin that just failed this session: taken again only if there is no other.
    pub failed: Option<usize>,
    /// The instance that asked this session to move: never taken, over whatever connection.
    pub leaving: Option<&'a str>,
}

/// How gladly a candidate is taken: the lowest wins, and scores decide among equals.
///
/// A bad origin comes before the one that just failed this session: it may be the only one that reaches its home.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    Good,
    Bad,
    Failed,
    FailedAndBad,
}

fn rank(candidate: &Candidate<'_>, avoid: Avoid<'_>, now: Millis) -> Option<Rank> {
    if !candidate.ready || candidate.solicited || avoid.leaving == Some(candidate.instance) {
        return None;
    }
    Some(match (avoid.failed == Some(candidate.origin), candidate.mute || candidate.health.is_bad(now)) {
        (false, false) => Rank::Good,
        (false, true) => Rank::Bad,
        (true, false) => Rank::Failed,
        (true, true) => Rank::FailedAndBad,
    })
}

/// The index of the candidate to attach through; none if no attach may start on any of them.
pub fn choose(candidates: &[Candidate<'_>], avoid: Avoid<'_>, now: Millis, rng: &mut impl Rng) -> Option<usize> {
    let ranked = || candidates.iter().enumerate().filter_map(|(i, c)| Some((i, rank(c, avoid, now)?)));
    let best = ranked().map(|(_, rank)| rank).min()?;
    let nth = |n| ranked().filter(|(_, rank)| *rank == best).nth(n).map(|(i, _)| i);
    let count = ranked().filter(|(_, rank)| *rank == best).count();
    let one = rng.random_range(0..count);
    if count == 1 {
        return nth(one);
    }
    let other = rng.random_range(0..count - 1);
    let (one, other) = (nth(one)?, nth(if other < one { other } else { other + 1 })?);
    let score = |i: usize| {
        let Candidate { tunnels, attaching, health, .. } = candidates[i];
        health.score(u64::from(tunnels) + u64::from(attaching), now)
    };
    Some(if score(other) < score(one) { other } else { one })
}

#[cfg(test)]
mod tests;
