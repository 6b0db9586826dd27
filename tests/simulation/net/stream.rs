//! One end of a connection, as a process holds it.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use baton_process::net::Stream;
use bytes::{Buf, Bytes};
use rand::RngExt;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{
    Net,
    state::{ACKED, Ended, Side, What},
};

/// One write in so many is taken in part only.
const SHORT_WRITES: u32 = 16;

/// One end of a connection. Dropped, it is closed.
pub(crate) struct SimStream {
    net: Net,
    id: u64,
    side: Side,
}

impl SimStream {
    pub(super) fn new(net: Net, id: u64, side: Side) -> Self {
        Self { net, id, side }
    }

    pub(super) fn poll_established(&self, cx: &Context<'_>) -> Poll<io::Result<()>> {
        self.net.with(|state, _| {
            let Some(c) = state.connections.get_mut(&self.id) else { return broken() };
            let end = &mut c.ends[self.side];
            match end.ended {
                _ if !end.open => broken(),
                _ if end.established => Poll::Ready(Ok(())),
                Some(_) => Poll::Ready(Err(io::ErrorKind::ConnectionRefused.into())),
                None => {
                    end.reader = Some(cx.waker().clone());
                    Poll::Pending
                }
            }
        })
    }
}

fn broken<T>() -> Poll<io::Result<T>> {
    Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()))
}

impl AsyncRead for SimStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.net.with(|state, now| {
            let Some(c) = state.connections.get_mut(&self.id) else { return broken() };
            let end = &mut c.ends[self.side];
            let Some(bytes) = end.inbox.front_mut() else {
                return match end.ended {
                    Some(Ended::Finished) => Poll::Ready(Ok(())),
                    Some(Ended::Reset) => broken(),
                    None if !end.open => broken(),
                    None => {
                        end.reader = Some(cx.waker().clone());
                        Poll::Pending
                    }
                };
            };
            let length = bytes.len().min(buffer.remaining());
            buffer.put_slice(&bytes[..length]);
            bytes.advance(length);
            if bytes.is_empty() {
                end.inbox.pop_front();
            }
            end.read += length;
            if end.read >= ACKED {
                let acked = std::mem::take(&mut end.read);
                state.send(self.id, 1 - self.side, What::Ack(acked), now);
            }
            Poll::Ready(Ok(()))
        })
    }
}

impl AsyncWrite for SimStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.net.with(|state, now| {
            let Some(c) = state.connections.get_mut(&self.id) else { return broken() };
            let end = &mut c.ends[self.side];
            if end.ended == Some(Ended::Reset) {
                return broken();
            }
            if end.finished {
                return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
            }
            if end.room == 0 {
                end.writer = Some(cx.waker().clone());
                return Poll::Pending;
            }
            let mut length = bytes.len().min(end.room);
            if length > 1 && state.chance.random_ratio(1, SHORT_WRITES) {
                length = state.chance.random_range(1..length);
            }
            end.room -= length;
            state.look(self.id, self.side, &bytes[..length]);
            state.send(self.id, 1 - self.side, What::Bytes(Bytes::copy_from_slice(&bytes[..length])), now);
            Poll::Ready(Ok(length))
        })
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.net.with(|state, now| {
            let Some(c) = state.connections.get_mut(&self.id) else { return broken() };
            if !std::mem::replace(&mut c.ends[self.side].finished, true) {
                state.send(self.id, 1 - self.side, What::Fin, now);
            }
            Poll::Ready(Ok(()))
        })
    }
}

impl Stream for SimStream {
    fn reset(self) {
        self.net.with(|state, now| {
            let Some(c) = state.connections.get_mut(&self.id) else { return };
            if std::mem::replace(&mut c.ends[self.side].open, false) {
                c.ends[self.side].finished = true;
                state.send(self.id, 1 - self.side, What::Reset, now);
                state.forget(self.id);
            }
        });
    }
}

impl Drop for SimStream {
    fn drop(&mut self) {
        self.net.with(|state, now| state.close(self.id, self.side, now));
    }
}
