//! Clients that aren't ours before brokers that aren't ours, with Baton between and without.
//!
//! | Module | |
//! |---|---|
//! | `smoke` | every client before every broker, while origins drain and die |
//! | `behaviours` | what MQTT promises, before every broker, with the same faults in its midst |
//! | `lacks` | what a broker doesn't do, with or without Baton |
//! | `likeness` | broker-sim beside mosquitto, without Baton: to every client it is the same |
//! | `docs` | docs/brokers.md says the same |
//! | `client` | the clients, each of which counts what it publishes and hears |
//! | `program` | a process that is spoken to in lines |

mod behaviours;
mod client;
mod docs;
mod lacks;
mod likeness;
mod program;
mod smoke;
#[path = "../support/tier.rs"]
mod support;
