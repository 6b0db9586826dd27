//! Logs: one line an event, to standard error, as text or as JSON.
//!
//! Every line has a stable word in the field `event` (`info!(event = "session.open", %sid, ...)`), so that people and
//! programs find it however the prose changes.

use std::{
    fmt::{self, Write},
    io,
};

use sha2::{Digest, Sha256};
use tracing::level_filters::LevelFilter;
use tracing_subscriber::{
    Layer, filter::Targets, fmt as format, layer::SubscriberExt, registry, util::SubscriberInitExt,
};

use crate::config::Log;

/// How lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Sends this process's logs to standard error. The first call in a process counts; later ones change nothing.
///
/// Crates that we use show warnings at most, whatever our own level is: at "debug" the HTTP/2 crate prints every frame.
/// That one shows none: it warns of what a peer sends, frame by frame, and so of as much as a peer likes.
pub fn init(log: &Log) {
    let theirs = log.level.min(LevelFilter::WARN);
    let ours =
        Targets::new().with_default(theirs).with_target("h2", LevelFilter::ERROR).with_target("baton", log.level);
    let layer = match log.format {
        Format::Text => format::layer().with_writer(io::stderr).with_ansi(false).boxed(),
        Format::Json => format::layer().with_writer(io::stderr).json().flatten_event(true).boxed(),
    };
    // The only error is that a subscriber is there already, which then stays.
    let _ = registry().with(layer.with_filter(ours)).try_init();
}

/// How much of a user or client id logs show.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum UserShow {
    /// All of it.
    #[default]
    Plain,
    /// A digest, the same for the same id: lines can be matched, names not read (though guessed ones can be checked).
    Hash,
    /// Nothing.
    Off,
}

impl UserShow {
    /// The id, to be logged.
    pub fn show(self, id: &str) -> ShownUser<'_> {
        ShownUser { id, show: self }
    }
}

/// A user or client id as logs may show it. Control characters are escaped: ids are chosen by clients.
#[derive(Clone, Copy, Debug)]
pub struct ShownUser<'a> {
    id: &'a str,
    show: UserShow,
}

/// Characters of an id that are shown: enough to find its owner, and a line stays a line.
const SHOWN: usize = 128;
/// Bytes of an id's digest that are shown: a fleet of a million users has no two alike.
const HASH_BYTES: usize = 8;

impl fmt::Display for ShownUser<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.show {
            UserShow::Off => f.write_char('-'),
            UserShow::Hash => {
                let digest = Sha256::digest(self.id.as_bytes());
                digest.iter().take(HASH_BYTES).try_for_each(|byte| write!(f, "{byte:02x}"))
            }
            UserShow::Plain => {
                let mut chars = self.id.chars();
                for c in chars.by_ref().take(SHOWN) {
                    if steers(c) { write!(f, "{}", c.escape_unicode())? } else { f.write_char(c)? }
                }
                if chars.next().is_some() { f.write_str("...") } else { Ok(()) }
            }
        }
    }
}

/// Characters that move the cursor, end the line or reverse the reading order.
fn steers(c: char) -> bool {
    c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_cannot_steer_the_terminal() {
        let shown = UserShow::Plain.show("a\x1b[2Jb\nc\u{9b}d\u{202e}").to_string();
        assert_eq!(shown, "a\\u{1b}[2Jb\\u{a}c\\u{9b}d\\u{202e}");
        assert_eq!(UserShow::Plain.show("größe 7").to_string(), "größe 7");
    }

    #[test]
    fn an_id_is_shown_as_configured() {
        assert_eq!(UserShow::Off.show("alice").to_string(), "-");
        let hash = UserShow::Hash.show("alice").to_string();
        assert_eq!(hash, "2bd806c97f0e00af", "the start of the SHA-256, so that others can compute it");
        let long = UserShow::Plain.show(&"x".repeat(4_000)).to_string();
        assert_eq!(long.len(), SHOWN + 3);
    }
}
