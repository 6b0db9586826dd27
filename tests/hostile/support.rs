#[path = "../support/tier.rs"]
mod tier;
#[path = "../support/wire.rs"]
pub(crate) mod wire;

pub(crate) use tier::{BATON, PATIENCE, closed, moved, sessions, start, tier, until};
