//! Where one packet ends (2.1.4).

use crate::broker::Fault;

/// The length of the first packet in `bytes`, header included; none if more bytes are needed to tell, or the packet
/// isn't whole. At most `max` bytes, and the shortest form of its length [MQTT-1.5.5-1].
pub(super) fn frame(bytes: &[u8], max: usize) -> Result<Option<usize>, Fault> {
    let mut length = 0;
    for (at, byte) in bytes.iter().skip(1).take(4).enumerate() {
        length |= usize::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 != 0 {
            continue;
        }
        if at > 0 && *byte == 0 {
            return Err(Fault::Malformed);
        }
        let total = 2 + at + length;
        if total > max {
            return Err(Fault::TooLarge);
        }
        return Ok((bytes.len() >= total).then_some(total));
    }
    if bytes.len() > 4 { Err(Fault::Malformed) } else { Ok(None) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths() {
        type Framed = Result<Option<usize>, Fault>;
        let cases: &[(&[u8], Framed)] = &[
            (b"", Ok(None)),
            (b"\xc0", Ok(None)),
            (b"\xc0\x00", Ok(Some(2))),
            (b"\xc0\x00\xc0\x00", Ok(Some(2))),
            (b"\x30\x03ab", Ok(None)),
            (b"\x30\x03abc", Ok(Some(5))),
            (b"\x30\x80", Ok(None)),
            (b"\x30\x80\x00", Err(Fault::Malformed)),
            (b"\x30\x80\x80\x80\x80", Err(Fault::Malformed)),
            (b"\x30\x80\x80\x80", Ok(None)),
            (b"\x30\xff\xff\xff\x7f", Err(Fault::TooLarge)),
            (b"\x30\xff\x01", Err(Fault::TooLarge)),
            (b"\x30\x62", Ok(None)),
            (b"\x30\x63", Err(Fault::TooLarge)),
        ];
        for (bytes, expected) in cases {
            assert_eq!(frame(bytes, 100), *expected, "{bytes:x?}");
        }
    }
}
