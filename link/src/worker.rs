//! What all sessions of a worker share.

use std::{cell::RefCell, collections::VecDeque, rc::Rc, task::Waker, time::Duration};

use baton_process::clock::Clock;
use baton_protocol::limits::{self, Millis};
use tokio::sync::Notify;

use crate::budget::{Budget, Share};

/// Bytes that one read of a local socket may bring: one buffer for all sessions, since each is emptied at once.
const SCRATCH_BYTES: usize = 64 * 1024;
/// How often the owed acknowledgements are looked at. All of them in one burst per delay would cost a tail of
/// milliseconds; a timer for each session would cost a wheel entry per message.
const ACK_TICK: Duration = Duration::from_millis(10);

/// What all sessions of a worker share.
#[derive(Debug)]
pub struct Worker {
    clock: Clock,
    pub(crate) scratch: RefCell<Box<[u8]>>,
    due: RefCell<VecDeque<(Millis, Waker)>>,
    due_added: Notify,
    pub(crate) budget: Rc<Budget>,
}

impl Worker {
    /// A worker whose sessions share `budget`. To be called on its runtime: the task that looks at owed acknowledgements starts here and ends with that.
    pub fn start(clock: Clock, budget: Rc<Budget>) -> Rc<Self> {
        let worker = Rc::new(Self {
            clock,
            scratch: RefCell::new(vec![0; SCRATCH_BYTES].into_boxed_slice()),
            due: RefCell::default(),
            due_added: Notify::new(),
            budget,
        });
        let ticking = Rc::clone(&worker);
        tokio::task::spawn_local(async move {
            loop {
                if ticking.due.borrow().is_empty() {
                    ticking.due_added.notified().await;
                }
                tokio::time::sleep(ACK_TICK).await;
                ticking.wake_due();
            }
        });
        worker
    }

    /// Milliseconds on the worker's clock.
    pub fn now(&self) -> Millis {
        self.clock.now()
    }

    /// The worker's clock.
    pub fn clock(&self) -> Clock {
        self.clock
    }

    /// Bytes that the sessions hold now.
    pub fn held(&self) -> u64 {
        self.budget.held()
    }

    /// A part of the sessions' budget, for bytes that belong to no session yet.
    pub fn share(&self) -> Share {
        self.budget.share()
    }

    /// Whether new work is to be refused, because what is there may yet need what is left of the budget.
    pub fn is_short(&self) -> bool {
        self.budget.is_short()
    }

    /// Wakes the caller in [`limits::ACK_DELAY`]; the time at which that is.
    pub(crate) fn wake_when_ack_is_due(&self, waker: &Waker, now: Millis) -> Millis {
        let due = now + limits::ACK_DELAY;
        self.due.borrow_mut().push_back((due, waker.clone()));
        self.due_added.notify_one();
        due
    }

    fn wake_due(&self) {
        let now = self.now();
        while let Some((_, waker)) = {
            let mut due = self.due.borrow_mut();
            let ready = due.front().is_some_and(|(at, _)| *at <= now);
            ready.then(|| due.pop_front()).flatten()
        } {
            waker.wake();
        }
    }
}
