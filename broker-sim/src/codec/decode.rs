//! A packet from its bytes: what MQTT doesn't allow is a fault, whoever would have been content with it.
//!
//! A packet that can't be read as MQTT says is malformed; one that can be read and says what is not allowed is a
//! protocol error (MQTT 5, 1.2). What depends on the connection's or the session's state is the broker's to find.

use std::num::NonZeroU16;

use baton_protocol::connect::Level;
use bytestring::ByteString;
use rmqtt_codec::{
    types::{Publish, QoS},
    v5::{
        Auth, AuthReasonCode, Disconnect, DisconnectReasonCode, Packet, PublishAck, PublishAck2, PublishAck2Reason,
        PublishAckReason, PublishProperties, RetainHandling, Subscribe, SubscriptionOptions, Unsubscribe,
        UserProperties,
    },
};

use super::{
    properties::{OfMessage, id, of_ack, properties},
    reader::Reader,
};
use crate::{broker::Fault, kind::Kind};

/// DUP among the flags of a fixed header.
const DUP: u8 = 0x08;

/// Reads any packet but CONNECT from what follows its fixed header.
pub(super) fn packet(first: u8, reader: Reader<'_>, level: Level) -> Result<Packet, Fault> {
    let kind = Kind::numbered(first >> 4).ok_or(Fault::Malformed)?;
    let flags = first & 0x0f;
    if kind == Kind::Publish {
        return publish(flags, reader, level).map(|publish| Packet::Publish(Box::new(publish)));
    }
    check_flags(kind, flags, level)?;
    match kind {
        Kind::Puback => ack(reader, level).map(Packet::PublishAck),
        Kind::Pubrec => ack(reader, level).map(Packet::PublishReceived),
        Kind::Pubrel => ack2(reader, level).map(Packet::PublishRelease),
        Kind::Pubcomp => ack2(reader, level).map(Packet::PublishComplete),
        Kind::Subscribe => subscribe(reader, level).map(Packet::Subscribe),
        Kind::Unsubscribe => unsubscribe(reader, level).map(Packet::Unsubscribe),
        Kind::Pingreq => reader.end().map(|()| Packet::PingRequest),
        Kind::Disconnect => disconnect(reader, level).map(Packet::Disconnect),
        Kind::Auth if level == Level::V5 => auth(reader).map(Packet::Auth),
        Kind::Connack | Kind::Suback | Kind::Unsuback | Kind::Pingresp => Err(Fault::ServerOnly),
        // The two others aren't read here.
        Kind::Auth | Kind::Connect | Kind::Publish => Err(Fault::Malformed),
    }
}

/// The flags that a fixed header must have: [MQTT-2.1.3-1], [MQTT-3.6.1-1], [MQTT-3.8.1-1], [MQTT-3.10.1-1]. In 3.1 those
/// that must have one may have DUP too.
fn check_flags(kind: Kind, flags: u8, level: Level) -> Result<(), Fault> {
    let expected = if matches!(kind, Kind::Pubrel | Kind::Subscribe | Kind::Unsubscribe) { 0x02 } else { 0 };
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
fn ack(reader: Reader<'_>, level: Level) -> Result<PublishAck, Fault> {
    let (packet_id, reason_code, properties, reason_string) = of_any_ack(reader, level, PublishAckReason::Success)?;
    Ok(PublishAck { packet_id, reason_code, properties, reason_string })
}

/// PUBREL and PUBCOMP (3.6, 3.7).
fn ack2(reader: Reader<'_>, level: Level) -> Result<PublishAck2, Fault> {
    let (packet_id, reason_code, properties, reason_string) = of_any_ack(reader, level, PublishAck2Reason::Success)?;
    Ok(PublishAck2 { packet_id, reason_code, properties, reason_string })
}

/// What the four acknowledgements of a message say: packet id, reason (`success` where it is left out), properties.
fn of_any_ack<R: TryFrom<u8>>(
    mut reader: Reader<'_>,
    level: Level,
    success: R,
) -> Result<(NonZeroU16, R, UserProperties, Option<ByteString>), Fault> {
    let packet_id = reader.packet_id()?;
    let (mut reason, mut properties) = (success, Default::default());
    if level == Level::V5 && !reader.is_empty() {
        reason = R::try_from(reader.u8()?).map_err(|_| Fault::Malformed)?;
        if !reader.is_empty() {
            properties = of_ack(&mut reader)?;
        }
    }
    reader.end()?;
    Ok((packet_id, reason, properties.0, properties.1))
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
