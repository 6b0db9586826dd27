//! Bytes that look random and are a function of a seed and an offset: no state, so any part can be made or checked.

/// One step of SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014).
pub(crate) fn word(seed: u64, index: u64) -> u64 {
    let mut z = seed.wrapping_add(index.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// The bytes from `offset` on.
pub(super) fn bytes(seed: u64, offset: u64) -> impl Iterator<Item = u8> {
    let words = (offset / 8..).flat_map(move |index| word(seed, index).to_le_bytes());
    words.skip(usize::try_from(offset % 8).unwrap_or(0))
}

/// The offset of the first byte of `got`, which begins at `offset`, that isn't as it should be.
pub(super) fn difference(seed: u64, offset: u64, got: &[u8]) -> Option<u64> {
    (offset..).zip(got).zip(bytes(seed, offset)).find(|((_, got), wanted)| *got != wanted).map(|((at, _), _)| at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_generator_is_the_published_one() {
        assert_eq!([word(0, 0), word(0, 1)], [0xe220_a839_7b1d_cdaf, 0x6e78_9e6a_a1b9_65f4]);
    }

    #[test]
    fn any_part_is_the_same_as_in_the_whole() {
        let whole: Vec<_> = bytes(7, 0).take(64).collect();
        for offset in 0..40 {
            let at = u64::try_from(offset).unwrap();
            assert_eq!(bytes(7, at).take(20).collect::<Vec<_>>(), whole[offset..offset + 20]);
            assert_eq!(difference(7, at, &whole[offset..]), None);
            let mut broken = whole[offset..].to_vec();
            broken[3] ^= 0x40;
            assert_eq!(difference(7, at, &broken), Some(at + 3));
        }
    }
}
