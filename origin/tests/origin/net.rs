//! Addresses and connections in memory.

use std::{
    cell::RefCell,
    collections::BTreeMap,
    io,
    net::SocketAddr,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
};

use baton_process::net::{Dial, Listen, Stream};
use tokio::{
    io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf, duplex},
    sync::mpsc,
};

/// Bytes under way in one direction of a connection.
const PIPE: usize = 256 * 1024;
/// Connections that wait to be accepted.
const BACKLOG: usize = 64;

/// Whoever has a clone reaches whoever listens.
#[derive(Clone, Default)]
pub(crate) struct Network(Rc<RefCell<BTreeMap<String, mpsc::Sender<Pipe>>>>);

impl Network {
    pub(crate) fn listen(&self, address: &str) -> Listener {
        let (sender, arrivals) = mpsc::channel(BACKLOG);
        self.0.borrow_mut().insert(address.into(), sender);
        Listener(arrivals)
    }
}

impl Dial for Network {
    type Stream = Pipe;

    async fn dial(&self, address: &str) -> io::Result<Pipe> {
        let listener = self.0.borrow().get(address).cloned().ok_or(io::ErrorKind::ConnectionRefused)?;
        let (near, far) = duplex(PIPE);
        listener.send(Pipe(far)).await.map_err(|_| io::ErrorKind::ConnectionRefused)?;
        Ok(Pipe(near))
    }
}

pub(crate) struct Listener(mpsc::Receiver<Pipe>);

impl Listen for Listener {
    type Stream = Pipe;

    async fn accept(&mut self) -> io::Result<(Pipe, SocketAddr)> {
        let pipe = self.0.recv().await.ok_or_else(|| io::Error::other("the network is gone"))?;
        Ok((pipe, SocketAddr::from(([127, 0, 0, 1], 1))))
    }
}

/// One end of a connection.
pub(crate) struct Pipe(DuplexStream);

impl Stream for Pipe {
    fn reset(self) {}
}

impl AsyncRead for Pipe {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for Pipe {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}
