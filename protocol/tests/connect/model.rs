//! A CONNECT with owned fields, made up at random within the standards' rules, and its bytes.

use baton_protocol::connect::{Connect, Level, Properties, Value};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::subsequence;

use crate::bytes::{field, packet, properties, varint};

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

fn text() -> BoxedStrategy<String> {
    prop_oneof![8 => "[a-z0-9/+#]{0,12}", 2 => "[^\0]{0,12}"].boxed()
}

fn binary() -> BoxedStrategy<Vec<u8>> {
    prop_oneof![8 => vec(any::<u8>(), 0..12), 1 => vec(any::<u8>(), 120..400)].boxed()
}

/// A choice of the properties that may stand there once, in any order, and of user properties.
fn some_of(ids: &'static [u8]) -> impl Strategy<Value = Vec<(u8, Owned)>> {
    let once = subsequence(ids, 0..=ids.len()).prop_flat_map(|ids| {
        ids.into_iter().map(|id| value(id).prop_map(move |value| (id, value))).collect::<Vec<_>>()
    });
    let user = vec((text(), text()).prop_map(|(name, value)| (0x26, Owned::Pair(name, value))), 0..3);
    (once, user).prop_map(|(once, user)| [once, user].concat()).prop_shuffle().prop_map(with_method)
}

/// Authentication data needs a method.
fn with_method(mut list: Vec<(u8, Owned)>) -> Vec<(u8, Owned)> {
    if list.iter().all(|(id, _)| *id != 0x15) {
        list.retain(|(id, _)| *id != 0x16);
    }
    list
}

fn value(id: u8) -> BoxedStrategy<Owned> {
    match id {
        0x01 | 0x17 | 0x19 => (0..2_u8).prop_map(Owned::Byte).boxed(),
        0x21 => (1..=u16::MAX).prop_map(Owned::Two).boxed(),
        0x22 => any::<u16>().prop_map(Owned::Two).boxed(),
        0x27 => (1..=u32::MAX).prop_map(Owned::Four).boxed(),
        0x02 | 0x11 | 0x18 => prop_oneof![1 => Just(0), 3 => any::<u32>()].prop_map(Owned::Four).boxed(),
        0x09 | 0x16 => binary().prop_map(Owned::Binary).boxed(),
        _ => text().prop_map(Owned::Text).boxed(),
    }
}

fn will() -> impl Strategy<Value = WillModel> {
    let properties = some_of(&[0x01, 0x02, 0x03, 0x08, 0x09, 0x18]);
    (text(), binary(), 0..3_u8, any::<bool>(), properties)
        .prop_map(|(topic, payload, qos, retain, properties)| WillModel { topic, payload, qos, retain, properties })
}

/// Any legal CONNECT.
pub(crate) fn model() -> impl Strategy<Value = Model> {
    let level = prop_oneof![1 => Just(Level::V31), 2 => Just(Level::V311), 3 => Just(Level::V5)];
    let names = (text(), option::of(text()), option::of(binary()));
    let properties = some_of(&[0x11, 0x15, 0x16, 0x17, 0x19, 0x21, 0x22, 0x27]);
    (level, names, any::<u16>(), any::<bool>(), option::of(will()), properties)
        .prop_map(|(level, (client_id, username, password), keep_alive, clean_start, will, properties)| Model {
            level,
            client_id,
            username,
            password,
            keep_alive,
            clean_start,
            will,
            properties,
        })
        .prop_map(within_the_rules)
}

fn within_the_rules(mut model: Model) -> Model {
    if model.level != Level::V5 {
        model.properties.clear();
        model.will.iter_mut().for_each(|will| will.properties.clear());
        model.password = model.password.filter(|_| model.username.is_some());
        model.clean_start |= model.client_id.is_empty();
    }
    if model.level == Level::V31 && model.client_id.is_empty() {
        model.client_id.push('x');
    }
    model
}

/// One change to a packet's bytes.
#[derive(Clone, Debug)]
pub(crate) enum Damage {
    Set(usize, u8),
    Flip(usize, u8),
    Insert(usize, u8),
    Remove(usize),
}

pub(crate) fn damage() -> impl Strategy<Value = Vec<Damage>> {
    // Most of what matters stands in the first 32 bytes.
    let place = || prop_oneof![3 => 0..32_usize, 1 => 0..500_usize];
    let byte = || prop_oneof![2 => prop_oneof![Just(0), Just(1), Just(0x7f), Just(0x80), Just(0xff)], 1 => any::<u8>()];
    let one = prop_oneof![
        (place(), byte()).prop_map(|(at, byte)| Damage::Set(at, byte)),
        (place(), 0..8_u8).prop_map(|(at, bit)| Damage::Flip(at, bit)),
        (place(), byte()).prop_map(|(at, byte)| Damage::Insert(at, byte)),
        place().prop_map(Damage::Remove),
    ];
    vec(one, 1..4)
}

/// The packet after the damage; its length is set right again if `mend`, so that more than framing is tried.
pub(crate) fn damaged(bytes: &[u8], damage: &[Damage], mend: bool) -> Vec<u8> {
    let header = 1 + bytes[1..].iter().take_while(|byte| **byte & 0x80 != 0).count() + 1;
    let (first, mut rest) = (bytes[0], if mend { bytes[header..].to_vec() } else { bytes.to_vec() });
    for change in damage {
        let length = rest.len();
        match *change {
            Damage::Set(at, byte) if at < length => rest[at] = byte,
            Damage::Flip(at, bit) if at < length => rest[at] ^= 1 << bit,
            Damage::Insert(at, byte) => rest.insert(at.min(length), byte),
            Damage::Remove(at) if at < length => drop(rest.remove(at)),
            Damage::Set(..) | Damage::Flip(..) | Damage::Remove(_) => {}
        }
    }
    if mend { [&[first][..], &varint(rest.len()), &rest].concat() } else { rest }
}
