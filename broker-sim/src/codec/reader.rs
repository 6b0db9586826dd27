//! The data types that packets are made of (1.5), read strictly.

use std::num::NonZeroU16;

use bytes::{Buf, Bytes};
use bytestring::ByteString;

use crate::broker::Fault;

/// What is left of a packet, or of its properties. What is read shares the packet's memory.
#[derive(Clone, Debug)]
pub(super) struct Reader(Bytes);

impl Reader {
    pub(super) fn new(bytes: Bytes) -> Self {
        Self(bytes)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Nothing may be left.
    pub(super) fn end(self) -> Result<(), Fault> {
        if self.is_empty() { Ok(()) } else { Err(Fault::Malformed) }
    }

    /// All that is left.
    pub(super) fn rest(self) -> Bytes {
        self.0
    }

    pub(super) fn take(&mut self, bytes: usize) -> Result<Self, Fault> {
        if bytes > self.0.len() {
            return Err(Fault::Malformed);
        }
        Ok(Self(self.0.split_to(bytes)))
    }

    pub(super) fn u8(&mut self) -> Result<u8, Fault> {
        self.0.try_get_u8().map_err(|_| Fault::Malformed)
    }

    pub(super) fn u16(&mut self) -> Result<u16, Fault> {
        self.0.try_get_u16().map_err(|_| Fault::Malformed)
    }

    pub(super) fn u32(&mut self) -> Result<u32, Fault> {
        self.0.try_get_u32().map_err(|_| Fault::Malformed)
    }

    /// A number that may not be 0: a packet id [MQTT-2.2.1-3], or a property that MQTT doesn't allow to be 0.
    pub(super) fn nonzero<T, N: TryInto<T>>(value: N) -> Result<T, Fault> {
        value.try_into().map_err(|_| Fault::Protocol)
    }

    pub(super) fn packet_id(&mut self) -> Result<NonZeroU16, Fault> {
        Self::nonzero(self.u16()?)
    }

    /// A byte that is 0 or 1.
    pub(super) fn flag(&mut self) -> Result<bool, Fault> {
        match self.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(Fault::Protocol),
        }
    }

    /// A Variable Byte Integer, in its shortest form [MQTT-1.5.5-1].
    pub(super) fn varint(&mut self) -> Result<u32, Fault> {
        let mut value = 0;
        for at in 0..4 {
            let byte = self.u8()?;
            value |= u32::from(byte & 0x7f) << (7 * at);
            if byte & 0x80 == 0 {
                return if at > 0 && byte == 0 { Err(Fault::Malformed) } else { Ok(value) };
            }
        }
        Err(Fault::Malformed)
    }

    pub(super) fn binary(&mut self) -> Result<Bytes, Fault> {
        let length = self.u16()?;
        Ok(self.take(length.into())?.0)
    }

    /// A UTF-8 Encoded String: well-formed [MQTT-1.5.4-1], without U+0000 [MQTT-1.5.4-2], and with every U+FEFF that
    /// is in it [MQTT-1.5.4-3].
    pub(super) fn text(&mut self) -> Result<ByteString, Fault> {
        let bytes = self.binary()?;
        if bytes.contains(&0) {
            return Err(Fault::Malformed);
        }
        ByteString::try_from(bytes).map_err(|_| Fault::Malformed)
    }

    /// A UTF-8 String Pair [MQTT-1.5.7-1].
    pub(super) fn pair(&mut self) -> Result<(ByteString, ByteString), Fault> {
        Ok((self.text()?, self.text()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reader(bytes: &'static [u8]) -> Reader {
        Reader::new(Bytes::from_static(bytes))
    }

    #[test]
    fn lengths_have_their_shortest_form() {
        let cases: &[(&[u8], Result<u32, Fault>)] = &[
            (b"\x00", Ok(0)),
            (b"\x7f", Ok(127)),
            (b"\x80\x01", Ok(128)),
            (b"\xff\xff\xff\x7f", Ok(268_435_455)),
            (b"\x80\x00", Err(Fault::Malformed)),
            (b"\xff\x80\x00", Err(Fault::Malformed)),
            (b"\xff\xff\xff\xff\x01", Err(Fault::Malformed)),
            (b"\x80", Err(Fault::Malformed)),
            (b"", Err(Fault::Malformed)),
        ];
        for (bytes, expected) in cases {
            assert_eq!(reader(bytes).varint(), *expected, "{bytes:x?}");
        }
    }

    #[test]
    fn strings_are_checked_and_kept_whole() {
        for (bytes, expected) in [
            (&b"\0\x02ab"[..], Some("ab")),
            (b"\0\x00", Some("")),
            (b"\0\x04\xef\xbb\xbfa", Some("\u{feff}a")),
            (b"\0\x01\0", None),
            (b"\0\x02a\0", None),
            (b"\0\x02\xc3\x28", None),
            (b"\0\x03\xed\xa0\x80", None),
            (b"\0\x02a", None),
            (b"\0", None),
        ] {
            assert_eq!(reader(bytes).text().ok().as_deref(), expected, "{bytes:x?}");
        }
    }

    #[test]
    fn bounds_are_kept() {
        assert_eq!(reader(b"\0\x03ab").binary(), Err(Fault::Malformed));
        assert_eq!(reader(b"\0\0").packet_id(), Err(Fault::Protocol));
        assert_eq!(reader(b"\x02").flag(), Err(Fault::Protocol));
        assert_eq!(reader(b"a").end(), Err(Fault::Malformed));
    }
}
