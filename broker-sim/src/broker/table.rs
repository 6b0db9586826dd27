//! Tables by the numbers that the broker gives its connections and sessions.

use std::{
    collections::HashMap,
    hash::{BuildHasherDefault, Hasher},
};

/// A table of connections or sessions; a message looks several of them up. The same inputs make the same table.
pub(super) type Table<K, V> = HashMap<K, V, BuildHasherDefault<ById>>;

/// Spreads consecutive numbers over the table. Nobody but the broker chooses them, so nobody can make them collide.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ById(u64);

/// 2^64 over the golden ratio, as in Fibonacci hashing: neighbours end far apart.
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

impl Hasher for ById {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = (self.0 ^ number).wrapping_mul(SPREAD);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, hash::BuildHasher};

    use super::*;
    use crate::broker::ConnId;

    /// hashbrown takes the place from the low bits and a tag of seven from the high ones.
    #[test]
    fn neighbours_are_spread() {
        let hash = |id| BuildHasherDefault::<ById>::default().hash_one(ConnId(id));
        let places: BTreeSet<_> = (0..1024).map(|id| hash(id) % 1024).collect();
        let tags: BTreeSet<_> = (0..1024).map(|id| hash(id) >> 57).collect();
        assert_eq!((places.len(), tags.len()), (1024, 128));
    }
}
