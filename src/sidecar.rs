//! `baton sidecar`: an anchor beside a real broker.

use std::process::ExitCode;

use baton_process::{
    net::{SocketReach, TcpKind, TcpListen},
    role::Role,
    run::run_role,
};
use baton_sidecar::Config;
use clap::Args;

use crate::flags::Flags;

const ROLE: Role = Role::Sidecar;

/// The flags of a sidecar.
#[derive(Args, Debug)]
pub(crate) struct Options {
    #[command(flatten)]
    flags: Flags,
    /// The broker: tcp://127.0.0.1:1883, unix:///run/broker.sock, or several addresses of one node, separated by commas
    /// (sidecar.broker)
    #[arg(long, value_name = "URL")]
    broker: Option<String>,
}

/// Runs the role until it has drained.
pub(crate) fn run(Options { mut flags, broker }: Options) -> ExitCode {
    if let Some(url) = broker {
        flags.set("--broker", "sidecar.broker", &url);
    }
    match flags.read(ROLE, Config::read) {
        Ok((shared, config)) => run_role(ROLE, shared, Default::default(), async |env| {
            let listener = TcpListen::bind("anchor.listen", &config.listen, TcpKind::Link, &env.metrics)?;
            let reach = SocketReach::new(&config.sources)
                .map_err(|e| std::io::Error::new(e.kind(), format!("sidecar.sources: {e}")))?;
            baton_sidecar::run(config, env, listener, reach).await
        }),
        Err(code) => code,
    }
}
