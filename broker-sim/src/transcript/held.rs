//! About how many bytes of memory a record holds, as what waits or is kept is bounded by them.

use bytes::Bytes;
use bytestring::ByteString;
use rmqtt_codec::{
    types::Publish,
    v5::{Auth, Connect, ConnectAck, Disconnect, LastWill, Packet, PublishProperties, UserProperty},
};
use serde_json::{Map, Value};

use super::{Entry, Line, Noted, Seen, What};

impl Entry {
    /// What it holds until it is written, the entry itself included.
    pub(super) fn held(&self) -> usize {
        let what = match &self.what {
            Noted::Open(peer) => peer.len(),
            Noted::Packet(_, _, _, packet) => of_packet(packet),
            Noted::Unreadable(_, _, begins) => begins.len(),
            Noted::Fault(_, text, packet) => text.len() + packet.as_ref().map_or(0, |(_, packet)| of_packet(packet)),
            Noted::Close(_) => 0,
        };
        size_of::<Self>() + self.client.len() + what
    }
}

impl Line {
    /// What it holds, the line itself included.
    pub(super) fn held(&self) -> usize {
        let what = match &self.what {
            What::Open { peer } => peer.len(),
            What::In(seen) | What::Out(seen) => of_seen(seen),
            What::Unreadable { why, begins, .. } => why.len() + begins.len(),
            What::Fault { text, packet, .. } => text.len() + packet.as_ref().map_or(0, of_seen),
            What::Close { why } => why.len(),
            What::Lost { .. } => 0,
        };
        size_of::<Self>() + self.client.len() + what
    }
}

fn of_seen(seen: &Seen) -> usize {
    seen.packet.len() + of_fields(&seen.fields)
}

fn of_fields(fields: &Map<String, Value>) -> usize {
    fields.iter().map(|(name, value)| size_of::<(String, Value)>() + name.len() + of_value(value)).sum()
}

fn of_value(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len(),
        Value::Array(values) => values.iter().map(|value| size_of::<Value>() + of_value(value)).sum(),
        Value::Object(fields) => of_fields(fields),
        Value::Null | Value::Bool(_) | Value::Number(_) => 0,
    }
}

fn of_packet(packet: &Packet) -> usize {
    match packet {
        Packet::Connect(connect) => of_connect(connect),
        Packet::ConnectAck(ack) => of_connack(ack),
        Packet::Publish(publish) => of_publish(publish),
        Packet::PublishAck(ack) | Packet::PublishReceived(ack) => of_user(&ack.properties) + text(&ack.reason_string),
        Packet::PublishRelease(ack) | Packet::PublishComplete(ack) => {
            of_user(&ack.properties) + text(&ack.reason_string)
        }
        Packet::Subscribe(subscribe) => {
            let filters = &subscribe.topic_filters;
            let names: usize = filters.iter().map(|(filter, _)| filter.len()).sum();
            of_user(&subscribe.user_properties) + size_of_val(&**filters) + names
        }
        Packet::SubscribeAck(ack) => of_user(&ack.properties) + text(&ack.reason_string) + size_of_val(&*ack.status),
        Packet::Unsubscribe(unsubscribe) => {
            let filters = &unsubscribe.topic_filters;
            let names: usize = filters.iter().map(|filter| filter.len()).sum();
            of_user(&unsubscribe.user_properties) + size_of_val(&**filters) + names
        }
        Packet::UnsubscribeAck(ack) => of_user(&ack.properties) + text(&ack.reason_string) + size_of_val(&*ack.status),
        Packet::PingRequest | Packet::PingResponse => 0,
        Packet::Disconnect(disconnect) => of_disconnect(disconnect),
        Packet::Auth(auth) => of_auth(auth),
    }
}

fn text(text: &Option<ByteString>) -> usize {
    text.as_ref().map_or(0, |text| text.len())
}

fn data(data: &Option<Bytes>) -> usize {
    data.as_ref().map_or(0, Bytes::len)
}

fn of_user(properties: &[UserProperty]) -> usize {
    size_of_val(properties) + properties.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>()
}

fn of_connect(connect: &Connect) -> usize {
    size_of_val(connect)
        + connect.client_id.len()
        + text(&connect.username)
        + data(&connect.password)
        + text(&connect.auth_method)
        + data(&connect.auth_data)
        + of_user(&connect.user_properties)
        + connect.last_will.as_ref().map_or(0, of_will)
}

fn of_will(will: &LastWill) -> usize {
    will.topic.len()
        + will.message.len()
        + data(&will.correlation_data)
        + text(&will.content_type)
        + text(&will.response_topic)
        + of_user(&will.user_properties)
}

fn of_connack(ack: &ConnectAck) -> usize {
    size_of_val(ack)
        + text(&ack.assigned_client_id)
        + text(&ack.response_info)
        + text(&ack.server_reference)
        + text(&ack.auth_method)
        + data(&ack.auth_data)
        + text(&ack.reason_string)
        + of_user(&ack.user_properties)
}

fn of_publish(publish: &Publish) -> usize {
    size_of_val(publish)
        + publish.topic.len()
        + publish.payload.len()
        + publish.properties.as_ref().map_or(0, of_properties)
}

fn of_properties(properties: &PublishProperties) -> usize {
    data(&properties.correlation_data)
        + text(&properties.content_type)
        + text(&properties.response_topic)
        + size_of_val(&*properties.subscription_ids)
        + of_user(&properties.user_properties)
}

fn of_disconnect(disconnect: &Disconnect) -> usize {
    text(&disconnect.server_reference) + text(&disconnect.reason_string) + of_user(&disconnect.user_properties)
}

fn of_auth(auth: &Auth) -> usize {
    text(&auth.auth_method) + data(&auth.auth_data) + text(&auth.reason_string) + of_user(&auth.user_properties)
}

#[cfg(test)]
mod tests {
    use rmqtt_codec::v5::{PublishAck, PublishAck2, Subscribe, SubscribeAck, SubscribeAckReason, Unsubscribe};

    use super::*;
    use crate::transcript::Direction;

    /// Bytes of what each packet below has besides.
    const MUCH: usize = 10_000;

    fn entry(packet: Packet) -> Entry {
        Entry { at: 0, conn: None, client: "".into(), what: Direction::In.of(None, 0, packet) }
    }

    fn much() -> ByteString {
        "x".repeat(MUCH).into()
    }

    /// Each as short on the wire as can be.
    fn properties() -> Vec<UserProperty> {
        vec![("".into(), "".into()); MUCH / size_of::<UserProperty>() + 1]
    }

    fn connect(change: impl FnOnce(&mut Connect)) -> Packet {
        let mut connect = Connect::default();
        change(&mut connect);
        Packet::Connect(Box::new(connect))
    }

    fn will(topic: ByteString, message: Bytes) -> Option<LastWill> {
        Some(LastWill {
            qos: rmqtt_codec::types::QoS::AtMostOnce,
            retain: false,
            topic,
            message,
            will_delay_interval_sec: None,
            correlation_data: None,
            message_expiry_interval: None,
            content_type: None,
            user_properties: Vec::new(),
            is_utf8_payload: None,
            response_topic: None,
        })
    }

    #[test]
    fn whatever_is_large_in_a_packet_is_counted() {
        let packet_id = 1.try_into().unwrap();
        let subscribe = |topic_filters| Subscribe { packet_id, id: None, user_properties: Vec::new(), topic_filters };
        let unsubscribe = |topic_filters| Unsubscribe { packet_id, user_properties: Vec::new(), topic_filters };
        let packets = [
            connect(|connect| connect.client_id = much()),
            connect(|connect| connect.username = Some(much())),
            connect(|connect| connect.password = Some(much().into_bytes())),
            connect(|connect| connect.auth_data = Some(much().into_bytes())),
            connect(|connect| connect.user_properties = properties()),
            connect(|connect| connect.last_will = will(much(), Bytes::new())),
            connect(|connect| connect.last_will = will("".into(), much().into_bytes())),
            Packet::ConnectAck(Box::new(ConnectAck { reason_string: Some(much()), ..ConnectAck::default() })),
            Packet::PublishAck(PublishAck { properties: properties(), ..PublishAck::default() }),
            Packet::PublishRelease(PublishAck2 { reason_string: Some(much()), ..PublishAck2::default() }),
            Packet::Subscribe(subscribe(vec![(much(), Default::default())])),
            Packet::Subscribe(subscribe(vec![("".into(), Default::default()); MUCH / size_of::<ByteString>()])),
            Packet::SubscribeAck(SubscribeAck {
                packet_id,
                properties: Vec::new(),
                reason_string: None,
                status: vec![SubscribeAckReason::GrantedQos0; MUCH],
            }),
            Packet::Unsubscribe(unsubscribe(vec![much()])),
            Packet::Unsubscribe(unsubscribe(vec!["".into(); MUCH / size_of::<ByteString>() + 1])),
            Packet::Disconnect(Disconnect { user_properties: properties(), ..Disconnect::default() }),
            Packet::Auth(Auth { auth_data: Some(much().into_bytes()), ..Auth::default() }),
        ];
        let least = entry(Packet::PingRequest).held();
        assert!(least >= size_of::<Entry>());
        for packet in packets {
            let name = format!("{packet:?}")[..20].to_owned();
            let fault = Noted::Fault(1, String::new(), Some((None, packet.clone())));
            let entry = entry(packet);
            // As much again is a struct and the like, and filters have options.
            assert!((least + MUCH..least + 2 * MUCH).contains(&entry.held()), "{name}: {}", entry.held());
            assert_eq!(Entry { what: fault, client: "".into(), ..entry }.held(), entry.held(), "{name}");
        }
    }
}
