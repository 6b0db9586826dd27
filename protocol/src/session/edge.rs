//! The edge half of a session: at most one tunnel and one attempt at another.
//!
//! ```text
//!            begin_open             accepted
//!   OPENING ────────────► (attempt) ────────► LIVE ◄───────────────────────┐
//!      │ refused for good, T_open             │  ▲ refused, lost, timed out │ accepted
//!      ▼                        begin_resume  │  │ (the old tunnel stays)   │
//!   CLOSED ◄── over, abort ──────────────── MOVING ────────────────────────┤
//!      ▲                                      │ old tunnel ends             │
//!      │ gone, grace                          ▼                             │
//!      └────────────────────────────────── DETACHED ── begin_resume ────────┘
//! ```
//! A final refusal ends a session only when it has no tunnel. When to begin an attempt, and through which origin, is
//! the owner's to decide; [`EdgeSession::wants_attach`] says that one is due.

use std::collections::VecDeque;

use crate::{
    attach::{Accepted, Open, Refused, Resume, Verdict, Word},
    capsule::Piece,
    error::CloseCause,
    id::{Epoch, NodeName, SessionKey, UserId},
    limits::{self, Millis},
    mutant,
    session::{
        Half, HowEnded, Loss, Output, Pipe, SharedTerms,
        pipe::{Fault, Over, Strikes},
    },
};

/// An attach that has not been answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Attempt {
    epoch: Epoch,
    deadline: Millis,
    reason: MoveReason,
    /// Whether the tunnel that it replaces still stood when it began, and did not break since.
    unbroken: bool,
}

/// Why a session changes its tunnel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum MoveReason {
    /// The origin asked for it, or goes.
    Solicited,
    /// The tunnel swallowed what was sent.
    BlackHole,
    /// The tunnel was lost.
    Lost,
}

impl MoveReason {
    /// The stable word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Solicited => "solicited",
            Self::BlackHole => "black_hole",
            Self::Lost => "lost",
        }
    }
}

/// A move that succeeded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Moved {
    /// Why.
    pub reason: MoveReason,
    /// Make-before-break: the session was never without a tunnel that worked.
    pub planned: bool,
}

/// What an accepted attach was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Attached {
    /// The session has begun.
    Opened,
    /// It goes on through another tunnel.
    Moved(Moved),
    /// The attempt had been given up; the tunnel is ended.
    Ignored,
    /// The anchor contradicts what this half knows: the session is aborted.
    Contradicted,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Phase {
    Opening { attempt: Option<Attempt>, until: Millis },
    Live { tunnel: Epoch },
    Moving { tunnel: Epoch, attempt: Attempt },
    Detached { attempt: Option<Attempt>, until: Millis },
    Closed,
}

/// The edge half.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct EdgeSession {
    key: SessionKey,
    user: UserId,
    home: Option<NodeName>,
    /// The highest ever sent.
    epoch: Epoch,
    grace: Millis,
    phase: Phase,
    pipe: Pipe,
    attach_wait: Millis,
    /// The current tunnel swallows what is sent.
    holed: bool,
    stale: Strikes,
    /// Who ended the session, as soon as somebody did.
    cause: Option<CloseCause>,
    outputs: VecDeque<Output>,
}

impl EdgeSession {
    /// A session for a client whose CONNECT has been parsed. `key` is replaced by each open attempt's own.
    pub fn new(user: UserId, terms: SharedTerms, now: Millis) -> Self {
        let (until, attach_wait, grace) = (now.saturating_add(terms.open), terms.attach, terms.grace);
        let window = if mutant!(BytesBeforeAccepted) { terms.window } else { 0 };
        Self {
            key: SessionKey::from_bytes([0; 32]),
            user,
            home: None,
            epoch: Epoch(0),
            grace,
            phase: Phase::Opening { attempt: None, until },
            pipe: Pipe::new(terms, window),
            attach_wait,
            holed: false,
            stale: Strikes::default(),
            cause: None,
            outputs: VecDeque::new(),
        }
    }

    pub(crate) fn from_parts(parts: Parts, now: Millis) -> Self {
        let Parts { key, user, home, epoch, grace, grace_left, cause, pipe } = parts;
        let attach_wait = pipe.terms().attach;
        let until = match home {
            Some(_) => now.saturating_add(grace_left),
            None => now.saturating_add(pipe.terms().open),
        };
        let phase = match home {
            Some(_) => Phase::Detached { attempt: None, until },
            None => Phase::Opening { attempt: None, until },
        };
        let (stale, outputs) = (Strikes::default(), VecDeque::new());
        Self { key, user, home, epoch, grace, phase, pipe, attach_wait, holed: false, stale, cause, outputs }
    }

    /// Whose session it is.
    pub fn user(&self) -> &UserId {
        &self.user
    }

    /// The key of the last open attempt.
    pub fn key(&self) -> &SessionKey {
        &self.key
    }

    /// The home, once there is one.
    pub fn home(&self) -> Option<&NodeName> {
        self.home.as_ref()
    }

    /// The highest epoch ever sent.
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    pub(crate) fn grace(&self) -> Millis {
        self.grace
    }

    /// Who ended the session, as far as somebody did.
    pub(crate) fn cause(&self) -> Option<CloseCause> {
        self.cause
    }

    pub(crate) fn grace_left(&self, now: Millis) -> Millis {
        match self.phase {
            Phase::Detached { until, .. } => until.saturating_sub(now),
            _ => self.grace.saturating_add(limits::GRACE_MARGIN),
        }
    }

    /// `opening`, `live`, `moving`, `detached` or `closed`.
    pub fn state(&self) -> &'static str {
        match self.phase {
            Phase::Opening { .. } => "opening",
            Phase::Live { .. } => "live",
            Phase::Moving { .. } => "moving",
            Phase::Detached { .. } => "detached",
            Phase::Closed => "closed",
        }
    }

    /// The attempt that has not been answered.
    pub fn attempt(&self) -> Option<Epoch> {
        self.attempt_ref().map(|attempt| attempt.epoch)
    }

    fn attempt_ref(&self) -> Option<&Attempt> {
        match &self.phase {
            Phase::Opening { attempt, .. } | Phase::Detached { attempt, .. } => attempt.as_ref(),
            Phase::Moving { attempt, .. } => Some(attempt),
            Phase::Live { .. } | Phase::Closed => None,
        }
    }

    /// Whether an attempt is due because there is no tunnel, or only one that swallows what is sent.
    pub fn wants_attach(&self) -> bool {
        self.attempt_ref().is_none()
            && match self.phase {
                Phase::Opening { .. } | Phase::Detached { .. } => true,
                Phase::Live { .. } => self.holed,
                Phase::Moving { .. } | Phase::Closed => false,
            }
    }

    /// Begins an attempt to open, with a fresh key. `None` unless the session is opening.
    pub fn begin_open(&mut self, key: SessionKey, client: Option<String>, now: Millis) -> Option<(Epoch, Open)> {
        let attempt = self.next_attempt(MoveReason::Lost, now);
        let Phase::Opening { attempt: place, .. } = &mut self.phase else { return None };
        if let Some(replaced) = place.replace(attempt) {
            self.outputs.push_back(Output::EndTunnel(replaced.epoch, HowEnded::Reset));
        }
        self.epoch = attempt.epoch;
        self.key = key.clone();
        Some((attempt.epoch, Open { user: self.user.clone(), key, window: self.pipe.terms().window, client }))
    }

    /// Begins an attempt to resume; one that is not answered yet is replaced. `None` while opening, and once closed.
    pub fn begin_resume(&mut self, reason: MoveReason, now: Millis) -> Option<Resume> {
        let home = self.home.clone()?;
        let attempt = self.next_attempt(reason, now);
        let replaced = match &mut self.phase {
            Phase::Live { tunnel } => {
                self.phase = Phase::Moving { tunnel: *tunnel, attempt };
                None
            }
            Phase::Moving { attempt: place, .. } => Some(std::mem::replace(place, attempt)),
            Phase::Detached { attempt: place, .. } => {
                place.replace(Attempt { unbroken: false, reason: MoveReason::Lost, ..attempt })
            }
            Phase::Opening { .. } | Phase::Closed => return None,
        };
        if let Some(replaced) = replaced {
            self.outputs.push_back(Output::EndTunnel(replaced.epoch, HowEnded::Reset));
        }
        self.epoch = attempt.epoch;
        let recv = self.pipe.incoming().ack_value();
        Some(Resume { home, key: self.key.clone(), epoch: attempt.epoch, recv })
    }

    fn next_attempt(&self, reason: MoveReason, now: Millis) -> Attempt {
        let deadline = now.saturating_add(self.attach_wait);
        Attempt { epoch: self.epoch.next(), deadline, reason, unbroken: true }
    }

    /// A 200 answered the attempt of `epoch`.
    pub fn handle_accepted(&mut self, epoch: Epoch, accepted: &Accepted, now: Millis) -> Attached {
        let Some(attempt) = self.attempt_ref().copied().filter(|attempt| attempt.epoch == epoch) else {
            self.outputs.push_back(Output::EndTunnel(epoch, HowEnded::Reset));
            return Attached::Ignored;
        };
        let out = self.pipe.outgoing();
        let known = out.una()..=out.smax();
        let same_home = self.home.as_ref().is_none_or(|home| *home == accepted.home);
        let old = self.tunnel();
        self.pipe.set_peer_window(accepted.window);
        if !same_home || !known.contains(&accepted.recv) || self.pipe.attached(accepted.recv, now).is_err() {
            // The new tunnel carries the ABORT, so that the anchor's half ends as well.
            self.phase = Phase::Live { tunnel: epoch };
            self.end_old(old, HowEnded::Reset);
            self.abort(CloseCause::Protocol, now);
            return Attached::Contradicted;
        }
        let opened = self.home.is_none();
        self.phase = Phase::Live { tunnel: epoch };
        self.holed = false;
        self.attach_wait = self.pipe.terms().attach;
        self.grace = accepted.grace;
        self.home = Some(accepted.home.clone());
        self.end_old(old, HowEnded::EndStream);
        self.settle(now);
        if opened {
            return Attached::Opened;
        }
        let planned = attempt.unbroken && attempt.reason == MoveReason::Solicited;
        Attached::Moved(Moved { reason: attempt.reason, planned })
    }

    fn end_old(&mut self, old: Option<Epoch>, how: HowEnded) {
        self.outputs.extend(old.map(|tunnel| Output::EndTunnel(tunnel, how)));
    }

    /// The attempt of `epoch` was refused. The owner backs off as [`Refused::verdict`] says.
    pub fn handle_refused(&mut self, epoch: Epoch, refused: &Refused, now: Millis) {
        if self.attempt() != Some(epoch) {
            return;
        }
        let verdict = refused.verdict();
        let tired = match verdict {
            Verdict::Stale(current) => {
                self.epoch = self.epoch.max(current);
                self.stale.strike(now, limits::STALE_STRIKES)
            }
            _ => false,
        };
        self.forget_attempt();
        match (verdict, &self.phase) {
            (Verdict::Final(_), Phase::Opening { .. }) => self.finish(CloseCause::OpenRefused, false),
            (Verdict::Final(Word::Gone), Phase::Detached { .. }) => {
                // After one half has committed the other's close, this is how a lost last ack shows: RST would take
                // from the client what its kernel hasn't sent.
                let in_order = self.pipe.read_ended() && self.pipe.incoming().committed_fin().is_some();
                self.finish(CloseCause::Gone, !in_order && self.cause != Some(CloseCause::ClientLeft));
            }
            (Verdict::Final(_), Phase::Detached { .. }) => self.finish(CloseCause::Gone, true),
            (Verdict::Stale(_), Phase::Detached { .. }) if tired => self.finish(CloseCause::Gone, true),
            _ => {}
        }
    }

    fn forget_attempt(&mut self) {
        match &mut self.phase {
            Phase::Opening { attempt, .. } | Phase::Detached { attempt, .. } => *attempt = None,
            Phase::Moving { tunnel, .. } => self.phase = Phase::Live { tunnel: *tunnel },
            Phase::Live { .. } | Phase::Closed => {}
        }
    }

    /// The open waited `by` for our own rate or for a busy home: T_open stood still meanwhile, within its bound.
    pub fn extend_open(&mut self, by: Millis, began: Millis) {
        if let Phase::Opening { until, .. } = &mut self.phase {
            *until = until.saturating_add(by).min(began.saturating_add(limits::OPEN_MAX));
        }
    }

    /// The successor that was to take this session is gone: it goes on here, above whatever epoch that one used.
    pub fn thaw(&mut self, now: Millis) {
        let jump = if mutant!(ThawKeepsEpoch) { 0 } else { limits::THAW_EPOCHS };
        self.epoch = Epoch(self.epoch.0.saturating_add(jump));
        let tunnel = self.tunnel().filter(|_| !mutant!(ThawKeepsTunnel));
        if let Some(tunnel) = tunnel {
            self.outputs.push_back(Output::EndTunnel(tunnel, HowEnded::Reset));
        }
        if let Some(attempt) = self.attempt() {
            self.outputs.push_back(Output::EndTunnel(attempt, HowEnded::Reset));
            self.forget_attempt();
        }
        if tunnel.is_some() {
            self.detach(None, now);
        }
    }

    fn detach(&mut self, attempt: Option<Attempt>, now: Millis) {
        let until = now.saturating_add(self.grace).saturating_add(limits::GRACE_MARGIN);
        self.phase = Phase::Detached { attempt, until };
        self.holed = false;
        self.pipe.detached();
    }

    fn note(&mut self, cause: CloseCause) {
        self.cause.get_or_insert(cause);
    }

    /// Closes the client's socket. Whoever ended the session first is the cause.
    fn finish(&mut self, cause: CloseCause, reset: bool) {
        self.phase = Phase::Closed;
        self.pipe.clear();
        let cause = self.cause.unwrap_or(cause);
        self.outputs.push_back(Output::Close { cause, reset });
    }

    fn attempt_timed_out(&mut self, epoch: Epoch) {
        self.attach_wait = self.attach_wait.saturating_mul(2).min(limits::ATTACH_MAX);
        self.outputs.push_back(Output::EndTunnel(epoch, HowEnded::TimedOut));
        self.forget_attempt();
    }

    fn note_local_end(&mut self) {
        if self.pipe.read_ended() {
            let reset = self.pipe.outgoing().marks().1;
            self.note(if reset { CloseCause::ClientReset } else { CloseCause::ClientLeft });
        }
        if self.pipe.incoming().committed_fin().is_some() {
            self.note(CloseCause::BrokerLeft);
        }
    }
}

impl Half for EdgeSession {
    fn pipe(&self) -> &Pipe {
        &self.pipe
    }

    fn pipe_mut(&mut self) -> &mut Pipe {
        &mut self.pipe
    }

    fn tunnel(&self) -> Option<Epoch> {
        match self.phase {
            Phase::Live { tunnel } | Phase::Moving { tunnel, .. } => Some(tunnel),
            Phase::Opening { attempt: Some(attempt), .. } if mutant!(BytesBeforeAccepted) => Some(attempt.epoch),
            Phase::Opening { .. } | Phase::Detached { .. } | Phase::Closed => None,
        }
    }

    fn closed(&self) -> bool {
        self.phase == Phase::Closed
    }

    fn handle_piece(&mut self, epoch: Epoch, piece: Piece<'_>, now: Millis) {
        if self.tunnel() != Some(epoch) && !mutant!(NoFencing) {
            return;
        }
        match self.pipe.handle_piece(piece, now) {
            Ok(()) => {
                self.holed = false;
                self.settle(now);
            }
            Err(Fault::Tunnel) => self.handle_garbage(epoch, now),
            Err(Fault::Session(cause)) => self.abort(cause, now),
            Err(Fault::PeerAborted) => {
                self.outputs.push_back(Output::EndTunnel(epoch, HowEnded::EndStream));
                self.end_old(self.attempt(), HowEnded::Reset);
                self.finish(CloseCause::Aborted, true);
            }
        }
    }

    fn handle_lost(&mut self, epoch: Epoch, loss: Loss, now: Millis) {
        if self.attempt() == Some(epoch) {
            self.forget_attempt();
        } else if self.tunnel() == Some(epoch) {
            let attempt = self
                .attempt_ref()
                .copied()
                .map(|attempt| Attempt { unbroken: attempt.unbroken && loss == Loss::EndStream, ..attempt });
            self.detach(attempt, now);
            self.settle(now);
        }
    }

    fn handle_garbage(&mut self, epoch: Epoch, now: Millis) {
        self.outputs.push_back(Output::EndTunnel(epoch, HowEnded::Reset));
        self.handle_lost(epoch, Loss::Reset, now);
    }

    fn settle(&mut self, now: Millis) {
        if self.closed() {
            return;
        }
        self.note_local_end();
        if matches!(self.phase, Phase::Opening { .. }) {
            // Nothing of this client has reached a broker: there is nobody to tell.
            if self.pipe.outgoing().marks().1 {
                self.outputs.extend(self.attempt().map(|epoch| Output::EndTunnel(epoch, HowEnded::Reset)));
                self.finish(CloseCause::ClientReset, true);
            }
            return;
        }
        let tunnel = self.tunnel();
        let Some(over) = self.pipe.settle(tunnel.is_some(), now) else { return };
        if let Some(tunnel) = tunnel {
            let last = HowEnded::Last(self.pipe.last_ack());
            self.outputs.push_back(Output::EndTunnel(tunnel, last));
        }
        self.outputs.extend(self.attempt().map(|epoch| Output::EndTunnel(epoch, HowEnded::Reset)));
        match over {
            Over::Closed => self.finish(CloseCause::BrokerLeft, false),
            Over::ResetByPeer => self.finish(CloseCause::BrokerReset, true),
            Over::ResetAcked => self.finish(CloseCause::ClientReset, true),
        }
    }

    fn handle_timeout(&mut self, now: Millis, flushed: Millis) {
        if let Some(attempt) = self.attempt_ref().copied().filter(|attempt| now >= attempt.deadline) {
            self.attempt_timed_out(attempt.epoch);
        }
        match self.phase {
            Phase::Opening { until, .. } if now >= until => {
                self.outputs.extend(self.attempt().map(|epoch| Output::EndTunnel(epoch, HowEnded::Reset)));
                self.finish(CloseCause::Unavailable, false);
            }
            Phase::Detached { until, .. } if now >= until => {
                self.outputs.extend(self.attempt().map(|epoch| Output::EndTunnel(epoch, HowEnded::Reset)));
                self.finish(CloseCause::Grace, true);
            }
            Phase::Live { .. } | Phase::Moving { .. } => self.holed |= self.pipe.black_hole(now, flushed),
            _ => {}
        }
        if let Some(cause) = self.pipe.stood_still(now).filter(|_| !self.closed()) {
            self.abort(cause, now);
        }
    }

    fn poll_timeout(&self) -> Option<Millis> {
        let attempt = self.attempt_ref().map(|attempt| attempt.deadline);
        let phase = match self.phase {
            Phase::Opening { until, .. } | Phase::Detached { until, .. } => Some(until),
            Phase::Live { .. } | Phase::Moving { .. } | Phase::Closed => None,
        };
        [attempt, phase, self.pipe.poll_timeout()].into_iter().flatten().min()
    }

    fn poll_output(&mut self) -> Option<Output> {
        let output = self.outputs.pop_front();
        if self.outputs.is_empty() {
            self.outputs = VecDeque::new();
        }
        output
    }

    fn abort(&mut self, cause: CloseCause, _now: Millis) {
        if self.closed() {
            return;
        }
        let last = HowEnded::Last(self.pipe.abort(cause));
        let (tunnel, attempt) = (self.tunnel(), self.attempt());
        self.end_old(tunnel, last);
        self.end_old(attempt, HowEnded::Reset);
        self.cause = Some(self.cause.unwrap_or(cause));
        self.finish(cause, true);
    }
}

/// What a session is made of after a restart; see [`crate::session::snapshot`].
pub(crate) struct Parts {
    pub(crate) key: SessionKey,
    pub(crate) user: UserId,
    pub(crate) home: Option<NodeName>,
    pub(crate) epoch: Epoch,
    pub(crate) grace: Millis,
    pub(crate) grace_left: Millis,
    pub(crate) cause: Option<CloseCause>,
    pub(crate) pipe: Pipe,
}
