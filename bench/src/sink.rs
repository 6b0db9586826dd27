//! A broker that does the least that a broker can: it reads packets, and writes each message to whoever subscribed to
//! exactly its topic. It stands behind every stack that is compared, so that what is seen is the stack.
//!
//! QoS 0 and 1, no session, nothing retained. A client that breaks MQTT, or leaves too much unread, is closed.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    io,
    net::SocketAddr,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, Waker, ready},
};

use baton_drill::mqtt::{Frame, Malformed, Packet, Publish, Qos, kind};
use bytes::{Buf, BufMut, BytesMut};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    runtime::{Builder, LocalOptions},
    task::{coop, spawn_local},
};

/// Bytes that one read takes, into a buffer that all connections share.
const READ_BYTES: usize = 64 * 1024;
/// Bytes for one client that wait for its socket; a client that leaves more has stopped reading.
const UNREAD_BYTES: usize = 16 * 1024 * 1024;
/// Bytes of a buffer that an idle client keeps.
const KEPT_BYTES: usize = 1024;

/// Serves on this address until the process ends.
///
/// # Errors
/// The address can't be had.
pub(crate) fn run(listen: SocketAddr) -> io::Result<()> {
    let runtime = Builder::new_current_thread().enable_all().build_local(LocalOptions::default())?;
    runtime.block_on(async { accept(crate::listen(listen, false)?).await })
}

/// Serves whoever comes.
pub(crate) async fn accept(listener: TcpListener) -> io::Result<()> {
    let sink = Rc::new(Sink { subscribers: RefCell::default(), scratch: RefCell::new(vec![0; READ_BYTES]) });
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        spawn_local(serve(stream, Rc::clone(&sink)));
    }
}

struct Sink {
    /// Who hears what is published to a topic.
    subscribers: RefCell<HashMap<Box<[u8]>, Vec<Subscriber>>>,
    /// Borrowed during one read and what it brings.
    scratch: RefCell<Vec<u8>>,
}

struct Subscriber {
    client: Rc<Client>,
    qos: Qos,
}

/// What others have for a client.
#[derive(Default)]
struct Client {
    out: RefCell<BytesMut>,
    waker: RefCell<Option<Waker>>,
    last_id: Cell<u16>,
}

impl Client {
    fn wake(&self) {
        if let Some(waker) = self.waker.borrow_mut().take() {
            waker.wake();
        }
    }

    fn send(&self, publish: &Publish<'_>, qos: Qos) {
        let mut out = self.out.borrow_mut();
        let id = match qos {
            Qos::AtMostOnce => 0,
            _ => {
                self.last_id.set(self.last_id.get().checked_add(1).unwrap_or(1));
                self.last_id.get()
            }
        };
        let payload = |out: &mut BytesMut| out.put_slice(publish.payload);
        baton_drill::mqtt::encode::publish(publish.topic, qos, id, publish.payload.len(), payload, &mut out);
        drop(out);
        self.wake();
    }
}

struct Connection {
    stream: TcpStream,
    sink: Rc<Sink>,
    client: Rc<Client>,
    /// The beginning of a packet whose rest hasn't come.
    input: BytesMut,
    topics: Vec<Box<[u8]>>,
}

async fn serve(stream: TcpStream, sink: Rc<Sink>) {
    let mut connection = Connection { stream, sink, client: Rc::default(), input: BytesMut::new(), topics: Vec::new() };
    // However it ends, it ends for this client only.
    while std::future::poll_fn(|cx| connection.poll_turn(cx)).await.is_ok() {
        coop::consume_budget().await;
    }
}

impl Connection {
    /// Writes what there is, and takes what has come.
    fn poll_turn(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let written = self.poll_write(cx)?;
        if written.is_pending() && self.client.out.borrow().len() > UNREAD_BYTES {
            return Poll::Ready(Err(io::ErrorKind::StorageFull.into()));
        }
        let mut waker = self.client.waker.borrow_mut();
        if !waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            *waker = Some(cx.waker().clone());
        }
        drop(waker);
        let sink = Rc::clone(&self.sink);
        let mut scratch = sink.scratch.borrow_mut();
        let mut buffer = ReadBuf::new(&mut scratch);
        ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buffer))?;
        let read = buffer.filled();
        if read.is_empty() {
            return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
        }
        Poll::Ready(self.take(read).map_err(io::Error::other))
    }

    fn poll_write(&mut self, cx: &mut Context<'_>) -> io::Result<Poll<()>> {
        let mut out = self.client.out.borrow_mut();
        while !out.is_empty() {
            match Pin::new(&mut self.stream).poll_write(cx, &out) {
                Poll::Ready(written) => out.advance(written?),
                Poll::Pending => return Ok(Poll::Pending),
            }
        }
        if out.capacity() > KEPT_BYTES {
            *out = BytesMut::new();
        }
        Ok(Poll::Ready(()))
    }

    /// Reads packets where they lie; only an unfinished one is copied.
    fn take(&mut self, bytes: &[u8]) -> Result<(), Malformed> {
        let mut kept = std::mem::take(&mut self.input);
        let mut rest = if kept.is_empty() {
            bytes
        } else {
            kept.extend_from_slice(bytes);
            &kept[..]
        };
        while let Some((frame, length)) = Frame::take(rest)? {
            self.handle(frame)?;
            rest = &rest[length..];
        }
        self.input = if rest.is_empty() { BytesMut::new() } else { rest.into() };
        Ok(())
    }

    fn handle(&mut self, frame: Frame<'_>) -> Result<(), Malformed> {
        match frame.kind {
            kind::PUBLISH => {
                let Packet::Publish(publish) = Packet::parse(frame)? else { return Ok(()) };
                self.publish(&publish);
            }
            kind::PUBACK => {}
            kind::CONNECT => self.client.out.borrow_mut().put_slice(&[0x20, 2, 0, 0]),
            kind::SUBSCRIBE => self.subscribe(frame.body)?,
            kind::PINGREQ => self.client.out.borrow_mut().put_slice(&[0xd0, 0]),
            _ => return Err(Malformed("a packet that the sink doesn't know, or a goodbye")),
        }
        Ok(())
    }

    fn publish(&self, publish: &Publish<'_>) {
        if publish.qos != Qos::AtMostOnce {
            baton_drill::mqtt::encode::puback(publish.id, &mut self.client.out.borrow_mut());
        }
        for subscriber in self.sink.subscribers.borrow().get(publish.topic.as_bytes()).into_iter().flatten() {
            subscriber.client.send(publish, publish.qos.min(subscriber.qos));
        }
    }

    fn subscribe(&mut self, body: &[u8]) -> Result<(), Malformed> {
        let short = Malformed("SUBSCRIBE too short");
        let (id, mut filters) = body.split_first_chunk::<2>().ok_or(short)?;
        let mut granted = Vec::new();
        while let Some((length, rest)) = filters.split_first_chunk::<2>() {
            let (topic, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length))).ok_or(short)?;
            let (level, rest) = rest.split_first().ok_or(short)?;
            let qos = Qos::from_level(*level).ok_or(Malformed("QoS 3"))?.min(Qos::AtLeastOnce);
            let subscriber = Subscriber { client: Rc::clone(&self.client), qos };
            self.sink.subscribers.borrow_mut().entry(topic.into()).or_default().push(subscriber);
            self.topics.push(topic.into());
            granted.push(qos.level());
            filters = rest;
        }
        let length = u8::try_from(2 + granted.len()).ok().filter(|length| *length < 128).ok_or(short)?;
        let mut out = self.client.out.borrow_mut();
        out.put_slice(&[0x90, length, id[0], id[1]]);
        out.put_slice(&granted);
        Ok(())
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        let mut subscribers = self.sink.subscribers.borrow_mut();
        for topic in &self.topics {
            if let Some(them) = subscribers.get_mut(topic) {
                them.retain(|subscriber| !Rc::ptr_eq(&subscriber.client, &self.client));
                if them.is_empty() {
                    subscribers.remove(topic);
                }
            }
        }
    }
}
