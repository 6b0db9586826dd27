//! What each tenth of a second brought.

/// Microseconds of a tick.
pub const TICK: u64 = 100_000;
/// Ticks that are counted apart, an hour; what comes later counts as of the last one.
const TICKS: usize = 36_000;

/// How often something happened, tick by tick.
#[derive(Debug, Default)]
pub(super) struct Ticks(Vec<u32>);

impl Ticks {
    /// It happened, so many microseconds after the first tick began.
    pub(super) fn count(&mut self, at: u64) {
        let tick = whole(at).min(TICKS - 1);
        if self.0.len() <= tick {
            self.0.resize(tick + 1, 0);
        }
        self.0[tick] += 1;
    }

    /// The ticks that are over by then: one that isn't would look like silence.
    pub(super) fn until(&self, now: u64) -> Vec<u32> {
        let over = whole(now).min(TICKS);
        self.0.iter().copied().chain(std::iter::repeat(0)).take(over).collect()
    }
}

/// Whole ticks in a time.
fn whole(micros: u64) -> usize {
    usize::try_from(micros / TICK).unwrap_or(TICKS)
}

/// What happened in each tick since the clock of the ledger stood at zero.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Timeline {
    /// Messages that arrived at clients.
    pub deliveries: Vec<u32>,
    /// CONNACKs by which clients were taken.
    pub connects: Vec<u32>,
}

/// The timeline that goes on.
#[derive(Debug, Default)]
pub(super) struct Course {
    pub(super) deliveries: Ticks,
    pub(super) connects: Ticks,
}

impl Course {
    pub(super) fn until(&self, now: u64) -> Timeline {
        Timeline { deliveries: self.deliveries.until(now), connects: self.connects.until(now) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tick_of_silence_counts_and_one_that_is_not_over_does_not() {
        let mut ticks = Ticks::default();
        [0, TICK - 1, 3 * TICK, 4 * TICK].into_iter().for_each(|at| ticks.count(at));
        assert_eq!(ticks.until(4 * TICK + 1), [2, 0, 0, 1]);
        assert_eq!(ticks.until(7 * TICK), [2, 0, 0, 1, 1, 0, 0]);
        assert!(ticks.until(TICK - 1).is_empty());
    }

    #[test]
    fn after_an_hour_there_is_one_tick_for_all() {
        let mut ticks = Ticks::default();
        [u64::MAX, 2 * 3_600_000_000].into_iter().for_each(|at| ticks.count(at));
        let ticks = ticks.until(u64::MAX);
        assert_eq!((ticks.len(), ticks.last()), (TICKS, Some(&2)));
    }
}
