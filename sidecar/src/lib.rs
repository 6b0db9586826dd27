//! The sidecar: an anchor beside an unmodified MQTT broker. Each session has a connection to it of its own.
//!
//! | Module | Holds |
//! |---|---|
//! | `config` | the sections `[sidecar]` and `[anchor]` |
//! | `broker` | a connection to the broker for each session |
//! | `connection` | such a connection |
//! | `watch` | whether the broker is well |
//! | `routes` | the ways there, and how many connections each has room for |
//! | `proxy` | the PROXY protocol, which tells the broker who the client is |
//! | `probe` | asking the broker in MQTT |
//! | `sidecar` | the role: listen, serve, drain |

mod broker;
mod config;
mod connection;
mod probe;
mod proxy;
mod routes;
mod sidecar;
mod watch;

pub use config::{Config, Probe};
pub use sidecar::run;
