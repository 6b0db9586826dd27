//! How many bytes a packet takes on the wire in MQTT 5, which is never less than in 3.1.1.

use std::num::NonZeroU16;

use bytestring::ByteString;
use rmqtt_codec::{
    types::Publish,
    v5::{ConnectAck, Packet, PublishProperties},
};

/// The bytes of `packet`, exactly, for every packet that a broker sends.
pub(super) fn wire_bytes(packet: &Packet) -> usize {
    match packet {
        Packet::Publish(publish) => publish_bytes(publish),
        Packet::ConnectAck(ack) => connack_bytes(ack),
        Packet::SubscribeAck(ack) => framed(2, text_bytes(&ack.reason_string), ack.status.len()),
        Packet::UnsubscribeAck(ack) => framed(2, text_bytes(&ack.reason_string), ack.status.len()),
        Packet::PublishAck(ack) | Packet::PublishReceived(ack) => framed(3, text_bytes(&ack.reason_string), 0),
        Packet::PublishRelease(ack) | Packet::PublishComplete(ack) => framed(3, text_bytes(&ack.reason_string), 0),
        Packet::Disconnect(disconnect) => framed(1, text_bytes(&disconnect.reason_string), 0),
        // PINGRESP
        _ => 2,
    }
}

/// The bytes of a packet with so many before its properties, of properties, and behind them.
fn framed(before: usize, properties: usize, behind: usize) -> usize {
    let rest = before + varint_bytes(properties) + properties + behind;
    1 + varint_bytes(rest) + rest
}

/// The bytes of a CONNACK.
pub(super) fn connack_bytes(ack: &ConnectAck) -> usize {
    let properties = if ack.receive_max == NonZeroU16::MAX { 0 } else { 3 }
        + ack.max_packet_size.map_or(0, |_| 5)
        + if ack.topic_alias_max == 0 { 0 } else { 3 }
        + ack.server_keepalive_sec.map_or(0, |_| 3)
        + text_bytes(&ack.assigned_client_id)
        + text_bytes(&ack.response_info)
        + text_bytes(&ack.reason_string);
    framed(2, properties, 0)
}

/// The bytes of a PUBLISH, fixed header included.
pub(crate) fn publish_bytes(publish: &Publish) -> usize {
    let properties = publish.properties.as_ref().map_or(0, properties_bytes);
    let id = if publish.packet_id.is_some() { 2 } else { 0 };
    let rest = 2 + publish.topic.len() + id + varint_bytes(properties) + properties + publish.payload.len();
    1 + varint_bytes(rest) + rest
}

/// A property that is a string, if it is there.
fn text_bytes(value: &Option<ByteString>) -> usize {
    value.as_ref().map_or(0, |value| 3 + value.len())
}

fn properties_bytes(p: &PublishProperties) -> usize {
    let ids: usize = p.subscription_ids.iter().map(|id| 1 + varint_bytes(id.get() as usize)).sum();
    let user: usize = p.user_properties.iter().map(|(key, value)| 5 + key.len() + value.len()).sum();
    p.topic_alias.map_or(0, |_| 3)
        + p.correlation_data.as_ref().map_or(0, |v| 3 + v.len())
        + p.message_expiry_interval.map_or(0, |_| 5)
        + text_bytes(&p.content_type)
        + text_bytes(&p.response_topic)
        + if p.is_utf8_payload { 2 } else { 0 }
        + ids
        + user
}

fn varint_bytes(value: usize) -> usize {
    match value {
        0..=0x7f => 1,
        0x80..=0x3fff => 2,
        0x4000..=0x1f_ffff => 3,
        _ => 4,
    }
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;
    use rmqtt_codec::{
        types::QoS,
        v5::{Codec, Disconnect, PublishAck, PublishAck2, SubscribeAck, SubscribeAckReason},
    };
    use tokio_util::codec::Encoder;

    use super::*;

    fn encoded(packet: &Packet) -> usize {
        let mut bytes = BytesMut::new();
        Codec::default().encode(packet.clone(), &mut bytes).unwrap();
        bytes.len()
    }

    #[test]
    fn a_publish_is_measured_exactly() {
        let properties = PublishProperties {
            topic_alias: 3.try_into().ok(),
            correlation_data: Some("cd".into()),
            message_expiry_interval: 9.try_into().ok(),
            content_type: Some("text".into()),
            user_properties: vec![("k".into(), "vv".into()); 30],
            is_utf8_payload: true,
            response_topic: Some("r/t".into()),
            subscription_ids: vec![1.try_into().unwrap(), 128.try_into().unwrap(), 20_000.try_into().unwrap()],
        };
        for (payload, properties) in [(0, None), (90, None), (20_000, Some(properties))] {
            for id in [None, Some(7.try_into().unwrap())] {
                let packet = Packet::Publish(Box::new(Publish {
                    dup: false,
                    retain: false,
                    qos: if id.is_some() { QoS::AtLeastOnce } else { QoS::AtMostOnce },
                    topic: "a/b".into(),
                    packet_id: id,
                    payload: vec![0; payload].into(),
                    properties: properties.clone(),
                }));
                assert_eq!(wire_bytes(&packet), encoded(&packet));
            }
        }
    }

    #[test]
    fn other_packets_too() {
        for reason in [0, 1, 100, 200, 20_000].map(|bytes| (bytes > 0).then(|| "r".repeat(bytes).into())) {
            let packets = [
                Packet::ConnectAck(Box::new(ConnectAck { reason_string: reason.clone(), ..ConnectAck::default() })),
                Packet::ConnectAck(Box::new(ConnectAck {
                    assigned_client_id: Some("auto-123".into()),
                    max_packet_size: Some(1),
                    topic_alias_max: 1,
                    receive_max: 5.try_into().unwrap(),
                    server_keepalive_sec: Some(9),
                    response_info: Some("response/7".into()),
                    reason_string: reason.clone(),
                    ..ConnectAck::default()
                })),
                Packet::SubscribeAck(SubscribeAck {
                    packet_id: 1.try_into().unwrap(),
                    properties: Vec::new(),
                    reason_string: reason.clone(),
                    status: vec![SubscribeAckReason::GrantedQos0; 200],
                }),
                Packet::PublishAck(PublishAck { reason_string: reason.clone(), ..PublishAck::default() }),
                Packet::PublishComplete(PublishAck2 { reason_string: reason.clone(), ..PublishAck2::default() }),
                Packet::Disconnect(Disconnect { reason_string: reason, ..Disconnect::default() }),
                Packet::PingResponse,
            ];
            for packet in packets {
                assert_eq!(wire_bytes(&packet), encoded(&packet), "{packet:?}");
            }
        }
    }
}
