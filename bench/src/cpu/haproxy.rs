//! HAProxy as one TCP hop.

use std::{
    error::Error,
    fs, io,
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use baton_drill::pause::{Watch, pause};

/// Time until it listens.
const PATIENCE: Duration = Duration::from_secs(10);
/// Time between two looks, and for one.
const LOOK: Duration = Duration::from_millis(20);

/// The program, if it is installed. Debian puts it where users don't look.
pub(super) fn program() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let sbin = ["/usr/sbin", "/usr/local/sbin"].map(PathBuf::from);
    let mut places = std::env::split_paths(&path).chain(sbin).map(|place| place.join("haproxy"));
    places.find(|program| program.is_file())
}

/// What it calls itself.
pub(super) fn version(program: &Path) -> io::Result<String> {
    let output = Command::new(program).arg("-v").output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let words = text.split_whitespace().take(3);
    Ok(words.collect::<Vec<_>>().join(" "))
}

/// A process that forwards from one address to another. It is of this process's group, so that an interrupt at the
/// terminal ends both.
#[derive(Debug)]
pub(super) struct Haproxy {
    child: Child,
}

impl Haproxy {
    /// Starts it and waits until it listens.
    pub(super) fn start(
        program: &Path,
        directory: &Path,
        listen: SocketAddr,
        server: SocketAddr,
        threads: u8,
    ) -> Result<Self, Box<dyn Error>> {
        let file = directory.join(format!("haproxy-{}.cfg", listen.port()));
        fs::write(&file, configuration(listen, server, threads))?;
        let mut command = Command::new(program);
        // Foreground, one process.
        command.arg("-db").arg("-f").arg(&file).stdin(Stdio::null()).stdout(Stdio::null());
        let mut haproxy = Self { child: command.spawn()? };
        let watch = Watch::start();
        while TcpStream::connect_timeout(&listen, LOOK).is_err() {
            if let Some(status) = haproxy.child.try_wait()? {
                return Err(format!("HAProxy ended ({status})").into());
            }
            if watch.elapsed() > PATIENCE {
                return Err("HAProxy doesn't listen".into());
            }
            pause(LOOK);
        }
        Ok(haproxy)
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Haproxy {
    fn drop(&mut self) {
        // One that has ended already needs neither.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Plain forwarding, without a log, with timeouts that never bite.
fn configuration(listen: SocketAddr, server: SocketAddr, threads: u8) -> String {
    format!(
        "global
    nbthread {threads}
    maxconn 8000
defaults
    mode tcp
    timeout connect 10s
    timeout client 10m
    timeout server 10m
listen hop
    bind {listen} backlog 4096
    server next {server}
"
    )
}
