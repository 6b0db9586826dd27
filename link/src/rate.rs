//! So many of something a second (the generic cell rate algorithm, ITU-T I.371).

use baton_protocol::limits::Millis;

/// How many may start at once after a pause, at least. Timers tick in whole milliseconds and come late; without a
/// burst every late tick would be lost for good.
pub const BURST: u32 = 20;
/// What is due in a second over what may start at once, where that is more than [`BURST`]: 20 ms' worth. What a busy
/// worker finds when it gets round to its sockets came over such a time and arrives as of one moment.
const BURSTS_PER_SECOND: u32 = 50;

/// Nanoseconds in a second and in a millisecond.
const SECOND: u64 = 1_000_000_000;
const MILLI: u64 = 1_000_000;

/// Admits at a steady rate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Nanoseconds from one to the next.
    period: u64,
    /// Nanoseconds on the caller's clock at which the next would be due at a perfectly steady rate.
    due: u64,
    /// Nanoseconds by which one may start before it is due.
    tolerance: u64,
}

impl Rate {
    /// Of so many a second, at least one.
    pub fn new(per_second: u32) -> Self {
        let period = (SECOND / u64::from(per_second.max(1))).max(1);
        Self { period, due: 0, tolerance: period.saturating_mul(u64::from(burst(per_second) - 1)) }
    }

    /// Starts one, or says for how many milliseconds (at least 1) none can start.
    ///
    /// The wait is that of the first in line: everybody who waits it out and asks again but one is refused again.
    pub fn admit(&mut self, now: Millis) -> Result<(), Millis> {
        self.reserve(now, 0).map(|_| ())
    }

    /// Counts one, and says for how many milliseconds, at most `most`, it has to be kept waiting before it starts; or that it
    /// would have to wait longer, and how long: then it isn't counted.
    pub fn reserve(&mut self, now: Millis, most: Millis) -> Result<Millis, Millis> {
        let early = self.due.saturating_sub(self.tolerance).saturating_sub(now.saturating_mul(MILLI));
        let wait = early.div_ceil(MILLI);
        if wait > most {
            return Err(wait);
        }
        self.due = self.due.max(now.saturating_mul(MILLI)).saturating_add(self.period);
        Ok(wait)
    }
}

/// How many may start at once.
fn burst(per_second: u32) -> u32 {
    BURST.max(per_second / BURSTS_PER_SECOND)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn admitted(rate: &mut Rate, now: Millis) -> u32 {
        let mut n = 0;
        while rate.admit(now).is_ok() {
            n += 1;
        }
        n
    }

    #[test]
    fn a_burst_then_one_a_millisecond() {
        let mut rate = Rate::new(1_000);
        assert_eq!([0, 1, 2, 7, 7, 1_000].map(|now| admitted(&mut rate, now)), [20, 1, 1, 5, 0, 20]);
        assert_eq!(rate.admit(1_000), Err(1));
    }

    #[test]
    fn what_is_kept_waiting_has_its_turn_and_no_more_wait_than_may() {
        let mut rate = Rate::new(1_000);
        let waits: Vec<_> = (0..27).map(|_| rate.reserve(5, 5)).collect();
        assert_eq!(waits[..20], [Ok(0); 20]);
        assert_eq!(waits[20..], [Ok(1), Ok(2), Ok(3), Ok(4), Ok(5), Err(6), Err(6)]);
        assert_eq!((rate.admit(10), rate.reserve(10, 1)), (Err(1), Ok(1)), "their turns are taken");
    }

    #[test]
    fn a_fast_rate_takes_what_came_while_its_worker_was_busy() {
        let mut rate = Rate::new(20_000);
        assert_eq!([0, 1, 6, 1_000].map(|now| admitted(&mut rate, now)), [400, 20, 100, 400]);
    }

    #[test]
    fn a_slow_rate_names_its_wait() {
        let mut rate = Rate::new(3);
        assert_eq!(admitted(&mut rate, 5_000), BURST);
        assert_eq!(rate.admit(5_000), Err(334));
        assert_eq!(rate.admit(5_333), Err(1));
        assert_eq!(rate.admit(5_334), Ok(()));
    }

    #[test]
    fn a_late_timer_loses_nothing() {
        let mut rate = Rate::new(1_000);
        admitted(&mut rate, 0);
        let tick = |n: Millis| n * 7 + n % 3;
        let total: u32 = (1..=1_000).map(|n| admitted(&mut rate, tick(n))).sum();
        assert_eq!(u64::from(total), tick(1_000));
    }

    proptest! {
        #[test]
        fn never_more_than_the_rate_over_any_span(
            per_second in 1..100_000u32,
            gaps in prop::collection::vec(0..40u64, 1..200),
            start in 0..u64::from(u32::MAX),
            most in prop_oneof![Just(0), 0..200u64],
        ) {
            let mut rate = Rate::new(per_second);
            let (mut now, mut log) = (start, Vec::new());
            for gap in gaps {
                now += gap;
                match rate.reserve(now, most) {
                    Ok(wait) => {
                        prop_assert!(wait <= most);
                        log.push(now + wait);
                    }
                    Err(wait) => {
                        prop_assert!(wait > most);
                        prop_assert!(wait == 1 || rate.clone().admit(now + wait - 1).is_err());
                        prop_assert_eq!(rate.clone().admit(now + wait), Ok(()));
                    }
                }
            }
            prop_assert!(log.is_sorted(), "turns keep their order");
            for (i, from) in log.iter().enumerate() {
                for (j, to) in log.iter().enumerate().skip(i) {
                    // The span's length may be rounded up by a millisecond, and the period down by a nanosecond.
                    let most = u64::from(burst(per_second)) + (to - from + 1) * u64::from(per_second) / 1_000 + 1;
                    prop_assert!((j - i + 1) as u64 <= most, "{} in {} ms", j - i + 1, to - from);
                }
            }
        }

        #[test]
        fn no_clock_can_break_it(times in prop::collection::vec(any::<u64>(), 0..20)) {
            let mut rate = Rate::new(1_000);
            for now in times {
                if let Err(wait) = rate.admit(now) {
                    prop_assert!(wait >= 1);
                }
            }
        }
    }
}
