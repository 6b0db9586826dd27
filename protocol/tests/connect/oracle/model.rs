//! A CONNECT with owned fields, and its bytes.

use baton_protocol::connect::{Connect, Level, Properties, Value};

use super::bytes::{field, packet, properties};

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Owned {
    Byte(u8),
    Two(u16),
    Four(u32),
    Text(String),
    Binary(Vec<u8>),
    Pair(String, String),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct WillModel {
    pub(crate) topic: String,
    pub(crate) payload: Vec<u8>,
    pub(crate) qos: u8,
    pub(crate) retain: bool,
    pub(crate) properties: Vec<(u8, Owned)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Model {
    pub(crate) level: Level,
    pub(crate) client_id: String,
    pub(crate) username: Option<String>,
    pub(crate) password: Option<Vec<u8>>,
    pub(crate) keep_alive: u16,
    pub(crate) clean_start: bool,
    pub(crate) will: Option<WillModel>,
    pub(crate) properties: Vec<(u8, Owned)>,
}

impl Model {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let (name, level) = match self.level {
            Level::V31 => ("MQIsdp", 3),
            Level::V311 => ("MQTT", 4),
            Level::V5 => ("MQTT", 5),
        };
        let bit = |n: u8, set: bool| u8::from(set) << n;
        let will = self.will.as_ref();
        let flags = bit(7, self.username.is_some())
            | bit(6, self.password.is_some())
            | bit(5, will.is_some_and(|will| will.retain))
            | will.map_or(0, |will| will.qos << 3)
            | bit(2, will.is_some())
            | bit(1, self.clean_start);
        let mut body = [&field(name)[..], &[level, flags], &self.keep_alive.to_be_bytes()].concat();
        let put_properties = |body: &mut Vec<u8>, list: &[(u8, Owned)]| {
            if self.level == Level::V5 {
                body.extend(properties(&list.iter().flat_map(encode_property).collect::<Vec<_>>()));
            }
        };
        put_properties(&mut body, &self.properties);
        body.extend(field(&self.client_id));
        if let Some(will) = will {
            put_properties(&mut body, &will.properties);
            body.extend(field(&will.topic));
            body.extend(field(&will.payload));
        }
        body.extend(self.username.iter().flat_map(field));
        body.extend(self.password.iter().flat_map(field));
        packet(0x10, &body)
    }

    /// What the parser ought to have found.
    pub(crate) fn of(connect: &Connect<'_>) -> Self {
        Self {
            level: connect.level,
            client_id: connect.client_id.to_owned(),
            username: connect.username.map(str::to_owned),
            password: connect.password.map(<[u8]>::to_vec),
            keep_alive: connect.keep_alive,
            clean_start: connect.clean_start,
            will: connect.will.map(|will| WillModel {
                topic: will.topic.to_owned(),
                payload: will.payload.to_vec(),
                qos: will.qos,
                retain: will.retain,
                properties: own(will.properties),
            }),
            properties: own(connect.properties),
        }
    }
}

fn own(properties: Properties<'_>) -> Vec<(u8, Owned)> {
    let own = |id, value| match (id, value) {
        (0x01 | 0x17 | 0x19, Value::Number(n)) => Owned::Byte(u8::try_from(n).expect("one byte")),
        (0x21 | 0x22, Value::Number(n)) => Owned::Two(u16::try_from(n).expect("two bytes")),
        (_, Value::Number(n)) => Owned::Four(n),
        (_, Value::Text(text)) => Owned::Text(text.to_owned()),
        (_, Value::Binary(bytes)) => Owned::Binary(bytes.to_vec()),
        (_, Value::Pair(name, value)) => Owned::Pair(name.to_owned(), value.to_owned()),
    };
    properties.iter().map(|property| (property.id, own(property.id, property.value))).collect()
}

fn encode_property((id, value): &(u8, Owned)) -> Vec<u8> {
    let value = match value {
        Owned::Byte(byte) => vec![*byte],
        Owned::Two(number) => number.to_be_bytes().to_vec(),
        Owned::Four(number) => number.to_be_bytes().to_vec(),
        Owned::Text(text) => field(text),
        Owned::Binary(bytes) => field(bytes),
        Owned::Pair(name, value) => [field(name), field(value)].concat(),
    };
    [vec![*id], value].concat()
}
