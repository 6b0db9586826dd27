//! The properties of packets (2.2.2), by what may stand where.

use std::num::NonZeroU32;

use bytes::Bytes;
use bytestring::ByteString;
use rmqtt_codec::v5::UserProperties;

use super::reader::Reader;
use crate::broker::Fault;

/// Property identifiers (table 2-4) that a client may send.
pub(super) mod id {
    pub(crate) const PAYLOAD_FORMAT: u8 = 0x01;
    pub(crate) const MESSAGE_EXPIRY: u8 = 0x02;
    pub(crate) const CONTENT_TYPE: u8 = 0x03;
    pub(crate) const RESPONSE_TOPIC: u8 = 0x08;
    pub(crate) const CORRELATION_DATA: u8 = 0x09;
    pub(crate) const SUBSCRIPTION_ID: u8 = 0x0b;
    pub(crate) const SESSION_EXPIRY: u8 = 0x11;
    pub(crate) const AUTH_METHOD: u8 = 0x15;
    pub(crate) const AUTH_DATA: u8 = 0x16;
    pub(crate) const PROBLEM_INFORMATION: u8 = 0x17;
    pub(crate) const WILL_DELAY: u8 = 0x18;
    pub(crate) const RESPONSE_INFORMATION: u8 = 0x19;
    pub(crate) const SERVER_REFERENCE: u8 = 0x1c;
    pub(crate) const REASON: u8 = 0x1f;
    pub(crate) const RECEIVE_MAXIMUM: u8 = 0x21;
    pub(crate) const ALIAS_MAXIMUM: u8 = 0x22;
    pub(crate) const TOPIC_ALIAS: u8 = 0x23;
    pub(crate) const USER: u8 = 0x26;
    pub(crate) const MAXIMUM_PACKET: u8 = 0x27;
}

/// Reads the properties that stand here. `take` reads the value of one, and says whether it may stand in this packet
/// at all; if not the packet is malformed (2.2.2.2). Any but a user property may stand there once.
pub(super) fn properties(
    reader: &mut Reader<'_>,
    mut take: impl FnMut(u8, &mut Reader<'_>) -> Result<bool, Fault>,
) -> Result<UserProperties, Fault> {
    let mut user = UserProperties::new();
    let mut seen = 0_u64;
    let length = usize::try_from(reader.varint()?).map_err(|_| Fault::Malformed)?;
    reader.within(length, |reader| {
        // An identifier is a Variable Byte Integer, but all of them are below 128.
        let id = reader.u8()?;
        if id == id::USER {
            user.push(reader.pair()?);
            return Ok(());
        }
        let bit = 1_u64.checked_shl(id.into()).ok_or(Fault::Malformed)?;
        if !take(id, reader)? {
            return Err(Fault::Malformed);
        }
        if seen & bit != 0 {
            return Err(Fault::Protocol);
        }
        seen |= bit;
        Ok(())
    })?;
    Ok(user)
}

/// What a message has, be it a PUBLISH or a will.
#[derive(Default)]
pub(super) struct OfMessage {
    pub(super) is_utf8: Option<bool>,
    pub(super) expiry: Option<NonZeroU32>,
    pub(super) content_type: Option<ByteString>,
    pub(super) response_topic: Option<ByteString>,
    pub(super) correlation: Option<Bytes>,
}

impl OfMessage {
    /// Reads one property's value; false if it is none of a message's.
    pub(super) fn take(&mut self, id: u8, reader: &mut Reader<'_>) -> Result<bool, Fault> {
        match id {
            id::PAYLOAD_FORMAT => self.is_utf8 = Some(reader.flag()?),
            // An expiry of no time at all can't be told from none in the packet's type, so it is a second.
            id::MESSAGE_EXPIRY => self.expiry = Some(NonZeroU32::new(reader.u32()?).unwrap_or(NonZeroU32::MIN)),
            id::CONTENT_TYPE => self.content_type = Some(reader.text()?),
            id::RESPONSE_TOPIC => self.response_topic = Some(reader.text()?),
            id::CORRELATION_DATA => self.correlation = Some(reader.binary()?),
            _ => return Ok(false),
        }
        Ok(true)
    }
}

/// The properties of an acknowledgement: a reason, and user properties.
pub(super) fn of_ack(reader: &mut Reader<'_>) -> Result<(UserProperties, Option<ByteString>), Fault> {
    let mut reason = None;
    let user = properties(reader, |id, value| {
        if id == id::REASON {
            reason = Some(value.text()?);
        }
        Ok(id == id::REASON)
    })?;
    Ok((user, reason))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &'static [u8]) -> Result<(UserProperties, Option<ByteString>), Fault> {
        of_ack(&mut Reader::new(bytes))
    }

    #[test]
    fn user_properties_repeat_and_others_do_not() {
        let (user, reason) = read(b"\x11\x26\0\x01k\0\x01v\x1f\0\x01r\x26\0\x01k\0\0").unwrap();
        assert_eq!((user.len(), reason.as_deref()), (2, Some("r")));
        assert_eq!(read(b"\x08\x1f\0\x01r\x1f\0\x01r"), Err(Fault::Protocol));
    }

    #[test]
    fn what_does_not_belong_is_malformed() {
        for bytes in [
            &b"\x05\x11\0\0\0\x09"[..],
            b"\x02\x7f\0",
            b"\x02\xff\0",
            b"\x05\x1f\0\x01r",
            b"\x03\x1f\0\x01r",
            b"\x80\0",
        ] {
            assert_eq!(read(bytes), Err(Fault::Malformed), "{bytes:x?}");
        }
    }
}
