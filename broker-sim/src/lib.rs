//! A simulated MQTT broker with the broker's half of the protocol inside.
//!
//! ```text
//!  clients ──TCP──────────────────────► [serve] ──packets──► [broker]
//!  origins ══ trunks ══► anchor ──[pipe]──►
//! ```
//! | Module | Holds |
//! |---|---|
//! | [`broker`] | the broker without IO: MQTT 5 packets in, packets out |
//! | [`codec`] | bytes to packets and back, 3.1 and 3.1.1 translated |
//! | [`serve`] | connections over any byte stream, and time |
//! | [`pipe`] | a byte stream between two tasks, for clients that come through an anchor |
//! | [`homes`] | the broker as the anchors of its homes see it |
//! | [`admin`] | faults on demand, at the admin address |
//! | [`config`] | its sections of the configuration |
//! | [`run`] | the role |

pub mod admin;
pub mod broker;
pub mod codec;
pub mod config;
pub mod faults;
pub mod homes;
pub mod kind;
mod numbers;
pub mod pipe;
pub mod run;
pub mod serve;
