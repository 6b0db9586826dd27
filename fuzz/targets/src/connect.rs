//! The CONNECT parser against two other codecs, and against itself on the beginnings of what it's given.

#[allow(dead_code, reason = "the rest is for the tests of `protocol`")]
#[path = "../../../protocol/tests/connect/oracle/mod.rs"]
mod oracle;

use baton_protocol::{
    connect::{ConnectError, Level, Parsed, UserIdSource, parse, user_id},
    limits,
};
use oracle::{
    LIES, Oracle,
    bytes::{field, properties, v5, v31, v311},
    differs,
};

use crate::cuts::cuts;

const LIMIT: usize = limits::CONNECT_BYTES;

/// As whom to ask an oracle about a packet of which we can't say.
fn level(bytes: &[u8]) -> Level {
    if bytes.windows(5).take(8).any(|bytes| bytes == b"MQTT\x05") { Level::V5 } else { Level::V311 }
}

/// The first byte says where to look at the others while they arrive: no verdict on a beginning is taken back.
pub fn connect(data: &[u8]) -> bool {
    let Some((seed, bytes)) = data.split_first() else { return false };
    for oracle in Oracle::BOTH {
        if let Some(difference) = differs(oracle, bytes, level(bytes)) {
            panic!("{difference}\n{bytes:02x?}");
        }
    }
    let whole = parse(bytes, LIMIT);
    let mut length = 0;
    for cut in cuts(*seed, bytes) {
        length += cut.len();
        match (parse(&bytes[..length], LIMIT), whole) {
            (Ok(Parsed::Incomplete { need }), _) => assert!(need > length),
            (early, late) => assert_eq!(early, late, "the first {length} bytes"),
        }
    }
    if let Ok(Parsed::Connect(connect)) = whole {
        assert!(connect.total <= bytes.len());
        for source in [UserIdSource::ClientId, UserIdSource::Username] {
            let user = user_id(&connect, source);
            assert!(user.is_none_or(|user| (1..=limits::USER_ID_BYTES).contains(&user.as_str().len())));
        }
    }
    matches!(
        whole,
        Ok(Parsed::Connect(_)) | Err(ConnectError::IdRejected | ConnectError::Malformed { level: Some(_), .. })
    )
}

/// Packets with everything in them, and those that an oracle is wrong about.
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let (id, topic, will, name, password) = (field("id"), field("t/a"), field("gone"), field("alice"), field("secret"));
    let fields: &[&[u8]] = &[&id, &topic, &will, &name, &password];
    let of_will = properties(&[&[0x01, 1, 0x02, 0, 0, 0, 9, 0x18, 0, 0, 0, 5, 0x03][..], &field("text")].concat());
    let of_connect = [
        &[0x11, 0, 0, 0, 9, 0x17, 1, 0x19, 0, 0x21, 0, 5, 0x22, 0, 7, 0x27, 0, 1, 0, 0, 0x15][..],
        &field("method"),
        &[0x16],
        &field("data"),
        &[0x26],
        &field("k"),
        &field("v"),
    ]
    .concat();
    let whole = [
        v31(0xf6, fields),
        v311(0xce, fields),
        v5(0xce, &of_connect, &[&id, &of_will, &topic, &will, &name, &password]),
    ];
    whole.into_iter().chain(LIES.iter().map(|lie| (lie.example)())).collect()
}
