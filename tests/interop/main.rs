//! Clients that aren't ours before brokers that aren't ours, with Baton between and without.
//!
//! | Module | |
//! |---|---|
//! | `smoke` | every client before every broker, while origins drain and die |
//! | `lacks` | what a broker doesn't do, with or without Baton |
//! | `client` | the clients, each of which counts what it publishes and hears |
//! | `program` | a process that is spoken to in lines |

mod client;
mod lacks;
mod program;
mod smoke;
#[path = "../support/tier.rs"]
mod support;
