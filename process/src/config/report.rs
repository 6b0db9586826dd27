//! What is wrong with a configuration, all of it at once.

use std::{collections::HashSet, fmt};

/// Where a value was given.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Place {
    /// A line of the file.
    File {
        /// The file's name, as given.
        name: String,
        /// Counted from 1.
        line: usize,
        /// In characters, counted from 1, where it isn't about the key that the line has.
        column: Option<usize>,
    },
    /// An environment variable.
    Variable(String),
    /// A `--set` on the command line.
    Set,
    /// A flag of its own, such as `--broker`.
    Flag(String),
    /// The file as a whole, which `--config` names.
    Config,
    /// Nowhere: what was expected is missing, or a default doesn't go with what was given.
    Default,
}

impl Place {
    /// Whether whoever started the process put it there, rather than whoever wrote a file for several.
    pub(super) fn is_of_this_process(&self) -> bool {
        matches!(self, Self::Set | Self::Flag(_))
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { name, line, column: None } => write!(f, "{name}:{line}"),
            Self::File { name, line, column: Some(column) } => write!(f, "{name}:{line}:{column}"),
            Self::Variable(name) | Self::Flag(name) => f.write_str(name),
            Self::Set => f.write_str("--set"),
            Self::Config => f.write_str("--config"),
            Self::Default => f.write_str("not given"),
        }
    }
}

/// One mistake.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
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
        let line = |place: &Place| if let Place::File { line, .. } = place { *line } else { 0 };
        mistakes.sort_by_key(|mistake| line(&mistake.place));
        Self::join([Self { mistakes }])
    }

    /// What several reports say, once, with the files in the order of the reports; none where they say nothing.
    pub fn join(reports: impl IntoIterator<Item = Self>) -> Option<Self> {
        let mut mistakes: Vec<_> = reports.into_iter().flat_map(|report| report.mistakes).collect();
        let mut said = HashSet::new();
        mistakes.retain(|mistake| said.insert(mistake.clone()));
        mistakes.sort_by_key(|mistake| match mistake.place {
            Place::Set | Place::Flag(_) | Place::Config => 0,
            Place::Variable(_) => 1,
            Place::File { .. } => 2,
            Place::Default => 3,
        });
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
