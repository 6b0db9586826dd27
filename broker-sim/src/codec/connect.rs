//! CONNECT (3.1), of all three levels.

use std::num::{NonZeroU16, NonZeroU32};

use baton_protocol::connect::Level;
use bytes::Bytes;
use rmqtt_codec::{
    types::QoS,
    v5::{Connect, LastWill},
};

use super::{
    properties::{OfMessage, id, properties},
    reader::Reader,
};
use crate::broker::Fault;

/// Bits of the connect flags (3.1.2.3).
mod flag {
    pub(super) const RESERVED: u8 = 0x01;
    pub(super) const CLEAN: u8 = 0x02;
    pub(super) const WILL: u8 = 0x04;
    pub(super) const WILL_QOS: u8 = 0x18;
    pub(super) const WILL_RETAIN: u8 = 0x20;
    pub(super) const PASSWORD: u8 = 0x40;
    pub(super) const USER_NAME: u8 = 0x80;
}

/// Which MQTT a CONNECT speaks. Its other levels are refused as such, another protocol as malformed [MQTT-3.1.2-1].
pub(super) fn level(reader: &mut Reader<'_>) -> Result<Level, Fault> {
    let name = reader.binary()?;
    match (&name[..], reader.u8()?) {
        (b"MQTT", 5) => Ok(Level::V5),
        (b"MQTT", 4) => Ok(Level::V311),
        (b"MQIsdp", 3) => Ok(Level::V31),
        (b"MQTT" | b"MQIsdp", _) => Err(Fault::UnknownLevel),
        _ => Err(Fault::Malformed),
    }
}

/// Reads a CONNECT from its flags on.
pub(super) fn connect(mut reader: Reader<'_>, level: Level) -> Result<Connect, Fault> {
    let flags = reader.u8()?;
    let has = |bit| flags & bit != 0;
    check(flags, level)?;
    let mut connect = Connect { clean_start: has(flag::CLEAN), keep_alive: reader.u16()?, ..Connect::default() };
    match level {
        Level::V5 => of_connect(&mut reader, &mut connect)?,
        // A session that isn't clean never expires; a clean one ends with its connection (3.1.1, 3.1.2.4).
        _ => connect.session_expiry_interval_secs = if connect.clean_start { 0 } else { u32::MAX },
    }
    connect.client_id = reader.text()?;
    // 3.1 has no client without an id; 3.1.1 none that has a session [MQTT-3.1.3-8]. The rest of the packet doesn't
    // matter any more.
    if connect.client_id.is_empty() && (level == Level::V31 || (level == Level::V311 && !connect.clean_start)) {
        return Err(Fault::ClientId);
    }
    if has(flag::WILL) {
        connect.last_will = Some(will(&mut reader, flags, level)?);
    }
    // 3.1 lets the names be absent whatever the flags say.
    let absent = |reader: &Reader<'_>| level == Level::V31 && reader.is_empty();
    if has(flag::USER_NAME) && !absent(&reader) {
        connect.username = Some(reader.text()?);
    }
    if has(flag::PASSWORD) && !absent(&reader) {
        connect.password = Some(reader.binary()?);
    }
    reader.end()?;
    Ok(connect)
}

/// [MQTT-3.1.2-3], [MQTT-3.1.2-11], [MQTT-3.1.2-13]; before 5 also [MQTT-3.1.2-22].
fn check(flags: u8, level: Level) -> Result<(), Fault> {
    let alone = |bits: u8, needs: u8| flags & bits != 0 && flags & needs == 0;
    if flags & flag::RESERVED != 0
        || alone(flag::WILL_QOS | flag::WILL_RETAIN, flag::WILL)
        || (level != Level::V5 && alone(flag::PASSWORD, flag::USER_NAME))
    {
        return Err(Fault::Malformed);
    }
    Ok(())
}

/// An absent Receive Maximum is the highest (3.1.2.11.3). None at all tells the broker that the client's MQTT has none.
fn of_connect(reader: &mut Reader<'_>, connect: &mut Connect) -> Result<(), Fault> {
    connect.receive_max = Some(NonZeroU16::MAX);
    connect.user_properties = properties(reader, |id, value| {
        match id {
            id::SESSION_EXPIRY => connect.session_expiry_interval_secs = value.u32()?,
            id::RECEIVE_MAXIMUM => connect.receive_max = Some(Reader::nonzero::<NonZeroU16, _>(value.u16()?)?),
            id::MAXIMUM_PACKET => connect.max_packet_size = Some(Reader::nonzero::<NonZeroU32, _>(value.u32()?)?),
            id::ALIAS_MAXIMUM => connect.topic_alias_max = value.u16()?,
            id::RESPONSE_INFORMATION => connect.request_response_info = value.flag()?,
            id::PROBLEM_INFORMATION => connect.request_problem_info = value.flag()?,
            id::AUTH_METHOD => connect.auth_method = Some(value.text()?),
            id::AUTH_DATA => connect.auth_data = Some(value.binary()?),
            _ => return Ok(false),
        }
        Ok(true)
    })?;
    // 3.1.2.11.10
    if connect.auth_data.is_some() && connect.auth_method.is_none() {
        return Err(Fault::Protocol);
    }
    Ok(())
}

fn will(reader: &mut Reader<'_>, flags: u8, level: Level) -> Result<LastWill, Fault> {
    let mut delay = None;
    let mut of_message = OfMessage::default();
    let user_properties = match level {
        Level::V5 => properties(reader, |id, value| {
            if id == id::WILL_DELAY {
                delay = Some(value.u32()?);
                return Ok(true);
            }
            of_message.take(id, value)
        })?,
        _ => Vec::new(),
    };
    let topic = reader.text()?;
    let message: Bytes = reader.binary()?;
    Ok(LastWill {
        // [MQTT-3.1.2-12]
        qos: QoS::try_from((flags & flag::WILL_QOS) >> 3).map_err(|_| Fault::Malformed)?,
        retain: flags & flag::WILL_RETAIN != 0,
        topic,
        message,
        will_delay_interval_sec: delay,
        correlation_data: of_message.correlation,
        message_expiry_interval: of_message.expiry,
        content_type: of_message.content_type,
        user_properties,
        is_utf8_payload: of_message.is_utf8,
        response_topic: of_message.response_topic,
    })
}
