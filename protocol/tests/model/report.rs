//! Which kinds of transitions a run took, and what is printed of it.

use std::{
    fmt::Debug,
    hash::Hash,
    sync::atomic::{AtomicU64, Ordering},
};

use stateright::{Checker, Expectation, HasDiscoveries, Model};

use crate::pair::Action;

macro_rules! kinds {
    ($($kind:ident),* $(,)?) => {
        /// A kind of transition: as fine as the reasons for which one could be missing.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Kind { $($kind),* }

        impl Kind {
            pub(crate) const ALL: &[Self] = &[$(Self::$kind),*];
        }
    };
}

kinds!(
    Commit,
    Send,
    Ack,
    Attach,
    Solicited,
    TimeOut,
    Kill,
    EdgeNotices,
    AnchorNotices,
    EdgeHandover,
    BeginHandover,
    CommitHandover,
    EndHandover,
    ArriveElsewhere,
    SuccessorAttaches,
    Thaw,
    FrozenLoses,
    OriginRepeats,
    Eof,
    ShutDown,
    Break,
    GiveUp,
    GraceEnds,
    AnchorAccepts,
    AnchorRefuses,
    AnchorTakes,
    AnchorDrops,
    AnchorToldOfEnd,
    EdgeAccepted,
    EdgeRefused,
    EdgeIgnores,
    EdgeTakes,
    EdgeDrops,
    EdgeToldOfEnd,
);

impl Kind {
    pub(crate) fn of(action: Action) -> Self {
        match action {
            Action::Commit(_) => Self::Commit,
            Action::Send(_) => Self::Send,
            Action::Ack(_) => Self::Ack,
            Action::Attach => Self::Attach,
            Action::Solicited => Self::Solicited,
            Action::TimeOut => Self::TimeOut,
            Action::ArriveUp(_) => Self::AnchorTakes,
            Action::ArriveDown(_) => Self::EdgeTakes,
            Action::ArriveElsewhere(_) => Self::ArriveElsewhere,
            Action::Kill(_) => Self::Kill,
            Action::EdgeNotices(_) => Self::EdgeNotices,
            Action::AnchorNotices(_) => Self::AnchorNotices,
            Action::EdgeHandover => Self::EdgeHandover,
            Action::BeginHandover => Self::BeginHandover,
            Action::CommitHandover => Self::CommitHandover,
            Action::EndHandover => Self::EndHandover,
            Action::SuccessorAttaches => Self::SuccessorAttaches,
            Action::Thaw => Self::Thaw,
            Action::OriginRepeats(_) => Self::OriginRepeats,
            Action::Eof(_) => Self::Eof,
            Action::ShutDown(_) => Self::ShutDown,
            Action::Break(_) => Self::Break,
            Action::GiveUp(_) => Self::GiveUp,
            Action::GraceEnds => Self::GraceEnds,
        }
    }
}

/// How often each kind was taken.
#[derive(Debug)]
pub(crate) struct Taken(Vec<AtomicU64>);

impl Default for Taken {
    fn default() -> Self {
        Self(Kind::ALL.iter().map(|_| AtomicU64::new(0)).collect())
    }
}

impl Taken {
    pub(crate) fn count(&self, kind: Kind) {
        self.0[kind as usize].fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn of(&self, kind: Kind) -> u64 {
        self.0[kind as usize].load(Ordering::Relaxed)
    }
}

/// What a run found wrong, each with the shortest way there.
pub(crate) type Violations = Vec<(&'static str, String)>;

/// Explores the whole of a world, or goes on `until` something is found that must not be. `wrong` is what a state itself
/// knows of that.
#[expect(clippy::disallowed_macros, clippy::disallowed_types, reason = "a test says what it explored, and how long")]
pub(crate) fn explore<M>(
    name: &str,
    model: M,
    until: HasDiscoveries,
    wrong: fn(&M::State) -> Option<&'static str>,
) -> Violations
where
    M: Model + Send + Sync + 'static,
    M::State: Clone + PartialEq + Hash + Debug + Send + Sync + 'static,
    M::Action: Clone + PartialEq + Debug + Send + Sync + 'static,
{
    let began = std::time::SystemTime::now();
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let checker = model.checker().threads(threads).finish_when(until).spawn_bfs().join();
    let took = began.elapsed().unwrap_or_default();
    let (states, transitions, depth) = (checker.unique_state_count(), checker.state_count(), checker.max_depth());
    println!("{name}: {states} states, {transitions} transitions, depth {depth}, {took:.1?}");
    let mut found = checker.discoveries();
    let mut violations = Violations::new();
    for property in checker.model().properties() {
        let path = found.remove(property.name);
        match (property.expectation == Expectation::Sometimes, path) {
            (false, Some(path)) => {
                let what = wrong(path.last_state()).unwrap_or(property.name);
                let violation = (what, format!("{:?}", path.into_actions()));
                if !violations.contains(&violation) {
                    println!("{name}: {}: {}", violation.0, violation.1);
                    violations.push(violation);
                }
            }
            (true, None) if violations.is_empty() => violations.push((property.name, "never".into())),
            _ => {}
        }
    }
    violations
}
