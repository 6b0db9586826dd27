//! One stream at one receiver: what came, what was passed over.

use std::ops::Range;

/// Ranges of sequence numbers that were passed over and may still come. Beyond it the oldest is given up: should it
/// come after all, it counts as a duplicate instead of as late, and as lost either way.
pub const GAPS: usize = 256;

/// How a message came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Arrival {
    /// The next one.
    Next,
    /// A later one; this number would have been next.
    AfterGap(u64),
    /// One that was passed over.
    Late,
    /// One that had come.
    Again,
}

#[derive(Debug, Default)]
pub(super) struct Arrivals {
    next: u64,
    gaps: Vec<Range<u64>>,
    pub(super) distinct: u64,
    pub(super) again: u64,
    pub(super) late: u64,
}

impl Arrivals {
    pub(super) fn take(&mut self, sequence: u64) -> Arrival {
        if sequence < self.next {
            return self.behind(sequence);
        }
        let expected = self.next;
        self.next = sequence + 1;
        self.distinct += 1;
        if sequence == expected {
            return Arrival::Next;
        }
        if self.gaps.len() == GAPS {
            self.gaps.remove(0);
        }
        self.gaps.push(expected..sequence);
        Arrival::AfterGap(expected)
    }

    fn behind(&mut self, sequence: u64) -> Arrival {
        let Some(at) = self.gaps.iter().position(|gap| gap.contains(&sequence)) else {
            self.again += 1;
            return Arrival::Again;
        };
        let gap = self.gaps.remove(at);
        for rest in [sequence + 1..gap.end, gap.start..sequence] {
            if !rest.is_empty() && self.gaps.len() < GAPS {
                self.gaps.insert(at, rest);
            }
        }
        self.late += 1;
        self.distinct += 1;
        Arrival::Late
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_fills_from_its_middle() {
        let mut arrivals = Arrivals::default();
        assert_eq!(arrivals.take(9), Arrival::AfterGap(0));
        for late in [4, 0, 8, 2, 6, 1, 3, 5, 7] {
            assert_eq!(arrivals.take(late), Arrival::Late);
            assert_eq!(arrivals.take(late), Arrival::Again);
        }
        assert!(arrivals.gaps.is_empty());
        assert_eq!((arrivals.distinct, arrivals.late, arrivals.again), (10, 9, 9));
    }

    #[test]
    fn gaps_are_bounded_and_the_oldest_goes() {
        let mut arrivals = Arrivals::default();
        let last = GAPS as u64;
        for i in 0..=last {
            assert_eq!(arrivals.take(i * 2 + 1), Arrival::AfterGap(i * 2));
        }
        assert_eq!(arrivals.gaps.len(), GAPS);
        assert_eq!(arrivals.take(0), Arrival::Again);
        assert_eq!(arrivals.take(2), Arrival::Late);
    }
}
