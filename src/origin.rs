//! `baton origin`: routes and splices tunnels; drains them to other origins.

use std::process::ExitCode;

use baton_origin::Config;
use baton_process::{
    net::{TcpDial, TcpKind, TcpListen},
    role::Role,
    run::run_role,
};

use crate::flags::Flags;

const ROLE: Role = Role::Origin;

/// Runs the role until it has drained.
pub(crate) fn run(flags: Flags) -> ExitCode {
    match flags.read(ROLE, Config::read) {
        Ok((shared, config)) => run_role(ROLE, shared, Default::default(), async |env| {
            let listener = TcpListen::bind("origin.listen", &config.listen, TcpKind::Link, &env.metrics)?;
            baton_origin::run(config, env, listener, TcpDial::new(TcpKind::Link)).await
        }),
        Err(code) => code,
    }
}
