//! The edge relay: client connections, choice of origin, moves.

pub mod backoff;
pub mod choice;
pub mod pacing;
