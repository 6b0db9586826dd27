//! One client's connection: its stream, its codec, and what is half read or half written.

use std::{
    io,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
};

use baton_process::net::Stream;
use bytes::{Buf, BytesMut};
use rmqtt_codec::v5::Packet;
use tokio::io::{AsyncWriteExt, ReadBuf};

use super::{
    BrokerHandle, READ_BYTES, REPLY_BYTES, WRITE_BYTES,
    mischief::{HalfClose, Mischief},
    outbox::{Item, Outbox},
};
use crate::{
    broker::{Closing, ConnId, Fault},
    codec::Codec,
    transcript::{Direction, Noted},
};

/// How a conversation ends.
pub(super) enum End {
    /// The stream ended or broke.
    Gone,
    /// The broker closes.
    Closing(Closing),
    /// A rule resets it.
    Cut,
}

/// What a connection waits for.
enum Event {
    /// Bytes came in.
    Read,
    /// What was gathered is written; the broker counts these bytes for it.
    Sent(usize),
    /// The conversation is over.
    Over(End),
}

pub(super) struct Connection<S> {
    stream: S,
    id: ConnId,
    outbox: Rc<Outbox>,
    codec: Codec,
    /// None, until a rule does something to the connection.
    mischief: Option<Box<Mischief>>,
    /// The beginning of a packet that isn't whole; no memory while there is none.
    input: Vec<u8>,
    /// What is being written; no memory while there is nothing.
    output: BytesMut,
    /// What the broker counts for what was taken from the outbox and isn't known to be written.
    taken: Option<usize>,
    unflushed: bool,
}

impl<S: Stream> Connection<S> {
    pub(super) fn new(stream: S, id: ConnId, outbox: Rc<Outbox>) -> Self {
        Self {
            stream,
            id,
            outbox,
            codec: Codec::default(),
            mischief: None,
            input: Vec::new(),
            output: BytesMut::new(),
            taken: None,
            unflushed: false,
        }
    }

    /// Carries packets both ways until one side ends it.
    pub(super) async fn converse(&mut self, handle: &BrokerHandle) -> End {
        loop {
            match std::future::poll_fn(|cx| self.poll_event(cx, handle)).await {
                Event::Read => {
                    self.take_packets(handle);
                    // A client that floods has a full buffer each time; the others come in between.
                    tokio::task::coop::consume_budget().await;
                }
                Event::Sent(bytes) => handle.drive(|broker, now| broker.handle_sent(self.id, bytes, now)),
                Event::Over(end) => return end,
            }
        }
    }

    fn poll_event(&mut self, cx: &mut Context<'_>, handle: &BrokerHandle) -> Poll<Event> {
        self.outbox.listen(cx);
        while let Some(act) = self.outbox.next_act() {
            self.mischief.get_or_insert_default().begin(act);
        }
        if self.is_cut() {
            return Poll::Ready(Event::Over(End::Cut));
        }
        if let Some(why) = self.outbox.closing() {
            return Poll::Ready(Event::Over(End::Closing(why)));
        }
        match self.poll_write(cx, handle) {
            Poll::Ready(Ok(None)) | Poll::Pending => {}
            Poll::Ready(Ok(Some(counted))) => return Poll::Ready(Event::Sent(counted)),
            Poll::Ready(Err(_)) if self.is_cut() => return Poll::Ready(Event::Over(End::Cut)),
            Poll::Ready(Err(_)) => return Poll::Ready(Event::Over(End::Gone)),
        }
        if self.outbox.reply_bytes() > REPLY_BYTES {
            return Poll::Pending;
        }
        if let Some(mischief) = &mut self.mischief {
            ready!(mischief.poll_readable(cx));
        }
        match ready!(self.poll_read(cx, handle)) {
            Ok(0) | Err(_) => Poll::Ready(Event::Over(End::Gone)),
            Ok(_) => Poll::Ready(Event::Read),
        }
    }

    fn poll_read(&mut self, cx: &mut Context<'_>, handle: &BrokerHandle) -> Poll<io::Result<usize>> {
        let mut scratch = handle.0.scratch.borrow_mut();
        let mut buffer = ReadBuf::new(&mut scratch);
        ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buffer))?;
        self.input.extend_from_slice(buffer.filled());
        Poll::Ready(Ok(buffer.filled().len()))
    }

    /// Writes what the outbox has: what the broker counts for the part that now is written, none if there was nothing.
    fn poll_write(&mut self, cx: &mut Context<'_>, handle: &BrokerHandle) -> Poll<io::Result<Option<usize>>> {
        // What a rule does after a packet waits until that is out, as far as we can tell.
        if self.output.is_empty() && !self.unflushed && !self.is_ending() {
            self.gather(handle);
        }
        while !self.output.is_empty() {
            let most = match &mut self.mischief {
                None => usize::MAX,
                Some(mischief) => ready!(mischief.poll_writable(cx)),
            };
            let piece = &self.output[..self.output.len().min(most)];
            match ready!(Pin::new(&mut self.stream).poll_write(cx, piece))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                n => self.output.advance(n),
            }
            self.unflushed = true;
            if self.mischief.as_mut().is_some_and(|mischief| mischief.written()) {
                ready!(self.poll_flush(cx))?;
            }
        }
        if self.output.capacity() > 0 {
            *handle.0.spare.borrow_mut() = std::mem::take(&mut self.output);
        }
        ready!(self.poll_flush(cx))?;
        ready!(self.poll_half_close(cx))?;
        Poll::Ready(Ok(self.taken.take()))
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.unflushed {
            ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
            self.unflushed = false;
        }
        Poll::Ready(Ok(()))
    }

    /// Whether a rule wants this direction to end, and it hasn't yet.
    fn is_ending(&self) -> bool {
        self.mischief.as_ref().is_some_and(|mischief| mischief.half == HalfClose::Wanted)
    }

    /// Ends this direction, if a rule wants it, now that everything is written.
    fn poll_half_close(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Some(mischief) = &mut self.mischief
            && mischief.half == HalfClose::Wanted
        {
            ready!(Pin::new(&mut self.stream).poll_shutdown(cx))?;
            mischief.half = HalfClose::Done;
        }
        if self.is_cut() { Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())) } else { Poll::Ready(Ok(())) }
    }

    /// Whether a rule wants it reset.
    pub(super) fn is_cut(&self) -> bool {
        self.mischief.as_ref().is_some_and(|mischief| mischief.cut)
    }

    /// Takes what is to be written next, up to what a rule does after it.
    fn gather(&mut self, handle: &BrokerHandle) {
        let mut next = loop {
            // Who has crashed says nothing more.
            let Some(item) = self.outbox.pop().filter(|_| !handle.has_crashed()) else { return };
            self.taken.get_or_insert(0);
            match item {
                Item::Packet(packet, bytes) => break (packet, bytes),
                Item::Connection(act) => {
                    let mischief = self.mischief.get_or_insert_default();
                    mischief.begin(act);
                    // What follows waits until this is done.
                    if mischief.cut || self.is_ending() {
                        return;
                    }
                }
                Item::Broker(act, clients) => handle.strike(act, clients.as_ref()),
            }
        };
        self.output = std::mem::take(&mut *handle.0.spare.borrow_mut());
        self.output.clear();
        self.output.reserve(READ_BYTES);
        loop {
            let (packet, bytes) = next;
            *self.taken.get_or_insert(0) += bytes;
            self.encode(handle, packet);
            if self.output.len() >= WRITE_BYTES {
                return;
            }
            match self.outbox.pop_packet() {
                Some(packet) => next = packet,
                None => return,
            }
        }
    }

    fn encode(&mut self, handle: &BrokerHandle, mut packet: Packet) {
        if self.mischief.as_ref().is_some_and(|mischief| mischief.half == HalfClose::Done) {
            return;
        }
        self.codec.shorten(&mut packet);
        let shown = handle.records().then(|| packet.clone());
        let before = self.output.len();
        if let Err(error) = self.codec.encode(packet, &mut self.output) {
            // The broker builds no packet that can't be written; if it does, the client lives on without it.
            tracing::error!(conn = %self.id, %error, event = "broker.encode");
            self.output.truncate(before);
        }
        let bytes = self.output.len() - before;
        if let Some(packet) = shown.filter(|_| bytes > 0) {
            handle.record(self.id, &self.outbox, Direction::Out.of(self.codec.level(), bytes, packet));
        }
    }

    /// Gives every whole packet to the broker.
    fn take_packets(&mut self, handle: &BrokerHandle) {
        let mut at = 0;
        // A packet may end the conversation; what follows it is nobody's.
        while self.outbox.closing().is_none() && !self.outbox.is_cut() {
            match self.next_packet(at, handle.0.packet_bytes) {
                Ok(Some((packet, end))) => {
                    let bytes = end - at;
                    if let Packet::Connect(connect) = &packet {
                        self.outbox.introduce(&connect.client_id, self.codec.level());
                    }
                    if handle.records() {
                        let shown = Direction::In.of(self.codec.level(), bytes, packet.clone());
                        handle.record(self.id, &self.outbox, shown);
                    }
                    at = end;
                    handle.receive(self.id, packet);
                }
                Ok(None) => break,
                Err(fault) => {
                    if handle.records() {
                        handle.record(self.id, &self.outbox, self.unreadable(at, handle.0.packet_bytes, fault));
                    }
                    handle.drive(|broker, now| broker.handle_fault(self.id, fault, now));
                    break;
                }
            }
        }
        self.input.drain(..at);
        if self.input.is_empty() {
            self.input = Vec::new();
        }
    }

    fn next_packet(&mut self, at: usize, max: usize) -> Result<Option<(Packet, usize)>, Fault> {
        let rest = &self.input[at..];
        let Some(length) = self.codec.frame(rest, max)? else { return Ok(None) };
        Ok(Some((self.codec.decode(&rest[..length])?, at + length)))
    }

    /// What is wrong there, and with how much of what came: where the packet's end can't be told, all of it.
    fn unreadable(&self, at: usize, max: usize, fault: Fault) -> Noted {
        let rest = &self.input[at..];
        let length = self.codec.frame(rest, max).ok().flatten().unwrap_or(rest.len());
        Noted::unreadable(fault, &rest[..length])
    }

    /// Resets it.
    pub(super) fn reset(self) {
        self.stream.reset();
    }

    /// Closes this side.
    pub(super) async fn shut_down(&mut self) -> io::Result<()> {
        self.stream.shutdown().await
    }

    /// Says what is left to say, closes this side, and waits for the other to close its own: closing a TCP socket
    /// with unread bytes would reset it, and the client might never read what it was told.
    ///
    /// # Errors
    /// The client is gone, or a rule wants the connection reset.
    pub(super) async fn finish(&mut self, handle: &BrokerHandle) -> io::Result<()> {
        while std::future::poll_fn(|cx| self.poll_write(cx, handle)).await?.is_some() {}
        self.shut_down().await?;
        loop {
            self.input.clear();
            if std::future::poll_fn(|cx| self.poll_read(cx, handle)).await? == 0 {
                return Ok(());
            }
        }
    }
}
