//! The data types that packets are made of (1.5), read strictly.

use std::{num::NonZeroU16, ops::Range};

use bytes::Bytes;
use bytestring::ByteString;

use crate::broker::Fault;

/// A packet, how far it has been read, and how far it may be. What is kept of it is copied, all of it at once: most
/// packets (acknowledgements) have nothing to keep.
#[derive(Debug)]
pub(super) struct Reader<'a> {
    packet: &'a [u8],
    at: usize,
    end: usize,
    copy: Option<Bytes>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(packet: &'a [u8]) -> Self {
        Self { packet, at: 0, end: packet.len(), copy: None }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.at == self.end
    }

    /// Nothing may be left.
    pub(super) fn end(self) -> Result<(), Fault> {
        if self.is_empty() { Ok(()) } else { Err(Fault::Malformed) }
    }

    /// All that is left.
    pub(super) fn rest(mut self) -> Bytes {
        self.keep(self.at..self.end)
    }

    /// Where the next `bytes` are.
    fn next(&mut self, bytes: usize) -> Result<Range<usize>, Fault> {
        if bytes > self.end - self.at {
            return Err(Fault::Malformed);
        }
        let from = self.at;
        self.at += bytes;
        Ok(from..self.at)
    }

    fn fixed<const N: usize>(&mut self) -> Result<[u8; N], Fault> {
        let at = self.next(N)?;
        self.packet[at].try_into().map_err(|_| Fault::Malformed)
    }

    fn keep(&mut self, range: Range<usize>) -> Bytes {
        self.copy.get_or_insert_with(|| Bytes::copy_from_slice(self.packet)).slice(range)
    }

    /// Lets `read` take part after part of the next `bytes`, to their end.
    pub(super) fn within(
        &mut self,
        bytes: usize,
        mut read: impl FnMut(&mut Self) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        let inner = self.next(bytes)?;
        self.at = inner.start;
        let outer = std::mem::replace(&mut self.end, inner.end);
        while !self.is_empty() {
            read(self)?;
        }
        self.end = outer;
        Ok(())
    }

    pub(super) fn u8(&mut self) -> Result<u8, Fault> {
        Ok(u8::from_be_bytes(self.fixed()?))
    }

    pub(super) fn u16(&mut self) -> Result<u16, Fault> {
        Ok(u16::from_be_bytes(self.fixed()?))
    }

    pub(super) fn u32(&mut self) -> Result<u32, Fault> {
        Ok(u32::from_be_bytes(self.fixed()?))
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
        let at = self.next(length.into())?;
        Ok(self.keep(at))
    }

    /// A UTF-8 Encoded String: well-formed [MQTT-1.5.4-1], without U+0000 [MQTT-1.5.4-2], and with every U+FEFF that
    /// is in it [MQTT-1.5.4-3].
    pub(super) fn text(&mut self) -> Result<ByteString, Fault> {
        let length = self.u16()?;
        let at = self.next(length.into())?;
        if self.packet[at.clone()].contains(&0) {
            return Err(Fault::Malformed);
        }
        ByteString::try_from(self.keep(at)).map_err(|_| Fault::Malformed)
    }

    /// A UTF-8 String Pair [MQTT-1.5.7-1].
    pub(super) fn pair(&mut self) -> Result<(ByteString, ByteString), Fault> {
        Ok((self.text()?, self.text()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reader(bytes: &[u8]) -> Reader<'_> {
        Reader::new(bytes)
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

    #[test]
    fn a_part_is_read_to_its_end_and_no_further() {
        let mut whole = reader(b"\0\x01a\0\x01bc");
        let mut found = Vec::new();
        let mut read = |part: &mut Reader<'_>| part.text().map(|text| found.push(text.to_string()));
        whole.within(6, &mut read).unwrap();
        assert_eq!(whole.u8(), Ok(b'c'));
        assert_eq!(reader(b"\0\x01a").within(2, &mut read), Err(Fault::Malformed));
        assert_eq!(reader(b"\0\x01a").within(4, &mut read), Err(Fault::Malformed));
        assert_eq!(found, ["a", "b"]);
    }

    #[test]
    fn only_what_is_kept_is_copied() {
        let mut ack = reader(b"\0\x05\0");
        assert!(ack.packet_id().is_ok() && ack.u8().is_ok() && ack.copy.is_none());
        let mut two = reader(b"\0\x01a\0\x01b");
        let (a, b) = two.pair().unwrap();
        assert_eq!(b.as_bytes().as_ptr() as usize - a.as_bytes().as_ptr() as usize, 3, "of one copy");
    }
}
