//! A packet from its bytes: what MQTT doesn't allow is a fault, whoever would have been content with it.
//!
//! A packet that can't be read as MQTT says is malformed; one that can be read and says what is not allowed is a
//! protocol error (MQTT 5, 1.2). What depends on the connection's or the session's state is the broker's to find.

use rmqtt_codec::{
    types::{Publish, QoS},
    v5::{
        Auth, AuthReasonCode, Disconnect, DisconnectReasonCode, Packet, PublishAck, PublishAck2, PublishAck2Reason,
        PublishAckReason, PublishProperties, RetainHandling, Subscribe, SubscriptionOptions, Unsubscribe,
    },
};

use super::{
    Level,
    properties::{OfMessage, id, of_ack, properties},
    reader::Reader,
};
use crate::broker::Fault;

/// DUP among the flags of a fixed header.
const DUP: u8 = 0x08;

/// Packet types (2.1.2), and the flags that their fixed header must have (2.1.3); PUBLISH has its own.
pub(super) mod kind {
    pub(crate) const CONNECT: u8 = 1;
    pub(crate) const CONNACK: u8 = 2;
    pub(crate) const PUBLISH: u8 = 3;
    pub(crate) const PUBACK: u8 = 4;
    pub(crate) const PUBREC: u8 = 5;
    pub(crate) const PUBREL: u8 = 6;
    pub(crate) const PUBCOMP: u8 = 7;
    pub(crate) const SUBSCRIBE: u8 = 8;
    pub(crate) const SUBACK: u8 = 9;
    pub(crate) const UNSUBSCRIBE: u8 = 10;
    pub(crate) const UNSUBACK: u8 = 11;
    pub(crate) const PINGREQ: u8 = 12;
    pub(crate) const PINGRESP: u8 = 13;
    pub(crate) const DISCONNECT: u8 = 14;
    pub(crate) const AUTH: u8 = 15;
}

/// Reads any packet but CONNECT from what follows its fixed header.
pub(super) fn packet(first: u8, reader: Reader<'_>, level: Level) -> Result<Packet, Fault> {
    let (kind, flags) = (first >> 4, first & 0x0f);
    if kind == kind::PUBLISH {
        return publish(flags, reader, level).map(|publish| Packet::Publish(Box::new(publish)));
    }
    check_flags(kind, flags, level)?;
    match kind {
        kind::PUBACK => ack(reader, level).map(Packet::PublishAck),
        kind::PUBREC => ack(reader, level).map(Packet::PublishReceived),
        kind::PUBREL => ack2(reader, level).map(Packet::PublishRelease),
        kind::PUBCOMP => ack2(reader, level).map(Packet::PublishComplete),
        kind::SUBSCRIBE => subscribe(reader, level).map(Packet::Subscribe),
        kind::UNSUBSCRIBE => unsubscribe(reader, level).map(Packet::Unsubscribe),
        kind::PINGREQ => reader.end().map(|()| Packet::PingRequest),
        kind::DISCONNECT => disconnect(reader, level).map(Packet::Disconnect),
        kind::AUTH if level == Level::V5 => auth(reader).map(Packet::Auth),
        kind::CONNACK | kind::SUBACK | kind::UNSUBACK | kind::PINGRESP => Err(Fault::ServerOnly),
        _ => Err(Fault::Malformed),
    }
}

/// [MQTT-2.1.3-1], [MQTT-3.6.1-1], [MQTT-3.8.1-1], [MQTT-3.10.1-1]. In 3.1 these three may have DUP.
fn check_flags(kind: u8, flags: u8, level: Level) -> Result<(), Fault> {
    let expected = if matches!(kind, kind::PUBREL | kind::SUBSCRIBE | kind::UNSUBSCRIBE) { 0x02 } else { 0 };
    let flags = if level == Level::V31 && expected != 0 { flags & !DUP } else { flags };
    if flags == expected { Ok(()) } else { Err(Fault::Malformed) }
}

/// PUBLISH (3.3). Whether the topic is one is the broker's to say, which knows the aliases.
fn publish(flags: u8, mut reader: Reader<'_>, level: Level) -> Result<Publish, Fault> {
    // [MQTT-3.3.1-4]
    let qos = QoS::try_from((flags >> 1) & 0x03).map_err(|_| Fault::Malformed)?;
    let dup = flags & DUP != 0;
    // [MQTT-3.3.1-2]
    if dup && qos == QoS::AtMostOnce && level != Level::V31 {
        return Err(Fault::Malformed);
    }
    let topic = reader.text()?;
    let packet_id = match qos {
        QoS::AtMostOnce => None,
        _ => Some(reader.packet_id()?),
    };
    let properties = if level == Level::V5 { of_publish(&mut reader)? } else { None };
    Ok(Publish { dup, retain: flags & 0x01 != 0, qos, topic, packet_id, payload: reader.rest(), properties })
}

fn of_publish(reader: &mut Reader<'_>) -> Result<Option<PublishProperties>, Fault> {
    let mut found = PublishProperties::default();
    let mut of_message = OfMessage::default();
    found.user_properties = properties(reader, |id, value| {
        match id {
            // 3.3.4: 0 is as much too high as what is above the maximum.
            id::TOPIC_ALIAS => found.topic_alias = Some(value.u16()?.try_into().map_err(|_| Fault::TopicAlias)?),
            // [MQTT-3.3.4-6]
            id::SUBSCRIPTION_ID => return Err(Fault::ServerOnly),
            _ => return of_message.take(id, value),
        }
        Ok(true)
    })?;
    found.is_utf8_payload = of_message.is_utf8 == Some(true);
    found.message_expiry_interval = of_message.expiry;
    found.content_type = of_message.content_type;
    found.response_topic = of_message.response_topic;
    found.correlation_data = of_message.correlation;
    Ok((found != PublishProperties::default()).then_some(found))
}

/// PUBACK and PUBREC (3.4, 3.5).
fn ack(mut reader: Reader<'_>, level: Level) -> Result<PublishAck, Fault> {
    let mut ack = PublishAck { packet_id: reader.packet_id()?, ..PublishAck::default() };
    if level == Level::V5 && !reader.is_empty() {
        ack.reason_code = PublishAckReason::try_from(reader.u8()?).map_err(|_| Fault::Malformed)?;
        if !reader.is_empty() {
            (ack.properties, ack.reason_string) = of_ack(&mut reader)?;
        }
    }
    reader.end()?;
    Ok(ack)
}

/// PUBREL and PUBCOMP (3.6, 3.7).
fn ack2(mut reader: Reader<'_>, level: Level) -> Result<PublishAck2, Fault> {
    let mut ack = PublishAck2 { packet_id: reader.packet_id()?, ..PublishAck2::default() };
    if level == Level::V5 && !reader.is_empty() {
        ack.reason_code = PublishAck2Reason::try_from(reader.u8()?).map_err(|_| Fault::Malformed)?;
        if !reader.is_empty() {
            (ack.properties, ack.reason_string) = of_ack(&mut reader)?;
        }
    }
    reader.end()?;
    Ok(ack)
}

/// SUBSCRIBE (3.8), with at least one filter [MQTT-3.8.3-2].
fn subscribe(mut reader: Reader<'_>, level: Level) -> Result<Subscribe, Fault> {
    let (packet_id, mut id) = (reader.packet_id()?, None);
    let user_properties = match level {
        Level::V5 => properties(&mut reader, |property, value| {
            if property == id::SUBSCRIPTION_ID {
                id = Some(Reader::nonzero(value.varint()?)?);
            }
            Ok(property == id::SUBSCRIPTION_ID)
        })?,
        _ => Vec::new(),
    };
    let mut topic_filters = Vec::new();
    while !reader.is_empty() {
        topic_filters.push((reader.text()?, options(reader.u8()?, level)?));
    }
    if topic_filters.is_empty() {
        return Err(Fault::Protocol);
    }
    Ok(Subscribe { packet_id, id, user_properties, topic_filters })
}

/// Subscription options (3.8.3.1) [MQTT-3.8.3-5]; before 5 they are a QoS (3.1.1: [MQTT-3.8.3-4]).
fn options(byte: u8, level: Level) -> Result<SubscriptionOptions, Fault> {
    let reserved = if level == Level::V5 { 0xc0 } else { 0xfc };
    if byte & reserved != 0 {
        return Err(Fault::Malformed);
    }
    Ok(SubscriptionOptions {
        qos: QoS::try_from(byte & 0x03).map_err(|_| Fault::Protocol)?,
        no_local: byte & 0x04 != 0,
        retain_as_published: byte & 0x08 != 0,
        retain_handling: RetainHandling::try_from((byte >> 4) & 0x03).map_err(|_| Fault::Protocol)?,
    })
}

/// UNSUBSCRIBE (3.10), with at least one filter [MQTT-3.10.3-2].
fn unsubscribe(mut reader: Reader<'_>, level: Level) -> Result<Unsubscribe, Fault> {
    let packet_id = reader.packet_id()?;
    let user_properties = match level {
        Level::V5 => properties(&mut reader, |_, _| Ok(false))?,
        _ => Vec::new(),
    };
    let mut topic_filters = Vec::new();
    while !reader.is_empty() {
        topic_filters.push(reader.text()?);
    }
    if topic_filters.is_empty() {
        return Err(Fault::Protocol);
    }
    Ok(Unsubscribe { packet_id, user_properties, topic_filters })
}

/// DISCONNECT (3.14). Reasons and properties that only a server may give are a protocol error.
fn disconnect(mut reader: Reader<'_>, level: Level) -> Result<Disconnect, Fault> {
    let mut disconnect = Disconnect::default();
    if level == Level::V5 && !reader.is_empty() {
        disconnect.reason_code = DisconnectReasonCode::try_from(reader.u8()?).map_err(|_| Fault::Malformed)?;
        if !reader.is_empty() {
            disconnect.user_properties = properties(&mut reader, |id, value| {
                match id {
                    id::SESSION_EXPIRY => disconnect.session_expiry_interval_secs = Some(value.u32()?),
                    id::REASON => disconnect.reason_string = Some(value.text()?),
                    id::SERVER_REFERENCE => return Err(Fault::ServerOnly),
                    _ => return Ok(false),
                }
                Ok(true)
            })?;
        }
    }
    reader.end()?;
    if of_server(disconnect.reason_code) {
        return Err(Fault::ServerOnly);
    }
    Ok(disconnect)
}

/// Whether only a server gives this reason (table 3-10).
fn of_server(reason: DisconnectReasonCode) -> bool {
    use DisconnectReasonCode as Code;
    !matches!(
        reason,
        Code::NormalDisconnection
            | Code::DisconnectWithWillMessage
            | Code::UnspecifiedError
            | Code::MalformedPacket
            | Code::ProtocolError
            | Code::ImplementationSpecificError
            | Code::TopicNameInvalid
            | Code::ReceiveMaximumExceeded
            | Code::TopicAliasInvalid
            | Code::PacketTooLarge
            | Code::MessageRateTooHigh
            | Code::QuotaExceeded
            | Code::AdministrativeAction
            | Code::PayloadFormatInvalid
    )
}

/// AUTH (3.15).
fn auth(mut reader: Reader<'_>) -> Result<Auth, Fault> {
    let mut auth = Auth::default();
    if !reader.is_empty() {
        auth.reason_code = AuthReasonCode::try_from(reader.u8()?).map_err(|_| Fault::Malformed)?;
        if !reader.is_empty() {
            auth.user_properties = properties(&mut reader, |id, value| {
                match id {
                    id::AUTH_METHOD => auth.auth_method = Some(value.text()?),
                    id::AUTH_DATA => auth.auth_data = Some(value.binary()?),
                    id::REASON => auth.reason_string = Some(value.text()?),
                    _ => return Ok(false),
                }
                Ok(true)
            })?;
        }
    }
    reader.end()?;
    Ok(auth)
}

/// The first byte of a packet, and what follows its fixed header; `bytes` are one whole packet as `frame` found it.
pub(super) fn split(bytes: &[u8]) -> Result<(u8, Reader<'_>), Fault> {
    let mut reader = Reader::new(bytes);
    let first = reader.u8()?;
    reader.varint()?;
    Ok((first, reader))
}
