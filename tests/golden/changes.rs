//! No change without a line in CHANGELOG.md: each state of each pinned file is in `changes.txt`, with a fingerprint and the line
//! that tells of it. `BLESS=1` doesn't write that file: whoever blesses has to say why.

use std::collections::BTreeSet;

use crate::{bytes, text};

/// What is pinned for ever, or until somebody says so.
const PINNED: [&str; 7] = [
    "protocol/tests/golden/ring-v1.txt",
    "protocol/tests/golden/snapshot-v1.bin",
    "tests/golden/configuration.txt",
    "tests/golden/events.txt",
    "tests/golden/help.txt",
    "tests/golden/metrics.txt",
    "tests/golden/wire.txt",
];

#[test]
fn every_change_of_an_interface_has_its_line_in_the_changelog() {
    if std::env::var_os("BLESS").is_some() {
        return;
    }
    let changelog = unfolded(&text("CHANGELOG.md"));
    let table = text("tests/golden/changes.txt");
    let mut rows = Vec::new();
    for row in table.lines().filter(|row| !row.starts_with('#') && !row.is_empty()) {
        let mut parts = row.splitn(3, ' ').map(str::trim);
        let (Some(file), Some(print), Some(line)) = (parts.next(), parts.next(), parts.next()) else {
            panic!("expected `FILE FINGERPRINT LINE`, got {row:?}")
        };
        assert!(!line.is_empty() && changelog.contains(line), "CHANGELOG.md has nowhere: {line}");
        rows.push((file, print, line));
    }
    for file in PINNED {
        let of_file: Vec<_> = rows.iter().filter(|(named, ..)| *named == file).collect();
        let lines: BTreeSet<_> = of_file.iter().map(|(.., line)| line).collect();
        assert_eq!(lines.len(), of_file.len(), "{file}: two changes, two lines");
        let now = fingerprint(&bytes(file));
        assert!(
            of_file.last().is_some_and(|(_, print, _)| *print == now),
            "{file} has changed. Add to tests/golden/changes.txt, below what is there:\n{file} {now} <the line of \
             CHANGELOG.md that says what is different for users>"
        );
    }
}

/// A text with its folded lines in one.
fn unfolded(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// FNV-1a, 64 bits: it guards against forgetting, not against malice.
fn fingerprint(bytes: &[u8]) -> String {
    let hash = bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3));
    format!("{hash:016x}")
}

#[test]
fn the_fingerprint_is_the_published_one() {
    assert_eq!((fingerprint(b""), fingerprint(b"a")), ("cbf29ce484222325".into(), "af63dc4c8601ec8c".into()));
}
