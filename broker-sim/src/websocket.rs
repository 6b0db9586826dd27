//! MQTT over WebSocket as a byte stream, on the port of plain MQTT (6): a connection that begins with the `G` of an HTTP
//! `GET` is upgraded, any other is what it is.
//!
//! Packets may span frames and share them; a write of the broker's is one binary frame. The time for an upgrade is that
//! for a CONNECT: the broker closes a connection that has none in time, whatever it waits for.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use baton_process::net::Stream;
use bytes::{Buf, Bytes};
use futures_util::{Sink, Stream as _};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        Error, Message,
        handshake::{
            machine::TryParse,
            server::{Request, create_response, write_response},
        },
        http::{HeaderValue, header::SEC_WEBSOCKET_PROTOCOL},
        protocol::{CloseFrame, Role, WebSocketConfig, frame::coding::CloseCode},
    },
};

/// Bytes of an upgrade request: a browser's with its cookies fits, and nobody can have us hold more.
const REQUEST_BYTES: usize = 16 * 1024;
/// Bytes that one read takes from the socket.
const READ_BYTES: usize = 16 * 1024;
/// The subprotocols that we speak: of 3.1.1 and 5, and what clients of 3.1 ask for.
const SUBPROTOCOLS: [&str; 2] = ["mqtt", "mqttv3.1"];

/// A connection of the plain port, whatever it turns out to be.
pub struct Transport<S: Stream> {
    state: State<S>,
    /// Bytes of a message, and so of a frame: one that holds the largest packet that the broker takes.
    message_bytes: usize,
}

enum State<S: Stream> {
    /// Nothing has arrived.
    Unknown(S),
    Plain(S),
    Upgrading(Pin<Box<dyn Future<Output = Option<WebSocketStream<S>>>>>),
    Socket(Box<Socket<S>>),
    /// An upgrade came to nothing.
    Over,
}

impl<S: Stream> Transport<S> {
    /// A connection that has just been accepted; packets have at most so many bytes.
    pub fn new(stream: S, packet_bytes: usize) -> Self {
        Self { state: State::Unknown(stream), message_bytes: packet_bytes }
    }

    /// The first bytes: plain MQTT has them as they are.
    fn sniff(&mut self, first: &mut ReadBuf<'_>, before: usize) {
        let State::Unknown(stream) = std::mem::replace(&mut self.state, State::Over) else { return };
        self.state = if first.filled().get(before) == Some(&b'G') {
            let head = first.filled()[before..].to_vec();
            first.set_filled(before);
            State::Upgrading(Box::pin(upgrade(stream, head, self.message_bytes)))
        } else {
            State::Plain(stream)
        };
    }
}

impl<S: Stream> AsyncRead for Transport<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        loop {
            match &mut self.state {
                State::Unknown(stream) => {
                    let before = buffer.filled().len();
                    ready!(Pin::new(stream).poll_read(cx, buffer))?;
                    self.sniff(buffer, before);
                    if !matches!(self.state, State::Upgrading(_)) {
                        return Poll::Ready(Ok(()));
                    }
                }
                State::Plain(stream) => return Pin::new(stream).poll_read(cx, buffer),
                State::Upgrading(upgrade) => {
                    self.state = match ready!(upgrade.as_mut().poll(cx)) {
                        Some(socket) => State::Socket(Box::new(Socket::new(socket))),
                        None => State::Over,
                    };
                }
                State::Socket(socket) => return socket.poll_read(cx, buffer),
                State::Over => return Poll::Ready(Ok(())),
            }
        }
    }
}

impl<S: Stream> AsyncWrite for Transport<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.state {
            State::Unknown(stream) | State::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            State::Socket(socket) => socket.poll_write(cx, bytes),
            // The broker has nothing to say to a client that it hasn't heard.
            State::Upgrading(_) | State::Over => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.state {
            State::Unknown(stream) | State::Plain(stream) => Pin::new(stream).poll_flush(cx),
            State::Socket(socket) => Pin::new(&mut socket.inner).poll_flush(cx).map_err(io_error),
            State::Upgrading(_) | State::Over => Poll::Ready(Ok(())),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.state {
            State::Unknown(stream) | State::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            State::Socket(socket) => socket.poll_shutdown(cx),
            State::Upgrading(_) | State::Over => {
                self.state = State::Over;
                Poll::Ready(Ok(()))
            }
        }
    }
}

impl<S: Stream> Stream for Transport<S> {
    fn reset(self) {
        match self.state {
            State::Unknown(stream) | State::Plain(stream) => stream.reset(),
            State::Socket(socket) => socket.inner.into_inner().reset(),
            State::Upgrading(_) | State::Over => {}
        }
    }
}

/// An upgraded connection.
struct Socket<S> {
    inner: WebSocketStream<S>,
    /// What is left of the last message.
    message: Bytes,
    /// What the client did that WebSocket or MQTT doesn't allow; nothing more is read.
    breach: Option<CloseFrame>,
    said_close: bool,
}

impl<S: Stream> Socket<S> {
    fn new(inner: WebSocketStream<S>) -> Self {
        Self { inner, message: Bytes::new(), breach: None, said_close: false }
    }

    fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        while self.message.is_empty() {
            if self.breach.is_some() {
                return Poll::Ready(Ok(()));
            }
            match ready!(Pin::new(&mut self.inner).poll_next(cx)) {
                None => return Poll::Ready(Ok(())),
                Some(Ok(Message::Binary(bytes))) => self.message = bytes,
                // [MQTT-6.0.0-1]
                Some(Ok(Message::Text(_))) => self.refuse(CloseCode::Unsupported, "MQTT is in binary frames"),
                Some(Ok(_)) => {}
                Some(Err(Error::Capacity(_))) => self.refuse(CloseCode::Size, "larger than a packet may be"),
                Some(Err(Error::Protocol(_) | Error::Utf8(_))) => self.refuse(CloseCode::Protocol, ""),
                Some(Err(error)) => return Poll::Ready(Err(io_error(error))),
            }
        }
        let length = self.message.len().min(buffer.remaining());
        buffer.put_slice(&self.message[..length]);
        self.message.advance(length);
        Poll::Ready(Ok(()))
    }

    fn refuse(&mut self, code: CloseCode, reason: &'static str) {
        self.breach = Some(CloseFrame { code, reason: reason.into() });
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        ready!(Pin::new(&mut self.inner).poll_ready(cx)).map_err(io_error)?;
        let frame = Message::Binary(Bytes::copy_from_slice(bytes));
        Pin::new(&mut self.inner).start_send(frame).map_err(io_error)?;
        Poll::Ready(Ok(bytes.len()))
    }

    /// Says Close and ends this direction. Of a client in breach what still comes is thrown away, or the reset that
    /// unread bytes bring would overtake what it is told; the caller bounds the time.
    fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.said_close {
            ready!(Pin::new(&mut self.inner).poll_ready(cx)).map_err(io_error)?;
            let normal = || CloseFrame { code: CloseCode::Normal, reason: "".into() };
            let close = Message::Close(Some(self.breach.clone().unwrap_or_else(normal)));
            // Fails if the client has said Close already: then it has its answer.
            let _ = Pin::new(&mut self.inner).start_send(close);
            self.said_close = true;
        }
        // As above.
        let _ = ready!(Pin::new(&mut self.inner).poll_flush(cx));
        let stream = self.inner.get_mut();
        ready!(Pin::new(&mut *stream).poll_shutdown(cx))?;
        while self.breach.is_some() {
            let mut scratch = [0; 1024];
            let mut buffer = ReadBuf::new(&mut scratch);
            ready!(Pin::new(&mut *stream).poll_read(cx, &mut buffer))?;
            if buffer.filled().is_empty() {
                break;
            }
        }
        Poll::Ready(Ok(()))
    }
}

fn io_error(error: Error) -> io::Error {
    match error {
        Error::Io(error) => error,
        error => io::Error::other(error),
    }
}

/// Reads an upgrade request, which begins with `head`, and answers it; none if it can't be granted, or the client went.
async fn upgrade<S: Stream>(mut stream: S, mut head: Vec<u8>, message_bytes: usize) -> Option<WebSocketStream<S>> {
    let (length, request) = loop {
        match Request::try_parse(&head) {
            Ok(Some(parsed)) => break parsed,
            Ok(None) if head.len() < REQUEST_BYTES => {}
            Ok(None) => return refuse(stream, &format!("a request of more than {REQUEST_BYTES} bytes")).await,
            Err(error) => return refuse(stream, &error.to_string()).await,
        }
        let mut more = [0; 1024];
        let read = stream.read(&mut more).await.ok().filter(|read| *read > 0)?;
        head.extend_from_slice(&more[..read]);
    };
    let mut response = match create_response(&request) {
        Ok(response) => response,
        Err(error) => return refuse(stream, &error.to_string()).await,
    };
    let Some(subprotocol) = subprotocol(&request) else {
        return refuse(stream, "MQTT has the subprotocol mqtt").await;
    };
    response.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(subprotocol));
    let mut bytes = Vec::new();
    write_response(&mut bytes, &response).ok()?;
    stream.write_all(&bytes).await.ok()?;
    stream.flush().await.ok()?;
    let config = WebSocketConfig::default()
        .read_buffer_size(READ_BYTES)
        .write_buffer_size(0)
        .max_message_size(Some(message_bytes))
        .max_frame_size(Some(message_bytes));
    let rest = head.split_off(length);
    Some(WebSocketStream::from_partially_read(stream, rest, Role::Server, Some(config)).await)
}

/// The first of the client's subprotocols that is ours [MQTT-6.0.0-3].
fn subprotocol(request: &Request) -> Option<&'static str> {
    let offered = request.headers().get_all(SEC_WEBSOCKET_PROTOCOL).into_iter();
    let mut offered = offered.filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(','));
    offered.find_map(|name| SUBPROTOCOLS.into_iter().find(|ours| *ours == name.trim()))
}

/// Answers 400, and waits for the client to go: a close with unread bytes could overtake the answer.
async fn refuse<S: Stream, T>(mut stream: S, why: &str) -> Option<T> {
    let body = format!("no WebSocket upgrade for MQTT: {why}\n");
    let head = "HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain; charset=utf-8\r\nconnection: close\r\n";
    let answer = format!("{head}content-length: {}\r\n\r\n{body}", body.len());
    stream.write_all(answer.as_bytes()).await.ok()?;
    stream.shutdown().await.ok()?;
    while stream.read(&mut [0; 1024]).await.ok()? > 0 {}
    None
}
