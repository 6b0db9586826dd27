#[path = "../support/tier.rs"]
mod tier;
#[path = "../support/wire.rs"]
pub(crate) mod wire;

pub(crate) use tier::{BATON, PATIENCE, closed, sessions, start, until};
