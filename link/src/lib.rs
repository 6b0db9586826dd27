//! What runs between two tiers: trunks (HTTP/2 connections), the tunnels on them, the control stream, and the one loop
//! that runs a session half over a local byte stream and whatever tunnel it has.
//!
//! | Module | Holds |
//! |---|---|
//! | [`rate`] | so many of something a second: opens, resumes |
//! | [`settings`] | every HTTP/2 setting, with its reason |
//! | [`gather`] | one write per turn of a trunk, however many tunnels sent |
//! | [`trunk`] | one HTTP/2 connection, from either end: driven, watched, ended |
//! | [`tunnel`] | one stream of a trunk that carries capsules |
//! | [`control`] | the stream on which an origin asks its edges to move |
//! | [`worker`] | what all sessions of a worker share: clock, scratch buffer, owed acknowledgements |
//! | [`budget`] | bytes held by all together, and what goes when they are too many |
//! | [`drive`](mod@drive) | the loop |
//!
//! Everything runs on one single-threaded runtime per worker and over any `AsyncRead + AsyncWrite`.

pub mod budget;
pub mod control;
pub mod drive;
pub mod gather;
pub mod rate;
pub mod settings;
pub mod trunk;
pub mod tunnel;
pub mod worker;

pub use drive::{Closing, Owner, drive};
pub use trunk::{LinkEnd, Trunk};
pub use tunnel::Tunnel;
pub use worker::Worker;
