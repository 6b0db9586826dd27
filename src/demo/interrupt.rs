//! Ctrl-C, at any time: the processes of the demo end with it, and its directory goes.
//!
//! The processes are in groups of their own, so the terminal's interrupt isn't for them; the tier's watchdog kills them
//! as soon as this process ends, however it ends. What is left to do is to say so, and to tidy up.

use std::{
    fs, io,
    path::Path,
    process,
    sync::{
        Arc,
        atomic::{AtomicI32, Ordering},
    },
    thread,
};

use tokio::{
    runtime::Builder,
    signal::unix::{SignalKind, signal},
};

/// Exit statuses by which shells know that a signal ended a program (POSIX.1, 2.8.2).
const INTERRUPTED: i32 = 128 + 2;
const TERMINATED: i32 = 128 + 15;
/// No status was set: the signal decides.
const BY_SIGNAL: i32 = -1;

/// What ends the demo early, or at last.
pub(super) struct Interrupt {
    status: Arc<AtomicI32>,
}

impl Interrupt {
    /// From now on SIGINT and SIGTERM end this process after `directory` is removed.
    pub(super) fn watch(directory: &Path) -> io::Result<Self> {
        let status = Arc::new(AtomicI32::new(BY_SIGNAL));
        let (shared, directory) = (Arc::clone(&status), directory.to_owned());
        let runtime = Builder::new_current_thread().enable_io().build()?;
        let (mut interrupted, mut terminated) = {
            let _entered = runtime.enter();
            (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?)
        };
        thread::Builder::new().name("interrupt".into()).spawn(move || {
            let by_signal = runtime.block_on(async {
                tokio::select! {
                    biased;
                    _ = interrupted.recv() => INTERRUPTED,
                    _ = terminated.recv() => TERMINATED,
                }
            });
            end(&directory, shared.load(Ordering::Relaxed), by_signal);
        })?;
        Ok(Self { status })
    }

    /// The demo is over but for this: the exit status is its own from now on.
    pub(super) fn ends_with(&self, failed: bool) {
        self.status.store(i32::from(failed), Ordering::Relaxed);
    }
}

fn end(directory: &Path, status: i32, by_signal: i32) {
    eprintln!("\nbaton demo: stopped, with every process of it");
    // Where it can't be removed, it stays among other temporary files.
    drop(fs::remove_dir_all(directory));
    process::exit(if status == BY_SIGNAL { by_signal } else { status });
}
