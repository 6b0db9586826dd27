//! What the broker has for one connection and the connection hasn't taken yet.

use std::{
    cell::RefCell,
    collections::VecDeque,
    task::{Context, Waker},
};

use baton_protocol::{connect::Level, limits::Millis};
use bytestring::ByteString;
use rmqtt_codec::v5::Packet;

use crate::{
    broker::Closing,
    faults::{BrokerAct, ConnAct, Pattern},
};

/// A queue of packets. Bounded from both ends: the broker gives a connection no message above `unsent_bytes`, and
/// nothing is read from a connection that leaves too many replies here.
pub(super) struct Outbox {
    /// When the connection began.
    pub(super) begun: Millis,
    inner: RefCell<Inner>,
}

#[derive(Default)]
struct Inner {
    client: ByteString,
    level: Option<Level>,
    items: VecDeque<Item>,
    /// What a rule does to the connection without waiting for its turn.
    acts: VecDeque<ConnAct>,
    reply_bytes: usize,
    closing: Option<Closing>,
    waker: Option<Waker>,
}

/// What comes next.
pub(super) enum Item {
    /// To write, with the bytes that the broker counts for it.
    Packet(Packet, usize),
    /// What a rule does to the connection, once what came before is written.
    Connection(ConnAct),
    /// What a rule does to the broker then; of sessions, to those of these clients.
    Broker(BrokerAct, Option<Pattern>),
}

impl Outbox {
    /// An empty one, of a connection that begins now.
    pub(super) fn new(begun: Millis) -> Self {
        Self { begun, inner: RefCell::default() }
    }

    /// The client id, as soon as it is known.
    pub(super) fn client(&self) -> ByteString {
        self.inner.borrow().client.clone()
    }

    /// The client id and the client's MQTT, as soon as they are known.
    pub(super) fn who(&self) -> (ByteString, Option<Level>) {
        let inner = self.inner.borrow();
        (inner.client.clone(), inner.level)
    }

    /// The client has said who it is, and what it speaks. What it says a second time doesn't count.
    pub(super) fn introduce(&self, client: &ByteString, level: Option<Level>) {
        let mut inner = self.inner.borrow_mut();
        if inner.level.is_none() {
            (inner.client, inner.level) = (client.clone(), level);
        }
    }

    pub(super) fn push(&self, packet: Packet, bytes: usize) {
        let mut inner = self.inner.borrow_mut();
        if let Packet::ConnectAck(ack) = &packet
            && let Some(client) = &ack.assigned_client_id
        {
            inner.client = client.clone();
        }
        inner.reply_bytes += reply_bytes(&packet, bytes);
        inner.items.push_back(Item::Packet(packet, bytes));
        inner.wake();
    }

    /// A rule does this, in its turn.
    pub(super) fn push_act(&self, act: Item) {
        let mut inner = self.inner.borrow_mut();
        inner.items.push_back(act);
        inner.wake();
    }

    /// A rule does this at once.
    pub(super) fn act(&self, act: ConnAct) {
        let mut inner = self.inner.borrow_mut();
        inner.acts.push_back(act);
        inner.wake();
    }

    /// What a rule does at once.
    pub(super) fn next_act(&self) -> Option<ConnAct> {
        self.inner.borrow_mut().acts.pop_front()
    }

    /// Whether a rule has cut the connection at once: the broker knows it no more.
    pub(super) fn is_cut(&self) -> bool {
        self.inner.borrow().acts.contains(&ConnAct::Cut)
    }

    /// Nothing comes after what is queued.
    pub(super) fn close(&self, why: Closing) {
        let mut inner = self.inner.borrow_mut();
        inner.closing = Some(why);
        inner.wake();
    }

    /// What comes next. An empty queue holds no memory.
    pub(super) fn pop(&self) -> Option<Item> {
        let mut inner = self.inner.borrow_mut();
        let item = inner.items.pop_front();
        match &item {
            Some(Item::Packet(packet, bytes)) => inner.reply_bytes -= reply_bytes(packet, *bytes),
            Some(_) => {}
            None => inner.items = VecDeque::new(),
        }
        item
    }

    /// What comes next, if it is a packet.
    pub(super) fn pop_packet(&self) -> Option<(Packet, usize)> {
        if !matches!(self.inner.borrow().items.front(), Some(Item::Packet(..))) {
            return None;
        }
        match self.pop() {
            Some(Item::Packet(packet, bytes)) => Some((packet, bytes)),
            _ => None,
        }
    }

    pub(super) fn closing(&self) -> Option<Closing> {
        self.inner.borrow().closing
    }

    pub(super) fn reply_bytes(&self) -> usize {
        self.inner.borrow().reply_bytes
    }

    /// Wakes this task at the next push or close.
    pub(super) fn listen(&self, cx: &Context<'_>) {
        let mut inner = self.inner.borrow_mut();
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
