//! What a process costs: memory, processor time, descriptors.

use std::{io, ops::Sub, time::Duration};

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
    fn a_process_that_is_gone_is_an_error() {
        let mut child = std::process::Command::new("/bin/true").spawn().unwrap();
        child.wait().unwrap();
        assert_eq!(Usage::of(child.id()).unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
