//! Users and fate: what plays a tier's clients, its failures and its judge, in demos, tests and measurements.
//!
//! Nothing here depends on a role's code, nor on its reading of MQTT: a tier is processes and sockets.
//!
//! | Module | Plays |
//! |---|---|
//! | [`client`] | a user: one connection, counted messages, never reconnects |
//! | [`load`] | many users that publish to each other |
//! | [`ledger`] | the judge: lost, duplicated, reordered, dropped, late |
//! | [`bytes`] | a user and a broker who exchange noise, and know every byte of it |
//! | [`chaos`] | fate: faults of every kind by a seeded schedule, and whether they were survived |
//! | [`tier`] | the processes: started, restarted, terminated, killed, stopped |
//! | [`proxy`] | a link that stalls, cuts or delays |
//! | [`proc`], [`residue`] | what a process costs, and what it keeps |
//! | [`mqtt`], [`stamp`] | packets, and what each message says about itself |
//! | [`sys`] | what a mosquitto says of itself |
//! | [`pause`] | time, for whoever directs |
//! | [`stage`] | a thread on which users play while a test directs them |
//!
//! ```no_run
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use std::time::Duration;
//! use baton_drill::{load::{Load, Plan}, tier::{Layout, Tier}};
//!
//! let patience = Duration::from_secs(30);
//! let mut tier = Tier::new(Layout { origins: 2, ..Layout::new("target/release/baton") })?;
//! tier.start_all()?;
//! let load = Load::start(Plan::new("users", &tier.edges(), 200))?;
//! load.ready(patience)?;
//! load.publish();
//! load.received(1_000, patience)?;
//! tier.kill("origin-1")?;
//! load.received(1_000, patience)?;
//! let report = load.finish(patience);
//! assert!(report.verdict.is_clean(), "{report}");
//! # Ok(())
//! # }
//! ```

pub mod bytes;
pub mod chaos;
pub mod client;
pub mod ledger;
pub mod load;
pub mod mqtt;
pub mod pause;
pub mod proc;
pub mod proxy;
pub mod residue;
pub mod stage;
pub mod stamp;
pub mod sys;
pub mod tier;
pub mod wear;
