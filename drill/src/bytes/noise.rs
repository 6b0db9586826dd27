//! Bytes that look random and are a function of a seed and an offset: no state, so any part can be made or checked.

/// One step of SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014).
pub fn word(seed: u64, index: u64) -> u64 {
    let mut z = seed.wrapping_add(index.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// `length` bytes from `offset` on.
pub fn bytes(seed: u64, offset: u64, length: usize) -> Vec<u8> {
    let skipped = usize::try_from(offset % 8).unwrap_or(0);
    let mut bytes = Vec::with_capacity(skipped + length + 8);
    for index in offset / 8.. {
        if bytes.len() >= skipped + length {
            break;
        }
        bytes.extend_from_slice(&word(seed, index).to_le_bytes());
    }
    bytes.truncate(skipped + length);
    bytes.drain(..skipped);
    bytes
}

/// The offset of the first byte of `got`, which begins at `offset`, that isn't as it should be.
pub fn difference(seed: u64, offset: u64, got: &[u8]) -> Option<u64> {
    let wanted = bytes(seed, offset, got.len());
    if wanted == got {
        return None;
    }
    (offset..).zip(got.iter().zip(wanted)).find(|(_, (got, wanted))| **got != *wanted).map(|(at, _)| at)
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
        let whole = bytes(7, 0, 64);
        for offset in 0..40 {
            let at = u64::try_from(offset).unwrap();
            assert_eq!(bytes(7, at, 20), whole[offset..offset + 20]);
            assert_eq!(difference(7, at, &whole[offset..]), None);
            let mut broken = whole[offset..].to_vec();
            broken[3] ^= 0x40;
            assert_eq!(difference(7, at, &broken), Some(at + 3));
        }
    }
}
