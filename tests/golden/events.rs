//! The words of logs, with their levels and fields, as the code writes them, and docs/interfaces.md's list.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use crate::{compare, quoted, section};

/// What runs in a role's process.
const SOURCES: [&str; 9] = [
    "src",
    "edge/src",
    "origin/src",
    "anchor/src",
    "sidecar/src",
    "broker-sim/src",
    "link/src",
    "process/src",
    "protocol/src",
];
const LEVELS: [&str; 5] = ["error", "warn", "info", "debug", "trace"];

/// The text of every source file below a directory, up to its tests, without comments.
fn sources(directory: &Path, texts: &mut Vec<String>) {
    for entry in fs::read_dir(directory).expect("a directory").map(|entry| entry.expect("an entry").path()) {
        if entry.is_dir() {
            sources(&entry, texts);
        } else if entry.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(entry).expect("UTF-8");
            let code =
                text.lines().take_while(|line| *line != "#[cfg(test)]").filter(|line| !line.trim().starts_with("//"));
            texts.push(code.collect::<Vec<_>>().join("\n"));
        }
    }
}

/// The arguments of a macro, from behind its opening parenthesis.
fn arguments(text: &str) -> Vec<&str> {
    let (mut depth, mut quoted, mut escaped, mut begin) = (0, false, false, 0);
    let mut arguments = Vec::new();
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            _ if quoted => {}
            '(' | '[' | '{' => depth += 1,
            ')' if depth == 0 => {
                arguments.push(text[begin..at].trim());
                break;
            }
            ')' | ']' | '}' => depth -= 1,
            ',' if depth == 0 => {
                arguments.push(text[begin..at].trim());
                begin = at + 1;
            }
            _ => {}
        }
    }
    arguments
}

/// The event's word, and the names of its fields.
fn event(arguments: &[&str]) -> Option<(String, BTreeSet<String>)> {
    let word = arguments.iter().find_map(|argument| argument.strip_prefix("event = \"")?.strip_suffix('"'))?;
    let name = |argument: &&str| {
        let name = argument.split('=').next().unwrap_or_default().trim().trim_start_matches(['%', '?']);
        let is_name = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.'));
        (is_name && name != "event").then(|| name.to_owned())
    };
    Some((word.to_owned(), arguments.iter().filter_map(name).collect()))
}

/// Every event of the code, by level and word, with the fields that it has anywhere.
fn events() -> BTreeMap<(usize, String), BTreeSet<String>> {
    let mut texts = Vec::new();
    for source in SOURCES {
        sources(&PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(source), &mut texts);
    }
    let mut events: BTreeMap<_, BTreeSet<String>> = BTreeMap::new();
    for (level, word) in LEVELS.iter().enumerate() {
        let call = format!("{word}!(");
        for text in &texts {
            let begins = text.match_indices(&call).map(|(at, begin)| at + begin.len());
            for (event, fields) in begins.filter_map(|at| event(&arguments(&text[at..]))) {
                events.entry((level, event)).or_default().extend(fields);
            }
        }
    }
    events
}

#[test]
fn the_words_of_logs() {
    let events = events();
    let words = |levels: std::ops::Range<usize>| -> BTreeSet<&str> {
        events.keys().filter(|(level, _)| levels.contains(level)).map(|(_, word)| word.as_str()).collect()
    };
    let document = section("## Logs");
    let table = document.lines().filter(|line| line.starts_with('|')).collect::<Vec<_>>().join("\n");
    let (seen, debug) = table.split_once("| | At `debug` |").expect("the table's second part");
    let is_word = |word: &&str| {
        let (namespace, name) = word.split_once('.').unwrap_or_default();
        let lower = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
        lower(namespace) && lower(name) && !["limits", "anchor", "log"].contains(&namespace)
    };
    let seen: BTreeSet<_> = quoted(seen).filter(is_word).collect();
    assert_eq!(seen, words(0..3), "docs/interfaces.md lists, the code writes, at info and above");
    let debug: BTreeSet<_> = quoted(debug).filter(is_word).collect();
    assert!(debug.is_subset(&words(3..4)), "docs/interfaces.md lists {debug:?}, the code writes {:?}", words(3..4));
    let promised = |(level, word): &(usize, String)| *level < 3 || debug.contains(word.as_str());
    let line = |((level, word), fields): (&(usize, String), &BTreeSet<String>)| {
        let fields: Vec<_> = fields.iter().map(String::as_str).collect();
        format!("{} {word}: {}", LEVELS[*level], fields.join(" ")).trim_end().to_owned() + "\n"
    };
    let found: String = events.iter().filter(|(event, _)| promised(event)).map(line).collect();
    compare("events.txt", &found);
}
