//! What has happened since somebody last asked: how long messages took, how long receivers waited, how late the load
//! itself was.

use std::{collections::HashMap, fmt};

use hdrhistogram::Histogram;

use super::timeline::Ticks;

/// Microseconds of the longest time that is told apart from longer ones: ten minutes.
const LONGEST: u64 = 600_000_000;

/// How times are spread, in microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spread {
    /// How many there were.
    pub count: u64,
    /// Median.
    pub p50: u64,
    /// 99th percentile.
    pub p99: u64,
    /// 99.9th percentile.
    pub p999: u64,
    /// The longest.
    pub max: u64,
}

impl Spread {
    pub(super) fn of(histogram: &Histogram<u64>) -> Self {
        Self {
            count: histogram.len(),
            p50: histogram.value_at_quantile(0.5),
            p99: histogram.value_at_quantile(0.99),
            p999: histogram.value_at_quantile(0.999),
            max: histogram.max(),
        }
    }
}

impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = |us: u64| format!("{}.{:02}", us / 1_000, us % 1_000 / 10);
        write!(f, "p50 {} p99 {} max {} ms", ms(self.p50), ms(self.p99), ms(self.max))
    }
}

pub(super) fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, LONGEST, 3).expect("constant, legal bounds")
}

/// What a time brought.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Window {
    /// From when a message was due until its arrival.
    pub latency: Spread,
    /// From when a message was due until it was written: the load's own lateness, which is in the latency too.
    pub lateness: Spread,
    /// The longest that each receiver waited for a message. Whoever has never had one isn't in it.
    pub waits: Spread,
    /// From a client's first packet to the network until it was connected and subscribed.
    pub joins: Spread,
    /// Messages that arrived in each tick ([`TICK`](super::TICK)); a last one that isn't over is left out.
    pub deliveries: Vec<u32>,
}

/// A receiver.
#[derive(Clone, Copy, Debug)]
struct Ear {
    last: u64,
    longest: u64,
    /// Its connection was lost after the last message.
    lost: bool,
}

/// The window that is open.
#[derive(Debug)]
pub(super) struct Open {
    begun: u64,
    latency: Histogram<u64>,
    lateness: Histogram<u64>,
    joins: Histogram<u64>,
    ears: HashMap<u32, Ear>,
    deliveries: Ticks,
}

impl Default for Open {
    fn default() -> Self {
        Self {
            begun: 0,
            latency: histogram(),
            lateness: histogram(),
            joins: histogram(),
            ears: HashMap::new(),
            deliveries: Ticks::default(),
        }
    }
}

impl Open {
    /// A receiver got something; since when it had waited on its connection, and how long.
    pub(super) fn hear(&mut self, receiver: u32, now: u64) -> (u64, u64) {
        self.deliveries.count(now.saturating_sub(self.begun));
        let ear = self.ears.entry(receiver).or_insert(Ear { last: now, longest: 0, lost: false });
        let (since, waited) = (ear.last, now.saturating_sub(ear.last));
        let lost = ear.lost;
        *ear = Ear { last: now, longest: ear.longest.max(waited), lost: false };
        if lost { (now, 0) } else { (since, waited) }
    }

    /// A receiver lost its connection. It waits for its next message all the same, however it gets that.
    pub(super) fn lost(&mut self, receiver: u32) {
        self.ears.entry(receiver).and_modify(|ear| ear.lost = true);
    }

    pub(super) fn took(&mut self, latency: u64) {
        self.latency.saturating_record(latency);
    }

    pub(super) fn was_late(&mut self, lateness: u64) {
        self.lateness.saturating_record(lateness);
    }

    pub(super) fn joined(&mut self, took: u64) {
        self.joins.saturating_record(took);
    }

    /// Ends it, and begins the next. Whoever waits still has waited until now.
    pub(super) fn take(&mut self, now: u64) -> Window {
        let mut waits = histogram();
        for ear in self.ears.values_mut() {
            waits.saturating_record(ear.longest.max(now.saturating_sub(ear.last)));
            ear.longest = 0;
        }
        let window = Window {
            latency: Spread::of(&self.latency),
            lateness: Spread::of(&self.lateness),
            waits: Spread::of(&waits),
            joins: Spread::of(&self.joins),
            deliveries: std::mem::take(&mut self.deliveries).until(now.saturating_sub(self.begun)),
        };
        for histogram in [&mut self.latency, &mut self.lateness, &mut self.joins] {
            histogram.reset();
        }
        self.begun = now;
        window
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_has_what_was_in_it() {
        let mut open = Open::default();
        for (receiver, now) in [(1, 1_000), (2, 1_000), (1, 51_000), (1, 301_000)] {
            open.hear(receiver, now);
        }
        open.took(500);
        open.was_late(5);
        open.joined(77);
        let window = open.take(501_000);
        assert_eq!(window.deliveries, [3, 0, 0, 1, 0], "a tick of silence counts, one that isn't whole doesn't");
        assert_eq!((window.latency.count, window.latency.max, window.lateness.max, window.joins.p50), (1, 500, 5, 77));
        // One waited 250 ms for a message, the other has waited 500 ms for nothing.
        assert_eq!((window.waits.count, window.waits.p50 / 1_000, window.waits.max / 1_000), (2, 250, 500));

        assert_eq!(open.hear(1, 511_000), (301_000, 210_000));
        open.lost(2);
        assert_eq!(open.hear(2, 521_000), (521_000, 0), "not on one connection");
        let window = open.take(601_000);
        assert_eq!((window.deliveries, window.latency.count), (vec![2], 0));
        assert_eq!((window.waits.count, window.waits.max / 1_000), (2, 520));
    }
}
