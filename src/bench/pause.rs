//! Real time, which a bench is about: the one place here that sleeps or asks a clock.

use std::{
    thread,
    time::{Duration, Instant},
};

/// Lets time pass, because the measurement is over a time.
#[expect(clippy::disallowed_methods, reason = "this thread directs; no session lives on it")]
pub(super) fn pause(time: Duration) {
    thread::sleep(time);
}

/// Time since a moment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Watch(Instant);

impl Watch {
    /// From now.
    #[expect(clippy::disallowed_methods, reason = "processes are measured, and they live by the real clock")]
    pub(super) fn start() -> Self {
        Self(Instant::now())
    }

    /// Until now.
    pub(super) fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }

    /// Until now, in seconds.
    pub(super) fn seconds(&self) -> f64 {
        self.elapsed().as_secs_f64()
    }
}
