//! What a process costs: memory, processor time, descriptors.

use std::{io, iter::Sum, ops::Sub, time::Duration};

use procfs::{
    ProcError,
    process::{FDTarget, Process},
};

/// A look at a process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Bytes of resident memory.
    pub rss: u64,
    /// Of those, bytes that are no file's pages: heap and stacks.
    pub anonymous: u64,
    /// Time on a processor, user and system, since the start; in steps of 10 ms.
    pub cpu: Duration,
    /// Open descriptors.
    pub fds: usize,
    /// Of those, sockets.
    pub sockets: usize,
    /// Threads.
    pub threads: u64,
}

impl Usage {
    /// Looks at a process of this user.
    ///
    /// # Errors
    /// If there is no such process, or it may not be looked at.
    pub fn of(pid: u32) -> io::Result<Self> {
        let pid = i32::try_from(pid).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
        let look = || {
            let process = Process::new(pid)?;
            let status = process.status()?;
            let stat = process.stat()?;
            let ticks = Duration::from_secs(stat.utime + stat.stime);
            let mut usage = Self {
                rss: status.vmrss.unwrap_or(0) * 1024,
                anonymous: status.rssanon.unwrap_or(0) * 1024,
                cpu: ticks / u32::try_from(procfs::ticks_per_second()).unwrap_or(100),
                threads: status.threads,
                ..Self::default()
            };
            for fd in process.fd()?.flatten() {
                usage.fds += 1;
                usage.sockets += usize::from(matches!(fd.target, FDTarget::Socket(_)));
            }
            Ok(usage)
        };
        look().map_err(|error| match error {
            ProcError::NotFound(_) => io::ErrorKind::NotFound.into(),
            ProcError::PermissionDenied(_) => io::ErrorKind::PermissionDenied.into(),
            other => io::Error::other(other),
        })
    }
}

/// A look at a process and all that descend from it, such as a program with its workers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Family {
    /// Time on a processor, user and system, since the start, of those that are there and of those that these have seen
    /// end; in steps of 10 ms.
    pub cpu: Duration,
    /// Bytes of memory of each, together.
    pub rss: u64,
    /// How many processes.
    pub processes: usize,
}

impl Family {
    /// Looks at the family of this process.
    ///
    /// # Errors
    /// There is none, or it may not be looked at.
    pub fn of(ancestor: u32) -> io::Result<Self> {
        let ancestor = i32::try_from(ancestor).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
        let all = procfs::process::all_processes().map_err(io::Error::other)?;
        // One that has ended meanwhile is in its parent's account.
        let mut others: Vec<_> = all.flatten().filter_map(|process| process.stat().ok()).collect();
        let mut family = Self::default();
        let mut known = Vec::new();
        while let Some(at) = others.iter().position(|stat| stat.pid == ancestor || known.contains(&stat.ppid)) {
            let stat = others.swap_remove(at);
            known.push(stat.pid);
            family.add(&stat);
        }
        if family.processes == 0 { Err(io::ErrorKind::NotFound.into()) } else { Ok(family) }
    }

    fn add(&mut self, stat: &procfs::process::Stat) {
        let ended = u64::try_from(stat.cutime + stat.cstime).unwrap_or(0);
        let per_second = u32::try_from(procfs::ticks_per_second()).unwrap_or(100);
        self.cpu += Duration::from_secs(stat.utime + stat.stime + ended) / per_second;
        self.rss += rss(stat.pid).unwrap_or(0);
        self.processes += 1;
    }
}

/// Several families that have nobody in common.
impl Sum for Family {
    fn sum<I: Iterator<Item = Self>>(families: I) -> Self {
        families.fold(Self::default(), |all, one| Self {
            cpu: all.cpu + one.cpu,
            rss: all.rss + one.rss,
            processes: all.processes + one.processes,
        })
    }
}

/// Exactly: the kernel's running counters in `status` may lag behind by pages per core.
fn rss(pid: i32) -> Option<u64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
    let value = text.lines().find_map(|line| line.strip_prefix("Rss:"))?;
    Some(value.trim().strip_suffix(" kB")?.parse::<u64>().ok()? * 1024)
}

/// The processor time between two looks; everything else as at the later one.
impl Sub for Usage {
    type Output = Self;

    fn sub(self, earlier: Self) -> Self {
        Self { cpu: self.cpu.saturating_sub(earlier.cpu), ..self }
    }
}

#[cfg(test)]
mod tests {
    use std::{hint::black_box, net::TcpListener};

    use super::*;

    #[test]
    fn work_memory_and_sockets_show() {
        let before = Usage::of(std::process::id()).unwrap();
        let memory = black_box(vec![1u8; 64 << 20]);
        let _listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut after = before;
        while (after - before).cpu < Duration::from_millis(20) {
            assert_eq!(black_box(&memory).iter().map(|byte| u64::from(*byte)).sum::<u64>(), 64 << 20);
            after = Usage::of(std::process::id()).unwrap();
        }
        assert!(after.anonymous >= before.anonymous + (60 << 20) && after.rss >= after.anonymous, "{after:?}");
        assert!(after.sockets > 0 && after.fds >= after.sockets && after.threads > 0, "{after:?}");
    }

    #[test]
    fn a_family_is_a_process_and_its_children() {
        use std::os::unix::process::CommandExt;
        let mut shell = std::process::Command::new("/bin/sh");
        shell.args(["-c", "while :; do :; done & while :; do :; done"]).process_group(0);
        let mut parent = shell.spawn().unwrap();
        let mut family = Family::default();
        while family.processes < 2 || family.cpu < Duration::from_millis(30) {
            family = Family::of(parent.id()).unwrap();
        }
        assert!(family.rss > 500_000 && family.processes == 2, "{family:?}");
        let pid = rustix::process::Pid::from_child(&parent);
        rustix::process::kill_process_group(pid, rustix::process::Signal::KILL).unwrap();
        parent.wait().unwrap();
        assert_eq!(Family::of(parent.id()).unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn a_process_that_is_gone_is_an_error() {
        let mut child = std::process::Command::new("/bin/true").spawn().unwrap();
        child.wait().unwrap();
        assert_eq!(Usage::of(child.id()).unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
