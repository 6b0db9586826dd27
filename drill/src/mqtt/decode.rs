//! Packets that a broker sends, cut out of a byte stream.

use super::{Malformed, PACKET_BYTES, Qos, kind};

/// One whole packet, borrowed from the buffer that it arrived in; not yet understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// The packet type, see [`kind`].
    pub kind: u8,
    /// The low four bits of the first byte.
    pub flags: u8,
    /// What follows the fixed header.
    pub body: &'a [u8],
}

impl<'a> Frame<'a> {
    /// The first packet in `input` and the number of bytes that it takes up; `None` while it isn't whole.
    ///
    /// # Errors
    /// A length that takes more than four bytes, or a packet over [`PACKET_BYTES`]: known before any of it is kept.
    pub fn take(input: &'a [u8]) -> Result<Option<(Self, usize)>, Malformed> {
        let Some((&first, rest)) = input.split_first() else { return Ok(None) };
        let (mut length, mut header) = (0usize, 1usize);
        for &byte in rest.iter().take(4) {
            length |= usize::from(byte & 0x7f) << (7 * (header - 1));
            header += 1;
            if byte & 0x80 == 0 {
                let total = header + length;
                if total > PACKET_BYTES {
                    return Err(Malformed("larger than a drill's packets"));
                }
                let frame = input.get(header..total).map(|body| Self { kind: first >> 4, flags: first & 0x0f, body });
                return Ok(frame.map(|frame| (frame, total)));
            }
        }
        if rest.len() < 4 { Ok(None) } else { Err(Malformed("length of more than four bytes")) }
    }
}

/// A PUBLISH on its way to a client, borrowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Publish<'a> {
    /// Whether the broker says that it sent this before.
    pub dup: bool,
    /// Quality of service of this delivery.
    pub qos: Qos,
    /// Whether it was retained.
    pub retain: bool,
    /// The topic name.
    pub topic: &'a str,
    /// The packet id, 0 at QoS 0.
    pub id: u16,
    /// The payload.
    pub payload: &'a [u8],
}

/// What a broker sends (MQTT 3.1.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packet<'a> {
    /// CONNACK.
    ConnAck {
        /// Whether the broker had kept a session.
        session_present: bool,
        /// 0 is accepted (MQTT 3.1.1, 3.2.2.3).
        code: u8,
    },
    /// PUBLISH.
    Publish(Publish<'a>),
    /// PUBACK.
    PubAck(u16),
    /// PUBREC.
    PubRec(u16),
    /// PUBREL.
    PubRel(u16),
    /// PUBCOMP.
    PubComp(u16),
    /// SUBACK.
    SubAck {
        /// The SUBSCRIBE's id.
        id: u16,
        /// Per filter the granted quality of service, or 0x80.
        codes: &'a [u8],
    },
    /// UNSUBACK.
    UnsubAck(u16),
    /// PINGRESP.
    PingResp,
}

impl<'a> Packet<'a> {
    /// Reads a frame.
    ///
    /// # Errors
    /// A type that brokers don't send, wrong flags, too few or too many bytes, packet id 0, a topic that isn't UTF-8.
    pub fn parse(frame: Frame<'a>) -> Result<Self, Malformed> {
        let Frame { kind, flags, body } = frame;
        let wanted = if kind == kind::PUBREL { 2 } else { 0 };
        if kind != kind::PUBLISH && flags != wanted {
            return Err(Malformed("flags"));
        }
        Ok(match (kind, body) {
            (kind::PUBLISH, _) => Self::Publish(publish(flags, body)?),
            (kind::CONNACK, [present @ 0..=1, code]) => Self::ConnAck { session_present: *present == 1, code: *code },
            (kind::PUBACK, [a, b]) => Self::PubAck(id(*a, *b)?),
            (kind::PUBREC, [a, b]) => Self::PubRec(id(*a, *b)?),
            (kind::PUBREL, [a, b]) => Self::PubRel(id(*a, *b)?),
            (kind::PUBCOMP, [a, b]) => Self::PubComp(id(*a, *b)?),
            (kind::SUBACK, [a, b, codes @ ..]) if !codes.is_empty() => Self::SubAck { id: id(*a, *b)?, codes },
            (kind::UNSUBACK, [a, b]) => Self::UnsubAck(id(*a, *b)?),
            (kind::PINGRESP, []) => Self::PingResp,
            (kind::CONNACK..=kind::PINGRESP, _) => return Err(Malformed("length or content")),
            _ => return Err(Malformed("a packet type that brokers don't send")),
        })
    }
}

fn id(high: u8, low: u8) -> Result<u16, Malformed> {
    match u16::from_be_bytes([high, low]) {
        0 => Err(Malformed("packet id 0")),
        id => Ok(id),
    }
}

fn publish(flags: u8, body: &[u8]) -> Result<Publish<'_>, Malformed> {
    let qos = Qos::from_level(flags >> 1 & 3).ok_or(Malformed("QoS 3"))?;
    let short = Malformed("PUBLISH too short");
    let (length, rest) = body.split_first_chunk::<2>().ok_or(short)?;
    let (topic, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length))).ok_or(short)?;
    let topic = std::str::from_utf8(topic).map_err(|_| Malformed("topic isn't UTF-8"))?;
    let (id, payload) = match (qos, rest) {
        (Qos::AtMostOnce, payload) => (0, payload),
        (_, [a, b, payload @ ..]) => (id(*a, *b)?, payload),
        _ => return Err(short),
    };
    Ok(Publish { dup: flags & 8 != 0, qos, retain: flags & 1 != 0, topic, id, payload })
}

#[cfg(test)]
mod tests {
    use bytes::{BufMut, BytesMut};

    use super::*;
    use crate::mqtt::encode;

    fn whole(input: &[u8]) -> Result<Packet<'_>, Malformed> {
        let (frame, used) = Frame::take(input)?.expect("a whole packet");
        assert_eq!(used, input.len());
        Packet::parse(frame)
    }

    #[test]
    fn what_a_broker_sends_is_read() {
        assert_eq!(whole(b"\x20\x02\x01\x00"), Ok(Packet::ConnAck { session_present: true, code: 0 }));
        assert_eq!(whole(b"\x40\x02\x01\x02"), Ok(Packet::PubAck(258)));
        assert_eq!(whole(b"\x50\x02\x00\x01"), Ok(Packet::PubRec(1)));
        assert_eq!(whole(b"\x62\x02\x00\x01"), Ok(Packet::PubRel(1)));
        assert_eq!(whole(b"\x70\x02\x00\x01"), Ok(Packet::PubComp(1)));
        assert_eq!(whole(b"\x90\x04\x00\x01\x02\x80"), Ok(Packet::SubAck { id: 1, codes: &[2, 0x80] }));
        assert_eq!(whole(b"\xb0\x02\x00\x01"), Ok(Packet::UnsubAck(1)));
        assert_eq!(whole(b"\xd0\x00"), Ok(Packet::PingResp));
        let publish = Publish { dup: true, qos: Qos::AtLeastOnce, retain: true, topic: "t", id: 9, payload: b"p" };
        assert_eq!(whole(b"\x3b\x06\x00\x01t\x00\x09p"), Ok(Packet::Publish(publish)));
    }

    #[test]
    fn what_a_broker_must_not_send_is_refused() {
        for bad in [
            &b"\x10\x00"[..],
            b"\x00\x00",
            b"\xf0\x00",
            b"\x21\x02\x00\x00",
            b"\x20\x02\x02\x00",
            b"\x20\x01\x00",
            b"\x40\x02\x00\x00",
            b"\x60\x02\x00\x01",
            b"\x90\x02\x00\x01",
            b"\xd0\x01\x00",
            b"\x36\x05\x00\x01t\x00\x01",
            b"\x32\x03\x00\x01t",
            b"\x32\x05\x00\x01t\x00\x00",
            b"\x30\x01\x00",
            b"\x30\x03\x00\x02t",
            b"\x30\x03\x00\x01\xff",
        ] {
            assert!(whole(bad).is_err(), "{bad:02x?}");
        }
    }

    #[test]
    fn an_oversized_or_endless_length_is_refused_at_once() {
        assert!(Frame::take(b"\x30\xff\xff\xff\x7f").is_err());
        assert!(Frame::take(b"\x30\x80\x80\x80\x80").is_err());
    }

    #[test]
    fn no_prefix_of_a_packet_is_a_packet() {
        let mut out = BytesMut::new();
        encode::publish("topic", Qos::ExactlyOnce, 3, 300, |out| out.put_bytes(7, 300), &mut out);
        for cut in 0..out.len() {
            assert_eq!(Frame::take(&out[..cut]), Ok(None), "{cut}");
        }
        let (frame, used) = Frame::take(&out).unwrap().expect("whole");
        assert_eq!(used, out.len());
        assert!(matches!(Packet::parse(frame), Ok(Packet::Publish(p)) if p.payload.len() == 300 && p.id == 3));
    }
}
