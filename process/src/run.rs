//! A role process from its first line of log to its exit code.

use std::{
    backtrace::{Backtrace, BacktraceStatus},
    io, panic, process,
    process::ExitCode,
};

use axum::Router;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::{
    runtime::{Builder, LocalOptions},
    task::spawn_local,
};
use tracing::{error, info};

use crate::{admin, config::Shared, env::Env, log, phase::Phase, role::Role, signal};

/// How a worker ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Nothing was left.
    Done,
    /// Drained, with this many sessions left, which were closed or cut off.
    Left(usize),
}

/// The exit code for a process that failed by itself or its surroundings.
const FAILED: u8 = 1;
/// The exit code for flags or a configuration that can't be used.
const MISTAKEN: u8 = 2;
/// The exit code for a drain that left sessions.
const SESSIONS_LEFT: u8 = 3;

/// The exit code for mistaken flags or configuration, which `report` describes; prints it.
pub fn mistaken(report: &crate::config::Report) -> ExitCode {
    eprint!("{report}");
    ExitCode::from(MISTAKEN)
}

/// Runs a role: logs, signals, admin address and a runtime around the future that `work` makes. `routes` are added to
/// the admin address; whatever they need of the worker they ask for by message, for they run on another thread.
///
/// The worker binds its listeners first, enters [`Phase::Serving`], and returns once it has drained.
pub fn run_role<W, F>(role: Role, shared: Shared, routes: Router, work: W) -> ExitCode
where
    W: FnOnce(Env) -> F,
    F: Future<Output = io::Result<Exit>>,
{
    log::init(&shared.log);
    abort_on_panic();
    match run(role, shared, routes, work) {
        Ok(Exit::Done) => ExitCode::SUCCESS,
        Ok(Exit::Left(_)) => ExitCode::from(SESSIONS_LEFT),
        Err(error) => {
            error!(event = "process.failed", %role, %error);
            ExitCode::from(FAILED)
        }
    }
}

fn run<W, F>(role: Role, shared: Shared, routes: Router, work: W) -> io::Result<Exit>
where
    W: FnOnce(Env) -> F,
    F: Future<Output = io::Result<Exit>>,
{
    let open_files = raise_open_files();
    let listener = admin::bind(&shared.admin.listen)?;
    let admin_address = listener.local_addr()?;
    let runtime = Builder::new_current_thread().enable_all().build_local(LocalOptions::default())?;
    let exit = runtime.block_on(async {
        let env = Env::new(role, shared);
        env.metrics.count_tasks();
        let (phases, health) = (env.phases.clone(), env.health());
        spawn_local(signal::drain_on_signals(phases.clone())?);
        admin::serve(listener, admin::routes(env.metrics.clone(), health.clone(), routes))?;
        spawn_local(async move { health.beat().await });
        let (version, pid) = (env!("CARGO_PKG_VERSION"), process::id());
        info!(event = "process.start", %role, version, pid, admin = %admin_address, open_files);
        let exit = work(env).await;
        phases.enter(Phase::Done);
        exit
    });
    // A name that is still being looked up would hold the end back for as long as the resolver likes.
    runtime.shutdown_background();
    let exit = exit?;
    let left = if let Exit::Left(left) = exit { left } else { 0 };
    info!(event = "process.stop", %role, left);
    Ok(exit)
}

/// A panic is a defect of ours, and what it leaves behind can't be trusted: one line, and the process is gone at once,
/// for its sessions to be resumed elsewhere.
fn abort_on_panic() {
    panic::set_hook(Box::new(|info| {
        let place = info.location().map(ToString::to_string).unwrap_or_default();
        let why = info.payload_as_str().unwrap_or("no message");
        error!(event = "process.panic", %place, why);
        // Only where RUST_BACKTRACE asks for it.
        let backtrace = Backtrace::capture();
        if backtrace.status() == BacktraceStatus::Captured {
            eprintln!("{backtrace}");
        }
        process::abort();
    }));
}

/// Raises the soft limit of open files to the hard one, and returns it: each session is a socket.
fn raise_open_files() -> u64 {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    match setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        Ok(()) => maximum.unwrap_or(u64::MAX),
        Err(_) => current.unwrap_or(u64::MAX),
    }
}
