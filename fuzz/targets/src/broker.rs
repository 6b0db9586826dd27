//! The broker, by sequences of what clients do.

#[allow(clippy::unwrap_used, reason = "a fixture that fails is a failed test")]
#[path = "../../../broker-sim/tests/broker/crowd.rs"]
mod crowd;
#[allow(clippy::unwrap_used, reason = "a fixture that fails is a failed test")]
#[allow(dead_code, unused_imports, reason = "the rest is for the tests of `broker-sim`")]
#[path = "../../../broker-sim/tests/broker/desk.rs"]
pub(crate) mod desk;

use crowd::{Crowd, Dice};

/// Actions of one sequence.
const ACTIONS: usize = 500;

/// Each byte is one choice of a crowd of clients. The crowd sees to it that the broker keeps to its limits, serves a
/// bystander, and forgets those who are gone.
pub fn broker(data: &[u8]) -> bool {
    let mut left = data;
    let mut crowd = Crowd::new();
    for _ in 0..ACTIONS {
        if left.is_empty() {
            break;
        }
        let mut roll = |sides| left.split_off_first().map_or(0, |byte| u64::from(*byte) % sides);
        crowd.act(&mut Dice(&mut roll));
    }
    crowd.go_home() > 1
}
