//! What goes wrong, and when: a function of a seed and nothing else.
//!
//! Each time it is the turn of the class that was chosen least often; if nothing of that class can be hit now, another
//! one goes first. Of the things that it can hit, it is the one that was left alone for longest. Two rules:
//!
//! - What is hit is whole before: no process that is down, no link to one.
//! - A way is left: each edge reaches each home through some origin that nothing is wrong with, but for
//!   [`Class::AllOriginsDown`].

use std::collections::BTreeMap;

use super::fault::{Class, EDGES, Fault, HANGS, HOMES, ORIGINS, Thing};
use crate::bytes::noise::word;

/// Milliseconds by which a fault that can't come yet is put off.
const STEP: u64 = 100;

/// So many faults, in order, at least `every` milliseconds from each to the next.
pub(super) fn schedule(seed: u64, faults: usize, every: u64) -> Vec<Fault> {
    let mut making = Making { seed, drawn: 0, now: 0, made: Vec::new(), last: BTreeMap::new() };
    while making.made.len() < faults {
        match making.next() {
            Some(fault) => {
                making.last.extend(fault.things.iter().map(|thing| (*thing, fault.at)));
                making.made.push(fault);
                making.now += every;
            }
            None => making.now += STEP,
        }
    }
    making.made
}

struct Making {
    seed: u64,
    drawn: u64,
    now: u64,
    made: Vec<Fault>,
    /// When each thing was hit last.
    last: BTreeMap<Thing, u64>,
}

impl Making {
    fn draw(&mut self) -> u64 {
        self.drawn += 1;
        word(self.seed, self.drawn)
    }

    fn next(&mut self) -> Option<Fault> {
        let mut classes: Vec<_> = Class::ALL.map(|class| (self.count(class), self.draw(), class)).into();
        classes.sort_unstable();
        let due = classes.first().map(|(_, _, class)| *class)?;
        classes.into_iter().find_map(|(_, _, class)| self.fault(class, due))
    }

    fn count(&self, class: Class) -> usize {
        self.made.iter().filter(|fault| fault.class == class).count()
    }

    /// One of this class now, if that doesn't put off the class whose turn it is.
    fn fault(&mut self, class: Class, due: Class) -> Option<Fault> {
        // It needs all origins, and would wait for ever.
        let waits = due == Class::AllOriginsDown && class != due;
        let mut targets = class.targets();
        targets.retain(|things| {
            let in_the_way = waits && things.iter().any(|thing| thing.is_of_origins());
            !in_the_way && self.is_whole(things) && (class == Class::AllOriginsDown || self.leaves_a_way(class, things))
        });
        let left_alone = |things: &Vec<Thing>| things.iter().filter_map(|thing| self.last.get(thing).copied()).max();
        let mut ranked: Vec<_> = targets.into_iter().map(|things| (left_alone(&things), things)).collect();
        let longest = ranked.iter().map(|(last, _)| *last).min()?;
        ranked.retain(|(last, _)| *last == longest);
        let (_, things) = ranked.swap_remove(pick(self.draw(), ranked.len()));
        let lasts = class.lasts();
        Some(Fault { at: self.now, class, things, lasting: lasts[pick(self.draw(), lasts.len())] })
    }

    /// What goes wrong now, or has consequences still.
    fn current(&self) -> impl Iterator<Item = &Fault> {
        // The longest there is; so only the last few are looked at.
        let span = HANGS[HANGS.len() - 1] + Class::HomeKilled.settles();
        let recent = self.made.iter().rev().take_while(move |fault| fault.at + span > self.now);
        recent.filter(|fault| fault.until() + fault.class.settles() > self.now)
    }

    fn is_whole(&self, things: &[Thing]) -> bool {
        let hit = |thing: Thing| self.current().any(|fault| fault.things.iter().any(|other| thing.touches(*other)));
        !things.iter().any(|thing| hit(*thing))
    }

    fn leaves_a_way(&self, class: Class, things: &[Thing]) -> bool {
        if !class.blocks() || !things.iter().any(|thing| thing.is_of_origins()) {
            return true;
        }
        let blocking = self.current().filter(|fault| fault.class.blocks()).flat_map(|fault| &fault.things);
        each_has_a_way(&blocking.chain(things).copied().collect::<Vec<_>>())
    }
}

/// Whether each edge reaches each home with these in its way.
fn each_has_a_way(blocked: &[Thing]) -> bool {
    let passes = |edge, origin, home| {
        let way = [Thing::EdgeLink(edge, origin), Thing::Origin(origin), Thing::HomeLink(origin, home)];
        !way.iter().any(|thing| blocked.contains(thing))
    };
    let mut pairs = (1..=EDGES).flat_map(|edge| (1..=HOMES).map(move |home| (edge, home)));
    pairs.all(|(edge, home)| (1..=ORIGINS).any(|origin| passes(edge, origin, home)))
}

/// An index below `len`, which isn't 0.
fn pick(drawn: u64, len: usize) -> usize {
    usize::try_from(drawn % len as u64).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_is_a_schedule() {
        assert_eq!(schedule(7, 200, 1_000), schedule(7, 200, 1_000));
        assert_ne!(schedule(7, 200, 1_000), schedule(8, 200, 1_000));
        assert_eq!(schedule(7, 200, 1_000)[..50], schedule(7, 50, 1_000));
    }

    #[test]
    fn ten_minutes_have_each_class_at_the_asked_rate() {
        for seed in 0..20 {
            let faults = schedule(seed, 600, 1_000);
            let last = faults.last().unwrap().at;
            assert!(last <= 610_000, "seed {seed}: the last at {last} ms");
            for class in Class::ALL {
                let count = faults.iter().filter(|fault| fault.class == class).count();
                assert!(count >= 24, "seed {seed}: {count} of {class:?}");
            }
        }
    }

    #[test]
    fn a_way_is_left_and_what_is_hit_is_whole() {
        for seed in 0..20 {
            let faults = schedule(seed, 300, 500);
            let mut at_once = 0;
            for (nth, fault) in faults.iter().enumerate() {
                let goes_on = |earlier: &&Fault| earlier.until() + earlier.class.settles() > fault.at;
                let current: Vec<_> = faults[..nth].iter().filter(goes_on).collect();
                at_once = at_once.max(current.len() + 1);
                for other in &current {
                    let touch = fault.things.iter().any(|thing| other.things.iter().any(|o| thing.touches(*o)));
                    assert!(!touch, "seed {seed}: {fault} while {other}");
                }
                let now: Vec<_> = current.into_iter().chain([fault]).filter(|fault| fault.class.blocks()).collect();
                let things: Vec<_> = now.iter().flat_map(|fault| &fault.things).copied().collect();
                let dark = now.iter().any(|fault| fault.class == Class::AllOriginsDown);
                assert!(dark || each_has_a_way(&things), "seed {seed}: {fault}");
            }
            assert!(at_once >= 6, "seed {seed}: {at_once}");
        }
    }

    #[test]
    fn a_way_is_one_origin_with_both_links() {
        let all_but_one = [Thing::Origin(1), Thing::Origin(2), Thing::Origin(3)];
        assert!(each_has_a_way(&all_but_one));
        for last in [Thing::Origin(4), Thing::EdgeLink(2, 4), Thing::HomeLink(4, 1)] {
            assert!(!each_has_a_way(&[&all_but_one[..], &[last]].concat()), "{last}");
        }
        assert!(each_has_a_way(&[Thing::EdgeLink(1, 1), Thing::HomeLink(2, 1), Thing::Edge(1), Thing::Home(1)]));
    }
}
