//! The closed sets of words that the labels of `baton_sessions`, `baton_attaches_total` and `baton_moves_total` take.

use baton_protocol::session::edge::Moved;

/// Where a session half is in its life, as `baton_sessions{state}` shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SessionState {
    /// Edge: waits for the client's CONNECT.
    Connecting,
    /// Edge: waits for a home to take the session.
    Opening,
    /// Edge: has a tunnel.
    Live,
    /// Edge: has a tunnel and is attaching another.
    Moving,
    /// Anchor: connecting to the broker.
    Dialing,
    /// Anchor: has a tunnel.
    Attached,
    /// Both: has no tunnel, and may get one within the grace time.
    Detached,
}

impl SessionState {
    /// Every state.
    pub const ALL: [Self; 7] =
        [Self::Connecting, Self::Opening, Self::Live, Self::Moving, Self::Dialing, Self::Attached, Self::Detached];

    /// The stable word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Connecting => "connecting",
            Self::Opening => "opening",
            Self::Live => "live",
            Self::Moving => "moving",
            Self::Dialing => "dialing",
            Self::Attached => "attached",
            Self::Detached => "detached",
        }
    }

    /// The state of this word; none for the word of a half that is over.
    pub fn of(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.word() == word)
    }
}

/// What an attach is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AttachKind {
    /// The session's first.
    Open,
    /// Any later one: re_connect.
    Resume,
}

impl AttachKind {
    /// The stable word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Resume => "resume",
        }
    }
}

/// How a session came to change its tunnel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MoveKind {
    /// Make-before-break.
    Planned,
    /// The tunnel was lost first.
    Broken,
}

impl MoveKind {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Planned, Self::Broken];

    /// What this move was.
    pub fn of(moved: Moved) -> Self {
        if moved.planned { Self::Planned } else { Self::Broken }
    }

    /// The stable word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Planned => "planned",
            Self::Broken => "broken",
        }
    }
}
