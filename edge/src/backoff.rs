//! How long a session waits before it attaches again after a failure.

use baton_protocol::limits::Millis;
use rand::{Rng, RngExt};

/// Milliseconds up to which the first wait is drawn.
pub const FIRST: Millis = 50;
/// Milliseconds up to which any wait is drawn: a session with T_grace of 60 s still tries a dozen times.
pub const LONGEST: Millis = 5_000;

/// Doublings from [`FIRST`] after which [`LONGEST`] is reached.
const DOUBLINGS: u8 = 7;
const _: () = assert!(FIRST << DOUBLINGS >= LONGEST && FIRST << (DOUBLINGS - 1) < LONGEST);

/// Exponential backoff with full jitter, so that sessions that failed together don't come back together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Backoff {
    failures: u8,
}

impl Backoff {
    /// No failure yet.
    pub const fn new() -> Self {
        Self { failures: 0 }
    }

    /// Counts a failure and draws the wait that follows it: 1 to 50, 100, 200 … 5,000 ms.
    ///
    /// Never 0: on a clock that a test holds, a session that retries at once would do so for ever.
    pub fn next(&mut self, rng: &mut impl Rng) -> Millis {
        let ceiling = (FIRST << self.failures).min(LONGEST);
        self.failures = (self.failures + 1).min(DOUBLINGS);
        rng.random_range(1..=ceiling)
    }
}

/// The wait of a session that is told to come back after `wait`: up to half of that longer, so that those who were told
/// so together spread.
pub fn spread(wait: Millis, rng: &mut impl Rng) -> Millis {
    wait + rng.random_range(0..=wait / 2)
}

#[cfg(test)]
mod tests {
    use rand::{SeedableRng, rngs::SmallRng};

    use super::*;

    /// For each of the first `n` waits the least and the greatest of 2,000 sessions' draws.
    fn extremes(n: usize) -> Vec<(Millis, Millis)> {
        let mut rng = SmallRng::seed_from_u64(1);
        let mut extremes = vec![(Millis::MAX, 0); n];
        for _ in 0..2_000 {
            let mut backoff = Backoff::new();
            for (least, greatest) in &mut extremes {
                let wait = backoff.next(&mut rng);
                (*least, *greatest) = (wait.min(*least), wait.max(*greatest));
            }
        }
        extremes
    }

    #[test]
    fn waits_are_drawn_from_all_of_a_doubling_range() {
        let ceilings = [50, 100, 200, 400, 800, 1_600, 3_200, 5_000, 5_000, 5_000];
        for ((least, greatest), ceiling) in extremes(ceilings.len()).into_iter().zip(ceilings) {
            assert!(least >= 1 && least <= 1 + ceiling / 50, "{least} of {ceiling}");
            assert!(greatest <= ceiling && greatest >= ceiling - ceiling / 50, "{greatest} of {ceiling}");
        }
    }

    #[test]
    fn no_wait_is_longer_than_the_longest() {
        let mut rng = SmallRng::seed_from_u64(2);
        let mut backoff = Backoff::new();
        (0..1_000).for_each(|_| assert!(backoff.next(&mut rng) <= LONGEST));
    }

    #[test]
    fn those_who_are_told_so_together_spread() {
        let mut rng = SmallRng::seed_from_u64(3);
        let mut waits: Vec<_> = (0..1_000).map(|_| spread(200, &mut rng)).collect();
        waits.sort_unstable();
        assert_eq!((waits[0], waits[999]), (200, 300));
        waits.dedup();
        assert!(waits.len() > 90, "{waits:?}");
        assert_eq!(spread(1, &mut rng), 1);
    }
}
