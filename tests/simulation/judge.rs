//! Who notes what went wrong, what was done, and what it hit.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
};

use baton_process::clock::Clock;
use baton_protocol::limits::{CONNECT, Millis, OPEN};
use tokio::sync::Notify;

use crate::{journal::Journal, net::Host};

thread_local! {
    static JUDGE: RefCell<Option<Rc<Judge>>> = const { RefCell::new(None) };
}

/// A process that was taken away.
struct Away {
    host: Host,
    homes: Homes,
    /// When another took its place.
    until: Option<Millis>,
}

/// The homes that go with a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Homes {
    /// None.
    None,
    /// That of a sidecar, or of a broker that has a sidecar of its own.
    One(String),
    /// All of them, which share the one broker.
    All,
}

/// The judge of a run.
pub(crate) struct Judge {
    clock: Clock,
    violations: RefCell<Vec<String>>,
    violated: Notify,
    closing: Cell<bool>,
    /// Faults at work now, and when the last one ended.
    at_work: Cell<u32>,
    calm_since: Cell<Millis>,
    away: RefCell<Vec<Away>>,
    refused: Cell<u64>,
    quiet: Cell<u64>,
}

impl Judge {
    /// The judge of the run on this thread.
    pub(crate) fn begin(clock: Clock) -> Rc<Self> {
        let judge = Rc::new(Self {
            clock,
            violations: RefCell::default(),
            violated: Notify::new(),
            closing: Cell::new(false),
            at_work: Cell::new(0),
            calm_since: Cell::new(0),
            away: RefCell::default(),
            refused: Cell::new(0),
            quiet: Cell::new(0),
        });
        JUDGE.set(Some(Rc::clone(&judge)));
        judge
    }

    /// The judge of the run on this thread.
    pub(crate) fn current() -> Rc<Self> {
        JUDGE.with_borrow(Clone::clone).expect("a run has a judge")
    }

    /// A task of the run on this thread, if there is one, has panicked.
    pub(crate) fn panicked(what: &str) {
        // Whoever panics in the middle of a look at the judge has a panic of its own shown by the hook.
        let judge = JUDGE.try_with(|judge| judge.try_borrow().ok().and_then(|judge| judge.clone())).ok().flatten();
        judge.into_iter().for_each(|judge| judge.violated(what));
    }

    /// Milliseconds since the beginning.
    pub(crate) fn now(&self) -> Millis {
        self.clock.now()
    }

    /// Something is wrong.
    pub(crate) fn violated(&self, what: &str) {
        Journal::note(format_args!("VIOLATION {what}"));
        self.violations.borrow_mut().push(format!("at {} ms: {what}", self.now()));
        self.violated.notify_one();
    }

    /// Until something is wrong.
    pub(crate) async fn until_violated(&self) {
        while self.violations.borrow().is_empty() {
            self.violated.notified().await;
        }
    }

    /// What is wrong.
    pub(crate) fn violations(&self) -> Vec<String> {
        self.violations.borrow().clone()
    }

    /// No client begins anything any more.
    pub(crate) fn close(&self) {
        self.closing.set(true);
    }

    pub(crate) fn closing(&self) -> bool {
        self.closing.get()
    }

    /// A fault begins to be felt, or ends.
    pub(crate) fn disturb(&self, begins: bool) {
        let at_work = self.at_work.get();
        self.at_work.set(if begins { at_work + 1 } else { at_work - 1 });
        self.calm_since.set(self.now());
    }

    /// Whether a fault was at work at any time since then.
    pub(crate) fn disturbed_since(&self, then: Millis) -> bool {
        self.at_work.get() > 0 || self.calm_since.get() >= then
    }

    /// A process is taken away, and with it these homes.
    pub(crate) fn takes(&self, host: Host, homes: Homes) {
        self.away.borrow_mut().push(Away { host, homes, until: None });
    }

    /// Another process takes its place.
    pub(crate) fn gives_back(&self, host: Host) {
        let now = self.now();
        self.away.borrow_mut().iter_mut().filter(|away| away.host == host).for_each(|away| {
            away.until.get_or_insert(now);
        });
    }

    /// Whether this edge was away at any time since then.
    pub(crate) fn was_away_since(&self, edge: Host, then: Millis) -> bool {
        let at_that_time = |away: &Away| away.host == edge && away.until.is_none_or(|until| until >= then);
        self.away.borrow().iter().any(at_that_time)
    }

    /// Whether a client that began then, was connected to its edge at `connected`, and was closed before it got a CONNACK, was
    /// closed by its edge or its broker having gone: the kernel of an edge that is told to leave takes connections until its
    /// process comes to that, and a session may be opened on a connection whose broker has just died.
    pub(crate) fn excuses_beginner(&self, edge: Host, user: &str, began: Millis, connected: Millis) -> bool {
        let with_its_home = |away: &Away| {
            let its = match &away.homes {
                Homes::None => false,
                Homes::One(home) => Journal::was_opened_at(user, home),
                Homes::All => true,
            };
            its && away.until.is_none_or(|until| until >= began)
        };
        self.was_away_since(edge, connected) || self.away.borrow().iter().any(with_its_home)
    }

    /// Whether a client that began then may have been closed by a broker that waited for its CONNECT in vain: a fault was at
    /// work, and the time that brokers wait is over.
    pub(crate) fn excuses_late_connect(&self, began: Millis) -> bool {
        self.disturbed_since(began) && self.now() - began >= CONNECT
    }

    /// So many clients were quiet, and nothing was held for them.
    pub(crate) fn looked_at_quiet(&self, clients: usize) {
        self.quiet.set(self.quiet.get() + clients as u64);
    }

    /// How many those were.
    pub(crate) fn quiet(&self) -> u64 {
        self.quiet.get()
    }

    /// Whether a client that began then may be told now that no server is available: a fault was at work, and T_open is
    /// over.
    pub(crate) fn excuses_refusal(&self, began: Millis) -> bool {
        self.disturbed_since(began) && self.now() - began >= OPEN
    }

    /// A client was told that no server is available.
    pub(crate) fn refused(&self) {
        self.refused.set(self.refused.get() + 1);
    }

    /// How many were.
    pub(crate) fn refusals(&self) -> u64 {
        self.refused.get()
    }
}
