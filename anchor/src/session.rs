//! One session's task: it owns the half and the broker's socket, and runs the loop.

use std::{
    future::Future,
    rc::Rc,
    task::{Context, Poll},
    time::Duration,
};

use baton_link::{Closing, Owner, Tunnel, drive, drive::Event, trunk::Counted};
use baton_process::metrics::{AttachKind, Gauge, Metrics, SessionState};
use baton_protocol::{
    attach::{Open, Refused, Word},
    id::{Epoch, NodeName},
    limits::Millis,
    session::{AnchorSession, Half, HowEnded, Loss},
};
use bytes::Bytes;
use h2::{RecvStream, server::SendResponse};
use tokio::time::timeout;
use tracing::debug;

use crate::{
    backend::{Backend, NotDialed, Opening},
    home::{Arrival, Home, Mailbox},
};

/// Milliseconds for which an open is put off while no connection to the broker can be had: one has to end first, which
/// takes a while where sessions last for days.
const FULL: Millis = 2_000;

/// Opens a session: dials the broker, answers, and serves the session to its end.
///
/// What the opening needs is in a box of its own, which goes when the session is there: a session is held for as long as
/// its client stays. (An async function would hold its arguments for as long.)
pub(crate) fn open<B: Backend>(
    home: Rc<Home<B>>,
    open: Open,
    edge: Option<NodeName>,
    body: RecvStream,
    respond: SendResponse<Bytes>,
    counted: Counted,
) -> impl Future<Output = ()> {
    let admitted = Box::pin(admit(Rc::clone(&home), open, edge, body, respond, counted));
    async move {
        let Some((mut half, tunnel, mut broker, mailbox)) = admitted.await else { return };
        let mut seat = Seat::new(&home, mailbox, &half);
        let Closing { cause, reset } = drive(&home.worker, &mut seat, &mut half, tunnel, &mut broker).await;
        seat.stand_up();
        let sid = half.sid();
        home.leave(sid);
        home.metrics.client_closed(cause);
        if reset {
            B::reset(broker);
        }
        let shown = home.setup.show.show(half.user().as_str());
        debug!(event = "session.close", %sid, user = %shown, home = %home.name(), %cause);
    }
}

/// A session that there is: its half, its tunnel, the broker's socket, and where resumes arrive.
type Admitted<S> = (AnchorSession, Option<Tunnel>, S, Rc<Mailbox>);

/// Dials the broker, and answers the attach. `None` if that was with a refusal, or it was given up.
async fn admit<B: Backend>(
    home: Rc<Home<B>>,
    open: Open,
    edge: Option<NodeName>,
    body: RecvStream,
    mut respond: SendResponse<Bytes>,
    counted: Counted,
) -> Option<Admitted<B::Stream>> {
    home.metrics.session(None, Some(SessionState::Dialing));
    let opening = Opening { sid: open.key.sid(), user: open.user.clone(), client: open.client.clone() };
    let dialed = dial(&home, &opening, &mut respond).await;
    home.dialed();
    home.metrics.session(Some(SessionState::Dialing), None);
    let broker = dialed?;
    let Some(mailbox) = home.enter(opening.sid, opening.user) else {
        B::reset(broker);
        home.refuse(AttachKind::Open, &Refused::by(home.name(), Word::Malformed), &mut respond);
        return None;
    };
    let mut half = AnchorSession::open(&open, edge, home.setup.terms.clone());
    let response = half.accepted(home.name()).to_response();
    // An attach that was given up meanwhile leaves an orphan, which is what a lost 200 leaves: the grace time ends it.
    let tunnel = respond.send_response(response, false).ok();
    let tunnel = tunnel.map(|send| Tunnel::new(half.epoch(), send, body, counted));
    if tunnel.is_none() {
        half.handle_lost(half.epoch(), Loss::Reset, home.worker.now());
    }
    home.metrics.attach_accepted(AttachKind::Open);
    let shown = home.setup.show.show(half.user().as_str());
    debug!(event = "session.open", sid = %half.sid(), user = %shown, home = %home.name());
    Some((half, tunnel, broker, mailbox))
}

/// The broker's socket; `None` if the attach was answered with a refusal, or given up.
async fn dial<B: Backend>(
    home: &Rc<Home<B>>,
    opening: &Opening,
    respond: &mut SendResponse<Bytes>,
) -> Option<B::Stream> {
    let within = Duration::from_millis(home.setup.terms.attach);
    let dialed = tokio::select! {
        biased;
        _ = std::future::poll_fn(|cx| respond.poll_reset(cx)) => {
            home.metrics.attach_failed(AttachKind::Open, "lost");
            return None;
        }
        dialed = timeout(within, home.backend.dial(opening)) => dialed,
    };
    let refused = match dialed.unwrap_or_else(|_| Err(NotDialed::Unreachable("timed out".into()))) {
        Ok(stream) => return Some(stream),
        Err(NotDialed::Full) => Refused { retry_after: Some(FULL), ..Refused::by(home.name(), Word::Busy) },
        Err(NotDialed::Unreachable(why)) => {
            // One a client: that the broker is away is said once, by who watches it.
            debug!(event = "broker.unreachable", home = %home.name(), why);
            Refused::by(home.name(), Word::Unreachable)
        }
    };
    home.refuse(AttachKind::Open, &refused, respond);
    None
}

/// What the anchor adds to the loop: resumes that arrive in the mailbox.
struct Seat<'a, B> {
    home: &'a Home<B>,
    metrics: Metrics,
    mailbox: Rc<Mailbox>,
    state: Option<SessionState>,
    tunnels: Gauge,
    detached_at: Option<Millis>,
}

impl<'a, B: Backend> Seat<'a, B> {
    fn new(home: &'a Home<B>, mailbox: Rc<Mailbox>, half: &AnchorSession) -> Self {
        let metrics = home.metrics.clone();
        let tunnels = metrics.tunnels().clone();
        let mut seat = Self { home, metrics, mailbox, state: None, tunnels, detached_at: None };
        seat.show(half);
        seat
    }

    fn show(&mut self, half: &AnchorSession) {
        let state = SessionState::of(half.state());
        if state != self.state {
            self.tunnels.inc_by(i64::from(state == Some(SessionState::Attached)));
            self.tunnels.dec_by(i64::from(self.state == Some(SessionState::Attached)));
            self.metrics.session(self.state, state);
            self.state = state;
        }
    }

    fn stand_up(mut self) {
        self.tunnels.dec_by(i64::from(self.state == Some(SessionState::Attached)));
        self.metrics.session(self.state.take(), None);
    }

    /// Answers a resume; the tunnel, if it was accepted and its edge is still there.
    fn answer(&mut self, half: &mut AnchorSession, arrival: Arrival, now: Millis) -> Option<Tunnel> {
        let Arrival { resume, edge, body, mut respond, counted } = arrival;
        let accepted = match half.handle_resume(&resume, edge.as_ref(), &self.home.setup.name, now) {
            Ok(accepted) => accepted,
            Err(refused) => {
                self.home.refuse(AttachKind::Resume, &refused, &mut respond);
                return None;
            }
        };
        self.metrics.attach_accepted(AttachKind::Resume);
        if let Some(since) = self.detached_at.take() {
            self.metrics.reattached(now.saturating_sub(since));
        }
        let resent = half.pipe().outgoing().unacked();
        debug!(event = "session.resume", sid = %half.sid(), epoch = %resume.epoch, home = %self.home.name(), resent);
        match respond.send_response(accepted.to_response(), false) {
            Ok(send) => Some(Tunnel::new(resume.epoch, send, body, counted)),
            Err(_) => {
                half.handle_lost(resume.epoch, Loss::Reset, now);
                None
            }
        }
    }
}

impl<B: Backend> Owner for Seat<'_, B> {
    type Half = AnchorSession;

    fn poll(&mut self, cx: &mut Context<'_>, half: &mut AnchorSession, now: Millis) -> Poll<Event> {
        if !half.untouched() {
            self.mailbox.touched.set(true);
        }
        self.show(half);
        if let Some(cause) = self.mailbox.dropped.take() {
            half.abort(cause, now);
            return Poll::Ready(Event::Changed);
        }
        let arrival = self.mailbox.arrivals.borrow_mut().pop_front();
        if let Some(arrival) = arrival {
            return Poll::Ready(self.answer(half, arrival, now).map_or(Event::Changed, Event::Tunnel));
        }
        let mut waker = self.mailbox.waker.borrow_mut();
        if !waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            *waker = Some(cx.waker().clone());
        }
        Poll::Pending
    }

    fn end_attempt(&mut self, epoch: Epoch, _how: HowEnded) {
        // A tunnel that ended by itself just before the half fenced it.
        debug!(event = "tunnel.already_gone", %epoch);
    }

    fn lost(&mut self, half: &AnchorSession, loss: Loss, now: Millis) {
        self.detached_at = Some(now);
        debug!(event = "session.detached", sid = %half.sid(), epoch = %half.epoch(), ?loss, home = %self.home.name());
    }
}
