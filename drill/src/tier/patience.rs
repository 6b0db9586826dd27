//! Waiting for processes, which only a look from time to time shows: the one place here that sleeps or asks a clock.

use std::{
    thread,
    time::{Duration, Instant},
};

/// Time between two looks.
const LOOK: Duration = Duration::from_millis(10);

/// What is left of a wait.
pub(super) struct Patience {
    end: Instant,
}

#[expect(clippy::disallowed_methods, reason = "other processes live by the real clock, and no session waits here")]
impl Patience {
    pub(super) fn new(patience: Duration) -> Self {
        Self { end: Instant::now() + patience }
    }

    pub(super) fn left(&self) -> Duration {
        self.end.saturating_duration_since(Instant::now())
    }

    /// Lets a little time pass; `false` if none is left.
    pub(super) fn pass(&self) -> bool {
        let left = self.left();
        thread::sleep(left.min(LOOK));
        !left.is_zero()
    }
}
