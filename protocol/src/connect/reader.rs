//! MQTT's field types, read from a packet that is all there (1.5).

use super::Fault;

/// What is left of a packet.
pub(super) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(super) fn new(rest: &'a [u8]) -> Self {
        Self { rest }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// The next `count` bytes.
    pub(super) fn take(&mut self, count: usize) -> Result<&'a [u8], Fault> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or(Fault::Short)?;
        self.rest = rest;
        Ok(taken)
    }

    pub(super) fn u8(&mut self) -> Result<u8, Fault> {
        let (&[byte], rest) = self.rest.split_first_chunk().ok_or(Fault::Short)?;
        self.rest = rest;
        Ok(byte)
    }

    pub(super) fn u16(&mut self) -> Result<u16, Fault> {
        let (bytes, rest) = self.rest.split_first_chunk().ok_or(Fault::Short)?;
        self.rest = rest;
        Ok(u16::from_be_bytes(*bytes))
    }

    pub(super) fn u32(&mut self) -> Result<u32, Fault> {
        let (bytes, rest) = self.rest.split_first_chunk().ok_or(Fault::Short)?;
        self.rest = rest;
        Ok(u32::from_be_bytes(*bytes))
    }

    /// Bytes behind their length.
    pub(super) fn binary(&mut self) -> Result<&'a [u8], Fault> {
        let length = self.u16()?;
        self.take(length.into())
    }

    /// A string: well-formed UTF-8 (MQTT-1.5.3-1) without U+0000 (MQTT-1.5.3-2).
    pub(super) fn text(&mut self) -> Result<&'a str, Fault> {
        let text = str::from_utf8(self.binary()?).map_err(|_| Fault::NotUtf8)?;
        if text.contains('\0') { Err(Fault::Nul) } else { Ok(text) }
    }

    /// A variable byte integer, which MQTT 5 wants as short as can be (1.5.5-1).
    pub(super) fn varint(&mut self) -> Result<usize, Fault> {
        let varint = varint(self.rest)?.ok_or(Fault::Short)?;
        self.take(varint.width)?;
        if varint.minimal { Ok(varint.value) } else { Err(Fault::Varint) }
    }
}

/// A variable byte integer.
pub(super) struct Varint {
    pub(super) value: usize,
    /// Bytes that it takes.
    pub(super) width: usize,
    /// It takes as few bytes as can be.
    pub(super) minimal: bool,
}

/// Bytes of a variable byte integer, at most.
const VARINT_BYTES: usize = 4;

/// Reads a variable byte integer (2.2.3; MQTT 5: 1.5.5); `None` if it goes on beyond `bytes`.
pub(super) fn varint(bytes: &[u8]) -> Result<Option<Varint>, Fault> {
    let mut value = 0;
    for (index, &byte) in bytes.iter().take(VARINT_BYTES).enumerate() {
        value |= usize::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            return Ok(Some(Varint { value, width: index + 1, minimal: byte != 0 || index == 0 }));
        }
    }
    if bytes.len() < VARINT_BYTES { Ok(None) } else { Err(Fault::Varint) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn varints_at_their_borders() {
        // MQTT 5, table 1-1.
        for (bytes, value) in [
            (&[0x00][..], 0),
            (&[0x7f], 127),
            (&[0x80, 0x01], 128),
            (&[0xff, 0x7f], 16_383),
            (&[0x80, 0x80, 0x01], 16_384),
            (&[0xff, 0xff, 0x7f], 2_097_151),
            (&[0x80, 0x80, 0x80, 0x01], 2_097_152),
            (&[0xff, 0xff, 0xff, 0x7f], 268_435_455),
        ] {
            let read = varint(bytes).unwrap().unwrap();
            assert_eq!((read.value, read.width, read.minimal), (value, bytes.len(), true), "{bytes:02x?}");
            assert!(varint(&bytes[..bytes.len() - 1]).unwrap().is_none(), "{bytes:02x?} without its end");
        }
    }

    #[test]
    fn varints_that_are_too_long() {
        assert_eq!(varint(&[0x80; 4]).err(), Some(Fault::Varint));
        assert_eq!(varint(&[0xff, 0xff, 0xff, 0xff, 0x01]).err(), Some(Fault::Varint));
        for longer_than_needed in [&[0x80, 0x00][..], &[0x81, 0x80, 0x00], &[0xff, 0xff, 0x80, 0x00]] {
            assert!(!varint(longer_than_needed).unwrap().unwrap().minimal, "{longer_than_needed:02x?}");
            assert_eq!(Reader::new(longer_than_needed).varint(), Err(Fault::Varint));
        }
    }
}
