//! Lines as people read them.

use std::{
    fmt,
    io::{self, BufRead, Write},
};

use serde_json::{Map, Value};

use super::{Head, Line, Seen, What};
use crate::faults::Pattern;

/// Columns of the client id: longer ones push the rest of their line to the right.
const CLIENT_COLUMNS: usize = 16;

/// What to show.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Of these clients only.
    pub client: Option<Pattern>,
    /// These packets only, by their names in any case.
    pub packet: Option<String>,
}

/// Characters that are repeated of a line that is none.
const SHOWN: usize = 80;

/// Why a transcript can't be shown, or not further.
#[derive(Debug)]
pub enum ShowError {
    /// This line isn't one of a transcript.
    Line(usize, String),
    /// It can't be read, or what is shown can't be written.
    Io(io::Error),
}

impl fmt::Display for ShowError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line(number, why) => write!(f, "line {number}: {why}"),
            Self::Io(error) => error.fmt(f),
        }
    }
}

impl From<io::Error> for ShowError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Shows a transcript, a line for each that the filter lets through.
///
/// # Errors
/// It can't be read, what is shown can't be written, or a line isn't a transcript's; those before it have been shown.
pub fn show(from: impl BufRead, filter: &Filter, to: &mut impl Write) -> Result<(), ShowError> {
    let mut lines = (1..).zip(from.lines());
    let (number, first) =
        lines.next().ok_or_else(|| ShowError::Line(1, "expected a transcript, got an empty file".into()))?;
    let head: Head = parse(number, &first?)?;
    if !head.is_known() {
        return Err(ShowError::Line(number, format!("format {}, which this program doesn't know", head.transcript)));
    }
    for (number, text) in lines {
        let line: Line = parse(number, &text?)?;
        if filter.lets_through(&line) {
            writeln!(to, "{}", Shown(&line))?;
        }
    }
    Ok(())
}

fn parse<'a, T: serde::Deserialize<'a>>(number: usize, text: &'a str) -> Result<T, ShowError> {
    let what = if number == 1 { "the first line of a transcript" } else { "a line of a transcript" };
    serde_json::from_str(text).map_err(|error| {
        let shown: String = text.chars().take(SHOWN).collect();
        ShowError::Line(number, format!("expected {what}, got {shown:?}: {error}"))
    })
}

impl Filter {
    fn lets_through(&self, line: &Line) -> bool {
        let packet = match &line.what {
            What::In(seen) | What::Out(seen) | What::Fault { packet: Some(seen), .. } => Some(&*seen.packet),
            _ => None,
        };
        // That something is missing concerns everybody.
        matches!(line.what, What::Lost { .. })
            || self.client.as_ref().is_none_or(|pattern| pattern.matches(&line.client))
                && self
                    .packet
                    .as_ref()
                    .is_none_or(|wanted| packet.is_some_and(|name| name.eq_ignore_ascii_case(wanted)))
    }
}

struct Shown<'a>(&'a Line);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Line { ms, conn, client, what } = self.0;
        let conn = conn.map_or_else(|| "-".to_owned(), |conn| conn.to_string());
        let client = if client.is_empty() { "-" } else { client };
        write!(f, "{:>6}.{:03} {conn:>5} {client:<CLIENT_COLUMNS$} ", ms / 1000, ms % 1000)?;
        match what {
            What::Open { peer } => write!(f, "--  open from {peer}"),
            What::In(seen) => write!(f, "->  {}", Packet(seen)),
            What::Out(seen) => write!(f, "<-  {}", Packet(seen)),
            What::Unreadable { why, bytes, begins } => write!(f, "->  unreadable: {why}, {bytes} B: {begins}"),
            What::Fault { rule, text, packet: None } => write!(f, "!!  rule {rule}: {text}"),
            What::Fault { rule, text, packet: Some(seen) } => {
                write!(f, "!!  rule {rule}: {text}: {}{}", seen.packet, Fields(&seen.fields))
            }
            What::Close { why } => write!(f, "--  close: {why}"),
            What::Lost { lines } => write!(f, "??  {lines} lines are missing: the disk was too slow"),
        }
    }
}

struct Packet<'a>(&'a Seen);

impl fmt::Display for Packet<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Seen { packet, mqtt, bytes, fields } = self.0;
        write!(f, "{packet:<11} {:>5} {bytes:>5} B{}", mqtt.as_deref().unwrap_or("-"), Fields(fields))
    }
}

struct Fields<'a>(&'a Map<String, Value>);

impl fmt::Display for Fields<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|(name, value)| write!(f, " {name}={value}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"{"transcript":1,"program":"baton 0.1.0","started_unix_ms":7}
{"ms":12,"conn":1,"event":"open","peer":"127.0.0.1:5"}
{"ms":1013,"conn":1,"client":"c","event":"in","packet":"PUBLISH","mqtt":"5","bytes":9,"fields":{"id":3,"topic":"t"}}
{"ms":1014,"conn":1,"client":"c","event":"fault","rule":2,"text":"drop puback","packet":{"packet":"PUBACK","bytes":0,"fields":{"id":3}}}
{"ms":1015,"event":"lost","lines":4}
{"ms":1016,"conn":2,"client":"d","event":"unreadable","why":"malformed","bytes":40,"begins":"c001"}
{"ms":1016,"conn":2,"client":"d","event":"close","why":"malformed"}
"#;

    fn shown(filter: &Filter) -> String {
        let mut to = Vec::new();
        show(TEXT.as_bytes(), filter, &mut to).unwrap();
        String::from_utf8(to).unwrap()
    }

    #[test]
    fn lines_are_aligned() {
        let expected = "     \
     0.012     1 -                --  open from 127.0.0.1:5
     1.013     1 c                ->  PUBLISH         5     9 B id=3 topic=\"t\"
     1.014     1 c                !!  rule 2: drop puback: PUBACK id=3
     1.015     - -                ??  4 lines are missing: the disk was too slow
     1.016     2 d                ->  unreadable: malformed, 40 B: c001
     1.016     2 d                --  close: malformed
";
        assert_eq!(shown(&Filter::default()), expected);
    }

    #[test]
    fn filters() {
        let of = |client: Option<&str>, packet: Option<&str>| {
            let filter = Filter { client: client.and_then(Pattern::new), packet: packet.map(str::to_owned) };
            shown(&filter)
                .lines()
                .filter_map(|line| line.trim().split(' ').next().map(str::to_owned))
                .collect::<Vec<_>>()
        };
        assert_eq!(of(Some("c"), None), ["1.013", "1.014", "1.015"]);
        assert_eq!(of(None, Some("publish")), ["1.013", "1.015"]);
        assert_eq!(of(Some("d"), Some("PUBACK")), ["1.015"]);
    }

    #[test]
    fn a_broken_line_is_named() {
        let broken = |text: &str| {
            let mut to = Vec::new();
            let error = show(text.as_bytes(), &Filter::default(), &mut to).unwrap_err().to_string();
            (error, to.iter().filter(|byte| **byte == b'\n').count())
        };
        assert_eq!(broken(""), ("line 1: expected a transcript, got an empty file".into(), 0));
        assert!(broken("no JSON").0.starts_with("line 1: expected"), "{:?}", broken("no JSON"));
        let (error, before) = broken(&TEXT.replacen("\"in\"", "\"up\"", 1));
        assert!(
            error.starts_with("line 3: expected a line of a transcript, got ")
                && error.contains("unknown variant `up`"),
            "{error}"
        );
        assert_eq!(before, 1, "what is before it is shown");
        assert!(broken(&TEXT.replacen(":1,", ":2,", 1)).0.contains("format 2"));
    }
}
