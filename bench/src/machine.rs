//! What a bench ran on, and what it needs of it.

use std::{fs, io, thread};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises the limit of open files as far as it goes: every client is a socket of this process. Returns it, if any.
///
/// # Errors
/// The kernel refuses.
pub fn raise_open_files() -> io::Result<Option<u64>> {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })?;
    Ok(maximum)
}

/// Says on what it runs, and raises the limit of open files.
pub(crate) fn prepare(version: &str) -> io::Result<()> {
    let maximum = raise_open_files()?;
    let cores = thread::available_parallelism()?;
    let open_files = maximum.map_or_else(|| "any number of".to_owned(), |files| files.to_string());
    println!("baton {version}");
    println!("machine: {cores} cores ({}), Linux {}", model(), line("/proc/sys/kernel/osrelease"));
    println!("         load average {}, {open_files} open files a process", line("/proc/loadavg"));
    if cfg!(debug_assertions) {
        println!("         NOT OPTIMISED: built without --release; times and processor time mean nothing");
    }
    Ok(())
}

/// The program that the tier's processes run: this one.
///
/// # Errors
/// The kernel doesn't tell.
pub fn program() -> io::Result<std::path::PathBuf> {
    std::env::current_exe()
}

fn line(path: &str) -> String {
    fs::read_to_string(path).map_or_else(|_| "unknown".to_owned(), |text| text.trim().to_owned())
}

fn model() -> String {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = text.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    model.map_or_else(|| "unknown".to_owned(), |(_, model)| model.to_owned())
}
