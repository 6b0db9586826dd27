//! The sidecar: an anchor beside an unmodified MQTT broker. Each session has a TCP connection to it of its own.
//!
//! | Module | Holds |
//! |---|---|
//! | `config` | the sections `[sidecar]` and `[anchor]` |
//! | `broker` | connections to the broker, and whether it takes any |
//! | `sidecar` | the role: listen, serve, drain |

mod broker;
mod config;
mod sidecar;

pub use config::Config;
pub use sidecar::run;
