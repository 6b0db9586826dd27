//! What the oracles found, in the model's terms.

use baton_protocol::connect::Level;

use super::{Model, Owned, WillModel};

pub(super) fn from_mqttbytes_v4(connect: mqttbytes::v4::Connect) -> Model {
    let (username, password) = connect.login.map(|login| (login.username, login.password)).unzip();
    Model {
        level: Level::V311,
        client_id: connect.client_id,
        username,
        password: password.map(String::into_bytes),
        keep_alive: connect.keep_alive,
        clean_start: connect.clean_session,
        will: connect.last_will.map(|will| WillModel {
            topic: will.topic,
            payload: will.message.to_vec(),
            qos: will.qos as u8,
            retain: will.retain,
            properties: Vec::new(),
        }),
        properties: Vec::new(),
    }
}

pub(super) fn from_mqttbytes_v5(connect: mqttbytes::v5::Connect) -> Model {
    let (username, password) = connect.login.map(|login| (login.username, login.password)).unzip();
    Model {
        level: Level::V5,
        client_id: connect.client_id,
        username,
        password: password.map(String::into_bytes),
        keep_alive: connect.keep_alive,
        clean_start: connect.clean_session,
        will: connect.last_will.map(|will| WillModel {
            topic: will.topic,
            payload: will.message.to_vec(),
            qos: will.qos as u8,
            retain: will.retain,
            properties: will.properties.map_or_else(Vec::new, |p| {
                present([
                    (0x01, p.payload_format_indicator.map(Owned::Byte)),
                    (0x02, p.message_expiry_interval.map(Owned::Four)),
                    (0x03, p.content_type.map(Owned::Text)),
                    (0x08, p.response_topic.map(Owned::Text)),
                    (0x09, p.correlation_data.map(|data| Owned::Binary(data.to_vec()))),
                    (0x18, p.delay_interval.map(Owned::Four)),
                ])
                .chain(pairs(p.user_properties))
                .collect()
            }),
        }),
        properties: connect.properties.map_or_else(Vec::new, |p| {
            present([
                (0x11, p.session_expiry_interval.map(Owned::Four)),
                (0x15, p.authentication_method.map(Owned::Text)),
                (0x16, p.authentication_data.map(|data| Owned::Binary(data.to_vec()))),
                (0x17, p.request_problem_info.map(Owned::Byte)),
                (0x19, p.request_response_info.map(Owned::Byte)),
                (0x21, p.receive_maximum.map(Owned::Two)),
                (0x22, p.topic_alias_max.map(Owned::Two)),
                (0x27, p.max_packet_size.map(Owned::Four)),
            ])
            .chain(pairs(p.user_properties))
            .collect()
        }),
    }
}

pub(super) fn from_rmqtt_v3(connect: rmqtt_codec::v3::Connect) -> Model {
    Model {
        level: if connect.protocol.level() == 3 { Level::V31 } else { Level::V311 },
        client_id: connect.client_id.to_string(),
        username: connect.username.map(|name| name.to_string()),
        password: connect.password.map(|password| password.to_vec()),
        keep_alive: connect.keep_alive,
        clean_start: connect.clean_session,
        will: connect.last_will.map(|will| WillModel {
            topic: will.topic.to_string(),
            payload: will.message.to_vec(),
            qos: will.qos.value(),
            retain: will.retain,
            properties: Vec::new(),
        }),
        properties: Vec::new(),
    }
}

pub(super) fn from_rmqtt_v5(connect: rmqtt_codec::v5::Connect) -> Model {
    Model {
        level: Level::V5,
        client_id: connect.client_id.to_string(),
        username: connect.username.map(|name| name.to_string()),
        password: connect.password.map(|password| password.to_vec()),
        keep_alive: connect.keep_alive,
        clean_start: connect.clean_start,
        will: connect.last_will.map(|will| WillModel {
            topic: will.topic.to_string(),
            payload: will.message.to_vec(),
            qos: will.qos.value(),
            retain: will.retain,
            properties: present([
                (0x01, will.is_utf8_payload.map(|utf8| Owned::Byte(utf8.into()))),
                (0x02, will.message_expiry_interval.map(|seconds| Owned::Four(seconds.get()))),
                (0x03, text(will.content_type)),
                (0x08, text(will.response_topic)),
                (0x09, binary(will.correlation_data)),
                (0x18, will.will_delay_interval_sec.map(Owned::Four)),
            ])
            .chain(pairs(will.user_properties.iter().map(|(name, value)| (name.to_string(), value.to_string()))))
            .collect(),
        }),
        properties: present([
            (0x11, Some(Owned::Four(connect.session_expiry_interval_secs))),
            (0x15, text(connect.auth_method)),
            (0x16, binary(connect.auth_data)),
            (0x17, Some(Owned::Byte(connect.request_problem_info.into()))),
            (0x19, Some(Owned::Byte(connect.request_response_info.into()))),
            (0x21, connect.receive_max.map(|number| Owned::Two(number.get()))),
            (0x22, Some(Owned::Two(connect.topic_alias_max))),
            (0x27, connect.max_packet_size.map(|bytes| Owned::Four(bytes.get()))),
        ])
        .chain(pairs(connect.user_properties.iter().map(|(name, value)| (name.to_string(), value.to_string()))))
        .collect(),
    }
}

fn text(text: Option<impl ToString>) -> Option<Owned> {
    text.map(|text| Owned::Text(text.to_string()))
}

fn binary(data: Option<impl AsRef<[u8]>>) -> Option<Owned> {
    data.map(|data| Owned::Binary(data.as_ref().to_vec()))
}

fn present<const N: usize>(properties: [(u8, Option<Owned>); N]) -> impl Iterator<Item = (u8, Owned)> {
    properties.into_iter().filter_map(|(id, value)| Some((id, value?)))
}

fn pairs(list: impl IntoIterator<Item = (String, String)>) -> impl Iterator<Item = (u8, Owned)> {
    list.into_iter().map(|(name, value)| (0x26, Owned::Pair(name, value)))
}
