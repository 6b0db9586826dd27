//! Resumes in flight on one connection, shared out among homes; and opens, which come after them.

use std::collections::BTreeMap;

use baton_protocol::id::NodeName;

use super::Outcome;

/// Resumes in flight with which a connection begins.
pub const SLOTS: u32 = 64;
/// Resumes in flight that any connection is good for.
pub const SLOTS_MIN: u32 = 8;
/// Resumes in flight beyond which none is faster: 1,024 at a round trip of 50 ms are 20,000 a second, the most that an
/// anchor's worker takes.
pub const SLOTS_MAX: u32 = 1_024;
/// A home's share of the slots is one in so many.
pub const SHARES: u32 = 4;
/// Opens in flight on one connection.
pub const OPENS: u32 = 64;

const _: () = assert!(SLOTS_MIN <= SLOTS && SLOTS <= SLOTS_MAX && SLOTS_MIN / SHARES >= 1);

/// A resume that waits for a slot. Goes back into the [`Slots`] that it came from.
#[derive(Debug)]
#[must_use = "a place that is dropped keeps opens from starting: give it to try_take or leave"]
pub struct Place {
    home: NodeName,
}

impl Place {
    /// Whither the resume goes.
    pub fn home(&self) -> &NodeName {
        &self.home
    }
}

/// A resume in flight. Goes back into the [`Slots`] that it came from.
#[derive(Debug)]
#[must_use = "a permit that is dropped occupies its slot for ever: give it to release"]
pub struct Permit {
    home: NodeName,
    /// Halvings before it was taken.
    round: u64,
}

/// One home's use of the connection; there is none without somebody who waits or is in flight.
#[derive(Clone, Debug, Default)]
struct Use {
    waiting: u32,
    in_flight: u32,
    /// The last that was heard of the home here came from the home itself.
    answers: bool,
}

/// What one connection to an origin may carry in attaches. It goes when the connection goes.
///
/// A home has a quarter of the slots. One that answers may have all but a quarter while no other home waits: with a
/// single home in use, 10,000 moves at a round trip of 150 ms take 3 s rather than 7. The last quarter is never lent,
/// and a home that hasn't answered is lent nothing: one that is dead holds a quarter, one that dies amid its moves
/// holds what it was lent until T_attach, and either way the next home starts at once.
///
/// The number of slots grows by one with each 200. A timeout halves it, but not for resumes that were in flight at
/// the last halving: those of one dead home time out together and would close the connection for all others.
#[derive(Clone, Debug)]
pub struct Slots {
    limit: u32,
    round: u64,
    homes: BTreeMap<NodeName, Use>,
    waiting: u32,
    in_flight: u32,
    opens: u32,
}

impl Slots {
    /// Of a new connection.
    pub fn new() -> Self {
        Self { limit: SLOTS, round: 0, homes: BTreeMap::new(), waiting: 0, in_flight: 0, opens: 0 }
    }

    /// Resumes that may be in flight; [`SLOTS_MIN`] ..= [`SLOTS_MAX`].
    pub fn limit(&self) -> u32 {
        self.limit
    }

    /// Attaches in flight and resumes that wait for a slot: what the choice of an origin is to know.
    pub fn attaching(&self) -> u32 {
        self.waiting + self.in_flight + self.opens
    }

    /// Resumes that wait for a slot.
    pub fn waiting(&self) -> u32 {
        self.waiting
    }

    /// A resume to `home` waits for a slot from now on. It keeps opens from starting, so ask
    /// [`Homes`](super::Homes) first.
    pub fn wait(&mut self, home: &NodeName) -> Place {
        self.homes.entry(home.clone()).or_default().waiting += 1;
        self.waiting += 1;
        Place { home: home.clone() }
    }

    /// The resume goes elsewhere, or its session ended.
    pub fn leave(&mut self, place: Place) {
        self.waiting -= 1;
        self.used(&place.home).waiting -= 1;
        self.tidy(&place.home);
    }

    /// Starts the resume if its home may have a slot. Whoever waits asks again after every
    /// [`release`](Self::release) and [`leave`](Self::leave).
    pub fn try_take(&mut self, place: Place) -> Result<Permit, Place> {
        let (limit, share) = (self.limit, self.limit / SHARES);
        let (all_in_flight, all_waiting) = (self.in_flight, self.waiting);
        let home = self.used(&place.home);
        let alone = home.waiting == all_waiting;
        let most = if home.answers && alone { limit - share } else { share };
        if all_in_flight >= limit || home.in_flight >= most {
            return Err(place);
        }
        home.waiting -= 1;
        home.in_flight += 1;
        self.waiting -= 1;
        self.in_flight += 1;
        Ok(Permit { home: place.home, round: self.round })
    }

    /// The resume is no longer in flight.
    pub fn release(&mut self, permit: Permit, outcome: Outcome) {
        self.in_flight -= 1;
        let home = self.used(&permit.home);
        home.in_flight -= 1;
        match outcome {
            Outcome::Accepted | Outcome::Answered => home.answers = true,
            Outcome::TimedOut | Outcome::Unreachable => home.answers = false,
            Outcome::Other => {}
        }
        self.tidy(&permit.home);
        match outcome {
            Outcome::Accepted => self.limit = (self.limit + 1).min(SLOTS_MAX),
            Outcome::TimedOut if permit.round == self.round => {
                self.limit = (self.limit / 2).max(SLOTS_MIN);
                self.round += 1;
            }
            _ => {}
        }
    }

    /// Starts an open, unless a resume waits here or [`OPENS`] are in flight: sessions that live come first.
    #[must_use]
    pub fn try_open(&mut self) -> bool {
        let starts = self.waiting == 0 && self.opens < OPENS;
        self.opens += u32::from(starts);
        starts
    }

    /// An open is no longer in flight.
    pub fn release_open(&mut self) {
        self.opens -= 1;
    }

    fn used(&mut self, home: &NodeName) -> &mut Use {
        self.homes.get_mut(home).expect("a place or permit came from these slots and stands for a count of its home")
    }

    fn tidy(&mut self, home: &NodeName) {
        if self.homes.get(home).is_some_and(|home| home.waiting + home.in_flight == 0) {
            self.homes.remove(home);
        }
    }
}

impl Default for Slots {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests;
