//! A rule in force, which counts what it might hit and what it does.

use rand::{RngExt, SeedableRng, rngs::SmallRng};
use rmqtt_codec::v5::Packet;

use super::{
    engine::Effect,
    rule::{Rule, Which},
};
use crate::broker::ConnId;

/// A rule and what it has done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// Its number, which no other has.
    pub number: u64,
    /// It.
    pub rule: Rule,
    /// How many there were that it might have hit.
    pub seen: u64,
    /// How many it hit.
    pub hits: u64,
}

/// A rule in force.
#[derive(Debug)]
pub(super) struct Armed {
    pub(super) status: Status,
    chance: SmallRng,
}

impl Armed {
    /// In force from now on. Its chance is its own: one rule more doesn't change what the others hit.
    pub(super) fn new(number: u64, rule: Rule, seed: u64) -> Self {
        let chance = SmallRng::seed_from_u64(seed ^ number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        Self { status: Status { number, rule, seen: 0, hits: 0 }, chance }
    }

    /// Whether the rule hits the next of what it is about.
    pub(super) fn hits(&mut self, client: &str, of_connection: Option<&mut u64>) -> bool {
        let Status { rule, seen, hits, .. } = &mut self.status;
        if rule.client.as_ref().is_some_and(|pattern| !pattern.matches(client)) {
            return false;
        }
        *seen += 1;
        let number = of_connection.map_or(*seen, |count| {
            *count += 1;
            *count
        });
        let meant = match rule.which {
            Which::All => true,
            Which::Nth(n) => number == n,
            Which::First(n) => number <= n,
            Which::From(n) => number >= n,
            Which::Every(n) => number.is_multiple_of(n),
            Which::Share(share) => self.chance.random_bool(share.probability()),
        };
        let hit = meant && rule.times.is_none_or(|times| *hits < times);
        *hits += u64::from(hit);
        hit
    }

    /// What the transcript is told.
    pub(super) fn did(&self, conn: Option<ConnId>, packet: Option<Packet>) -> Effect {
        Effect::Did { conn, rule: self.status.number, what: self.status.rule.to_string(), packet }
    }
}
