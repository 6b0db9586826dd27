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
//! | [`websocket`] | MQTT over WebSocket as a byte stream, on the port of plain MQTT |
//! | [`pipe`] | a byte stream between two tasks, for clients that come through an anchor |
//! | [`homes`] | the broker as the anchors of its homes see it |
//! | [`faults`] | what is done wrong, by rules |
//! | [`transcript`] | a record of every packet |
//! | [`admin`] | faults on demand, at the admin address |
//! | [`config`] | its sections of the configuration |
//! | [`run`] | the role |
//! | [`library`] | a broker in one line, for tests in Rust: [`start`] |

pub mod admin;
pub mod broker;
pub mod codec;
pub mod config;
pub mod faults;
pub mod homes;
pub mod kind;
pub mod library;
mod numbers;
pub mod pipe;
pub mod run;
pub mod serve;
pub mod transcript;
pub mod websocket;

pub use library::{Config, Handle, start};
