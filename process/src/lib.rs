//! What every role process is: phases, signals, listeners, configuration, logs, metrics, admin.
//!
//! Threads, signals and real sockets are made here and nowhere else. A role's worker is a plain future that is given
//! its listeners, a dialer, a generator and its configuration, so a simulator can run it as well.
//!
//! | Module | Holds |
//! |---|---|
//! | [`metrics`] | the numbers of a process |
//! | [`net`] | byte streams and where they come from |
//! | [`phase`] | where a process is in its life |

pub mod metrics;
pub mod net;
pub mod phase;
