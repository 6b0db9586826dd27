//! How many attaches start, and when: so that a herd of sessions neither drowns an origin or a home nor lets one that
//! is dead slow the others.
//!
//! - [`Slots`]: resumes in flight on one connection, and who among the homes gets them; opens come after resumes.
//! - [`Rate`](baton_link::rate::Rate): opens per second of the whole edge.
//! - [`Homes`]: which homes don't answer, and are probed instead of besieged.
//!
//! A resume asks [`Homes`] first, then waits for a place in [`Slots`]; an open asks the rate, then
//! [`Slots::try_open`]. Only resumes count in [`Slots`] and [`Homes`]. Who goes first among those that wait for the
//! same thing is the caller's to say.

use baton_protocol::attach::Verdict;

pub mod homes;
pub mod slots;

pub use homes::Homes;
pub use slots::{Permit, Place, Slots};

/// What an attach came to, as far as pacing goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// 200.
    Accepted,
    /// A refusal that only the home itself can give: no tunnel, but the home is there.
    Answered,
    /// T_attach passed.
    TimedOut,
    /// 502 or 504: an origin couldn't reach the home.
    Unreachable,
    /// "busy", "handover", a lost connection, given up: says nothing about the home or the path's capacity.
    Other,
}

impl Outcome {
    /// Of a refusal.
    pub fn of(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Final(_) | Verdict::Stale(_) => Self::Answered,
            Verdict::HomeUnreachable => Self::Unreachable,
            Verdict::Wait(_) | Verdict::Draining | Verdict::Transient => Self::Other,
        }
    }
}

#[cfg(test)]
mod tests {
    use baton_protocol::{
        attach::{Refused, Word},
        id::{Epoch, NodeName},
    };

    use super::*;

    #[test]
    fn only_the_home_itself_answers() {
        let home = NodeName::new("home-1").unwrap();
        let of = |refused: Refused| Outcome::of(refused.verdict());
        let stale = Refused { epoch: Some(Epoch(3)), ..Refused::by(&home, Word::Stale) };
        assert_eq!(of(stale), Outcome::Answered);
        let table = [
            (Word::Gone, Outcome::Answered, Outcome::Other),
            (Word::Malformed, Outcome::Answered, Outcome::Other),
            (Word::Version, Outcome::Answered, Outcome::Other),
            (Word::WrongHome, Outcome::Other, Outcome::Other),
            (Word::Unreachable, Outcome::Unreachable, Outcome::Unreachable),
            (Word::Timeout, Outcome::Unreachable, Outcome::Unreachable),
            (Word::Busy, Outcome::Other, Outcome::Other),
            (Word::Handover, Outcome::Other, Outcome::Other),
            (Word::Draining, Outcome::Other, Outcome::Other),
        ];
        for (word, named, unnamed) in table {
            assert_eq!((of(Refused::by(&home, word)), of(Refused::of(word))), (named, unnamed), "{word:?}");
        }
    }
}
