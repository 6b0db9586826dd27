//! `baton edge`: where clients connect.

use std::process::ExitCode;

use baton_edge::Config;
use baton_process::{
    net::{TcpDial, TcpKind, TcpListen},
    role::Role,
    run::run_role,
};
use tracing::info;

use crate::flags::Flags;

const ROLE: Role = Role::Edge;

/// Runs the role until it has drained.
pub(crate) fn run(flags: Flags) -> ExitCode {
    match flags.read(ROLE, Config::read) {
        Ok((shared, config)) => run_role(ROLE, shared, Default::default(), async |env| {
            let listener = TcpListen::bind("edge.listen", &config.listen, TcpKind::Session, &env.metrics)?;
            // Said once, and plainly: what protects an MQTT password on this way isn't ours.
            info!(event = "edge.plain", listen = %listener.local_addr()?, "clients connect without TLS");
            baton_edge::run(config, env, listener, TcpDial::new(TcpKind::Link)).await
        }),
        Err(code) => code,
    }
}
