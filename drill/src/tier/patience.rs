//! Waiting for processes, which only a look from time to time shows: the one place here that sleeps or asks a clock.

use std::{
    thread,
    time::{Duration, Instant},
};

/// Time between two looks.
const LOOK: Duration = Duration::from_millis(10);

/// Time since a moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock(Instant);

#[expect(clippy::disallowed_methods, reason = "what is played with processes is played in real time")]
impl Clock {
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }

    /// From its start until this moment.
    pub(crate) fn until(&self, moment: Instant) -> Duration {
        moment.saturating_duration_since(self.0)
    }

    /// Waits for a moment; not at all if it is past.
    pub(crate) fn wait_until(&self, moment: Duration) {
        thread::sleep(moment.saturating_sub(self.elapsed()));
    }
}

/// What is left of a wait.
pub(crate) struct Patience {
    end: Instant,
}

#[expect(clippy::disallowed_methods, reason = "other processes live by the real clock, and no session waits here")]
impl Patience {
    pub(crate) fn new(patience: Duration) -> Self {
        Self { end: Instant::now() + patience }
    }

    pub(super) fn left(&self) -> Duration {
        self.end.saturating_duration_since(Instant::now())
    }

    /// Lets a little time pass; `false` if none is left.
    pub(crate) fn pass(&self) -> bool {
        let left = self.left();
        thread::sleep(left.min(LOOK));
        !left.is_zero()
    }
}
