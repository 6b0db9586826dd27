//! What docs/interfaces.md promises to those who build on it, pinned.
//!
//! | Module | Pins |
//! |---|---|
//! | [`help`] | every verb's flags: `help.txt` |
//! | [`schema`] | the configuration's keys and defaults, which the document shows: `configuration.txt` |
//! | [`metrics`] | what each role's `/metrics` has: `metrics.txt` |
//! | [`events`] | the words and fields of logs: `events.txt` |
//! | [`wire`] | paths, headers, refusals, and the capsules that the document shows: `wire.txt` |
//! | [`changes`] | that whatever changed has a line in CHANGELOG.md; of the ring and the snapshot in `protocol/tests/golden` too |

mod changes;
mod events;
mod help;
mod metrics;
#[path = "../support/roles.rs"]
mod roles;
mod schema;
mod wire;

use std::{fs, path::PathBuf};

/// A file of the repository.
fn bytes(path: &str) -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(path);
    fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn text(path: &str) -> String {
    String::from_utf8(bytes(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The part of docs/interfaces.md under this heading.
fn section(heading: &str) -> String {
    let document = text("docs/interfaces.md");
    let lines = document.lines().skip_while(|line| *line != heading).skip(1);
    let section: Vec<_> = lines.take_while(|line| !line.starts_with("## ")).collect();
    assert!(!section.is_empty(), "docs/interfaces.md has no {heading}");
    section.join("\n")
}

/// The first block of code in a text.
fn block(text: &str) -> String {
    let lines = text.lines().skip_while(|line| !line.starts_with("```")).skip(1).take_while(|line| *line != "```");
    lines.map(|line| format!("{line}\n")).collect()
}

/// What stands between backticks in a text.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// Compares what there is with what is pinned under this name; with `BLESS=1` it's pinned from now on.
fn compare(name: &str, found: &str) {
    let path = format!("tests/golden/{name}");
    if std::env::var_os("BLESS").is_some() {
        fs::write(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(&path), found).expect("written");
        return;
    }
    let pinned = text(&path);
    let gone: Vec<_> = pinned.lines().filter(|line| !found.lines().any(|found| found == *line)).collect();
    let new: Vec<_> = found.lines().filter(|line| !pinned.lines().any(|pinned| pinned == *line)).collect();
    assert!(
        found == pinned,
        "an interface has changed. Gone: {gone:#?}, new: {new:#?}. If that's meant: `BLESS=1 cargo test --test golden` writes {path} \
         anew; say what has changed in CHANGELOG.md and docs/interfaces.md, and add that line to tests/golden/changes.txt"
    );
}
