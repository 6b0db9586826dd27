//! The anchor half of a session: the context that a resume finds.
//!
//! ```text
//!   open ──► ATTACHED ◄── resume with a higher epoch (fences the older tunnel) ──┐
//!               │ tunnel lost                                                    │
//!               └────────► DETACHED ─────────────────────────────────────────────┘
//!   either ──► CLOSED: both directions ended, RESET, ABORT; from DETACHED also T_grace
//! ```
//! It knows no MQTT: the broker's socket is closed without DISCONNECT, so that the broker's own rules for wills apply.

use std::collections::VecDeque;

use crate::{
    attach::{Accepted, Open, Refused, Resume, Word},
    capsule::Piece,
    error::CloseCause,
    id::{Epoch, NodeName, Sid, UserId},
    limits::Millis,
    mutant,
    session::{
        Half, HowEnded, Loss, Output, Pipe, SharedTerms,
        pipe::{Fault, Over},
    },
};

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Phase {
    Attached,
    Detached { until: Millis },
    Closed,
}

/// The anchor half.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AnchorSession {
    sid: Sid,
    user: UserId,
    /// The edge that opened the session: no other may resume it.
    edge: Option<NodeName>,
    /// The highest accepted.
    epoch: Epoch,
    phase: Phase,
    pipe: Pipe,
    /// Who ended the session, as soon as somebody did.
    cause: Option<CloseCause>,
    outputs: VecDeque<Output>,
}

impl AnchorSession {
    /// A session whose broker socket is up. The 200 follows; no byte has passed.
    pub fn open(open: &Open, edge: Option<NodeName>, terms: SharedTerms) -> Self {
        Self {
            sid: open.key.sid(),
            user: open.user.clone(),
            edge,
            epoch: Epoch::FIRST,
            phase: Phase::Attached,
            pipe: Pipe::new(terms, open.window),
            cause: None,
            outputs: VecDeque::new(),
        }
    }

    pub(crate) fn from_parts(parts: Parts, now: Millis) -> Self {
        let Parts { sid, user, edge, epoch, grace_left, cause, pipe } = parts;
        let phase = Phase::Detached { until: now.saturating_add(grace_left) };
        Self { sid, user, edge, epoch, phase, pipe, cause, outputs: VecDeque::new() }
    }

    /// The session's name.
    pub fn sid(&self) -> Sid {
        self.sid
    }

    /// Whose session it is.
    pub fn user(&self) -> &UserId {
        &self.user
    }

    /// The edge that may resume it.
    pub fn edge(&self) -> Option<&NodeName> {
        self.edge.as_ref()
    }

    /// The current epoch.
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// Who ended the session, as far as somebody did.
    pub(crate) fn cause(&self) -> Option<CloseCause> {
        self.cause
    }

    pub(crate) fn grace_left(&self, now: Millis) -> Millis {
        match self.phase {
            Phase::Detached { until } => until.saturating_sub(now),
            Phase::Attached | Phase::Closed => self.pipe.terms().grace,
        }
    }

    /// `attached`, `detached` or `closed`.
    pub fn state(&self) -> &'static str {
        match self.phase {
            Phase::Attached => "attached",
            Phase::Detached { .. } => "detached",
            Phase::Closed => "closed",
        }
    }

    /// Whether no byte of the client's has arrived: an open whose 200 may have been lost.
    pub fn untouched(&self) -> bool {
        self.pipe.incoming().exp() == 0
    }

    /// What the 200 says, of an open or of a resume that was just accepted.
    pub fn accepted(&self, home: &NodeName) -> Accepted {
        let inc = self.pipe.incoming();
        let grace = self.pipe.terms().grace;
        Accepted { home: home.clone(), recv: inc.ack_value(), window: inc.window(), grace }
    }

    /// The accept rule: a known session, its opener's edge, a higher epoch, a position that was sent. The older tunnel
    /// is fenced and closed; what comes from it later is dropped.
    pub fn handle_resume(
        &mut self,
        resume: &Resume,
        edge: Option<&NodeName>,
        home: &NodeName,
        now: Millis,
    ) -> Result<Accepted, Refused> {
        if self.closed() || resume.key.sid() != self.sid || edge != self.edge() {
            return Err(Refused::by(home, Word::Gone));
        }
        if resume.epoch <= self.epoch {
            return Err(Refused { epoch: Some(self.epoch), ..Refused::by(home, Word::Stale) });
        }
        if resume.epoch >= Epoch::CEILING {
            return Err(Refused::by(home, Word::Malformed));
        }
        if self.pipe.attached(resume.recv, now).is_err() {
            return Err(Refused::by(home, Word::Malformed));
        }
        if let Some(fenced) = self.tunnel().filter(|_| !mutant!(FencedTunnelLeftOpen)) {
            self.outputs.push_back(Output::EndTunnel(fenced, HowEnded::EndStream));
        }
        self.epoch = resume.epoch;
        self.phase = Phase::Attached;
        let accepted = self.accepted(home);
        self.settle(now);
        Ok(accepted)
    }

    /// Closes the broker's socket. Whoever ended the session first is the cause.
    fn finish(&mut self, cause: CloseCause, reset: bool) {
        self.phase = Phase::Closed;
        self.pipe.clear();
        let cause = self.cause.unwrap_or(cause);
        self.outputs.push_back(Output::Close { cause, reset });
    }

    fn note_ends(&mut self) {
        if self.pipe.read_ended() {
            let reset = self.pipe.outgoing().marks().1;
            self.cause.get_or_insert(if reset { CloseCause::BrokerReset } else { CloseCause::BrokerLeft });
        }
        if self.pipe.incoming().committed_fin().is_some() {
            self.cause.get_or_insert(CloseCause::ClientLeft);
        }
    }

    fn detach(&mut self, now: Millis) {
        self.phase = Phase::Detached { until: now.saturating_add(self.pipe.terms().grace) };
        self.pipe.detached();
    }
}

impl Half for AnchorSession {
    fn pipe(&self) -> &Pipe {
        &self.pipe
    }

    fn pipe_mut(&mut self) -> &mut Pipe {
        &mut self.pipe
    }

    fn tunnel(&self) -> Option<Epoch> {
        (self.phase == Phase::Attached).then_some(self.epoch)
    }

    fn closed(&self) -> bool {
        self.phase == Phase::Closed
    }

    fn handle_piece(&mut self, epoch: Epoch, piece: Piece<'_>, now: Millis) {
        if self.tunnel() != Some(epoch) && !mutant!(NoFencing) {
            return;
        }
        match self.pipe.handle_piece(piece, now) {
            Ok(()) => self.settle(now),
            Err(Fault::Tunnel) => self.handle_garbage(epoch, now),
            Err(Fault::Session(cause)) => self.abort(cause, now),
            Err(Fault::PeerAborted) => {
                self.outputs.push_back(Output::EndTunnel(epoch, HowEnded::EndStream));
                self.finish(CloseCause::Aborted, true);
            }
        }
    }

    fn handle_lost(&mut self, epoch: Epoch, _loss: Loss, now: Millis) {
        if self.tunnel() == Some(epoch) {
            self.detach(now);
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
        self.note_ends();
        let tunnel = self.tunnel();
        let Some(over) = self.pipe.settle(tunnel.is_some(), now) else { return };
        if let Some(tunnel) = tunnel {
            let last = HowEnded::Last(self.pipe.last_ack());
            self.outputs.push_back(Output::EndTunnel(tunnel, last));
        }
        match over {
            Over::Closed => self.finish(CloseCause::ClientLeft, false),
            Over::ResetByPeer => self.finish(CloseCause::ClientReset, true),
            Over::ResetAcked => self.finish(CloseCause::BrokerReset, true),
        }
    }

    fn handle_timeout(&mut self, now: Millis, flushed: Millis) {
        match self.phase {
            Phase::Detached { until } if now >= until => self.finish(CloseCause::Grace, true),
            Phase::Attached if self.pipe.black_hole(now, flushed) => self.handle_garbage(self.epoch, now),
            _ => {}
        }
        if let Some(cause) = self.pipe.stood_still(now).filter(|_| !self.closed()) {
            self.abort(cause, now);
        }
    }

    fn poll_timeout(&self) -> Option<Millis> {
        let grace = match self.phase {
            Phase::Detached { until } => Some(until),
            Phase::Attached | Phase::Closed => None,
        };
        [grace, self.pipe.poll_timeout()].into_iter().flatten().min()
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
        if let Some(tunnel) = self.tunnel() {
            let last = HowEnded::Last(self.pipe.abort(cause));
            self.outputs.push_back(Output::EndTunnel(tunnel, last));
        }
        self.finish(cause, true);
    }
}

/// What a session is made of after a restart; see [`crate::session::snapshot`].
pub(crate) struct Parts {
    pub(crate) sid: Sid,
    pub(crate) user: UserId,
    pub(crate) edge: Option<NodeName>,
    pub(crate) epoch: Epoch,
    pub(crate) grace_left: Millis,
    pub(crate) cause: Option<CloseCause>,
    pub(crate) pipe: Pipe,
}
