//! Whether a process works and whether it wants work: what `/livez` and `/readyz` answer from.

use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicU64, Ordering},
};

use baton_protocol::limits::Millis;
use tokio::time::{Duration, sleep};

use crate::{
    clock::Clock,
    phase::{Phase, Phases},
};

/// Milliseconds between two beats of a worker's loop.
const BEAT: Millis = 1_000;
/// Milliseconds without a beat after which a worker counts as stuck.
const STUCK: Millis = 5_000;

/// A role's own say in whether it wants work. Clones share it.
#[derive(Clone, Debug)]
pub struct Ready {
    // Shared with the admin thread, and held for a read or a write of one word.
    why_not: Arc<Mutex<Option<String>>>,
}

impl Ready {
    /// Not ready yet.
    pub fn new() -> Self {
        Self { why_not: Arc::new(Mutex::new(Some("the role has not finished its start".into()))) }
    }

    /// The role wants work.
    pub fn set(&self) {
        *self.why_not() = None;
    }

    /// The role wants no work now, because `why`: one line, for people.
    pub fn clear(&self, why: &str) {
        *self.why_not() = Some(why.into());
    }

    fn why_not(&self) -> MutexGuard<'_, Option<String>> {
        self.why_not.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Ready {
    fn default() -> Self {
        Self::new()
    }
}

/// What the admin thread sees of the worker.
#[derive(Clone, Debug)]
pub struct Health {
    phases: Phases,
    ready: Ready,
    clock: Clock,
    last_beat: Arc<AtomicU64>,
}

impl Health {
    /// The health of a process whose worker beats on this clock.
    pub fn new(phases: &Phases, ready: &Ready, clock: Clock) -> Self {
        let last_beat = Arc::new(AtomicU64::new(clock.now()));
        Self { phases: phases.clone(), ready: ready.clone(), clock, last_beat }
    }

    /// Whether to send new work.
    ///
    /// # Errors
    /// Why not, in one line.
    pub fn readiness(&self) -> Result<(), String> {
        let phase = self.phases.current();
        if phase != Phase::Serving {
            return Err(phase.to_string());
        }
        self.ready.why_not().clone().map_or(Ok(()), Err)
    }

    /// Whether the worker's loop turns.
    ///
    /// # Errors
    /// For how many milliseconds it hasn't.
    pub fn liveness(&self) -> Result<(), Millis> {
        let silent = self.clock.now().saturating_sub(self.last_beat.load(Ordering::Relaxed));
        if silent < STUCK { Ok(()) } else { Err(silent) }
    }

    /// Beats as long as the loop that it runs on turns; never returns.
    pub async fn beat(&self) {
        loop {
            self.last_beat.store(self.clock.now(), Ordering::Relaxed);
            sleep(Duration::from_millis(BEAT)).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_serving_process_that_says_so_is_ready() {
        let (phases, ready) = (Phases::new(), Ready::new());
        let health = Health::new(&phases, &ready, Clock::start());
        ready.set();
        assert_eq!(health.readiness(), Err("starting".into()));
        phases.enter(Phase::Serving);
        assert_eq!(health.readiness(), Ok(()));
        ready.clear("no origin is up");
        assert_eq!(health.readiness(), Err("no origin is up".into()));
        ready.set();
        phases.enter(Phase::Draining);
        assert_eq!(health.readiness(), Err("draining".into()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_loop_that_no_longer_turns_is_not_alive() {
        let health = Health::new(&Phases::new(), &Ready::new(), Clock::start());
        let beating = tokio::time::timeout(Duration::from_secs(60), health.beat());
        assert!(beating.await.is_err());
        assert_eq!(health.liveness(), Ok(()), "it beat for a minute");
        tokio::time::advance(Duration::from_millis(STUCK)).await;
        assert!(health.liveness().is_err_and(|silent| silent >= STUCK));
    }
}
