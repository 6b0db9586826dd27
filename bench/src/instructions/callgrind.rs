//! Valgrind's callgrind, which counts the instructions of a process, and vgdb, which asks it for the count so far.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::Command,
};

/// What runs a program so that its instructions are counted. Files and pipes go into `directory`, which is emptied.
pub(super) fn runner(directory: &Path) -> io::Result<Vec<String>> {
    if directory.exists() {
        fs::remove_dir_all(directory)?;
    }
    fs::create_dir_all(directory)?;
    let file = format!("--callgrind-out-file={}", directory.join("%p").display());
    Ok(vec!["valgrind".into(), "--tool=callgrind".into(), file, pipes(directory)])
}

fn pipes(directory: &Path) -> String {
    format!("--vgdb-prefix={}", directory.join("vgdb").display())
}

/// Counts what one process does.
#[derive(Debug)]
pub(super) struct Counter {
    directory: PathBuf,
    pid: u32,
    /// Where its last profile is left.
    profile: PathBuf,
    taken: u32,
}

impl Counter {
    pub(super) fn new(directory: &Path, node: &str, pid: u32) -> Self {
        Self { directory: directory.to_owned(), pid, profile: directory.join(node), taken: 0 }
    }

    /// Instructions since the last time, or the start.
    pub(super) fn take(&mut self) -> io::Result<u64> {
        let pid = format!("--pid={}", self.pid);
        let output = Command::new("vgdb").args([&pipes(&self.directory), &pid, "dump"]).output()?;
        if !output.status.success() {
            return Err(io::Error::other(format!("vgdb: {}", String::from_utf8_lossy(&output.stderr))));
        }
        self.taken += 1;
        fs::rename(self.directory.join(format!("{}.{}", self.pid, self.taken)), &self.profile)?;
        let missing = || io::Error::other(format!("{}: no totals", self.profile.display()));
        totals(&fs::read_to_string(&self.profile)?).ok_or_else(missing)
    }
}

/// What a profile adds up to.
fn totals(profile: &str) -> Option<u64> {
    profile.lines().rev().find_map(|line| line.strip_prefix("totals: "))?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_ends_with_its_totals() {
        assert_eq!(totals("events: Ir\n\nfn=(1) main\n7 300\n\ntotals: 300\n"), Some(300));
        assert_eq!(totals("events: Ir\nfn=(1) main\n7 300\n"), None);
    }
}
