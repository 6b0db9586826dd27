//! Real time, which a measurement and a demo are about: for the thread that directs, which sleeps and asks the clock here only.

use std::{
    thread,
    time::{Duration, Instant},
};

/// Lets time pass, because what is shown or measured is over a time.
#[expect(clippy::disallowed_methods, reason = "this thread directs; no session lives on it")]
pub fn pause(time: Duration) {
    thread::sleep(time);
}

/// Time since a moment.
#[derive(Clone, Copy, Debug)]
pub struct Watch(Instant);

impl Watch {
    /// From now.
    #[expect(clippy::disallowed_methods, reason = "processes are measured, and they live by the real clock")]
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// Until now.
    pub fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }

    /// Until now, in seconds.
    pub fn seconds(&self) -> f64 {
        self.elapsed().as_secs_f64()
    }
}
