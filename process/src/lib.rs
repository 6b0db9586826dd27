//! What every role process is: phases, signals, listeners, configuration, logs, metrics, admin.
//!
//! Threads, signals and real sockets are made here and nowhere else. A role's worker is a plain future that is given
//! its listeners, a dialer, a generator and its configuration, so a simulator can run it as well.
//!
//! | Module | Holds |
//! |---|---|
//! | [`clock`] | the clock that session types are handed their times from |
//! | [`config`] | one typed view of file, environment and command line, and one report of every mistake in them |
//! | [`env`](mod@env) | what a worker is given besides its configuration, listeners and dialer |
//! | [`health`] | whether a process works and whether it wants work |
//! | [`log`] | what goes to standard error |
//! | [`metrics`] | the numbers of a process |
//! | [`net`] | byte streams and where they come from |
//! | [`offenders`] | peers that sent garbage: one line in the log each |
//! | [`phase`] | where a process is in its life |
//! | [`role`] | the roles a process can have |
//! | [`run`] | a role process from its first line of log to its exit code |
//! | [`secrets`] | bytes that nobody may guess |

mod admin;
pub mod clock;
pub mod config;
pub mod env;
pub mod health;
pub mod log;
pub mod metrics;
pub mod net;
pub mod offenders;
pub mod phase;
pub mod role;
pub mod run;
pub mod secrets;
mod signal;
