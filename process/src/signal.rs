//! SIGTERM and SIGINT start the drain; a second one changes nothing, SIGKILL is a crash.

use std::io;

use tokio::signal::unix::{SignalKind, signal};
use tracing::info;

use crate::phase::{Phase, Phases};

/// Takes both signals from the kernel at once, and returns what waits for them and enters `Draining`; it never ends.
///
/// # Errors
/// The kernel refuses the handlers.
pub(crate) fn drain_on_signals(phases: Phases) -> io::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        loop {
            let name = tokio::select! {
                biased;
                _ = terminate.recv() => "SIGTERM",
                _ = interrupt.recv() => "SIGINT",
            };
            if phases.enter(Phase::Draining) {
                info!(event = "process.drain", signal = name);
            }
        }
    })
}
