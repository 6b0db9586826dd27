//! The wire: paths, headers, refusals, and the capsules that docs/interfaces.md shows. `protocol/src/{capsule,attach}.rs` test
//! what they mean.

use baton_protocol::{
    attach::{CONTROL, CONTROL_PATH, OPEN_PATH, RESUME_PATH, TUNNEL, Word, header},
    capsule::{Close, CloseKind, Solicit, encode_data_head},
    error::CloseCause,
};
use bytes::{BufMut, Bytes, BytesMut};

use crate::{block, compare, quoted, section};

/// The document's three examples, as the code writes them.
fn capsules() -> String {
    let mut data = BytesMut::new();
    encode_data_head(&mut data, 5, 300, 2);
    data.put_slice(b"ab");
    let (mut close, mut solicit) = (BytesMut::new(), BytesMut::new());
    Close { kind: CloseKind::Reset, offset: 7, ack: 9, reason: Bytes::from_static(b"x") }.encode(&mut close);
    Solicit { spread: 2, deadline: 16, reason: 0 }.encode(&mut solicit);
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    format!("DATA {}\nCLOSE {}\nSOLICIT {}\n", hex(&data), hex(&close), hex(&solicit))
}

#[test]
fn the_wire() {
    let document = block(&section("## Wire"));
    let shown = document.lines().map(|line| {
        let (name, rest) = line.split_once(' ').expect("a name, and bytes");
        let bytes = rest.trim_start().split("   ").next().expect("split gives at least one");
        format!("{name} {}\n", bytes.replace([' ', '|'], ""))
    });
    assert_eq!(shown.collect::<String>(), capsules(), "docs/interfaces.md shows, the code writes");
    let paths = format!("{TUNNEL} {OPEN_PATH}\n{TUNNEL} {RESUME_PATH}\n{CONTROL} {CONTROL_PATH}\n");
    let headers = [
        header::USER,
        header::KEY,
        header::WINDOW,
        header::CLIENT,
        header::HOME,
        header::EPOCH,
        header::RECV,
        header::EDGE,
        header::GRACE,
        header::REFUSE,
        header::RETRY_AFTER,
        header::INSTANCE,
        header::CAPSULE_PROTOCOL,
    ];
    let headers: String = headers.iter().map(|name| format!("header {name}\n")).collect();
    let words: String =
        Word::ALL.iter().map(|word| format!("refused {} {}\n", word.status().as_u16(), word.as_str())).collect();
    compare("wire.txt", &[paths, headers, words, capsules()].concat());
}

#[test]
fn the_document_has_every_cause() {
    let document = section("## Causes");
    let table = document.lines().skip_while(|line| !line.starts_with('|')).take_while(|line| line.starts_with('|'));
    let table = table.collect::<Vec<_>>().join("\n");
    let (mut shown, mut known): (Vec<_>, Vec<_>) =
        (quoted(&table).collect(), CloseCause::ALL.map(CloseCause::word).into());
    shown.sort_unstable();
    known.sort_unstable();
    assert_eq!(shown, known);
}
