//! `baton broker-sim`: a simulated broker behind its own plain port and behind one anchor for each home.

use std::process::ExitCode;

use baton_broker_sim::{admin, config::Config, run::run_tcp};
use baton_process::{role::Role, run::run_role};

use crate::flags::Flags;

const ROLE: Role = Role::BrokerSim;

/// Runs the role until it has drained.
pub(crate) fn run(flags: Flags) -> ExitCode {
    match flags.read(ROLE, Config::read) {
        Ok((shared, config)) => {
            let (routes, requests) = admin::routes();
            run_role(ROLE, shared, routes, |env| run_tcp(config, env, requests))
        }
        Err(code) => code,
    }
}
