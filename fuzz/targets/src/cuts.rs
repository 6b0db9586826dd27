//! Bytes in pieces of changing sizes, as a socket might hand them out.

/// Cuts `bytes` into pieces; each `seed` makes other sizes, from single bytes to all at once.
pub(crate) fn cuts(seed: u8, mut bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let (mut state, most) = (u32::from(seed), 1usize << (seed % 12));
    std::iter::from_fn(move || {
        state = state.wrapping_mul(1_103_515_245).wrapping_add(12_345);
        let size = 1 + (state >> 16) as usize % most;
        let (piece, rest) = bytes.split_at(size.min(bytes.len()));
        bytes = rest;
        (!piece.is_empty()).then_some(piece)
    })
}
