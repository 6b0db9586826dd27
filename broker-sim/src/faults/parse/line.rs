//! The words of a line, each with its column, and what they may mean.

use std::ops::RangeInclusive;

use baton_process::config::duration;
use baton_protocol::limits::Millis;

use crate::{faults::rule::Packets, kind::Kind};

/// Times of a rule: what is longer than a test takes is a slip of the pen.
const TIMES: RangeInclusive<Millis> = 1..=3_600_000;
/// Numbers that count packets.
pub(super) const COUNT: RangeInclusive<u64> = 1..=1_000_000_000;
/// Characters of a mistaken word that are shown.
const SHOWN: usize = 60;
const TIME: &str = "a time from 1ms to 1h, such as 200ms or 2s";

/// A mistake within a line.
pub(super) struct Wrong {
    pub(super) column: usize,
    pub(super) expected: String,
    pub(super) got: String,
}

impl Wrong {
    pub(super) fn new(column: usize, expected: String, got: String) -> Self {
        Self { column, expected, got }
    }
}

/// The words of a line, each with its column.
pub(super) struct Words<'a> {
    words: std::iter::Peekable<std::vec::IntoIter<(usize, &'a str)>>,
    /// The column behind the last of them.
    end: usize,
}

impl<'a> Words<'a> {
    pub(super) fn new(line: &'a str) -> Self {
        let mut words = Vec::new();
        let (mut column, mut end) = (1, 1);
        for piece in line.split_inclusive(char::is_whitespace) {
            let word = piece.trim_end_matches(char::is_whitespace);
            if word.starts_with('#') {
                break;
            }
            if !word.is_empty() {
                words.push((column, word));
                end = column + word.chars().count();
            }
            column += piece.chars().count();
        }
        Self { words: words.into_iter().peekable(), end }
    }

    pub(super) fn peek(&mut self) -> Option<&'a str> {
        self.words.peek().map(|(_, word)| *word)
    }

    pub(super) fn column(&mut self) -> usize {
        self.words.peek().map_or(self.end, |(column, _)| *column)
    }

    /// Takes the next word if it is this one.
    pub(super) fn take(&mut self, word: &str) -> bool {
        self.words.next_if(|(_, next)| *next == word).is_some()
    }

    /// What the next word means.
    pub(super) fn next<T>(&mut self, expected: &str, meaning: impl FnOnce(&'a str) -> Option<T>) -> Result<T, Wrong> {
        match self.peek().and_then(meaning) {
            Some(meant) => {
                self.words.next();
                Ok(meant)
            }
            None => Err(self.wrong(expected)),
        }
    }

    pub(super) fn wrong(&mut self, expected: &str) -> Wrong {
        let shown = |word: &str| {
            let word: String = word.chars().take(SHOWN).collect();
            format!("\"{}\"", word.escape_debug())
        };
        let got = self.peek().map_or("the end of the line".to_owned(), shown);
        Wrong::new(self.column(), expected.to_owned(), got)
    }

    pub(super) fn end(&mut self, expected: &str) -> Result<(), Wrong> {
        if self.peek().is_none() { Ok(()) } else { Err(self.wrong(expected)) }
    }

    pub(super) fn number(&mut self, range: RangeInclusive<u64>) -> Result<u64, Wrong> {
        let expected = format!("a whole number from {} to {}", range.start(), range.end());
        self.next(&expected, |word| number(word).filter(|number| range.contains(number)))
    }

    pub(super) fn time(&mut self) -> Result<Millis, Wrong> {
        self.next(TIME, time)
    }

    /// A number behind a word.
    pub(super) fn counted(&mut self, word: &str) -> Result<u64, Wrong> {
        self.take(word);
        self.number(COUNT)
    }

    /// A kind of packet that the broker sends.
    pub(super) fn sent(&mut self, or: &str) -> Result<Packets, Wrong> {
        let expected = format!("a packet that a broker sends ({}, or packet for any){or}", list(Kind::is_brokers));
        self.next(&expected, |word| packets(word, Kind::is_brokers))
    }

    /// A kind of packet that the client sends.
    pub(super) fn received(&mut self, or: &str) -> Result<Packets, Wrong> {
        let expected = format!("a packet that a client sends ({}, or packet for any){or}", list(Kind::is_clients));
        self.next(&expected, |word| packets(word, Kind::is_clients))
    }
}

fn number(word: &str) -> Option<u64> {
    word.bytes().all(|byte| byte.is_ascii_digit()).then(|| word.parse().ok())?
}

fn time(word: &str) -> Option<Millis> {
    duration(word).filter(|time| TIMES.contains(time))
}

fn packets(word: &str, whose: fn(Kind) -> bool) -> Option<Packets> {
    match word {
        "packet" => Some(Packets::Any),
        _ => Kind::named(word).filter(|kind| whose(*kind)).map(Packets::Of),
    }
}

fn list(whose: fn(Kind) -> bool) -> String {
    let words: Vec<_> = Kind::ALL.into_iter().filter(|kind| whose(*kind)).map(Kind::word).collect();
    words.join(" ")
}
