//! Homes that don't answer.

use std::collections::BTreeMap;

use baton_protocol::{
    id::NodeName,
    limits::{GRACE_MAX, Millis},
};

use super::Outcome;

/// Failures in a row, over at least two origins, after which a home is only probed. What one origin can't reach may
/// be that origin's fault.
pub const FAILURES: u8 = 8;
/// Milliseconds between two probes of a home.
pub const PROBE: Millis = 1_000;
/// Milliseconds after the last news of a home at which it is forgotten: by then no session of it is left waiting.
pub const MEMORY: Millis = GRACE_MAX;
/// Homes that are remembered: far more than one ring has. Beyond it the one without news for longest is forgotten,
/// at the price that it is besieged again for eight failures.
pub const HOMES: usize = 1_024;

/// A row of failures.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Row {
    failures: u8,
    /// The first origin of the row, and whether another failed too.
    origin: usize,
    elsewhere: bool,
    probe_at: Millis,
    heard: Millis,
}

impl Row {
    fn is_down(&self) -> bool {
        self.failures >= FAILURES && self.elsewhere
    }

    fn is_forgotten(&self, now: Millis) -> bool {
        now.saturating_sub(self.heard) >= MEMORY
    }
}

/// The homes whose last resumes failed. A home with no row is in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Homes {
    rows: BTreeMap<NodeName, Row>,
}

impl Homes {
    /// All in order.
    pub fn new() -> Self {
        Self::default()
    }

    /// Homes that are only probed.
    pub fn down(&self, now: Millis) -> usize {
        self.rows.values().filter(|row| row.is_down() && !row.is_forgotten(now)).count()
    }

    /// Whether a resume to `home` may start, or for how many milliseconds (at least 1) none may.
    ///
    /// Where the home is down, `Ok` makes the caller the probe: it must attach, or a second is lost. The wait is that
    /// of the first in line; [`Self::record`] says when to wake the others.
    pub fn may_try(&mut self, home: &NodeName, now: Millis) -> Result<(), Millis> {
        let Some(row) = self.rows.get_mut(home).filter(|row| row.is_down() && !row.is_forgotten(now)) else {
            return Ok(());
        };
        match row.probe_at.checked_sub(now) {
            None | Some(0) => {
                row.probe_at = now.saturating_add(PROBE);
                Ok(())
            }
            Some(wait) => Err(wait),
        }
    }

    /// What a resume to `home` through `origin` came to. True if that releases those who waited for the home.
    ///
    /// A refusal of the home's own releases them as a 200 does: after a home lost its sessions it has nothing else
    /// to say, and each client is better told now than at the end of its grace time.
    pub fn record(&mut self, home: &NodeName, origin: usize, outcome: Outcome, now: Millis) -> bool {
        match outcome {
            Outcome::Accepted | Outcome::Answered => self.rows.remove(home).is_some_and(|row| row.is_down()),
            Outcome::TimedOut | Outcome::Unreachable => {
                self.fail(home, origin, now);
                false
            }
            Outcome::Other => false,
        }
    }

    fn fail(&mut self, home: &NodeName, origin: usize, now: Millis) {
        if self.rows.get(home).is_none_or(|row| row.is_forgotten(now)) {
            self.make_room(now);
            let row = Row { failures: 0, origin, elsewhere: false, probe_at: now, heard: now };
            self.rows.insert(home.clone(), row);
        }
        let Some(row) = self.rows.get_mut(home) else { return };
        let was_down = row.is_down();
        row.failures = row.failures.saturating_add(1);
        row.elsewhere |= origin != row.origin;
        row.heard = now;
        if row.is_down() && !was_down {
            row.probe_at = now.saturating_add(PROBE);
        }
    }

    fn make_room(&mut self, now: Millis) {
        self.rows.retain(|_, row| !row.is_forgotten(now));
        if self.rows.len() >= HOMES {
            let oldest = self.rows.iter().min_by_key(|(_, row)| row.heard).map(|(home, _)| home.clone());
            oldest.and_then(|home| self.rows.remove(&home));
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn home(n: usize) -> NodeName {
        NodeName::new(&format!("home-{n}")).unwrap()
    }

    /// `times` timeouts of home 1, alternating over so many origins.
    fn failed(times: usize, origins: usize, now: Millis) -> Homes {
        let mut homes = Homes::new();
        (0..times).for_each(|n| assert!(!homes.record(&home(1), n % origins, Outcome::TimedOut, now)));
        homes
    }

    #[test]
    fn eight_in_a_row_over_two_origins() {
        for (times, origins, is_down) in [(7, 2, false), (8, 2, true), (200, 1, false), (300, 3, true)] {
            let mut homes = failed(times, origins, 50);
            assert_eq!(homes.may_try(&home(1), 60).is_err(), is_down, "{times} over {origins}");
            assert_eq!(homes.down(60), usize::from(is_down));
            assert_eq!(homes.may_try(&home(2), 60), Ok(()), "another home");
        }
        let mut homes = failed(8, 1, 0);
        homes.record(&home(1), 1, Outcome::Unreachable, 0);
        assert_eq!(homes.may_try(&home(1), 0), Err(PROBE));
    }

    #[test]
    fn one_probe_a_second_until_the_home_answers() {
        for answer in [Outcome::Accepted, Outcome::Answered] {
            let mut homes = failed(8, 2, 0);
            let probes = (0..=5_000).filter(|now| homes.may_try(&home(1), *now).is_ok()).count();
            assert_eq!(probes, 5);
            homes.record(&home(1), 0, Outcome::TimedOut, 5_300);
            assert_eq!(homes.may_try(&home(1), 5_301), Err(699), "a failed probe doesn't move the next");
            assert!(homes.record(&home(1), 0, answer, 5_100), "releases");
            assert_eq!(homes.may_try(&home(1), 5_100), Ok(()));
            assert!(!homes.record(&home(1), 0, answer, 5_100), "once");
            assert_eq!(homes, Homes::new());
        }
    }

    #[test]
    fn only_the_homes_own_failures_count() {
        let mut homes = failed(7, 2, 0);
        (0..100).for_each(|n| assert!(!homes.record(&home(1), n, Outcome::Other, 0)));
        assert_eq!(homes.may_try(&home(1), 0), Ok(()));
        assert!(!homes.record(&home(1), 0, Outcome::Accepted, 0), "nobody waited");
        (0..7).for_each(|n| assert!(!homes.record(&home(1), n, Outcome::Unreachable, 0)));
        assert_eq!(homes.may_try(&home(1), 0), Ok(()), "the row was broken");
    }

    #[test]
    fn a_home_without_news_is_forgotten() {
        let mut homes = failed(8, 2, 0);
        assert_eq!((homes.down(MEMORY - 1), homes.down(MEMORY)), (1, 0));
        let mut probed = homes.clone();
        probed.record(&home(1), 0, Outcome::TimedOut, MEMORY - 1);
        assert_eq!((probed.down(MEMORY), probed.down(2 * MEMORY - 1)), (1, 0), "a failed probe is news");
        assert!((0..3).all(|_| homes.may_try(&home(1), MEMORY).is_ok()));
        homes.record(&home(1), 0, Outcome::TimedOut, MEMORY);
        assert_eq!(homes.down(MEMORY), 0, "one failure is no row of eight");
        homes.record(&home(2), 0, Outcome::TimedOut, 2 * MEMORY);
        assert_eq!(homes.rows.len(), 1);
    }

    #[test]
    fn the_table_is_bounded() {
        let mut homes = failed(8, 2, 0);
        (2..HOMES + 2).for_each(|n| assert!(!homes.record(&home(n), 0, Outcome::TimedOut, 1)));
        assert_eq!(homes.rows.len(), HOMES);
        assert_eq!(homes.may_try(&home(1), 1), Ok(()), "the oldest went");
    }

    proptest! {
        #[test]
        fn probes_are_a_second_apart(
            events in prop::collection::vec((0..7u8, 0..3usize, 0..400u64), 0..300),
        ) {
            let (mut homes, mut now, mut row, mut last) = (Homes::new(), 0, Vec::new(), None::<Millis>);
            for (event, origin, passed) in events {
                now += passed;
                let down = row.len() >= 8 && row.iter().any(|o| *o != row[0]);
                prop_assert_eq!(homes.down(now), usize::from(down));
                match event {
                    0 if row.len() > 20 => {
                        prop_assert_eq!(homes.record(&home(1), origin, Outcome::Accepted, now), down);
                        (row, last) = (Vec::new(), None);
                    }
                    1 => drop(homes.record(&home(1), origin, Outcome::Other, now)),
                    2 | 3 => {
                        homes.record(&home(1), origin, Outcome::Unreachable, now);
                        row.push(origin);
                    }
                    _ => {
                        let tried = homes.may_try(&home(1), now);
                        prop_assert!(down || tried.is_ok());
                        if let Err(wait) = tried {
                            prop_assert!((1..=PROBE).contains(&wait));
                            prop_assert_eq!(homes.clone().may_try(&home(1), now + wait), Ok(()));
                        } else if down {
                            prop_assert!(last.is_none_or(|last| now - last >= PROBE));
                            last = Some(now);
                        }
                    }
                }
            }
        }
    }
}
