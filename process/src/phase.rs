//! Where a process is in its life. One `watch` holds it; logs, `/readyz` and tests use the same words.
//!
//! ```text
//!  Starting ──► Serving ──► Draining ──► Done
//!      └────────────┴─────────────────────►        (a phase may be skipped, none is entered twice)
//! ```

use std::{fmt, sync::Arc};

use tokio::sync::watch;

/// Where a process is in its life; later phases compare as greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Phase {
    /// Before its listeners accept.
    Starting,
    /// Taking new work.
    Serving,
    /// Asked to end: no new work, what is there moves away or is finished.
    Draining,
    /// The worker has returned.
    Done,
}

impl Phase {
    /// The stable word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Serving => "serving",
            Self::Draining => "draining",
            Self::Done => "done",
        }
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// The process's phase, to watch and to advance. Clones share it.
#[derive(Clone, Debug)]
pub struct Phases {
    phase: Arc<watch::Sender<Phase>>,
}

impl Phases {
    /// A process that starts.
    pub fn new() -> Self {
        Self { phase: Arc::new(watch::Sender::new(Phase::Starting)) }
    }

    /// The phase now.
    pub fn current(&self) -> Phase {
        *self.phase.borrow()
    }

    /// Goes forward to `phase`. False, and nothing changes, if the process is there already or further: a worker that
    /// finishes its start after a SIGTERM must not go back to serving.
    pub fn enter(&self, phase: Phase) -> bool {
        self.phase.send_if_modified(|now| {
            let forward = *now < phase;
            if forward {
                *now = phase;
            }
            forward
        })
    }

    /// Returns once the process is in `phase` or a later one. May be dropped at any time.
    pub async fn wait_for(&self, phase: Phase) {
        let mut watch = self.phase.subscribe();
        watch.wait_for(|now| *now >= phase).await.expect("self holds the sender");
    }
}

impl Default for Phases {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phases_only_go_forward() {
        let phases = Phases::new();
        assert!(phases.enter(Phase::Draining));
        assert!(!phases.enter(Phase::Serving), "a drain that came during the start stands");
        assert!(!phases.enter(Phase::Draining), "a second SIGTERM changes nothing");
        assert_eq!(phases.current(), Phase::Draining);
    }

    #[tokio::test]
    async fn a_later_phase_wakes_those_who_wait_for_an_earlier_one() {
        let phases = Phases::new();
        let other = phases.clone();
        let enter = async { other.enter(Phase::Done) };
        let (_, entered) = tokio::join!(biased; phases.wait_for(Phase::Draining), enter);
        assert!(entered);
    }
}
