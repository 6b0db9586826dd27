//! The protocol between Baton's tiers (DCR/1), pure: no IO, no clock, no randomness, no logging.
//!
//! Time comes in as [`limits::Millis`] on a clock that the caller holds, chance as bytes that the caller drew. So the
//! very types that ship run under a model checker, in property tests and in a simulator.
//!
//! | Module | Holds |
//! |---|---|
//! | [`id`] | names of users, sessions and nodes |
//! | [`limits`] | every bound, with its unit and reason |
//! | [`error`] | who broke what |
//! | [`connect`] | CONNECT, the one MQTT packet that a relay reads |
//! | [`ring`] | user id to home, the same answer on every origin |
//! | [`attach`] | open, resume and their answers, as types and as headers |
//! | [`capsule`] | what a tunnel carries |
//! | [`session`] | both halves of a session: pure state machines |

pub mod attach;
pub mod capsule;
pub mod connect;
pub mod error;
pub mod id;
pub mod limits;
pub mod mutant;
pub mod ring;
pub mod session;
