//! Wakes publishers when a message is due, to the microsecond: the runtime's own timers are as coarse as a millisecond, and a
//! load that is late itself can't tell how late a message was.

use std::{
    cell::{Cell, RefCell},
    cmp::Reverse,
    collections::{BinaryHeap, binary_heap::PeekMut},
    io,
    os::fd::OwnedFd,
    rc::Rc,
};

use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};
use tokio::{
    io::unix::AsyncFd,
    sync::Notify,
    time::{Duration, Instant},
};

/// One timer for all clients of a board.
#[derive(Default)]
pub(super) struct Pacer {
    due: RefCell<BinaryHeap<Reverse<(Instant, usize)>>>,
    waiters: RefCell<Vec<Rc<Notify>>>,
    sooner: Notify,
    runs: Cell<bool>,
}

/// One client's place.
pub(super) struct Place {
    number: usize,
    pub(super) due: Rc<Notify>,
}

impl Pacer {
    /// A place for a client.
    pub(super) fn place(&self) -> Place {
        let mut waiters = self.waiters.borrow_mut();
        waiters.push(Rc::default());
        Place { number: waiters.len() - 1, due: Rc::clone(&waiters[waiters.len() - 1]) }
    }

    /// Whether nobody runs it yet: who asks does from now on.
    pub(super) fn is_idle(&self) -> bool {
        !self.runs.replace(true)
    }

    /// Wakes the client at this time, once.
    pub(super) fn at(&self, due: Instant, place: &Place) {
        let mut waiting = self.due.borrow_mut();
        let sooner = waiting.peek().is_none_or(|Reverse((first, _))| due < *first);
        waiting.push(Reverse((due, place.number)));
        if sooner {
            self.sooner.notify_one();
        }
    }

    /// Runs for as long as it is polled.
    ///
    /// # Errors
    /// The kernel has no timer for us.
    pub(super) async fn run(&self) -> io::Result<()> {
        let timer = timer()?;
        loop {
            self.wake(Instant::now());
            let Some(first) = self.first() else {
                self.sooner.notified().await;
                continue;
            };
            arm(&timer, first.saturating_duration_since(Instant::now()))?;
            tokio::select! {
                () = self.sooner.notified() => {}
                fired = timer.readable() => fired?.clear_ready(),
            }
        }
    }

    fn first(&self) -> Option<Instant> {
        self.due.borrow().peek().map(|Reverse((first, _))| *first)
    }

    fn wake(&self, now: Instant) {
        let (mut due, waiters) = (self.due.borrow_mut(), self.waiters.borrow());
        while let Some(first) = due.peek_mut().filter(|first| first.0.0 <= now) {
            let Reverse((_, number)) = PeekMut::pop(first);
            waiters[number].notify_one();
        }
    }
}

#[expect(
    deprecated,
    reason = "unsound with a descriptor that others may close, which is why its successor is unsafe; this is ours"
)]
fn timer() -> io::Result<AsyncFd<OwnedFd>> {
    let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
    AsyncFd::new(timerfd_create(TimerfdClockId::Monotonic, flags)?)
}

/// Lets the timer fire after so long; arming it anew takes back what has fired.
fn arm(timer: &AsyncFd<OwnedFd>, after: Duration) -> io::Result<()> {
    // 0 would mean never.
    let after = after.max(Duration::from_nanos(1));
    let spec = Itimerspec {
        it_interval: Timespec { tv_sec: 0, tv_nsec: 0 },
        it_value: Timespec {
            tv_sec: i64::try_from(after.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: i64::from(after.subsec_nanos()),
        },
    };
    timerfd_settime(timer, TimerfdTimerFlags::empty(), &spec)?;
    Ok(())
}
