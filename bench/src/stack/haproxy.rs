//! HAProxy as a TCP hop: its best settings for many connections with little on each.

use std::{io, net::SocketAddr, path::Path};

/// `HAProxy version ...`, without its date.
pub(super) fn version() -> Result<String, String> {
    let line = super::says(&super::program("haproxy")?, &["-v"])?;
    Ok(line.split_whitespace().take(3).collect::<Vec<_>>().join(" "))
}

/// How it is started: a master with one worker, so that it can be reloaded.
pub(super) fn command(directory: &Path, listen: SocketAddr, to: SocketAddr, threads: u8) -> io::Result<Vec<String>> {
    let program = super::program("haproxy").map_err(io::Error::other)?;
    let file = directory.join("haproxy.cfg");
    std::fs::write(&file, configuration(listen, to, threads))?;
    let words = ["-W", "-db", "-q", "-f"].map(str::to_owned);
    Ok([vec![super::text(&program)], words.to_vec(), vec![super::text(&file)]].concat())
}

/// `hard-stop-after`: without it an old worker lives for as long as the last client does, and a deploy is never over.
fn configuration(listen: SocketAddr, to: SocketAddr, threads: u8) -> String {
    format!(
        "global
    nbthread {threads}
    maxconn 9980
    hard-stop-after 5s
defaults
    mode tcp
    timeout connect 10s
    timeout client 24d
    timeout server 24d
listen hop
    bind {listen} backlog 4096
    server next {to}
"
    )
}
