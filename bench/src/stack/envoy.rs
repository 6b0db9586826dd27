//! Envoy as a hop: the entry opens an HTTP/2 CONNECT for each connection, the middle ends it. That is as near to ours as
//! another proxy comes.

use std::{
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
};

const ENTRY: &str = include_str!("envoy-entry.yaml");
const MIDDLE: &str = include_str!("envoy-middle.yaml");

/// Where it is: on the PATH, or in the wheel that `bench/compare` installs, which names it by `BATON_ENVOY`.
fn program() -> Result<PathBuf, String> {
    match std::env::var_os("BATON_ENVOY") {
        Some(path) => Some(PathBuf::from(path))
            .filter(|path| path.is_file())
            .ok_or_else(|| "BATON_ENVOY names no file".to_owned()),
        None => super::program("envoy"),
    }
}

/// `envoy version: ...`, shortened.
pub(super) fn version() -> Result<String, String> {
    let line = super::says(&program()?, &["--version"])?;
    let version = line.rsplit(' ').next().unwrap_or(&line);
    let number = version.split('/').nth(1).unwrap_or(version);
    Ok(format!("Envoy {number}"))
}

/// How it is started, with so many workers.
pub(super) fn command(
    directory: &Path,
    listen: SocketAddr,
    to: SocketAddr,
    threads: u8,
    entry: bool,
) -> io::Result<Vec<String>> {
    let template = if entry { ENTRY } else { MIDDLE };
    let text = template
        .replace("{listen}", &listen.port().to_string())
        .replace("{upstream}", &to.port().to_string())
        .replace("{dir}", &directory.display().to_string());
    let file = directory.join("envoy.yaml");
    std::fs::write(&file, text)?;
    let mut command = words(&file, threads)?;
    if entry {
        command.push("--disable-hot-restart".to_owned());
    } else {
        command.extend(restarting(listen, 0));
    }
    Ok(command)
}

/// How its successor is started.
pub(super) fn next(directory: &Path, listen: SocketAddr, threads: u8) -> io::Result<Vec<String>> {
    let mut command = words(&directory.join("envoy.yaml"), threads)?;
    command.extend(restarting(listen, 1));
    Ok(command)
}

/// What it leaves behind in shared memory.
pub(super) fn clear(listen: SocketAddr) {
    // Where there is nothing, nothing was left.
    drop(std::fs::remove_file(format!("/dev/shm/envoy_shared_memory_{}0", listen.port())));
}

fn words(file: &Path, threads: u8) -> io::Result<Vec<String>> {
    let program = program().map_err(io::Error::other)?;
    let words = ["--concurrency", &threads.to_string(), "--log-level", "error"].map(str::to_owned);
    Ok([vec![super::text(&program), "-c".to_owned(), super::text(file)], words.to_vec()].concat())
}

/// A hop that is restarted while it serves: the old process ends when its successor has been there for 6 s.
fn restarting(listen: SocketAddr, epoch: u8) -> Vec<String> {
    let id = listen.port().to_string();
    let epoch = epoch.to_string();
    let words = ["--base-id", &id, "--restart-epoch", &epoch, "--drain-time-s", "5", "--parent-shutdown-time-s", "6"];
    words.map(str::to_owned).to_vec()
}
