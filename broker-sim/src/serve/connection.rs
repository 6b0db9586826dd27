//! One client's connection: its stream, its codec, and what is half read or half written.

use std::{
    io,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
};

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};

use super::{BrokerHandle, READ_BYTES, REPLY_BYTES, WRITE_BYTES, outbox::Outbox};
use crate::{
    broker::{Closing, ConnId, Fault},
    codec::Codec,
};

/// How a conversation ends.
pub(super) enum End {
    /// The stream ended or broke.
    Gone,
    /// The broker closes.
    Closing(Closing),
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
    /// The beginning of a packet that isn't whole; no memory while there is none.
    input: Vec<u8>,
    /// What is being written, and what the broker counts for it; no memory while there is nothing.
    output: BytesMut,
    counted: usize,
    unflushed: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    pub(super) fn new(stream: S, id: ConnId, outbox: Rc<Outbox>) -> Self {
        Self {
            stream,
            id,
            outbox,
            codec: Codec::default(),
            input: Vec::new(),
            output: BytesMut::new(),
            counted: 0,
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
        if let Some(why) = self.outbox.closing() {
            return Poll::Ready(Event::Over(End::Closing(why)));
        }
        match self.poll_write(cx, handle) {
            Poll::Ready(Ok(0)) | Poll::Pending => {}
            Poll::Ready(Ok(counted)) => return Poll::Ready(Event::Sent(counted)),
            Poll::Ready(Err(_)) => return Poll::Ready(Event::Over(End::Gone)),
        }
        if self.outbox.reply_bytes() > REPLY_BYTES {
            return Poll::Pending;
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

    /// Writes what the outbox has: 0 once all is written, else what the broker counts for the part that now is.
    fn poll_write(&mut self, cx: &mut Context<'_>, handle: &BrokerHandle) -> Poll<io::Result<usize>> {
        if self.output.is_empty() {
            self.gather(handle);
        }
        while !self.output.is_empty() {
            match ready!(Pin::new(&mut self.stream).poll_write(cx, &self.output))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                n => self.output.advance(n),
            }
            self.unflushed = true;
        }
        if self.output.capacity() > 0 {
            *handle.0.spare.borrow_mut() = std::mem::take(&mut self.output);
        }
        if self.unflushed {
            ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
            self.unflushed = false;
        }
        Poll::Ready(Ok(std::mem::take(&mut self.counted)))
    }

    fn gather(&mut self, handle: &BrokerHandle) {
        let Some(mut next) = self.outbox.pop() else { return };
        self.output = std::mem::take(&mut *handle.0.spare.borrow_mut());
        self.output.clear();
        self.output.reserve(READ_BYTES);
        loop {
            let (packet, bytes) = next;
            self.counted += bytes;
            let before = self.output.len();
            if let Err(error) = self.codec.encode(packet, &mut self.output) {
                // The broker builds no packet that can't be written; if it does, the client lives on without it.
                tracing::error!(conn = %self.id, %error, event = "broker.encode");
                self.output.truncate(before);
            }
            if self.output.len() >= WRITE_BYTES {
                return;
            }
            match self.outbox.pop() {
                Some(packet) => next = packet,
                None => return,
            }
        }
    }

    /// Gives every whole packet to the broker.
    fn take_packets(&mut self, handle: &BrokerHandle) {
        let mut at = 0;
        // A packet may end the conversation; what follows it is nobody's.
        while self.outbox.closing().is_none() {
            match self.next_packet(at, handle.0.packet_bytes) {
                Ok(Some((packet, end))) => {
                    at = end;
                    handle.drive(|broker, now| broker.handle(self.id, packet, now));
                }
                Ok(None) => break,
                Err(fault) => handle.drive(|broker, now| broker.handle_fault(self.id, fault, now)),
            }
        }
        self.input.drain(..at);
        if self.input.is_empty() {
            self.input = Vec::new();
        }
    }

    fn next_packet(&mut self, at: usize, max: usize) -> Result<Option<(rmqtt_codec::v5::Packet, usize)>, Fault> {
        let rest = &self.input[at..];
        let Some(length) = self.codec.frame(rest, max)? else { return Ok(None) };
        Ok(Some((self.codec.decode(&rest[..length])?, at + length)))
    }

    /// Closes this side.
    pub(super) async fn shut_down(&mut self) -> io::Result<()> {
        self.stream.shutdown().await
    }

    /// Says what is left to say, closes this side, and waits for the other to close its own: closing a TCP socket
    /// with unread bytes would reset it, and the client might never read what it was told.
    pub(super) async fn finish(&mut self, handle: &BrokerHandle) -> io::Result<()> {
        while std::future::poll_fn(|cx| self.poll_write(cx, handle)).await? > 0 {}
        self.shut_down().await?;
        loop {
            self.input.clear();
            if std::future::poll_fn(|cx| self.poll_read(cx, handle)).await? == 0 {
                return Ok(());
            }
        }
    }
}
