//! A crowd that makes noise, whatever it is.

use crate::crowd::{Crowd, Dice};

/// A generator that a failing run's seed repeats.
fn generator(seed: u64) -> impl FnMut(u64) -> u64 {
    let mut state = seed << 32 | seed;
    move |sides| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 16) % sides
    }
}

#[test]
fn whatever_comes() {
    let mut delivered = 0;
    for seed in 1..=300 {
        let (mut crowd, mut rolls) = (Crowd::new(), generator(seed));
        for _ in 0..1_000 {
            crowd.act(&mut Dice(&mut rolls));
        }
        delivered += crowd.go_home();
    }
    assert!(delivered > 30_000, "{delivered}: the noise is heard");
}
