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

/// What the program calls itself; set once.
static VERSION: std::sync::OnceLock<String> = std::sync::OnceLock::new();

/// The commit that the program was built from, as its version says.
pub(crate) fn commit() -> &'static str {
    let version = VERSION.get().map_or("", String::as_str);
    version.split("commit ").nth(1).and_then(|rest| rest.split(';').next()).unwrap_or("unknown")
}

/// Says what measures, and on what.
pub(crate) fn introduce(version: &str) {
    VERSION.get_or_init(|| version.to_owned());
    println!("baton {version}");
    for (at, line) in lines().iter().enumerate() {
        println!("{} {line}", if at == 0 { "machine:" } else { "        " });
    }
    if cfg!(debug_assertions) {
        println!("         NOT OPTIMISED: built without --release; times and processor time mean nothing");
    }
}

/// The machine, in words.
pub(crate) fn lines() -> Vec<String> {
    let cores = thread::available_parallelism().map_or(0, usize::from);
    let open_files = getrlimit(Resource::Nofile).maximum;
    let open_files = open_files.map_or_else(|| "any number of".to_owned(), |files| files.to_string());
    vec![
        format!("{cores} cores ({}), Linux {}", model(), line("/proc/sys/kernel/osrelease")),
        format!("load average {}, {open_files} open files a process", line("/proc/loadavg")),
    ]
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
