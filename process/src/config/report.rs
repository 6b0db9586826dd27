//! What is wrong with a configuration, all of it at once.

use std::fmt;

/// Where a value was given.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// A line of the file.
    File {
        /// The file's name, as given.
        name: String,
        /// Counted from 1.
        line: usize,
    },
    /// An environment variable.
    Variable(String),
    /// A `--set` on the command line.
    Set,
    /// The file as a whole, which `--config` names.
    Config,
    /// Nowhere: what was expected is missing, or a default doesn't go with what was given.
    Default,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { name, line } => write!(f, "{name}:{line}"),
            Self::Variable(name) => f.write_str(name),
            Self::Set => f.write_str("--set"),
            Self::Config => f.write_str("--config"),
            Self::Default => f.write_str("not given"),
        }
    }
}

/// One mistake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// Where the value stands.
    pub place: Place,
    /// Its key, dotted; empty where it isn't about one key.
    pub key: String,
    /// What would have been right.
    pub expected: String,
    /// What stands there.
    pub got: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { place, key, expected, got } = self;
        let colon = if key.is_empty() { "" } else { ": " };
        // A value may hold anything; one mistake is one line, and nothing of it steers a terminal.
        let line = format!("{place}: {key}{colon}expected {expected}, got {got}");
        line.chars().try_for_each(|c| if c.is_control() { write!(f, "{}", c.escape_debug()) } else { write!(f, "{c}") })
    }
}

/// Every mistake of a configuration: one a line, the command line's first, then the environment's, then the file's in
/// its order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    mistakes: Vec<Mistake>,
}

impl Report {
    pub(super) fn new(mut mistakes: Vec<Mistake>) -> Option<Self> {
        let order = |place: &Place| match place {
            Place::Set | Place::Config => (0, 0),
            Place::Variable(_) => (1, 0),
            Place::File { line, .. } => (2, *line),
            Place::Default => (3, 0),
        };
        mistakes.sort_by_key(|mistake| order(&mistake.place));
        mistakes.dedup();
        (!mistakes.is_empty()).then_some(Self { mistakes })
    }

    /// The mistakes, of which there is at least one.
    pub fn mistakes(&self) -> &[Mistake] {
        &self.mistakes
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.mistakes.iter().try_for_each(|mistake| writeln!(f, "{mistake}"))
    }
}

impl std::error::Error for Report {}
