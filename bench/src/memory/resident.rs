//! Memory of a process, exactly: the kernel's running counters in `status` may lag behind by pages per core.

use std::{fs, io};

/// Bytes that a process has in memory.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Resident {
    /// All.
    pub(super) rss: f64,
    /// Of those, what is no file's: heap and stacks.
    pub(super) anonymous: f64,
}

impl Resident {
    pub(super) fn of(pid: u32) -> io::Result<Self> {
        let path = format!("/proc/{pid}/smaps_rollup");
        Self::parse(&fs::read_to_string(&path)?).ok_or_else(|| io::Error::other(format!("{path}: no Rss or Anonymous")))
    }

    fn parse(text: &str) -> Option<Self> {
        let bytes = |field: &str| {
            let value = text.lines().find_map(|line| line.strip_prefix(field))?;
            Some(value.trim().strip_suffix(" kB")?.parse::<f64>().ok()? * 1024.0)
        };
        Some(Self { rss: bytes("Rss:")?, anonymous: bytes("Anonymous:")? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_told_apart() {
        let text = "5500-7ffd ---p 0 00:00 0 [rollup]\nRss:      13 kB\nPss_Anon:   1 kB\nAnonymous:    5 kB\n";
        assert_eq!(Resident::parse(text), Some(Resident { rss: 13.0 * 1024.0, anonymous: 5.0 * 1024.0 }));
        assert_eq!(Resident::parse("Rss: 13 kB\n"), None);
        assert!(Resident::of(std::process::id()).unwrap().rss > 1e5);
    }
}
