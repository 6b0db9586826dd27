//! Both directions of a session and the clocks that watch them: what the edge half and the anchor half share.

use bytes::{Bytes, BytesMut};

use crate::{
    capsule::{self, Close, CloseKind, DATA_HEAD, Piece},
    error::CloseCause,
    limits::{self, Millis},
    session::{
        SharedTerms,
        stream::{Break, Incoming, Next, Outgoing},
    },
};

/// Bytes of room that `poll_frame` needs at least: a CLOSE, or a DATA head with one byte.
pub const FRAME_MIN: usize = DATA_HEAD + 8;

/// What a piece from the peer means for the session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The tunnel isn't to be trusted.
    Tunnel,
    /// The session must end: ABORT.
    Session(CloseCause),
    /// The peer gave up.
    PeerAborted,
}

/// How a session is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Over {
    /// Both directions ended in order.
    Closed,
    /// The peer's RESET was reached.
    ResetByPeer,
    /// The peer has our RESET.
    ResetAcked,
}

/// Both directions of a session.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Pipe {
    terms: SharedTerms,
    out: Outgoing,
    inc: Incoming,
    read_ended: bool,
    /// Since when nothing was heard although something was sent.
    quiet_since: Option<Millis>,
    black_hole: Millis,
    slow_at: Option<Millis>,
    /// Since when one direction is closed and the other made no progress, while there is a tunnel.
    half_since: Option<Millis>,
    gaps: Strikes,
}

/// Counts what may happen now and then, but not often.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Strikes {
    count: u8,
    since: Millis,
}

impl Strikes {
    /// One more at `now`; whether it makes `limit` within [`limits::STRIKE_SPAN`].
    pub(crate) fn strike(&mut self, now: Millis, limit: u8) -> bool {
        if self.count == 0 || now.saturating_sub(self.since) > limits::STRIKE_SPAN {
            *self = Self { count: 0, since: now };
        }
        self.count = self.count.saturating_add(1);
        self.count >= limit
    }
}

impl Pipe {
    pub(crate) fn new(terms: SharedTerms, peer_window: u64) -> Self {
        let (out, inc) = (Outgoing::new(peer_window.min(terms.send_cap)), Incoming::new(terms.window));
        Self::with_streams(terms, out, inc, false)
    }

    pub(crate) fn with_streams(terms: SharedTerms, out: Outgoing, inc: Incoming, read_ended: bool) -> Self {
        let black_hole = terms.black_hole;
        Self {
            terms,
            out,
            inc,
            read_ended,
            quiet_since: None,
            black_hole,
            slow_at: None,
            half_since: None,
            gaps: Strikes::default(),
        }
    }

    /// The direction that we send.
    pub fn outgoing(&self) -> &Outgoing {
        &self.out
    }

    /// The direction that we receive.
    pub fn incoming(&self) -> &Incoming {
        &self.inc
    }

    /// Bytes held in memory for this session.
    pub fn held(&self) -> usize {
        self.out.held() + self.inc.staged()
    }

    /// Whether the local socket has ended, so that it must not be read again.
    pub fn read_ended(&self) -> bool {
        self.read_ended
    }

    /// Whether the local socket can't be written any more.
    pub fn write_dead(&self) -> bool {
        self.inc.discarding()
    }

    pub(crate) fn terms(&self) -> &SharedTerms {
        &self.terms
    }

    // ---- the local socket

    pub(crate) fn read_room(&self, attached: bool) -> usize {
        if self.read_ended {
            return 0;
        }
        let cap = if attached { self.terms.send_cap } else { self.terms.detached_cap };
        self.out.room(cap.min(self.out.window().max(self.terms.detached_cap)))
    }

    pub(crate) fn handle_read(&mut self, bytes: &[u8]) {
        self.out.push(bytes);
    }

    /// FIN at the end of what was read; RESET if the socket had failed before, for then this is no orderly end.
    pub(crate) fn handle_eof(&mut self, now: Millis) {
        self.read_ended = true;
        self.out.close(self.inc.discarding());
        self.progress(now);
    }

    pub(crate) fn handle_read_error(&mut self, now: Millis) {
        self.read_ended = true;
        self.inc.discard();
        self.out.close(true);
        self.after_discard(now);
    }

    pub(crate) fn handle_write_error(&mut self, now: Millis) {
        self.inc.discard();
        if self.read_ended {
            self.out.close(true);
        }
        self.after_discard(now);
    }

    fn after_discard(&mut self, now: Millis) {
        if self.inc.fin_due() {
            self.inc.close_carried_out();
        }
        self.progress(now);
    }

    pub(crate) fn handle_written(&mut self, n: usize, now: Millis) {
        self.inc.written(n);
        self.progress(now);
    }

    pub(crate) fn handle_shut_down(&mut self, now: Millis) {
        self.inc.close_carried_out();
        self.progress(now);
    }

    // ---- the tunnel

    pub(crate) fn handle_piece(&mut self, piece: Piece<'_>, now: Millis) -> Result<(), Fault> {
        let arrived = match piece {
            Piece::Data { offset, ack, payload } => self.acked(ack, now).and_then(|()| self.inc.data(offset, payload)),
            Piece::Close(Close { kind: CloseKind::Abort, .. }) => return Err(Fault::PeerAborted),
            Piece::Close(Close { kind, offset, ack, .. }) => {
                self.acked(ack, now).and_then(|()| self.inc.close(kind == CloseKind::Reset, offset))
            }
            // Only a control stream may carry it; a tunnel that does is skipped over like any unknown capsule.
            Piece::Solicit(_) => Ok(()),
        };
        if self.inc.discarding() && self.inc.fin_due() {
            self.inc.close_carried_out();
        }
        // Something was heard; what is still out has the whole time again.
        self.quiet_since = (self.out.in_flight() && self.black_hole != Millis::MAX).then_some(now);
        if self.slow_at.is_none() && self.inc.staged() > 0 {
            self.slow_at = now.checked_add(self.terms.slow);
        }
        arrived.map_err(|fault| match fault {
            Break::Gap if !self.gaps.strike(now, limits::GAP_STRIKES) => Fault::Tunnel,
            Break::Gap | Break::Protocol => Fault::Session(CloseCause::Protocol),
            Break::Flow => Fault::Session(CloseCause::Flow),
        })
    }

    fn acked(&mut self, ack: u64, now: Millis) -> Result<(), Break> {
        if self.out.ack(ack)? {
            self.black_hole = self.terms.black_hole;
            if self.half_since.is_some() {
                self.half_since = Some(now);
            }
        }
        Ok(())
    }

    /// Something moved on the local socket.
    fn progress(&mut self, now: Millis) {
        self.slow_at = if self.inc.staged() > 0 { now.checked_add(self.terms.slow) } else { None };
        if self.half_since.is_some() {
            self.half_since = Some(now);
        }
    }

    /// There is a tunnel, with the peer's position `recv`.
    pub(crate) fn attached(&mut self, recv: u64, now: Millis) -> Result<(), Break> {
        self.out.resume(recv)?;
        self.quiet_since = None;
        self.half_since = self.half_since.map(|_| now);
        Ok(())
    }

    pub(crate) fn set_peer_window(&mut self, window: u64) {
        self.out.set_window(window.min(self.terms.send_cap));
    }

    pub(crate) fn detached(&mut self) {
        self.quiet_since = None;
        self.half_since = None;
    }

    /// What can be said about the end of the session, and, on the way there, whether T_half runs.
    pub(crate) fn settle(&mut self, attached: bool, now: Millis) -> Option<Over> {
        if self.inc.reset_due() {
            self.inc.close_carried_out();
            return Some(Over::ResetByPeer);
        }
        if self.out.reset_acked() {
            return Some(Over::ResetAcked);
        }
        let (ours, theirs) = (self.out.close_acked(), self.inc.committed_fin().is_some());
        if ours && theirs && !self.out.marks().1 {
            return Some(Over::Closed);
        }
        if !attached || !(self.out.closed() || theirs) {
            self.half_since = None;
        } else if self.half_since.is_none() {
            self.half_since = Some(now);
        }
        None
    }

    // ---- what goes out

    pub(crate) fn frame_len(&self, ack_due: bool) -> usize {
        match self.out.next(self.terms.data_payload) {
            Some(Next::Data { len, .. }) => DATA_HEAD + len,
            Some(Next::Close { .. }) => FRAME_MIN,
            None if self.ack_wanted(ack_due) => FRAME_MIN,
            None => 0,
        }
    }

    fn ack_wanted(&self, due: bool) -> bool {
        self.inc.ack_owed() && (due || self.inc.unacked() >= self.terms.window / limits::ACK_FRACTION)
    }

    pub(crate) fn poll_frame(&mut self, room: usize, ack_due: bool, now: Millis, out: &mut BytesMut) -> bool {
        let payload = room.saturating_sub(DATA_HEAD).min(self.terms.data_payload);
        let ack = self.inc.ack_value();
        match self.out.next(payload) {
            Some(Next::Data { offset, len }) => {
                out.reserve(DATA_HEAD + len);
                capsule::encode_data_head(out, offset, ack, len);
                self.out.copy_to(offset, len, out);
                self.sent(len as u64, now);
            }
            Some(Next::Close { kind, offset }) => {
                Close { kind, offset, ack, reason: Bytes::new() }.encode(out);
                self.sent(1, now);
            }
            None if self.ack_wanted(ack_due) => self.encode_ack(out),
            None => return false,
        }
        self.inc.ack_sent();
        true
    }

    fn sent(&mut self, len: u64, now: Millis) {
        self.out.sent(len);
        if self.black_hole != Millis::MAX {
            self.quiet_since.get_or_insert(now);
        }
    }

    fn encode_ack(&self, out: &mut BytesMut) {
        capsule::encode_data_head(out, self.out.una(), self.inc.ack_value(), 0);
    }

    /// The acknowledgement that ends a session.
    pub(crate) fn last_ack(&mut self) -> Bytes {
        let mut out = BytesMut::with_capacity(FRAME_MIN);
        self.encode_ack(&mut out);
        self.inc.ack_sent();
        out.freeze()
    }

    /// ABORT, with its cause as the reason.
    pub(crate) fn abort(&self, cause: CloseCause) -> Bytes {
        let mut out = BytesMut::with_capacity(FRAME_MIN + limits::REASON_BYTES);
        let reason = Bytes::from_static(cause.word().as_bytes());
        let (offset, ack) = (self.out.una(), self.inc.ack_value());
        Close { kind: CloseKind::Abort, offset, ack, reason }.encode(&mut out);
        out.freeze()
    }

    /// Frees what is held: the session is over.
    pub(crate) fn clear(&mut self) {
        let window = self.out.window();
        self.out = Outgoing::new(window);
        self.inc = Incoming::new(self.terms.window);
        self.detached();
        self.slow_at = None;
        self.read_ended = true;
    }

    // ---- the clocks

    pub(crate) fn poll_timeout(&self) -> Option<Millis> {
        let hole = self.quiet_since.map(|since| since.saturating_add(self.black_hole));
        let half = self.half_since.map(|since| since.saturating_add(self.terms.half_closed));
        [hole, half, self.slow_at].into_iter().flatten().min()
    }

    /// Whether the tunnel swallows what is sent. A peer can't answer what our own kernel had not taken: it has the whole
    /// time from `flushed` on.
    pub(crate) fn black_hole(&mut self, now: Millis, flushed: Millis) -> bool {
        let Some(since) = self.quiet_since else { return false };
        let since = since.max(flushed);
        self.quiet_since = Some(since);
        if now < since.saturating_add(self.black_hole) {
            return false;
        }
        self.quiet_since = None;
        self.black_hole = self.black_hole.saturating_mul(2).min(limits::BLACK_HOLE_MAX.max(self.terms.black_hole));
        true
    }

    /// Whether the local socket, or the other direction of a half-closed session, has stood still for too long.
    pub(crate) fn stood_still(&self, now: Millis) -> Option<CloseCause> {
        let half = self.half_since.is_some_and(|since| now >= since.saturating_add(self.terms.half_closed));
        let slow = self.slow_at.is_some_and(|at| now >= at);
        half.then_some(CloseCause::HalfClosed).or(slow.then_some(CloseCause::Slow))
    }
}
