//! CONNECT packets made up at random within the standards' rules, and what may befall them on the way.

use baton_protocol::connect::Level;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::subsequence;

use crate::oracle::{Model, Owned, WillModel, bytes::varint};

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
