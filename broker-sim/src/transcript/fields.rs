//! What a packet says, as MQTT 5 has it. What has its ordinary value isn't shown.

use base64::{Engine, engine::general_purpose::STANDARD};
use baton_protocol::connect::Level;
use rmqtt_codec::{
    types::{Publish, QoS},
    v5::{Auth, Connect, ConnectAck, Disconnect, LastWill, Packet, PublishProperties, Subscribe},
};
use serde_json::{Map, Value, json};

use super::PAYLOAD_BYTES;

type Fields = Map<String, Value>;

/// What packets of 3.1 and 3.1.1 say besides; the broker's own packets have more, which doesn't reach such a client.
const OLD: [&str; 15] = [
    "client_id",
    "clean_start",
    "keep_alive",
    "username",
    "password",
    "will",
    "id",
    "topic",
    "qos",
    "dup",
    "retain",
    "payload",
    "payload_base64",
    "payload_bytes",
    "filters",
];

/// The fields of a packet in this MQTT, in the order in which people look for them.
pub(super) fn fields(packet: &Packet, level: Option<Level>) -> Fields {
    let mut fields = all(packet);
    if let Some(old @ (Level::V31 | Level::V311)) = level {
        let has_reason = matches!(packet, Packet::ConnectAck(_) | Packet::SubscribeAck(_));
        fields.retain(|name, _| match &**name {
            "reason" | "reasons" => has_reason,
            "session_present" => old == Level::V311,
            name => OLD.contains(&name),
        });
    }
    fields
}

fn all(packet: &Packet) -> Fields {
    match packet {
        Packet::Connect(connect) => of_connect(connect),
        Packet::ConnectAck(ack) => of_connack(ack),
        Packet::Publish(publish) => of_publish(publish),
        Packet::PublishAck(ack) | Packet::PublishReceived(ack) => {
            of_ack(ack.packet_id.get(), u8::from(ack.reason_code), ack.reason_string.as_deref(), &ack.properties)
        }
        Packet::PublishRelease(ack) | Packet::PublishComplete(ack) => {
            of_ack(ack.packet_id.get(), u8::from(ack.reason_code), ack.reason_string.as_deref(), &ack.properties)
        }
        Packet::Subscribe(subscribe) => of_subscribe(subscribe),
        Packet::SubscribeAck(ack) => {
            let mut fields = of_ack(ack.packet_id.get(), 0, ack.reason_string.as_deref(), &ack.properties);
            put(&mut fields, "reasons", ack.status.iter().map(|reason| hex(u8::from(*reason))).collect::<Vec<_>>());
            fields
        }
        Packet::Unsubscribe(unsubscribe) => {
            let mut fields = of_ack(unsubscribe.packet_id.get(), 0, None, &unsubscribe.user_properties);
            put(&mut fields, "filters", unsubscribe.topic_filters.iter().map(|filter| &**filter).collect::<Vec<_>>());
            fields
        }
        Packet::UnsubscribeAck(ack) => {
            let mut fields = of_ack(ack.packet_id.get(), 0, ack.reason_string.as_deref(), &ack.properties);
            put(&mut fields, "reasons", ack.status.iter().map(|reason| hex(u8::from(*reason))).collect::<Vec<_>>());
            fields
        }
        Packet::PingRequest | Packet::PingResponse => Fields::new(),
        Packet::Disconnect(disconnect) => of_disconnect(disconnect),
        Packet::Auth(auth) => of_auth(auth),
    }
}

fn put(fields: &mut Fields, name: &str, value: impl Into<Value>) {
    fields.insert(name.to_owned(), value.into());
}

/// Only what is there.
fn put_some(fields: &mut Fields, name: &str, value: Option<impl Into<Value>>) {
    if let Some(value) = value {
        put(fields, name, value);
    }
}

/// Only what is true.
fn put_flag(fields: &mut Fields, name: &str, value: bool) {
    if value {
        put(fields, name, true);
    }
}

fn hex(code: u8) -> String {
    format!("{code:#04x}")
}

fn put_reason(fields: &mut Fields, code: u8, text: Option<&str>) {
    put_some(fields, "reason", (code != 0).then(|| hex(code)));
    put_some(fields, "reason_string", text);
}

fn put_user(fields: &mut Fields, properties: &[(bytestring::ByteString, bytestring::ByteString)]) {
    if !properties.is_empty() {
        let pairs: Vec<_> = properties.iter().map(|(name, value)| json!([&**name, &**value])).collect();
        put(fields, "user_properties", pairs);
    }
}

fn qos(qos: QoS) -> u8 {
    u8::from(qos)
}

/// Text as it is, anything else in base64; the beginning only of what is long.
fn put_bytes(fields: &mut Fields, name: &str, bytes: &[u8]) {
    let shown = &bytes[..bytes.len().min(PAYLOAD_BYTES)];
    let text = match std::str::from_utf8(shown) {
        Ok(text) => Some(text),
        // Cut within a character.
        Err(error) if error.error_len().is_none() && shown.len() < bytes.len() => {
            std::str::from_utf8(&shown[..error.valid_up_to()]).ok()
        }
        Err(_) => None,
    };
    match text {
        Some(text) => put(fields, name, text),
        None => put(fields, &format!("{name}_base64"), STANDARD.encode(shown)),
    }
    if shown.len() < bytes.len() {
        put(fields, &format!("{name}_bytes"), bytes.len());
    }
}

fn of_connect(connect: &Connect) -> Fields {
    let mut fields = Fields::new();
    put(&mut fields, "client_id", &*connect.client_id);
    put(&mut fields, "clean_start", connect.clean_start);
    put(&mut fields, "keep_alive", connect.keep_alive);
    if connect.session_expiry_interval_secs != 0 {
        put(&mut fields, "session_expiry", connect.session_expiry_interval_secs);
    }
    put_some(&mut fields, "username", connect.username.as_deref());
    // A password is nobody's business.
    put_flag(&mut fields, "password", connect.password.is_some());
    let receive_max = connect.receive_max.map(std::num::NonZeroU16::get);
    put_some(&mut fields, "receive_max", receive_max.filter(|most| *most != u16::MAX));
    put_some(&mut fields, "max_packet_size", connect.max_packet_size.map(std::num::NonZeroU32::get));
    if connect.topic_alias_max != 0 {
        put(&mut fields, "topic_alias_max", connect.topic_alias_max);
    }
    put_flag(&mut fields, "request_response_info", connect.request_response_info);
    // Asked for unless the client says no.
    put_some(&mut fields, "request_problem_info", (!connect.request_problem_info).then_some(false));
    put_some(&mut fields, "auth_method", connect.auth_method.as_deref());
    put_flag(&mut fields, "auth_data", connect.auth_data.is_some());
    put_some(&mut fields, "will", connect.last_will.as_ref().map(of_will));
    put_user(&mut fields, &connect.user_properties);
    fields
}

fn of_will(will: &LastWill) -> Fields {
    let mut fields = Fields::new();
    put(&mut fields, "topic", &*will.topic);
    put(&mut fields, "qos", qos(will.qos));
    put_flag(&mut fields, "retain", will.retain);
    put_some(&mut fields, "delay", will.will_delay_interval_sec);
    put_bytes(&mut fields, "payload", &will.message);
    put_some(&mut fields, "expiry", will.message_expiry_interval.map(std::num::NonZeroU32::get));
    put_some(&mut fields, "content_type", will.content_type.as_deref());
    put_some(&mut fields, "response_topic", will.response_topic.as_deref());
    if let Some(data) = &will.correlation_data {
        put_bytes(&mut fields, "correlation_data", data);
    }
    put_flag(&mut fields, "utf8", will.is_utf8_payload == Some(true));
    put_user(&mut fields, &will.user_properties);
    fields
}

fn of_connack(ack: &ConnectAck) -> Fields {
    let mut fields = Fields::new();
    put(&mut fields, "session_present", ack.session_present);
    put(&mut fields, "reason", hex(u8::from(ack.reason_code)));
    put_some(&mut fields, "reason_string", ack.reason_string.as_deref());
    put_some(&mut fields, "assigned_client_id", ack.assigned_client_id.as_deref());
    put_some(&mut fields, "session_expiry", ack.session_expiry_interval_secs);
    put_some(&mut fields, "server_keep_alive", ack.server_keepalive_sec);
    put_some(&mut fields, "receive_max", Some(ack.receive_max.get()).filter(|most| *most != u16::MAX));
    put_some(&mut fields, "max_qos", Some(qos(ack.max_qos)).filter(|most| *most < 2));
    put_some(&mut fields, "max_packet_size", ack.max_packet_size);
    if ack.topic_alias_max != 0 {
        put(&mut fields, "topic_alias_max", ack.topic_alias_max);
    }
    for (name, available) in [
        ("retain_available", ack.retain_available),
        ("wildcards_available", ack.wildcard_subscription_available),
        ("subscription_ids_available", ack.subscription_identifiers_available),
        ("shares_available", ack.shared_subscription_available),
    ] {
        put_some(&mut fields, name, (!available).then_some(false));
    }
    put_some(&mut fields, "response_info", ack.response_info.as_deref());
    put_some(&mut fields, "server_reference", ack.server_reference.as_deref());
    put_some(&mut fields, "auth_method", ack.auth_method.as_deref());
    if let Some(data) = &ack.auth_data {
        put_bytes(&mut fields, "auth_data", data);
    }
    put_user(&mut fields, &ack.user_properties);
    fields
}

fn of_publish(publish: &Publish) -> Fields {
    let mut fields = Fields::new();
    put_some(&mut fields, "id", publish.packet_id.map(std::num::NonZeroU16::get));
    put(&mut fields, "topic", &*publish.topic);
    put(&mut fields, "qos", qos(publish.qos));
    put_flag(&mut fields, "dup", publish.dup);
    put_flag(&mut fields, "retain", publish.retain);
    put_bytes(&mut fields, "payload", &publish.payload);
    if let Some(properties) = &publish.properties {
        put_properties(&mut fields, properties);
    }
    fields
}

fn put_properties(fields: &mut Fields, properties: &PublishProperties) {
    put_some(fields, "topic_alias", properties.topic_alias.map(std::num::NonZeroU16::get));
    put_some(fields, "expiry", properties.message_expiry_interval.map(std::num::NonZeroU32::get));
    put_some(fields, "content_type", properties.content_type.as_deref());
    put_some(fields, "response_topic", properties.response_topic.as_deref());
    if let Some(data) = &properties.correlation_data {
        put_bytes(fields, "correlation_data", data);
    }
    let ids: Vec<_> = properties.subscription_ids.iter().map(|id| id.get()).collect();
    put_some(fields, "subscription_ids", Some(ids).filter(|ids| !ids.is_empty()));
    put_flag(fields, "utf8", properties.is_utf8_payload);
    put_user(fields, &properties.user_properties);
}

fn of_ack(id: u16, code: u8, text: Option<&str>, user: &[(bytestring::ByteString, bytestring::ByteString)]) -> Fields {
    let mut fields = Fields::new();
    put(&mut fields, "id", id);
    put_reason(&mut fields, code, text);
    put_user(&mut fields, user);
    fields
}

fn of_subscribe(subscribe: &Subscribe) -> Fields {
    let mut fields = Fields::new();
    put(&mut fields, "id", subscribe.packet_id.get());
    let filter = |(filter, options): &(bytestring::ByteString, rmqtt_codec::v5::SubscriptionOptions)| {
        let mut fields = Fields::new();
        put(&mut fields, "filter", &**filter);
        put(&mut fields, "qos", qos(options.qos));
        put_flag(&mut fields, "no_local", options.no_local);
        put_flag(&mut fields, "retain_as_published", options.retain_as_published);
        let handling = u8::from(options.retain_handling);
        put_some(&mut fields, "retain_handling", Some(handling).filter(|handling| *handling != 0));
        Value::from(fields)
    };
    put(&mut fields, "filters", subscribe.topic_filters.iter().map(filter).collect::<Vec<_>>());
    put_some(&mut fields, "subscription_id", subscribe.id.map(std::num::NonZeroU32::get));
    put_user(&mut fields, &subscribe.user_properties);
    fields
}

fn of_disconnect(disconnect: &Disconnect) -> Fields {
    let mut fields = Fields::new();
    put_reason(&mut fields, u8::from(disconnect.reason_code), disconnect.reason_string.as_deref());
    put_some(&mut fields, "session_expiry", disconnect.session_expiry_interval_secs);
    put_some(&mut fields, "server_reference", disconnect.server_reference.as_deref());
    put_user(&mut fields, &disconnect.user_properties);
    fields
}

fn of_auth(auth: &Auth) -> Fields {
    let mut fields = Fields::new();
    put_reason(&mut fields, u8::from(auth.reason_code), auth.reason_string.as_deref());
    put_some(&mut fields, "auth_method", auth.auth_method.as_deref());
    // A client's may be a secret, as its password.
    put_flag(&mut fields, "auth_data", auth.auth_data.is_some());
    put_user(&mut fields, &auth.user_properties);
    fields
}

#[cfg(test)]
mod tests;
