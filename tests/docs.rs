//! The documents say what the code says: paths, arrows between crates, links, and every name that an operator meets.
//! (docs/brokers.md is held to its own lists by `tests/interop/docs.rs`.)

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

/// The crates that make up a role's process, and the binary.
const SHIPPED: [&str; 9] = [
    "protocol/src",
    "process/src",
    "link/src",
    "edge/src",
    "origin/src",
    "anchor/src",
    "sidecar/src",
    "broker-sim/src",
    "src",
];
/// What registers a metric: its name is the next string.
const REGISTERS: [&str; 4] = [".register(", "family(&mut registry,", "(metrics,", "encode_descriptor("];

type Names = BTreeSet<String>;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn text(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Every Rust file below a directory, by its path there.
fn files(directory: &str) -> Vec<PathBuf> {
    let (base, mut found) = (root().join(directory), Vec::new());
    let mut directories = vec![base.clone()];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(&directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display())) {
            let path = entry.expect("it is there").path();
            if path.is_dir() {
                directories.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path.strip_prefix(&base).expect("it is below").to_owned());
            }
        }
    }
    found
}

/// The source of all that ships, file by file.
fn sources() -> Vec<String> {
    let paths =
        SHIPPED.iter().flat_map(|directory| files(directory).into_iter().map(|file| Path::new(*directory).join(file)));
    paths.map(text).collect()
}

/// What stands between backticks. (A fenced block is one piece, with line ends in it.)
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2).filter(|piece| !piece.is_empty())
}

/// `a/{b,c}.rs` is two paths.
fn expanded(path: &str) -> Vec<String> {
    let braces = path.split_once('{').and_then(|(head, rest)| Some((head, rest.split_once('}')?)));
    match braces {
        Some((head, (inner, tail))) => inner.split(',').map(|part| format!("{head}{part}{tail}")).collect(),
        None => vec![path.to_owned()],
    }
}

/// The part of a document below a heading.
fn section<'a>(document: &'a str, heading: &str) -> &'a str {
    let (_, rest) = document.split_once(&format!("\n{heading}\n")).unwrap_or_else(|| panic!("no heading {heading:?}"));
    rest.split("\n#").next().expect("a split has a first part")
}

/// The rows of a section's tables: what is quoted in the first cell, and the second cell.
fn rows<'a>(document: &'a str, heading: &str) -> BTreeMap<&'a str, &'a str> {
    let mut rows = BTreeMap::new();
    for line in section(document, heading).lines() {
        let mut cells = line.strip_prefix('|').into_iter().flat_map(|line| line.split('|')).map(str::trim);
        if let (Some(first), Some(second)) = (cells.next(), cells.next()) {
            rows.extend(quoted(first).map(|name| (name, second)));
        }
    }
    rows
}

fn names(rows: &BTreeMap<&str, &str>) -> Names {
    rows.keys().map(|name| (*name).to_owned()).collect()
}

#[test]
fn what_the_map_names_exists() {
    let map = text("ARCHITECTURE.md");
    let is_path = |piece: &&str| piece.contains('/') && !piece.starts_with('/') && !piece.contains(char::is_whitespace);
    let paths: Vec<_> = quoted(&map).filter(is_path).flat_map(expanded).collect();
    assert!(paths.len() > 80, "{paths:?}");
    let in_table = |path: &str| files_on_the_map().values().any(|files| files.contains(path));
    let lost: Vec<_> = paths.iter().filter(|path| !root().join(path).exists() && !in_table(path)).collect();
    assert!(lost.is_empty(), "ARCHITECTURE.md names what isn't there: {lost:?}");
    // "`this` in `that/file.rs`"
    for pieces in map.split('`').collect::<Vec<_>>().windows(3) {
        if let [name, " in ", path] = pieces {
            assert!(text(path).contains(name), "ARCHITECTURE.md: {path} has no {name}");
        }
    }
}

/// What each of the map's tables of files names, by directory.
fn files_on_the_map() -> BTreeMap<String, Names> {
    let map = text("ARCHITECTURE.md");
    let mut tables = BTreeMap::new();
    for table in section(&map, "## The files").split("\n\n") {
        let Some((directory, rows)) = table.trim_start().strip_prefix("| `").and_then(|table| table.split_once("/` |"))
        else {
            continue;
        };
        let first_cells = rows.lines().skip(2).filter_map(|row| row.split('|').nth(1));
        tables.insert(directory.to_owned(), first_cells.flat_map(quoted).map(str::to_owned).collect());
    }
    tables
}

#[test]
fn every_file_of_the_crates_in_tables_is_on_the_map() {
    let tables = files_on_the_map();
    assert_eq!(tables.len(), 7, "{:?}", tables.keys());
    for (directory, named) in tables {
        let told_elsewhere = |name: &String| name == "lib.rs" || name.ends_with("tests.rs");
        let there: Names = files(&directory).iter().map(|file| file.display().to_string()).collect();
        let there: Names = there.into_iter().filter(|name| !told_elsewhere(name)).collect();
        assert_eq!(named, there, "ARCHITECTURE.md and the files of {directory}");
    }
}

#[test]
fn arrows_are_the_dependencies() {
    let map = text("ARCHITECTURE.md");
    let block = section(&map, "## The crates").split("```").nth(1).expect("a block");
    let mut crates = 0;
    for line in block.lines().filter(|line| !line.is_empty()) {
        let name = line.split_whitespace().next().expect("not empty");
        let arrows = line.split_once('→').map_or("", |(_, arrows)| arrows);
        let arrows: Names = arrows.split(", ").map(str::trim).filter(|to| !to.is_empty()).map(str::to_owned).collect();
        let manifest = text(Path::new(if name == "src" { "" } else { name }).join("Cargo.toml"));
        let dependencies = section(&manifest, "[dependencies]").split("\n[").next().expect("a first part");
        let ours = dependencies.lines().filter_map(|line| line.strip_prefix("baton-")?.split(['.', ' ']).next());
        assert_eq!(arrows, ours.map(str::to_owned).collect(), "ARCHITECTURE.md and the dependencies of {name}");
        crates += 1;
    }
    assert_eq!(crates, 12, "{block}");
}

#[test]
fn links_lead_somewhere() {
    let entries = |directory| fs::read_dir(root().join(directory)).expect("it is there");
    let all = ["", "docs", "docs/brokers", "fuzz"].into_iter().flat_map(entries);
    let all = all.map(|entry| entry.expect("it is there").path());
    let documents: Vec<_> = all.filter(|path| path.extension().is_some_and(|extension| extension == "md")).collect();
    assert!(documents.len() > 12, "{documents:?}");
    for document in documents {
        for link in text(&document).split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = if path.is_empty() { document.clone() } else { document.with_file_name("").join(path) };
            let is_there =
                link.starts_with("http") || target.exists() && (anchor.is_empty() || anchors(&target).contains(anchor));
            assert!(is_there, "{}: nothing is at {link}", document.display());
        }
    }
}

/// The anchors of a page's headings, as they are shown: small letters, dashes for spaces, no punctuation.
fn anchors(page: &Path) -> Names {
    let page = text(page);
    let headings = page.lines().filter(|line| line.starts_with('#')).map(|line| line.trim_start_matches('#').trim());
    let anchor = |heading: &str| {
        let kept = heading.chars().filter(|c| c.is_alphanumeric() || [' ', '-', '_'].contains(c));
        kept.map(|c| if c == ' ' { '-' } else { c.to_ascii_lowercase() }).collect()
    };
    headings.map(anchor).collect()
}

/// The string that follows each `head`, where one does at once.
fn strings_after(source: &str, head: &str) -> Vec<String> {
    let string = |rest: &str| Some(rest.trim_start().strip_prefix('"')?.split('"').next()?.to_owned());
    source.split(head).skip(1).filter_map(string).collect()
}

#[test]
fn every_metric_is_described_and_no_other() {
    let sources = sources();
    let registered =
        |source: &String| REGISTERS.iter().flat_map(|head| strings_after(source, head)).collect::<Vec<_>>();
    let registered: Names = sources.iter().flat_map(registered).collect();
    assert!(registered.len() > 20, "{registered:?}");
    // Suffixes are what the format adds.
    let registered_as = |name: &str| {
        let name = name.strip_prefix("baton_").expect("chosen so");
        let suffixes = ["", "_total", "_info", "_bucket"].into_iter();
        suffixes
            .filter_map(|suffix| name.strip_suffix(suffix))
            .find(|name| registered.contains(*name))
            .map(str::to_owned)
    };
    for document in ["docs/operations.md", "docs/interfaces.md", "docs/concepts.md"] {
        let page = text(document);
        let words =
            page.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').filter(|word| word.starts_with("baton_"));
        let told: Names = words
            .map(|word| registered_as(word).unwrap_or_else(|| panic!("{document}: no metric is {word}")))
            .collect();
        assert!(told == registered || document == "docs/concepts.md", "{document}: {:?}", registered.difference(&told));
    }
}

#[test]
fn every_log_event_is_described_with_its_level_and_no_other() {
    let (operations, interfaces) = (text("docs/operations.md"), text("docs/interfaces.md"));
    let described = rows(&operations, "## Logs");
    let mut logged = Names::new();
    for source in sources() {
        let code: String = source.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
        for (at, _) in code.match_indices("event = \"") {
            let event = code[at..].split('"').nth(1).expect("it was matched");
            let call = code[..at].rsplit_once("!(").expect("a macro").0;
            let level = call.rsplit(|c: char| !c.is_ascii_lowercase()).next().expect("a first part");
            let told = described.get(event).unwrap_or_else(|| panic!("docs/operations.md doesn't have {event}"));
            assert!(told.contains(level), "docs/operations.md says that {event} is {told}: it is {level}");
            assert!(level == "debug" || interfaces.contains(&format!("`{event}`")), "docs/interfaces.md lacks {event}");
            logged.insert(event.to_owned());
        }
    }
    assert_eq!(names(&described), logged, "docs/operations.md and what is logged");
}

/// The words of an enum: what its variants are written as.
fn words(file: &str) -> Names {
    let source = text(file);
    let word =
        |line: &str| line.trim().strip_prefix("Self::")?.split_once(" => \"")?.1.strip_suffix("\",").map(str::to_owned);
    source.lines().filter_map(word).collect()
}

#[test]
fn every_cause_refusal_and_limit_has_its_row() {
    let (operations, concepts) = (text("docs/operations.md"), text("docs/concepts.md"));
    let causes = words("protocol/src/error.rs");
    assert_eq!(names(&rows(&operations, "### Clients are closed")), causes);
    assert_eq!(names(&rows(&concepts, "## When a client is closed")), causes);
    assert_eq!(names(&rows(&operations, "### Attaches are refused")), words("protocol/src/attach.rs"));
    let keys = text("process/src/config/shared.rs");
    let limits: Names = strings_after(&keys, "(").into_iter().filter(|key| key.starts_with("limits.")).collect();
    assert_eq!(names(&rows(&operations, "### Limits are reached")), limits);
}
