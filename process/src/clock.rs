//! The clock that session types are handed their times from.

use std::time::Duration;

use baton_protocol::limits::Millis;
use tokio::time::Instant;

/// Counts milliseconds from a start. On tokio's time, so that a test or a simulator can hold it.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: Instant,
}

impl Clock {
    /// A clock that stands at 0 now.
    pub fn start() -> Self {
        Self { start: Instant::now() }
    }

    /// Milliseconds since the start.
    pub fn now(&self) -> Millis {
        Millis::try_from(self.start.elapsed().as_millis()).expect("a process lives less than 2^64 ms")
    }

    /// The instant at which this clock stands at `time`, to sleep until. A time that no clock reaches, such as
    /// `Millis::MAX` for "never", is far away instead.
    pub fn instant(&self, time: Millis) -> Instant {
        // The timer wheel spans about two years; a year is never enough for our purposes.
        const FAR: Duration = Duration::from_secs(365 * 24 * 3_600);
        let until = Duration::from_millis(time);
        self.start
            .checked_add(until)
            .filter(|_| until < FAR + self.start.elapsed())
            .unwrap_or_else(|| Instant::now() + FAR)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_clock_is_the_runtimes() {
        let clock = Clock::start();
        tokio::time::sleep_until(clock.instant(90_000)).await;
        assert_eq!(clock.now(), 90_000);
        assert!(clock.instant(Millis::MAX) > clock.instant(Millis::from(u32::MAX)), "never is later than 49 days");
    }
}
