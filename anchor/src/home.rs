//! One home: its sessions by sid, and who may open and resume.

use std::{
    cell::{Cell, RefCell},
    collections::{HashMap, VecDeque, hash_map::DefaultHasher},
    hash::BuildHasherDefault,
    rc::Rc,
    sync::Arc,
    task::Waker,
    time::Duration,
};

use baton_link::{Worker, rate::Rate, trunk::TrunkState};
use baton_process::{
    config::Shared,
    log::UserShow,
    metrics::{AttachKind, Metrics},
    offenders::Offenders,
};
use baton_protocol::{
    attach::{Refused, Resume, Word},
    error::CloseCause,
    id::{NodeName, Sid, UserId},
    limits::{self, Millis},
    session::{SharedTerms, Terms},
};
use bytes::Bytes;
use h2::{RecvStream, server::SendResponse};
use tokio::{sync::Notify, task::spawn_local, time::sleep};
use tracing::warn;

use crate::backend::{Backend, Resuming};

/// Resumes that wait in one session's mailbox: an edge has one attempt at a time, so more are replaced ones.
const MAILBOX: usize = 4;
/// Milliseconds for which a session that was opened and never used is kept in any case.
const ORPHAN_AGE: Millis = 10_000;
/// Resumes a second that a home takes: above it, decoding alone would take a whole core.
const RESUMES_PER_SECOND: u32 = 20_000;
/// Milliseconds that a resume above that is kept waiting for its turn, so that 2,000 wait at most. Who would have to wait longer is
/// told to come back, which costs its session 200 ms or more.
const HELD: Millis = 100;
/// A full home has to be able to take all of its sessions back in so small a part of the grace time: the rest is for
/// noticing, and for trying again.
const GRACE_FRACTION: Millis = 4;

/// How a home is set up.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Its name, in the ring and in `dcr-home`.
    pub name: NodeName,
    /// What its sessions keep to.
    pub terms: SharedTerms,
    /// Sessions at a time.
    pub sessions: usize,
    /// Sessions opened and never used; above it the oldest go.
    pub orphans: usize,
    /// Opens a second.
    pub opens_per_second: u32,
    /// How much of a user id is logged.
    pub show: UserShow,
}

impl Setup {
    /// What the configuration says of a home with this name and grace.
    pub fn new(name: NodeName, grace: Millis, shared: &Shared) -> Self {
        let limits = &shared.limits;
        let terms = Terms {
            window: limits.window,
            send_cap: limits.window,
            grace,
            half_closed: limits.half_closed,
            ..Terms::anchor()
        };
        Self {
            name,
            terms: Arc::new(terms),
            sessions: limits.sessions,
            orphans: limits.orphans,
            opens_per_second: u32::try_from(limits.home_opens_per_second).unwrap_or(u32::MAX),
            show: shared.log.user_id,
        }
    }

    /// Milliseconds that as many resumes as there may be sessions take.
    fn resuming(&self) -> Millis {
        let sessions = u64::try_from(self.sessions).unwrap_or(u64::MAX);
        sessions.saturating_mul(1_000).div_ceil(RESUMES_PER_SECOND.into())
    }

    /// Whether sessions could outlive their grace only because too many come back at once.
    fn is_hurried(&self) -> bool {
        self.resuming() > self.terms.grace / GRACE_FRACTION
    }
}

/// A resume on its way to the session's task.
pub(crate) struct Arrival {
    pub(crate) resume: Resume,
    pub(crate) edge: Option<NodeName>,
    pub(crate) body: RecvStream,
    pub(crate) respond: SendResponse<Bytes>,
    pub(crate) counted: baton_link::trunk::Counted,
}

/// How the rest of a home reaches a session's task.
#[derive(Default)]
pub(crate) struct Mailbox {
    pub(crate) arrivals: RefCell<VecDeque<Arrival>>,
    pub(crate) waker: RefCell<Option<Waker>>,
    /// The task is to drop the session, for this cause.
    pub(crate) dropped: Cell<Option<CloseCause>>,
    /// The broker is to look as if it had lost the session's context: the next resume finds nothing.
    pub(crate) lost: Cell<bool>,
    /// A byte of the client's has arrived: this is no orphan.
    pub(crate) touched: Cell<bool>,
}

impl Mailbox {
    pub(crate) fn wake(&self) {
        if let Some(waker) = self.waker.borrow_mut().take() {
            waker.wake();
        }
    }

    fn drop_session(&self, cause: CloseCause) {
        // The first cause stands, as in the session itself.
        self.dropped.set(self.dropped.get().or(Some(cause)));
        self.wake();
    }
}

struct Entry {
    user: UserId,
    mailbox: Rc<Mailbox>,
}

/// One home. On one worker; shared by the tasks of its trunks and sessions.
pub struct Home<B> {
    pub(crate) setup: Setup,
    pub(crate) backend: B,
    pub(crate) metrics: Metrics,
    pub(crate) worker: Rc<Worker>,
    sessions: RefCell<HashMap<Sid, Entry, BuildHasherDefault<DefaultHasher>>>,
    /// Sessions that were opened, oldest first, until they are used.
    fresh: RefCell<VecDeque<(Sid, Millis)>>,
    open_rate: RefCell<Rate>,
    resume_rate: RefCell<Rate>,
    dialing: Cell<usize>,
    admitting: Cell<bool>,
    pub(crate) offenders: Offenders,
    /// The last session has gone.
    emptied: Notify,
    /// The origins' trunks that are up.
    trunks: RefCell<Vec<Rc<TrunkState>>>,
    /// They are being ended.
    closing: Cell<bool>,
    /// The last trunk has gone.
    left: Notify,
}

impl<B: Backend> Home<B> {
    /// A home without sessions.
    pub fn new(setup: Setup, backend: B, metrics: Metrics, worker: Rc<Worker>) -> Rc<Self> {
        if setup.is_hurried() {
            warn!(
                event = "grace.short",
                home = %setup.name,
                grace_ms = setup.terms.grace,
                sessions = setup.sessions,
                resuming_ms = setup.resuming(),
                "to take all sessions back may need more than a quarter of anchor.grace: raise it, or lower limits.sessions"
            );
        }
        let open_rate = RefCell::new(Rate::new(setup.opens_per_second));
        Rc::new(Self {
            setup,
            backend,
            metrics,
            worker,
            sessions: RefCell::default(),
            fresh: RefCell::default(),
            open_rate,
            resume_rate: RefCell::new(Rate::new(RESUMES_PER_SECOND)),
            dialing: Cell::new(0),
            admitting: Cell::new(true),
            offenders: Offenders::default(),
            emptied: Notify::new(),
            trunks: RefCell::default(),
            closing: Cell::new(false),
            left: Notify::new(),
        })
    }

    /// The home's name.
    pub fn name(&self) -> &NodeName {
        &self.setup.name
    }

    /// Sessions that it holds, those that are being dialed included.
    pub fn sessions(&self) -> usize {
        self.sessions.borrow().len() + self.dialing.get()
    }

    /// Whether new sessions are taken. Resumes always are.
    pub fn admit(&self, admitting: bool) {
        self.admitting.set(admitting);
    }

    /// Behaves as a broker that has lost the context of every session that `user` has now: they go on while they have
    /// a tunnel, and the next resume of each is refused (gone). How many there are.
    pub fn refuse_user(&self, user: &UserId) -> usize {
        let sessions = self.sessions.borrow();
        sessions.values().filter(|entry| entry.user == *user).map(|entry| entry.mailbox.lost.set(true)).count()
    }

    /// Drops every session, for this cause.
    pub fn drop_all(&self, cause: CloseCause) {
        self.sessions.borrow().values().for_each(|entry| entry.mailbox.drop_session(cause));
    }

    /// Returns when there is no session. For one caller at a time; may be dropped at any time.
    pub async fn empty(&self) {
        while self.sessions() > 0 {
            self.emptied.notified().await;
        }
    }

    /// Ends the origins' trunks in order: each when its tunnels' last words have been taken. Returns when none is left,
    /// which a hung origin can put off for ever: the caller bounds it, and accepts no connections any more, or an
    /// origin would be back at once.
    pub async fn close_trunks(&self) {
        self.closing.set(true);
        self.trunks.borrow().iter().for_each(|trunk| trunk.go_away());
        while !self.trunks.borrow().is_empty() {
            self.left.notified().await;
        }
    }

    pub(crate) fn trunk_up(&self, trunk: &Rc<TrunkState>) {
        if self.closing.get() {
            // Accepted before, and only now through with its handshake.
            trunk.go_away();
        }
        self.trunks.borrow_mut().push(Rc::clone(trunk));
    }

    pub(crate) fn trunk_down(&self, trunk: &Rc<TrunkState>) {
        self.trunks.borrow_mut().retain(|other| !Rc::ptr_eq(other, trunk));
        self.left.notify_one();
    }

    fn note_fewer(&self) {
        if self.sessions() == 0 {
            self.emptied.notify_one();
        }
    }

    pub(crate) fn refuse(&self, kind: AttachKind, refused: &Refused, respond: &mut SendResponse<Bytes>) {
        self.metrics.attach_failed(kind, refused.word.map_or("unknown", Word::as_str));
        // Fails only for an attach that was given up.
        let _ = respond.send_response(refused.to_response(), true);
    }

    /// Whether an open may start: the answer if not. `true` counts it as dialing; `dialed` takes that back.
    pub(crate) fn try_open(&self) -> Result<(), Refused> {
        let busy = |wait| Err(Refused { retry_after: Some(wait), ..Refused::by(&self.setup.name, Word::Busy) });
        if !self.admitting.get() {
            return Err(Refused::by(&self.setup.name, Word::Draining));
        }
        if self.sessions() >= self.setup.sessions {
            return busy(limits::RETRY_AFTER);
        }
        match self.open_rate.borrow_mut().admit(self.worker.now()) {
            Ok(()) => self.dialing.set(self.dialing.get() + 1),
            Err(wait) => return busy(wait.max(limits::RETRY_AFTER)),
        }
        Ok(())
    }

    pub(crate) fn dialed(&self) {
        self.dialing.set(self.dialing.get() - 1);
        self.note_fewer();
    }

    /// Takes in a session. `None`: there is one of that name.
    pub(crate) fn enter(&self, sid: Sid, user: UserId) -> Option<Rc<Mailbox>> {
        let mailbox = Rc::new(Mailbox::default());
        let mut sessions = self.sessions.borrow_mut();
        if sessions.contains_key(&sid) {
            return None;
        }
        sessions.insert(sid, Entry { user, mailbox: Rc::clone(&mailbox) });
        drop(sessions);
        self.drop_orphans(sid);
        Some(mailbox)
    }

    /// A session is over. Resumes that it hasn't come to find what later ones will: nothing.
    pub(crate) fn leave(&self, sid: Sid) {
        let entry = self.sessions.borrow_mut().remove(&sid);
        for mut arrival in entry.into_iter().flat_map(|entry| entry.mailbox.arrivals.take()) {
            self.refuse(AttachKind::Resume, &Refused::by(&self.setup.name, Word::Gone), &mut arrival.respond);
        }
        self.note_fewer();
    }

    /// Sessions that were opened and never used are kept like any other, for their 200 may be under way; but only so
    /// many, or lost 200s could fill a broker.
    fn drop_orphans(&self, newest: Sid) {
        let now = self.worker.now();
        let mut fresh = self.fresh.borrow_mut();
        fresh.push_back((newest, now));
        if fresh.len() <= self.setup.orphans {
            return;
        }
        let sessions = self.sessions.borrow();
        let unused = |sid: &Sid| sessions.get(sid).filter(|entry| !entry.mailbox.touched.get());
        fresh.retain(|(sid, _)| unused(sid).is_some());
        while fresh.len() > self.setup.orphans && fresh.front().is_some_and(|(_, at)| now - at >= ORPHAN_AGE) {
            fresh.pop_front().and_then(|(sid, _)| unused(&sid)).into_iter().for_each(|entry| {
                entry.mailbox.drop_session(CloseCause::Gone);
            });
        }
    }

    /// Hands a resume to its session, or answers it.
    pub(crate) fn resume(self: &Rc<Self>, mut arrival: Arrival) {
        if arrival.resume.home != self.setup.name {
            return self.refuse_resume(Word::WrongHome, &mut arrival.respond);
        }
        let turn = self.resume_rate.borrow_mut().reserve(self.worker.now(), HELD);
        match turn {
            Ok(0) => self.answer(arrival),
            Ok(wait) => self.hold(arrival, Some(wait), Self::answer),
            Err(_) => self.refuse_resume(Word::Busy, &mut arrival.respond),
        }
    }

    fn answer(self: &Rc<Self>, mut arrival: Arrival) {
        let sessions = self.sessions.borrow();
        let Some(entry) = sessions.get(&arrival.resume.key.sid()) else {
            return self.refuse_resume(Word::Gone, &mut arrival.respond);
        };
        let resuming = if entry.mailbox.lost.get() { Resuming::Lose } else { self.backend.resuming(&entry.user) };
        match resuming {
            Resuming::Take => self.hand_over(arrival),
            Resuming::Lose => {
                entry.mailbox.drop_session(CloseCause::Gone);
                self.refuse_resume(Word::Gone, &mut arrival.respond);
            }
            Resuming::Late(time) => self.hold(arrival, Some(time), |home, arrival| home.hand_over(arrival)),
            Resuming::Never => self.hold(arrival, None, |home, arrival| home.hand_over(arrival)),
        }
    }

    /// Keeps a resume waiting for so long, or until whoever sent it gives up, and goes on with it.
    fn hold(self: &Rc<Self>, mut arrival: Arrival, time: Option<Millis>, then: fn(&Rc<Self>, Arrival)) {
        let home = Rc::clone(self);
        spawn_local(async move {
            let waited = async {
                match time {
                    Some(time) => sleep(Duration::from_millis(time)).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                _ = std::future::poll_fn(|cx| arrival.respond.poll_reset(cx)) => {}
                () = waited => then(&home, arrival),
            }
        });
    }

    fn hand_over(&self, mut arrival: Arrival) {
        let sessions = self.sessions.borrow();
        let Some(entry) = sessions.get(&arrival.resume.key.sid()) else {
            return self.refuse_resume(Word::Gone, &mut arrival.respond);
        };
        let mut arrivals = entry.mailbox.arrivals.borrow_mut();
        if arrivals.len() >= MAILBOX {
            return self.refuse_resume(Word::Busy, &mut arrival.respond);
        }
        arrivals.push_back(arrival);
        drop(arrivals);
        entry.mailbox.wake();
    }

    fn refuse_resume(&self, word: Word, respond: &mut SendResponse<Bytes>) {
        let wait = (word == Word::Busy).then_some(limits::RETRY_AFTER);
        let refused = Refused { retry_after: wait, ..Refused::by(&self.setup.name, word) };
        self.refuse(AttachKind::Resume, &refused, respond);
    }
}
