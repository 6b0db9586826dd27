//! Ctrl-C, at any time: the processes of the demo end with it, and its directory goes.
//!
//! The processes are in groups of their own, so the terminal's interrupt isn't for them; the tier's watchdog kills them
//! as soon as this process ends, however it ends. What is left to do is to say so, and to tidy up.

use std::{
    fs,
    io::{self, Write},
    path::PathBuf,
    process,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicI32, Ordering},
    },
    thread,
    time::Duration,
};

use baton_drill::tier::{self, Layout, Tier};
use tokio::{
    runtime::Builder,
    signal::unix::{SignalKind, signal},
};

/// Time for a process to be ready: a second or less.
const PATIENCE: Duration = Duration::from_secs(60);
/// Exit statuses by which shells know that a signal ended a program (POSIX.1, 2.8.2).
const HUNG_UP: i32 = 128 + 1;
const INTERRUPTED: i32 = 128 + 2;
const TERMINATED: i32 = 128 + 15;
/// No status was set: the signal decides.
const BY_SIGNAL: i32 = -1;

/// What ends the demo early, or at last.
pub(super) struct Interrupt {
    status: Arc<AtomicI32>,
    /// Directories that go with it.
    directories: Arc<Mutex<Vec<PathBuf>>>,
}

impl Interrupt {
    /// From now on SIGINT, SIGTERM and SIGHUP end this process.
    pub(super) fn watch() -> io::Result<Self> {
        let watch = Self { status: Arc::new(AtomicI32::new(BY_SIGNAL)), directories: Arc::default() };
        let (status, directories) = (Arc::clone(&watch.status), Arc::clone(&watch.directories));
        let runtime = Builder::new_current_thread().enable_io().build()?;
        let [mut hung_up, mut interrupted, mut terminated] = {
            let _entered = runtime.enter();
            [signal(SignalKind::hangup())?, signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?]
        };
        thread::Builder::new().name("interrupt".into()).spawn(move || {
            let by_signal = runtime.block_on(async {
                tokio::select! {
                    biased;
                    _ = hung_up.recv() => HUNG_UP,
                    _ = interrupted.recv() => INTERRUPTED,
                    _ = terminated.recv() => TERMINATED,
                }
            });
            end(&directories, status.load(Ordering::Relaxed), by_signal);
        })?;
        Ok(watch)
    }

    /// A tier whose directory goes with an interrupt, whenever that comes.
    pub(super) fn tier(&self, layout: Layout) -> Result<Tier, tier::Error> {
        let mut directories = locked(&self.directories);
        let tier = Tier::new(layout)?;
        directories.push(tier.directory().to_owned());
        Ok(tier)
    }

    /// Starts processes and waits until they are ready. An interrupt waits meanwhile for the one that is being started: it
    /// would outlive us if the watchdog hadn't been told of it.
    pub(super) fn start(&self, tier: &mut Tier, names: &[String]) -> Result<(), tier::Error> {
        for name in names {
            let _held = locked(&self.directories);
            tier.start(name)?;
        }
        names.iter().try_for_each(|name| tier.ready(name, PATIENCE))
    }

    /// The demo is over but for this: the exit status is its own from now on.
    pub(super) fn ends_with(&self, failed: bool) {
        self.status.store(i32::from(failed), Ordering::Relaxed);
    }
}

/// A list that a thread that panicked has left is as good as before.
fn locked(directories: &Mutex<Vec<PathBuf>>) -> MutexGuard<'_, Vec<PathBuf>> {
    directories.lock().unwrap_or_else(PoisonError::into_inner)
}

fn end(directories: &Mutex<Vec<PathBuf>>, status: i32, by_signal: i32) {
    let directories = locked(directories);
    // Whoever hung up reads nothing more.
    drop(writeln!(io::stderr(), "\nbaton demo: stopped, with every process of it"));
    // Where one can't be removed, or is gone, it stays among other temporary files.
    directories.iter().for_each(|directory| drop(fs::remove_dir_all(directory)));
    process::exit(if status == BY_SIGNAL { by_signal } else { status });
}
