//! What the broker has for one connection and the connection hasn't taken yet.

use std::{
    cell::RefCell,
    collections::VecDeque,
    task::{Context, Waker},
};

use rmqtt_codec::v5::Packet;

use crate::broker::Closing;

/// A queue of packets. Bounded from both ends: the broker gives a connection no message above `unsent_bytes`, and
/// nothing is read from a connection that leaves too many replies here.
#[derive(Default)]
pub(super) struct Outbox(RefCell<Inner>);

#[derive(Default)]
struct Inner {
    packets: VecDeque<(Packet, usize)>,
    reply_bytes: usize,
    closing: Option<Closing>,
    waker: Option<Waker>,
}

impl Outbox {
    pub(super) fn push(&self, packet: Packet, bytes: usize) {
        let mut inner = self.0.borrow_mut();
        inner.reply_bytes += reply_bytes(&packet, bytes);
        inner.packets.push_back((packet, bytes));
        inner.wake();
    }

    /// Nothing comes after what is queued.
    pub(super) fn close(&self, why: Closing) {
        let mut inner = self.0.borrow_mut();
        inner.closing = Some(why);
        inner.wake();
    }

    /// The next packet, and the bytes that the broker counts for it. An empty queue holds no memory.
    pub(super) fn pop(&self) -> Option<(Packet, usize)> {
        let mut inner = self.0.borrow_mut();
        let Some((packet, bytes)) = inner.packets.pop_front() else {
            inner.packets = VecDeque::new();
            return None;
        };
        inner.reply_bytes -= reply_bytes(&packet, bytes);
        Some((packet, bytes))
    }

    pub(super) fn closing(&self) -> Option<Closing> {
        self.0.borrow().closing
    }

    pub(super) fn reply_bytes(&self) -> usize {
        self.0.borrow().reply_bytes
    }

    /// Wakes this task at the next push or close.
    pub(super) fn listen(&self, cx: &Context<'_>) {
        let mut inner = self.0.borrow_mut();
        if !inner.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            inner.waker = Some(cx.waker().clone());
        }
    }
}

impl Inner {
    fn wake(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

fn reply_bytes(packet: &Packet, bytes: usize) -> usize {
    if matches!(packet, Packet::Publish(_)) { 0 } else { bytes }
}
