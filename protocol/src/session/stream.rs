//! One direction of a session, seen from the end that sends it ([`Outgoing`]) and from the end that receives it
//! ([`Incoming`]).
//!
//! ```text
//! Outgoing   una ≤ nxt ≤ smax ≤ end        held: [una, end)
//! Incoming   rcv ≤ exp                     held: [rcv, exp), at most the window
//! ```
//! `rcv` counts what the local socket accepted and nothing else: that one number is ack, credit and resume point.
//! A close mark takes one position, as TCP's FIN does, and stands outside the window: a full window followed by the
//! end of the stream must still fit. FIN stands at the end of the bytes; RESET there too or, behind a FIN that may
//! have been sent, one position later.

use std::collections::VecDeque;

use bytes::{BufMut, BytesMut};

use crate::{capsule::CloseKind, mutant};

/// What a peer did that ends the tunnel or the session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Break {
    /// It skipped bytes: this tunnel isn't to be trusted, the session resumes through another.
    Gap,
    /// It acknowledged what was never sent, or sent what follows its own end.
    Protocol,
    /// It sent more than the window.
    Flow,
}

/// What an [`Outgoing`] wants sent next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Next {
    Data { offset: u64, len: usize },
    Close { kind: CloseKind, offset: u64 },
}

/// The sending end of a direction.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Outgoing {
    una: u64,
    nxt: u64,
    /// The highest position ever sent; never rewound. Acks are checked against it: a peer may acknowledge what it got
    /// through an older tunnel.
    smax: u64,
    /// The position behind the last byte that was pushed.
    end: u64,
    bytes: VecDeque<u8>,
    /// Bytes that may be in flight: what the peer allows, or our own cap if that is less.
    window: u64,
    fin: bool,
    reset: bool,
}

impl Outgoing {
    pub(crate) fn new(window: u64) -> Self {
        Self { una: 0, nxt: 0, smax: 0, end: 0, bytes: VecDeque::new(), window, fin: false, reset: false }
    }

    /// A direction as a predecessor left it, everything not acknowledged to be sent again; `None` if the numbers
    /// contradict each other.
    pub(crate) fn restore(
        una: u64,
        smax: u64,
        end: u64,
        bytes: &[u8],
        window: u64,
        marks: (bool, bool),
    ) -> Option<Self> {
        let (fin, reset) = marks;
        let restored = Self { una, nxt: una, smax, end, bytes: bytes.iter().copied().collect(), window, fin, reset };
        (una <= smax && smax <= restored.last() && end - una.min(end) == bytes.len() as u64).then_some(restored)
    }

    /// Lowest position that the peer has not acknowledged.
    pub fn una(&self) -> u64 {
        self.una
    }

    /// Highest position ever sent.
    pub fn smax(&self) -> u64 {
        self.smax
    }

    /// Position behind the last byte pushed.
    pub fn end(&self) -> u64 {
        self.end
    }

    /// Bytes held for the peer.
    pub fn held(&self) -> usize {
        self.bytes.len()
    }

    pub(crate) fn marks(&self) -> (bool, bool) {
        (self.fin, self.reset)
    }

    pub(crate) fn window(&self) -> u64 {
        self.window
    }

    pub(crate) fn held_bytes(&self) -> Vec<u8> {
        self.bytes.iter().copied().collect()
    }

    pub(crate) fn set_window(&mut self, window: u64) {
        self.window = window;
    }

    /// The position behind the last byte and mark.
    fn last(&self) -> u64 {
        self.end + u64::from(self.fin) + u64::from(self.reset)
    }

    /// Whether no byte more will be pushed.
    pub fn closed(&self) -> bool {
        self.fin || self.reset
    }

    /// Whether the peer has acknowledged everything, a close included.
    pub fn close_acked(&self) -> bool {
        self.closed() && self.una == self.last()
    }

    /// Whether a RESET was queued and acknowledged.
    pub(crate) fn reset_acked(&self) -> bool {
        self.reset && self.una == self.last()
    }

    /// Whether something is out that the peer has not acknowledged.
    pub fn in_flight(&self) -> bool {
        self.una < self.nxt
    }

    /// Positions that were sent and not acknowledged: right after a resume, what is sent again.
    pub fn unacked(&self) -> u64 {
        self.smax - self.una
    }

    /// Bytes that may still be pushed while no more than `cap` are held.
    pub(crate) fn room(&self, cap: u64) -> usize {
        let room = if self.closed() { 0 } else { cap.saturating_sub(self.bytes.len() as u64) };
        usize::try_from(room).unwrap_or(usize::MAX)
    }

    pub(crate) fn push(&mut self, bytes: &[u8]) {
        debug_assert!(!self.closed(), "bytes behind a close");
        self.bytes.extend(bytes);
        self.end += bytes.len() as u64;
    }

    /// Queues the end of the stream: FIN, or RESET, which overrides a FIN that was never sent.
    pub(crate) fn close(&mut self, reset: bool) {
        if reset {
            self.fin &= self.smax > self.end;
            self.reset = true;
        } else if !self.closed() {
            self.fin = true;
        }
    }

    /// What to send next, in at most `room` bytes of payload.
    pub(crate) fn next(&self, room: usize) -> Option<Next> {
        if self.nxt < self.end {
            let allowed = (self.una + self.window).min(self.end).saturating_sub(self.nxt);
            let len = usize::try_from(allowed).unwrap_or(usize::MAX).min(room);
            return (len > 0).then_some(Next::Data { offset: self.nxt, len });
        }
        let kind = match self.nxt - self.end {
            0 if self.fin => CloseKind::Fin,
            n if self.reset && n == u64::from(self.fin) => CloseKind::Reset,
            _ => return None,
        };
        Some(Next::Close { kind, offset: self.nxt })
    }

    /// Appends the `len` bytes at `offset`, which `next` has just named.
    pub(crate) fn copy_to(&self, offset: u64, len: usize, out: &mut BytesMut) {
        let base = self.una.min(self.end);
        let start = usize::try_from(offset - base).expect("held bytes fit in memory");
        let (front, back) = self.bytes.as_slices();
        let from_front = &front[start.min(front.len())..(start + len).min(front.len())];
        out.put_slice(from_front);
        let from_back = len - from_front.len();
        let start = start.saturating_sub(front.len());
        out.put_slice(&back[start..start + from_back]);
    }

    /// `len` positions were sent.
    pub(crate) fn sent(&mut self, len: u64) {
        self.nxt += len;
        self.smax = self.smax.max(self.nxt);
        if mutant!(FreeOnSend) {
            self.drop_below(self.nxt);
        }
    }

    fn drop_below(&mut self, una: u64) {
        let gone = una.min(self.end) - self.una.min(self.end);
        self.bytes.drain(..usize::try_from(gone).expect("held bytes fit in memory"));
        if self.bytes.is_empty() {
            self.bytes = VecDeque::new();
        }
        self.una = una;
        self.nxt = self.nxt.max(una);
    }

    /// The peer acknowledged everything below `ack`; whether that is news.
    pub(crate) fn ack(&mut self, ack: u64) -> Result<bool, Break> {
        let limit = if mutant!(AckCheckedAgainstNxt) { self.nxt } else { self.smax };
        if ack > limit {
            return Err(Break::Protocol);
        }
        let news = ack > self.una;
        if news {
            self.drop_below(ack);
        }
        Ok(news)
    }

    /// A tunnel was accepted with the peer's position `recv`: goes on from there, or from what the older tunnel had
    /// acknowledged since the peer wrote `recv`.
    pub(crate) fn resume(&mut self, recv: u64) -> Result<(), Break> {
        if mutant!(ResumeAtRequestOffset) && recv < self.una {
            return Err(Break::Protocol);
        }
        self.ack(recv)?;
        self.nxt = self.una;
        Ok(())
    }
}

/// The receiving end of a direction.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Incoming {
    rcv: u64,
    exp: u64,
    stage: VecDeque<u8>,
    window: u64,
    /// Positions of the peer's close marks, once they arrived.
    fin: Option<u64>,
    reset: Option<u64>,
    /// The local socket can't be written any more: bytes count as committed when they arrive.
    discarding: bool,
    /// Something that demands an acknowledgement arrived since the last one was sent, even if `rcv` did not move.
    owed: bool,
    acked: u64,
}

impl Incoming {
    pub(crate) fn new(window: u64) -> Self {
        Self {
            rcv: 0,
            exp: 0,
            stage: VecDeque::new(),
            window,
            fin: None,
            reset: None,
            discarding: false,
            owed: false,
            acked: 0,
        }
    }

    /// A direction as a predecessor left it. The stage isn't carried: the peer sends again from `rcv`.
    pub(crate) fn restore(rcv: u64, window: u64, fin: Option<u64>, discarding: bool) -> Option<Self> {
        let restored = Self { rcv, exp: rcv, fin, discarding, acked: rcv, ..Self::new(window) };
        fin.is_none_or(|at| at < rcv).then_some(restored)
    }

    /// Positions that the local socket accepted.
    pub fn rcv(&self) -> u64 {
        self.rcv
    }

    /// The next position that is expected from the peer.
    pub fn exp(&self) -> u64 {
        self.exp
    }

    /// Bytes that wait for the local socket.
    pub fn staged(&self) -> usize {
        self.stage.len()
    }

    pub(crate) fn window(&self) -> u64 {
        self.window
    }

    pub(crate) fn discarding(&self) -> bool {
        self.discarding
    }

    /// Where the peer's FIN stands, if it has been committed.
    pub(crate) fn committed_fin(&self) -> Option<u64> {
        self.fin.filter(|at| *at < self.rcv)
    }

    /// The bytes to write, in order.
    pub fn unwritten(&self) -> (&[u8], &[u8]) {
        self.stage.as_slices()
    }

    /// Whether the peer's FIN is next: the local socket's writing side is to be shut down.
    pub fn fin_due(&self) -> bool {
        self.fin == Some(self.rcv)
    }

    /// Whether the peer's RESET is next: the local socket is to be reset.
    pub(crate) fn reset_due(&self) -> bool {
        self.reset == Some(self.rcv)
    }

    /// Takes bytes that arrived at `offset`; what is already there is skipped.
    pub(crate) fn data(&mut self, offset: u64, payload: &[u8]) -> Result<(), Break> {
        if offset > self.exp {
            return Err(Break::Gap);
        }
        let behind = self.exp - offset;
        let Some(new) = usize::try_from(behind).ok().and_then(|n| payload.get(n..)).filter(|new| !new.is_empty())
        else {
            self.owed |= !payload.is_empty();
            return Ok(());
        };
        if self.fin.is_some() || self.reset.is_some() {
            return Err(Break::Protocol);
        }
        if self.exp - self.rcv + new.len() as u64 > self.window {
            return Err(Break::Flow);
        }
        self.exp += new.len() as u64;
        self.owed = true;
        if self.discarding {
            self.rcv = self.exp;
        } else {
            self.stage.extend(new);
        }
        Ok(())
    }

    /// Takes a close mark that arrived at `offset`.
    pub(crate) fn close(&mut self, reset: bool, offset: u64) -> Result<(), Break> {
        let place = if reset { &mut self.reset } else { &mut self.fin };
        match *place {
            _ if offset > self.exp => return Err(Break::Gap),
            Some(at) if at != offset => return Err(Break::Protocol),
            Some(_) => {}
            None if offset < self.exp => return Err(Break::Protocol),
            None => {
                *place = Some(offset);
                self.exp += 1;
            }
        }
        self.owed = true;
        Ok(())
    }

    /// The local socket accepted `n` more bytes.
    pub(crate) fn written(&mut self, n: usize) {
        self.stage.drain(..n);
        if self.stage.is_empty() {
            self.stage = VecDeque::new();
        }
        self.rcv += n as u64;
    }

    /// The close mark at `rcv` was carried out on the local socket.
    pub(crate) fn close_carried_out(&mut self) {
        debug_assert!(self.fin_due() || self.reset_due());
        self.rcv += 1;
        self.owed = true;
    }

    /// The local socket can't be written any more.
    pub(crate) fn discard(&mut self) {
        self.discarding = true;
        let staged = self.stage.len();
        self.written(staged);
    }

    /// What an acknowledgement says now.
    pub(crate) fn ack_value(&self) -> u64 {
        if mutant!(AckOnReceipt) { self.exp } else { self.rcv }
    }

    /// Whether the peer waits for an acknowledgement.
    pub fn ack_owed(&self) -> bool {
        self.owed || self.ack_value() > self.acked
    }

    /// Positions committed since the last acknowledgement.
    pub(crate) fn unacked(&self) -> u64 {
        self.ack_value() - self.acked
    }

    /// An acknowledgement of `ack_value` went out.
    pub(crate) fn ack_sent(&mut self) {
        self.owed = false;
        self.acked = self.ack_value();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wire(out: &mut Outgoing, room: usize) -> Option<Next> {
        let next = out.next(room)?;
        out.sent(match next {
            Next::Data { len, .. } => len as u64,
            Next::Close { .. } => 1,
        });
        Some(next)
    }

    #[test]
    fn the_window_bounds_bytes_but_not_a_close() {
        let mut out = Outgoing::new(4);
        out.push(b"abcdef");
        out.close(false);
        assert_eq!(wire(&mut out, 3), Some(Next::Data { offset: 0, len: 3 }));
        assert_eq!(wire(&mut out, 3), Some(Next::Data { offset: 3, len: 1 }));
        assert_eq!(wire(&mut out, 3), None);
        assert_eq!(out.ack(4), Ok(true));
        assert_eq!(wire(&mut out, 9), Some(Next::Data { offset: 4, len: 2 }));
        assert_eq!(wire(&mut out, 9), Some(Next::Close { kind: CloseKind::Fin, offset: 6 }));
        assert_eq!(wire(&mut out, 9), None);
        assert!(!out.close_acked());
        assert_eq!(out.ack(7), Ok(true));
        assert!(out.close_acked());
        assert_eq!(out.held(), 0);
    }

    #[test]
    fn a_reset_overrides_a_fin_that_was_not_sent_and_follows_one_that_was() {
        let mut out = Outgoing::new(4);
        out.close(false);
        let mut unsent = out.clone();
        unsent.close(true);
        assert_eq!(wire(&mut unsent, 1), Some(Next::Close { kind: CloseKind::Reset, offset: 0 }));
        assert_eq!(wire(&mut out, 1), Some(Next::Close { kind: CloseKind::Fin, offset: 0 }));
        out.close(true);
        assert_eq!(wire(&mut out, 1), Some(Next::Close { kind: CloseKind::Reset, offset: 1 }));
        assert_eq!(out.ack(1), Ok(true));
        assert!(!out.close_acked() && !out.reset_acked());
        assert_eq!(out.ack(2), Ok(true));
        assert!(out.close_acked() && out.reset_acked());
        assert_eq!(out.ack(3), Err(Break::Protocol));
    }

    #[test]
    fn bytes_are_copied_across_the_ring_seam() {
        let mut out = Outgoing::new(64);
        out.push(&[0; 10]);
        assert!(wire(&mut out, 64).is_some());
        out.ack(10).unwrap();
        let text: Vec<u8> = (0..60).collect();
        for chunk in text.chunks(7) {
            out.push(chunk);
        }
        wire(&mut out, 20).unwrap();
        out.ack(30).unwrap();
        out.push(&text[..15]);
        let mut copy = BytesMut::new();
        out.copy_to(33, 40, &mut copy);
        let all: Vec<u8> = text.iter().chain(&text[..15]).copied().collect();
        assert_eq!(copy[..], all[23..63]);
    }

    #[test]
    fn duplicates_are_skipped_and_still_demand_an_ack() {
        let mut inc = Incoming::new(8);
        inc.data(0, b"abc").unwrap();
        inc.written(3);
        inc.ack_sent();
        assert!(!inc.ack_owed());
        inc.data(1, b"bc").unwrap();
        assert!(inc.ack_owed());
        inc.data(1, b"bcde").unwrap();
        assert_eq!(inc.unwritten().0, b"de");
        assert_eq!(inc.data(6, b"x"), Err(Break::Gap));
        assert_eq!(inc.data(5, &[0; 7]), Err(Break::Flow));
        inc.close(false, 5).unwrap();
        inc.close(false, 5).unwrap();
        assert_eq!(inc.data(6, b"x"), Err(Break::Protocol));
        assert_eq!(inc.close(false, 4), Err(Break::Protocol));
        assert!(!inc.fin_due());
        inc.written(2);
        assert!(inc.fin_due());
    }
}
