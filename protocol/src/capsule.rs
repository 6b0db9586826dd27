//! Capsules (RFC 9297) on tunnels and control streams: DATA, CLOSE, SOLICIT.
//!
//! Each is `type (2 bytes), length, value`, all numbers QUIC variable-length integers (RFC 9000 §16). A capsule need
//! not align with HTTP/2 DATA frames: [`Decoder`] takes the bytes as they come and hands a DATA capsule's payload on
//! in pieces, so that it holds a capsule's head at most.

use bytes::{BufMut, Bytes, BytesMut};

use crate::limits::{self, Millis};

const DATA: u64 = 0x3dc1;
const CLOSE: u64 = 0x3dc2;
const SOLICIT: u64 = 0x3dc3;

/// Bytes that a DATA capsule takes beyond its payload, at most: type 2, length 4, offset 8, ack 8.
pub const DATA_HEAD: usize = 22;
/// Bytes that are held of a capsule whose head or short value isn't whole yet.
const HELD_BYTES: usize = 2 + 8 + 3 * 8 + limits::REASON_BYTES;

/// How a direction, or a session, ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CloseKind {
    /// End of this direction; the other goes on. Ordered, resent until acknowledged.
    Fin,
    /// End of both directions once everything before it is committed. Ordered, resent until acknowledged.
    Reset,
    /// End of the session at once, best effort.
    Abort,
}

/// A CLOSE capsule.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Close {
    /// How it ends.
    pub kind: CloseKind,
    /// The position of the mark in the byte stream.
    pub offset: u64,
    /// Bytes (and marks) of the other direction that the sender's local socket accepted.
    pub ack: u64,
    /// For whoever reads a capture: an ABORT's cause. At most [`limits::REASON_BYTES`].
    pub reason: Bytes,
}

/// A SOLICIT capsule (reconnect_solicitation): "move your tunnels away from me".
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Solicit {
    /// Time over which to spread the moves.
    pub spread: Millis,
    /// Time after which the origin resets what is left.
    pub deadline: Millis,
    /// 0 drain; others are reserved.
    pub reason: u64,
}

/// What a [`Decoder`] found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece<'a> {
    /// A DATA capsule, or one more part of it, with the offset of that part.
    Data {
        /// Position of the payload's first byte.
        offset: u64,
        /// As in [`Close::ack`].
        ack: u64,
        /// The bytes; empty for a pure acknowledgement.
        payload: &'a [u8],
    },
    /// A CLOSE capsule.
    Close(Close),
    /// A SOLICIT capsule.
    Solicit(Solicit),
}

/// The peer sent what is no capsule of ours: the tunnel is broken, the session isn't.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CapsuleError {
    /// A length over [`limits::CAPSULE_BYTES`].
    TooLong(u64),
    /// A value that doesn't hold what its type demands.
    Malformed,
}

impl std::fmt::Display for CapsuleError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::TooLong(n) => write!(f, "capsule of {n} bytes, at most {} are taken", limits::CAPSULE_BYTES),
            Self::Malformed => f.write_str("malformed capsule"),
        }
    }
}

impl std::error::Error for CapsuleError {}

fn varint_len(value: u64) -> usize {
    match value {
        0..0x40 => 1,
        0x40..0x4000 => 2,
        0x4000..0x4000_0000 => 4,
        _ => 8,
    }
}

/// Offsets stay below 2^62: a session would need 58,000 years at 20 Gbit/s to reach it.
#[expect(clippy::cast_possible_truncation, reason = "each arm holds the values that fit")]
fn put_varint(out: &mut BytesMut, value: u64) {
    match varint_len(value) {
        1 => out.put_u8(value as u8),
        2 => out.put_u16(value as u16 | 0x4000),
        4 => out.put_u32(value as u32 | 0x8000_0000),
        _ => out.put_u64(value.min((1 << 62) - 1) | 0xc000_0000_0000_0000),
    }
}

fn take_varint(input: &mut &[u8]) -> Option<u64> {
    let first = *input.first()?;
    let len = 1usize << (first >> 6);
    let (head, rest) = input.split_at_checked(len)?;
    *input = rest;
    Some(head[1..].iter().fold(u64::from(first & 0x3f), |value, b| value << 8 | u64::from(*b)))
}

/// Appends the head of a DATA capsule; `payload` bytes must follow.
pub fn encode_data_head(out: &mut BytesMut, offset: u64, ack: u64, payload: usize) {
    put_varint(out, DATA);
    put_varint(out, (varint_len(offset) + varint_len(ack) + payload) as u64);
    put_varint(out, offset);
    put_varint(out, ack);
}

impl Close {
    /// Appends the capsule.
    pub fn encode(&self, out: &mut BytesMut) {
        let kind = match self.kind {
            CloseKind::Fin => 0,
            CloseKind::Reset => 1,
            CloseKind::Abort => 2,
        };
        let reason = &self.reason[..self.reason.len().min(limits::REASON_BYTES)];
        put_varint(out, CLOSE);
        put_varint(out, (1 + varint_len(self.offset) + varint_len(self.ack) + reason.len()) as u64);
        put_varint(out, kind);
        put_varint(out, self.offset);
        put_varint(out, self.ack);
        out.put_slice(reason);
    }

    fn decode(mut value: &[u8]) -> Option<Self> {
        let kind = match take_varint(&mut value)? {
            0 => CloseKind::Fin,
            1 => CloseKind::Reset,
            2 => CloseKind::Abort,
            _ => return None,
        };
        let (offset, ack) = (take_varint(&mut value)?, take_varint(&mut value)?);
        (value.len() <= limits::REASON_BYTES).then(|| Self { kind, offset, ack, reason: Bytes::copy_from_slice(value) })
    }
}

impl Solicit {
    /// Appends the capsule.
    pub fn encode(&self, out: &mut BytesMut) {
        let numbers = [self.spread, self.deadline, self.reason];
        put_varint(out, SOLICIT);
        put_varint(out, numbers.iter().map(|n| varint_len(*n)).sum::<usize>() as u64);
        numbers.iter().for_each(|n| put_varint(out, *n));
    }

    fn decode(mut value: &[u8]) -> Option<Self> {
        let solicit = Self {
            spread: take_varint(&mut value)?,
            deadline: take_varint(&mut value)?,
            reason: take_varint(&mut value)?,
        };
        value.is_empty().then_some(solicit)
    }
}

/// Reads capsules from a byte stream that arrives in pieces of any size.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Decoder {
    /// The beginning of a capsule, where its head or short value wasn't whole yet.
    held: Vec<u8>,
    /// The DATA capsule whose payload is passing: next offset, ack, bytes to come.
    passing: Option<(u64, u64, u64)>,
    /// Bytes of an unknown capsule still to be skipped.
    skip: u64,
}

/// What a capsule's beginning says.
enum Head {
    Data { offset: u64, ack: u64, payload: u64 },
    Close(Close),
    Solicit(Solicit),
    Unknown(u64),
}

/// Reads a head (for the short capsules, all of it): it and its length, or `None` while bytes are missing.
fn head(bytes: &[u8]) -> Result<Option<(Head, usize)>, CapsuleError> {
    let mut rest = bytes;
    let (Some(kind), Some(len)) = (take_varint(&mut rest), take_varint(&mut rest)) else { return Ok(None) };
    if len > limits::CAPSULE_BYTES {
        return Err(CapsuleError::TooLong(len));
    }
    let before = bytes.len() - rest.len();
    let found = match kind {
        DATA => {
            let here = &rest[..rest.len().min(usize::try_from(len).unwrap_or(usize::MAX))];
            let mut value = here;
            let (Some(offset), Some(ack)) = (take_varint(&mut value), take_varint(&mut value)) else {
                return if here.len() as u64 == len { Err(CapsuleError::Malformed) } else { Ok(None) };
            };
            let used = here.len() - value.len();
            return Ok(Some((Head::Data { offset, ack, payload: len - used as u64 }, before + used)));
        }
        CLOSE | SOLICIT => {
            let len =
                usize::try_from(len).ok().filter(|len| before + len <= HELD_BYTES).ok_or(CapsuleError::Malformed)?;
            let Some(value) = rest.get(..len) else { return Ok(None) };
            let found = if kind == CLOSE {
                Close::decode(value).map(Head::Close)
            } else {
                Solicit::decode(value).map(Head::Solicit)
            };
            (found.ok_or(CapsuleError::Malformed)?, before + len)
        }
        _ => (Head::Unknown(len), before),
    };
    Ok(Some(found))
}

impl Decoder {
    /// The next piece in `input`, which is advanced past it; `None` when `input` is used up.
    pub fn next<'a>(&mut self, input: &mut &'a [u8]) -> Result<Option<Piece<'a>>, CapsuleError> {
        loop {
            if let Some((offset, ack, left)) = self.passing {
                return Ok(self.pass(input, offset, ack, left));
            }
            if self.skip > 0 {
                let n = self.skip.min(input.len() as u64);
                *input = &input[usize::try_from(n).expect("n is at most the length of a slice")..];
                self.skip -= n;
            }
            let Some(found) = self.next_head(input)? else { return Ok(None) };
            match found {
                Head::Data { offset, ack, payload: 0 } => return Ok(Some(Piece::Data { offset, ack, payload: &[] })),
                Head::Data { offset, ack, payload } => self.passing = Some((offset, ack, payload)),
                Head::Close(close) => return Ok(Some(Piece::Close(close))),
                Head::Solicit(solicit) => return Ok(Some(Piece::Solicit(solicit))),
                Head::Unknown(len) => self.skip = len,
            }
        }
    }

    /// Whether a capsule has begun and not ended.
    pub fn mid_capsule(&self) -> bool {
        !self.held.is_empty() || self.passing.is_some() || self.skip > 0
    }

    fn pass<'a>(&mut self, input: &mut &'a [u8], offset: u64, ack: u64, left: u64) -> Option<Piece<'a>> {
        let n = input.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        if n == 0 {
            return None;
        }
        let (payload, rest) = input.split_at(n);
        *input = rest;
        let n = n as u64;
        self.passing = (left > n).then_some((offset.saturating_add(n), ack, left - n));
        Some(Piece::Data { offset, ack, payload })
    }

    fn next_head(&mut self, input: &mut &[u8]) -> Result<Option<Head>, CapsuleError> {
        if self.held.is_empty() {
            if let Some((found, used)) = head(input)? {
                *input = &input[used..];
                return Ok(Some(found));
            }
            self.held = input.to_vec();
            *input = &[];
            return Ok(None);
        }
        while let Some((first, rest)) = input.split_first() {
            self.held.push(*first);
            *input = rest;
            debug_assert!(self.held.len() <= HELD_BYTES, "more than a head is held");
            if let Some((found, _)) = head(&self.held)? {
                self.held = Vec::new();
                return Ok(Some(found));
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Every number small, so that the vectors can be read: type, length, numbers.
    #[test]
    fn wire_vectors() {
        let mut out = BytesMut::new();
        encode_data_head(&mut out, 5, 300, 2);
        out.put_slice(b"ab");
        assert_eq!(out[..], [0x7d, 0xc1, 5, 5, 0x41, 0x2c, b'a', b'b']);
        out.clear();
        Close { kind: CloseKind::Reset, offset: 7, ack: 9, reason: Bytes::from_static(b"x") }.encode(&mut out);
        assert_eq!(out[..], [0x7d, 0xc2, 4, 1, 7, 9, b'x']);
        out.clear();
        Solicit { spread: 2, deadline: 16, reason: 0 }.encode(&mut out);
        assert_eq!(out[..], [0x7d, 0xc3, 3, 2, 16, 0]);
    }

    #[test]
    fn what_is_refused() {
        let mut long = BytesMut::new();
        put_varint(&mut long, DATA);
        put_varint(&mut long, limits::CAPSULE_BYTES + 1);
        assert_eq!(Decoder::default().next(&mut &long[..]), Err(CapsuleError::TooLong(limits::CAPSULE_BYTES + 1)));
        for bad in [&[0x7d, 0xc1, 1, 5][..], &[0x7d, 0xc1, 0], &[0x7d, 0xc2, 3, 9, 1, 1], &[0x7d, 0xc3, 4, 1, 1, 1, 1]]
        {
            assert_eq!(Decoder::default().next(&mut &bad[..]), Err(CapsuleError::Malformed), "{bad:x?}");
        }
    }

    #[test]
    fn an_error_names_its_bound() {
        assert_eq!(
            CapsuleError::TooLong(1 << 40).to_string(),
            format!("capsule of 1099511627776 bytes, at most {} are taken", limits::CAPSULE_BYTES)
        );
        assert_eq!(CapsuleError::Malformed.to_string(), "malformed capsule");
    }

    #[test]
    fn numbers_of_every_width_are_read_as_they_were_written() {
        for value in [0, 0x3f, 0x40, 0x3fff, 0x4000, 0x3fff_ffff, 0x4000_0000, (1 << 62) - 1] {
            let mut out = BytesMut::new();
            put_varint(&mut out, value);
            assert_eq!(out.len(), varint_len(value), "{value:#x}");
            let mut rest = &out[..];
            assert_eq!((take_varint(&mut rest), rest), (Some(value), &[][..]), "{value:#x}");
            assert_eq!(take_varint(&mut &out[..out.len() - 1]), None, "{value:#x} cut short");
        }
    }

    #[test]
    fn a_solicitation_is_read_however_it_is_cut() {
        let solicit = Solicit { spread: 30_000, deadline: 60_000, reason: 0 };
        let mut wire = BytesMut::new();
        solicit.encode(&mut wire);
        for cut in 0..wire.len() {
            let mut decoder = Decoder::default();
            assert_eq!(decoder.next(&mut &wire[..cut]), Ok(None));
            assert_eq!(decoder.mid_capsule(), cut > 0);
            assert_eq!(decoder.next(&mut &wire[cut..]), Ok(Some(Piece::Solicit(solicit))));
        }
    }

    proptest! {
        /// However the bytes are cut, the same payload comes out at the same offsets, and unknown capsules are skipped.
        #[test]
        fn any_cut(payload in proptest::collection::vec(any::<u8>(), 0..300), offset in 0u64..1 << 40, ack in 0u64..1 << 61, cuts in proptest::collection::vec(1usize..40, 1..40)) {
            let mut wire = BytesMut::new();
            wire.put_slice(&[0x17, 3, 1, 2, 3]);
            encode_data_head(&mut wire, offset, ack, payload.len());
            wire.put_slice(&payload);
            let close = Close { kind: CloseKind::Fin, offset, ack, reason: Bytes::new() };
            close.encode(&mut wire);
            let (mut decoder, mut got, mut closed, mut cuts) = (Decoder::default(), Vec::new(), None, cuts.iter().cycle());
            let mut rest = &wire[..];
            while !rest.is_empty() {
                let (mut chunk, after) = rest.split_at(rest.len().min(*cuts.next().unwrap()));
                rest = after;
                while let Some(piece) = decoder.next(&mut chunk).unwrap() {
                    match piece {
                        Piece::Data { offset: at, ack: a, payload } => {
                            prop_assert_eq!(at, offset + got.len() as u64);
                            prop_assert_eq!(a, ack);
                            got.extend_from_slice(payload);
                        }
                        Piece::Close(c) => closed = Some(c),
                        Piece::Solicit(_) => prop_assert!(false),
                    }
                }
            }
            prop_assert_eq!(got, payload);
            prop_assert_eq!(closed, Some(close));
            prop_assert!(!decoder.mid_capsule());
        }

        #[test]
        fn garbage_does_not_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let (mut decoder, mut input) = (Decoder::default(), &bytes[..]);
            while let Ok(Some(_)) = decoder.next(&mut input) {}
            prop_assert!(decoder.held.len() <= bytes.len());
        }
    }
}
