//! One connection to an origin: what it carries, who waits for it, and whether the origin wants to be left.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    rc::Rc,
    task::Waker,
};

use baton_link::{Trunk, settings::TUNNELS_PER_TRUNK};
use baton_protocol::{id::NodeName, limits::Millis};

use crate::{
    choice::{Candidate, Health},
    pacing::{Outcome, Permit, Place, Slots},
};

/// Order among the resumes that wait for one home: sessions with unacknowledged bytes (0) before the others (1), then
/// as they came.
pub(crate) type Turn = (u8, u64);

/// Attaches in a row without an answer that make a connection mute. The origin itself answers for a home that it can't
/// reach; a few of one home's may time out together just before it does.
const MUTE: u32 = 4;

/// A connection to an origin, shared by the sessions on it.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) origin: usize,
    pub(crate) instance: String,
    pub(crate) trunk: Trunk,
    /// Until when the origin wants its tunnels moved, once it said so.
    pub(crate) leave_by: Cell<Option<Millis>>,
    slots: RefCell<Slots>,
    /// Resumes that wait for a slot, by home. Only the first of a home asks for one; whoever got one wakes the next.
    waiting: RefCell<BTreeMap<NodeName, BTreeMap<Turn, Waker>>>,
    /// Attaches in a row that got no answer in time.
    unanswered: Cell<u32>,
    /// How often those who wait were sent to choose again.
    dispersed: Cell<u64>,
}

impl Link {
    pub(crate) fn new(origin: usize, instance: &str, trunk: Trunk) -> Self {
        Self {
            origin,
            instance: instance.into(),
            trunk,
            leave_by: Cell::new(None),
            slots: RefCell::new(Slots::new()),
            waiting: RefCell::default(),
            unanswered: Cell::new(0),
            dispersed: Cell::new(0),
        }
    }

    /// Whether it is to this process at this address.
    pub(crate) fn is_to(&self, origin: usize, instance: &str) -> bool {
        self.origin == origin && self.instance == instance
    }

    /// Whether attaches may start here.
    pub(crate) fn is_usable(&self) -> bool {
        self.leave_by.get().is_none() && !self.trunk.state().ended()
    }

    /// Whether there is room for more tunnels, `spare` of them, besides those that wait to become some: a herd that
    /// moves chooses before the first of it has a tunnel.
    pub(crate) fn has_room(&self, spare: usize) -> bool {
        let waiting = usize::try_from(self.slots.borrow().waiting()).unwrap_or(usize::MAX);
        self.is_usable()
            && self.trunk.state().tunnels().saturating_add(waiting).saturating_add(spare) < TUNNELS_PER_TRUNK
    }

    pub(crate) fn candidate<'a>(&'a self, health: &'a Health) -> Candidate<'a> {
        Candidate {
            origin: self.origin,
            instance: &self.instance,
            ready: self.has_room(0),
            mute: self.is_mute(),
            solicited: !self.is_usable(),
            tunnels: u32::try_from(self.trunk.state().tunnels()).unwrap_or(u32::MAX),
            attaching: self.slots.borrow().attaching(),
            health,
        }
    }

    /// Whether attaches here get no answer, whatever home they are for.
    pub(crate) fn is_mute(&self) -> bool {
        self.unanswered.get() >= MUTE
    }

    /// Whoever waits here chooses again.
    pub(crate) fn disperse(&self) {
        self.dispersed.set(self.dispersed.get() + 1);
        self.waiting.borrow().values().flat_map(BTreeMap::values).for_each(Waker::wake_by_ref);
    }

    /// Wakes the first of each home: a slot may have become free.
    fn wake_first(&self) {
        for queue in self.waiting.borrow().values() {
            queue.values().take(1).for_each(Waker::wake_by_ref);
        }
    }

    /// Starts an open, if one may start now.
    pub(crate) fn try_open(self: &Rc<Self>) -> Option<Permission> {
        let started = self.slots.borrow_mut().try_open();
        started.then(|| Permission { link: Rc::clone(self), resume: None, outcome: Outcome::Other })
    }
}

/// A place in the queue for a resume.
#[derive(Debug)]
pub(crate) struct Waiting {
    pub(crate) link: Rc<Link>,
    turn: Turn,
    home: NodeName,
    place: Option<Place>,
    /// Dispersals of the link before it came.
    dispersed: u64,
}

impl Waiting {
    pub(crate) fn new(link: Rc<Link>, home: &NodeName, turn: Turn, waker: &Waker) -> Self {
        let place = link.slots.borrow_mut().wait(home);
        link.waiting.borrow_mut().entry(home.clone()).or_default().insert(turn, waker.clone());
        let dispersed = link.dispersed.get();
        Self { link, turn, home: home.clone(), place: Some(place), dispersed }
    }

    /// Whether it's still worth waiting here.
    pub(crate) fn holds(&self) -> bool {
        self.link.is_usable() && self.dispersed == self.link.dispersed.get()
    }

    /// The slot, if it's this one's turn and there is one.
    pub(crate) fn try_take(&mut self) -> Option<Permission> {
        let first = self.link.waiting.borrow().get(&self.home).and_then(|queue| queue.keys().next().copied());
        if first != Some(self.turn) {
            return None;
        }
        let taken = self.link.slots.borrow_mut().try_take(self.place.take()?);
        match taken {
            Ok(permit) => {
                let link = Rc::clone(&self.link);
                Some(Permission { link, resume: Some(permit), outcome: Outcome::Other })
            }
            Err(place) => {
                self.place = Some(place);
                None
            }
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let mut waiting = self.link.waiting.borrow_mut();
        if let Some(queue) = waiting.get_mut(&self.home) {
            queue.remove(&self.turn);
            if queue.is_empty() {
                waiting.remove(&self.home);
            }
        }
        drop(waiting);
        if let Some(place) = self.place.take() {
            self.link.slots.borrow_mut().leave(place);
        }
        self.link.wake_first();
    }
}

/// Leave for one attach over a link; counts until it is dropped.
#[derive(Debug)]
pub(crate) struct Permission {
    pub(crate) link: Rc<Link>,
    resume: Option<Permit>,
    /// What came of it.
    pub(crate) outcome: Outcome,
}

impl Drop for Permission {
    fn drop(&mut self) {
        match self.outcome {
            Outcome::TimedOut => self.link.unanswered.set(self.link.unanswered.get().saturating_add(1)),
            Outcome::Accepted | Outcome::Answered | Outcome::Unreachable => self.link.unanswered.set(0),
            Outcome::Other => {}
        }
        let mut slots = self.link.slots.borrow_mut();
        match self.resume.take() {
            Some(permit) => slots.release(permit, self.outcome),
            None => slots.release_open(),
        }
        drop(slots);
        self.link.wake_first();
    }
}
