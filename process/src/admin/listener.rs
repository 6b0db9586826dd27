//! Admin connections, in bounded number and for a bounded time.

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use axum::serve::Listener;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Duration, Sleep, sleep},
};

/// Admin connections at a time: a few scrapers and a few people. More wait in the kernel.
const CONNECTIONS: usize = 64;
/// How long one may last: whoever sends nothing, dribbles or doesn't read frees the place of another after this.
const LIFETIME: Duration = Duration::from_secs(60);

/// Accepts when a place is free.
pub(super) struct BoundedListener {
    listener: TcpListener,
    places: Arc<Semaphore>,
}

impl BoundedListener {
    pub(super) fn new(listener: TcpListener) -> Self {
        Self { listener, places: Arc::new(Semaphore::new(CONNECTIONS)) }
    }
}

impl Listener for BoundedListener {
    type Io = BoundedStream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (BoundedStream, SocketAddr) {
        let place = Arc::clone(&self.places).acquire_owned().await.expect("nobody closes the semaphore");
        let (stream, peer) = Listener::accept(&mut self.listener).await;
        (BoundedStream { stream, end: Box::pin(sleep(LIFETIME)), _place: place }, peer)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// A connection that fails when its time is up.
pub(super) struct BoundedStream {
    stream: TcpStream,
    end: Pin<Box<Sleep>>,
    _place: OwnedSemaphorePermit,
}

impl BoundedStream {
    fn check<T>(&mut self, cx: &mut Context<'_>, poll: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        match poll {
            Poll::Pending => self.end.as_mut().poll(cx).map(|()| Err(io::ErrorKind::TimedOut.into())),
            ready => ready,
        }
    }
}

impl AsyncRead for BoundedStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let poll = Pin::new(&mut self.stream).poll_read(cx, buf);
        self.check(cx, poll)
    }
}

impl AsyncWrite for BoundedStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let poll = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.check(cx, poll)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncReadExt;

    #[tokio::test(start_paused = true)]
    async fn a_silent_connection_gives_its_place_back() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("bound");
        let mut listener = BoundedListener::new(listener);
        let mut peers = Vec::new();
        let mut held = Vec::new();
        for _ in 0..CONNECTIONS {
            peers.push(TcpStream::connect(address).await.expect("the kernel takes it"));
            held.push(listener.accept().await.0);
        }
        peers.push(TcpStream::connect(address).await.expect("the kernel takes it"));
        assert!(tokio::time::timeout(LIFETIME / 2, listener.accept()).await.is_err(), "all places are taken");
        let mut silent = held.pop().expect("one of them");
        let error = silent.read_u8().await.expect_err("its time is up");
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        drop(silent);
        listener.accept().await;
    }
}
