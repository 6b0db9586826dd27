//! Real time, which a bench and a demo are about: the one place here that sleeps or asks a clock.

use std::{
    thread,
    time::{Duration, Instant},
};

/// Lets time pass, because what is shown or measured is over a time.
#[expect(clippy::disallowed_methods, reason = "this thread directs; no session lives on it")]
pub(crate) fn pause(time: Duration) {
    thread::sleep(time);
}

/// Time since a moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Watch(Instant);

impl Watch {
    /// From now.
    #[expect(clippy::disallowed_methods, reason = "processes are measured, and they live by the real clock")]
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }

    /// Until now.
    pub(crate) fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }

    /// Until now, in seconds.
    pub(crate) fn seconds(&self) -> f64 {
        self.elapsed().as_secs_f64()
    }
}
