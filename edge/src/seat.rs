//! What the edge adds to a session's loop: attaches, at the right moment through the right origin.

use std::{
    cell::{Cell, RefCell},
    net::SocketAddr,
    rc::Rc,
    task::{Context, Poll},
};

use baton_link::{
    Owner,
    drive::Event,
    tunnel::{Answer, Attempt},
};
use baton_process::{
    log::UserShow,
    metrics::{AttachKind, MoveKind, SessionState},
    secrets::Secrets,
};
use baton_protocol::{
    attach::{Attach, Refused, Verdict, Word},
    error::CloseCause,
    id::{Epoch, NodeName},
    limits::{self, Millis},
    session::{
        EdgeSession, Half, HowEnded, Loss,
        edge::{Attached, MoveReason},
    },
};
use tokio::sync::Notify;
use tracing::debug;

use crate::{
    backoff,
    origins::{Leave, Link, Origins, Permission, Resuming, Waiting},
    pacing::Outcome,
    refusals::Refusals,
    search::Search,
};

/// What every session of an edge goes by.
#[derive(Debug)]
pub(crate) struct House {
    pub(crate) origins: Rc<Origins>,
    pub(crate) secrets: RefCell<Secrets>,
    pub(crate) dcr: bool,
    pub(crate) show: UserShow,
    pub(crate) refusals: RefCell<Refusals>,
    /// The process ends and no successor takes the sessions.
    pub(crate) closing: Cell<bool>,
    /// Tells so those that have no session yet.
    pub(crate) closed: Notify,
}

/// An attach on its way.
#[derive(Debug)]
struct Flight {
    attempt: Attempt,
    permission: Permission,
    kind: AttachKind,
    reason: MoveReason,
    /// Where a resume goes.
    home: Option<NodeName>,
}

/// A session's owner.
pub(crate) struct Seat {
    house: Rc<House>,
    number: u64,
    enrolled: bool,
    client: SocketAddr,
    /// The connection that carries the tunnel.
    link: Option<Rc<Link>>,
    flight: Option<Box<Flight>>,
    search: Option<Box<Search>>,
    state: Option<SessionState>,
    /// Whether the client has got a byte: then a bare close is the only answer left.
    answered: bool,
}

/// It is in the session's task, whose memory comes in steps of 128 bytes.
const _: () = assert!(size_of::<Seat>() <= 80);

impl Seat {
    pub(crate) fn new(house: Rc<House>, client: SocketAddr, now: Millis) -> Self {
        let number = house.origins.number();
        Self {
            house,
            number,
            enrolled: false,
            client,
            link: None,
            flight: None,
            search: Some(Box::new(Search::since(now))),
            state: None,
            answered: false,
        }
    }

    /// Where the client is.
    pub(crate) fn client(&self) -> SocketAddr {
        self.client
    }

    /// Whether the client has got a byte from its broker.
    pub(crate) fn answered(&self) -> bool {
        self.answered
    }

    fn show(&mut self, half: &EdgeSession) {
        let state = SessionState::of(half.state());
        if state != self.state {
            let metrics = &self.house.origins.metrics;
            let tunnel = |state| i64::from(matches!(state, Some(SessionState::Live | SessionState::Moving)));
            metrics.tunnels().inc_by(tunnel(state) - tunnel(self.state));
            metrics.session(self.state, state);
            self.state = state;
        }
    }

    fn search(&mut self, now: Millis) -> &mut Search {
        self.search.get_or_insert_with(|| Box::new(Search::since(now)))
    }

    // ---- is an attach due?

    /// Why an attach is due now; `Err(when)` if one will be.
    fn due(&mut self, half: &EdgeSession, now: Millis) -> Result<Option<MoveReason>, Millis> {
        if half.wants_attach() {
            let reason = if half.tunnel().is_some() { MoveReason::BlackHole } else { MoveReason::Lost };
            return Ok(Some(reason));
        }
        let solicited = self.link.as_ref().filter(|link| link.leave_by.get().is_some() && half.tunnel().is_some());
        let Some(link) = solicited.filter(|_| self.house.dcr) else {
            if let Some(search) = &mut self.search {
                search.move_at = None;
            }
            return Ok(None);
        };
        let leave_by = link.leave_by.get().unwrap_or(now);
        let origins = Rc::clone(&self.house.origins);
        let search = self.search(now);
        let (at, _) = match search.move_at {
            Some(drawn) if drawn.1 == leave_by => drawn,
            _ => (origins.move_at(leave_by, now), leave_by),
        };
        search.move_at = Some((at, leave_by));
        if at > now { Err(at) } else { Ok(Some(MoveReason::Solicited)) }
    }

    fn poll_until(&mut self, cx: &mut Context<'_>, at: Millis, now: Millis) -> Poll<()> {
        let clock = self.house.origins.worker.clock();
        self.search(now).poll_until(cx, clock, at)
    }

    // ---- leave

    fn poll_leave(&mut self, half: &mut EdgeSession, reason: MoveReason, now: Millis, cx: &Context<'_>) -> Leave {
        let origins = Rc::clone(&self.house.origins);
        let Some(home) = half.home() else {
            let number = self.number;
            let search = self.search(now);
            let leave = origins.poll_open(number, search.failed, cx);
            search.hold_up(half, !matches!(leave, Leave::NoOrigin), now);
            return leave;
        };
        let number = self.number;
        let (link, search) = (self.link.clone(), self.search(now));
        search.waiting.take_if(|waiting| !waiting.holds());
        if search.waiting.is_none() {
            let leaving = link.as_ref().filter(|_| reason == MoveReason::Solicited);
            let ask = Resuming {
                home,
                unacked: half.pipe().outgoing().in_flight(),
                failed: search.failed.or_else(|| {
                    // The connection that swallowed what was sent is the last to try.
                    link.as_ref().filter(|_| reason == MoveReason::BlackHole).map(|link| link.origin)
                }),
                leaving: leaving.map(|link| link.instance.as_str()),
            };
            match origins.queue_resume(number, &ask, cx) {
                Ok(waiting) => search.waiting = Some(waiting),
                Err(leave) => return leave,
            }
        }
        match search.waiting.as_mut().and_then(Waiting::try_take) {
            Some(permission) => {
                search.waiting = None;
                Leave::Granted(permission)
            }
            None => Leave::Queued,
        }
    }

    // ---- the attach

    fn send(&mut self, half: &mut EdgeSession, permission: Permission, reason: MoveReason, now: Millis) {
        let (epoch, attach, kind) = if half.home().is_none() {
            self.search(now).hold_up(half, false, now);
            let key = self.house.secrets.borrow_mut().session_key();
            let Some((epoch, open)) = half.begin_open(key, Some(self.client.to_string()), now) else { return };
            (epoch, Attach::Open(open), AttachKind::Open)
        } else {
            let Some(resume) = half.begin_resume(reason, now) else { return };
            (resume.epoch, Attach::Resume(resume), AttachKind::Resume)
        };
        let link = Rc::clone(&permission.link);
        let authority = self.house.origins.address(link.origin);
        match Attempt::send(&link.trunk, epoch, &attach, authority) {
            Ok(attempt) => {
                let home = half.home().cloned();
                self.flight = Some(Box::new(Flight { attempt, permission, kind, reason, home }));
            }
            Err(error) => {
                debug!(event = "attach.unsent", %epoch, %error);
                if error.is_go_away() {
                    self.house.origins.goes_away(&link);
                }
                half.handle_lost(epoch, Loss::Connection, now);
                self.fail(link.origin, now, None);
            }
        }
    }

    fn fail(&mut self, origin: usize, now: Millis, wait: Option<Millis>) {
        let origins = Rc::clone(&self.house.origins);
        self.search(now).fail(origin, now, wait, &mut *origins.chance.borrow_mut());
    }

    fn handle_answer(&mut self, half: &mut EdgeSession, answer: Answer, now: Millis) -> Event {
        let Some(flight) = self.flight.take() else { return Event::Changed };
        let Flight { mut permission, kind, reason, attempt, .. } = *flight;
        let origin = permission.link.origin;
        match answer {
            Answer::Accepted(mut accepted, tunnel) => {
                accepted.home = self.house.origins.shared(accepted.home);
                permission.outcome = Outcome::Accepted;
                self.house.origins.record(origin, Some(&accepted.home), Outcome::Accepted, false);
                self.house.origins.metrics.attach_accepted(kind);
                let attached = half.handle_accepted(attempt.epoch(), &accepted, now);
                self.attached(half, attached, &permission.link, now);
                Event::Tunnel(tunnel)
            }
            Answer::Refused(refused) => {
                permission.outcome = Outcome::of(refused.verdict());
                self.refused(half, &refused, &attempt, &permission, (kind, reason), now);
                Event::Changed
            }
            Answer::Lost(loss) => {
                self.note_failure(kind, reason, "lost");
                let at_fault = loss == Loss::Reset;
                self.house.origins.record(origin, half.home(), Outcome::Other, at_fault);
                half.handle_lost(attempt.epoch(), loss, now);
                self.fail(origin, now, None);
                Event::Changed
            }
        }
    }

    fn attached(&mut self, half: &EdgeSession, attached: Attached, link: &Rc<Link>, now: Millis) {
        let metrics = &self.house.origins.metrics;
        let (sid, home) = (half.key().sid(), half.home().map_or("-", |home| home.as_str()));
        let user = self.house.show.show(half.user().as_str());
        match attached {
            Attached::Opened => debug!(event = "session.open", %sid, %user, home, origin = link.instance),
            Attached::Moved(moved) => {
                let (needed_at, detached_at) =
                    self.search.as_ref().map_or((None, None), |search| (search.needed_at, search.detached_at));
                metrics.moved(moved, now.saturating_sub(needed_at.unwrap_or(now)));
                if let Some(since) = detached_at {
                    metrics.reattached(now.saturating_sub(since));
                }
                let (reason, planned, epoch) = (moved.reason.word(), moved.planned, half.epoch());
                let (origin, resent) = (&link.instance, half.pipe().outgoing().unacked());
                debug!(event = "session.move", %sid, %user, home, origin, %epoch, reason, planned, resent);
            }
            Attached::Ignored | Attached::Contradicted => return,
        }
        self.link = Some(Rc::clone(link));
        self.search = None;
    }

    fn refused(
        &mut self,
        half: &mut EdgeSession,
        refused: &Refused,
        attempt: &Attempt,
        permission: &Permission,
        (kind, reason): (AttachKind, MoveReason),
        now: Millis,
    ) {
        let (verdict, origin) = (refused.verdict(), permission.link.origin);
        let word = refused.word.map_or("unknown", Word::as_str);
        self.note_failure(kind, reason, word);
        // What an anchor says of itself is not the origin's doing.
        let at_fault = refused.home.is_none() && matches!(verdict, Verdict::Draining | Verdict::Transient);
        self.house.origins.record(origin, half.home(), permission.outcome, at_fault);
        debug!(event = "attach.refused", sid = %half.key().sid(), word, origin = permission.link.instance);
        if kind == AttachKind::Open && matches!(verdict, Verdict::Wait(_)) {
            self.search(now).held_up_at = Some(now);
        }
        half.handle_refused(attempt.epoch(), refused, now);
        match verdict {
            Verdict::Wait(wait) => {
                // Nothing failed: the same origin may be asked again.
                let wait = wait.clamp(1, limits::RETRY_AFTER_MAX);
                let wait = backoff::spread(wait, &mut *self.house.origins.chance.borrow_mut());
                self.fail(origin, now, Some(wait));
                self.search(now).failed = None;
            }
            _ => self.fail(origin, now, None),
        }
    }

    fn note_failure(&self, kind: AttachKind, reason: MoveReason, outcome: &'static str) {
        let metrics = &self.house.origins.metrics;
        metrics.attach_failed(kind, outcome);
        if kind == AttachKind::Resume {
            let kind = if reason == MoveReason::Solicited { MoveKind::Planned } else { MoveKind::Broken };
            metrics.move_failed(kind, reason, outcome);
        }
    }
}

impl Owner for Seat {
    type Half = EdgeSession;

    fn poll(&mut self, cx: &mut Context<'_>, half: &mut EdgeSession, now: Millis) -> Poll<Event> {
        if !std::mem::replace(&mut self.enrolled, true) {
            self.house.origins.enroll(self.number, cx.waker());
        }
        self.show(half);
        self.answered |= half.pipe().incoming().rcv() > 0;
        if half.closed() {
            return Poll::Pending;
        }
        if self.house.closing.get() {
            half.abort(CloseCause::Shutdown, now);
            return Poll::Ready(Event::Changed);
        }
        if !self.house.dcr && half.home().is_some() && half.tunnel().is_none() {
            half.abort(CloseCause::Grace, now);
            return Poll::Ready(Event::Changed);
        }
        if let Some(flight) = &mut self.flight {
            let Poll::Ready(answer) = flight.attempt.poll_answer(cx) else { return Poll::Pending };
            return Poll::Ready(self.handle_answer(half, answer, now));
        }
        self.poll_attach(cx, half, now)
    }

    fn end_attempt(&mut self, epoch: Epoch, how: HowEnded) {
        let Some(mut flight) = self.flight.take_if(|flight| flight.attempt.epoch() == epoch) else { return };
        if how == HowEnded::TimedOut {
            flight.permission.outcome = Outcome::TimedOut;
            self.timed_out(&flight);
            let link = Rc::clone(&flight.permission.link);
            let was_mute = link.is_mute();
            drop(flight);
            if link.is_mute() && !was_mute {
                self.house.origins.disperse_mute();
            }
        }
    }

    fn lost(&mut self, half: &EdgeSession, loss: Loss, now: Millis) {
        let left = self.link.take().map(|link| link.origin);
        let search = self.search(now);
        search.detached_at.get_or_insert(now);
        search.needed_at.get_or_insert(now);
        if loss != Loss::EndStream {
            search.failed = left;
        }
        search.move_at = None;
        debug!(event = "session.detached", sid = %half.key().sid(), ?loss);
    }
}

impl Seat {
    fn poll_attach(&mut self, cx: &mut Context<'_>, half: &mut EdgeSession, now: Millis) -> Poll<Event> {
        let reason = match self.due(half, now) {
            Ok(Some(reason)) => reason,
            Ok(None) => {
                if let Some(search) = &mut self.search {
                    (search.waiting, search.needed_at) = (None, None);
                }
                return Poll::Pending;
            }
            Err(at) => {
                // A place in a queue that isn't used keeps others from theirs.
                self.search(now).waiting = None;
                return self.poll_until(cx, at, now).map(|()| Event::Changed);
            }
        };
        let search = self.search(now);
        search.needed_at.get_or_insert(now);
        if search.not_before > now {
            let at = search.not_before;
            search.hold_up(half, search.held_up_at.is_some(), now);
            return self.poll_until(cx, at, now).map(|()| Event::Changed);
        }
        match self.poll_leave(half, reason, now, cx) {
            Leave::Granted(permission) => {
                self.send(half, permission, reason, now);
                Poll::Ready(Event::Changed)
            }
            Leave::Queued | Leave::NoOrigin => Poll::Pending,
            Leave::After(wait) => self.poll_until(cx, now + wait, now).map(|()| Event::Changed),
        }
    }

    fn timed_out(&mut self, flight: &Flight) {
        self.note_failure(flight.kind, flight.reason, "timeout");
        let (origin, now) = (flight.permission.link.origin, self.house.origins.worker.now());
        self.house.origins.record(origin, flight.home.as_ref(), Outcome::TimedOut, true);
        self.fail(origin, now, None);
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let origins = &self.house.origins;
        origins.forget(self.number);
        let tunnel = matches!(self.state, Some(SessionState::Live | SessionState::Moving));
        origins.metrics.tunnels().dec_by(i64::from(tunnel));
        origins.metrics.session(self.state, None);
    }
}
