//! Gathers a trunk's writes. h2 writes each larger frame by itself; behind `Gather` they only pile up in memory, and
//! the trunk's driver writes them with one call after each turn. The read side reads ahead.

use std::{
    cell::RefCell,
    future::poll_fn,
    io,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
};

use baton_process::clock::Clock;
use baton_protocol::limits::Millis;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Bytes that may wait for the kernel; beyond, h2 and then the tunnels wait.
const WRITE_BYTES: usize = 256 * 1024;
/// Bytes read at once.
const READ_BYTES: usize = 64 * 1024;
/// The same until so many have been there: a connection that says nothing, or little, costs no more.
const READ_BYTES_FIRST: usize = 1024;

/// Bytes read in a row before everybody else on the loop has a turn. A frame can be 10 bytes long, and costs about as much
/// as one of 16 KiB.
const READ_IN_A_ROW: usize = 256 * 1024;

#[derive(Debug)]
struct Inner<Io> {
    io: Io,
    clock: Clock,
    out: Vec<u8>,
    written: usize,
    ahead: Box<[u8]>,
    ahead_at: usize,
    ahead_end: usize,
    /// Bytes until others have a turn.
    in_a_row: usize,
    /// Whether bytes have arrived since somebody asked.
    heard: bool,
    backlog_since: Option<Millis>,
}

/// A byte stream whose writes wait for [`Gather::poll_write_out`]. Clones share it: h2 owns one, the driver another.
#[derive(Debug)]
pub(crate) struct Gather<Io>(Rc<RefCell<Inner<Io>>>);

impl<Io> Clone for Gather<Io> {
    fn clone(&self) -> Self {
        Self(Rc::clone(&self.0))
    }
}

impl<Io: AsyncRead + AsyncWrite + Unpin> Gather<Io> {
    pub(crate) fn new(io: Io, clock: Clock) -> Self {
        Self(Rc::new(RefCell::new(Inner {
            io,
            clock,
            out: Vec::new(),
            written: 0,
            ahead: vec![0; READ_BYTES_FIRST].into_boxed_slice(),
            ahead_at: 0,
            ahead_end: 0,
            in_a_row: READ_IN_A_ROW,
            heard: false,
            backlog_since: None,
        })))
    }

    /// Waits until the peer has said something, or gone.
    pub(crate) async fn first_word(&self) -> io::Result<()> {
        poll_fn(|cx| self.0.borrow_mut().poll_ahead(cx)).await
    }

    /// Whether bytes have arrived since this was last asked.
    pub(crate) fn take_heard(&self) -> bool {
        std::mem::take(&mut self.0.borrow_mut().heard)
    }

    /// Since when there have been bytes that the kernel doesn't take.
    pub(crate) fn backlog_since(&self) -> Option<Millis> {
        self.0.borrow().backlog_since
    }

    /// Whether h2 was, or would be, held back.
    pub(crate) fn is_full(&self) -> bool {
        self.0.borrow().out.len() >= WRITE_BYTES
    }

    /// Writes what was gathered. Ready when nothing is left.
    pub(crate) fn poll_write_out(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.borrow_mut().poll_write_out(cx)
    }
}

impl<Io: AsyncRead + AsyncWrite + Unpin> Inner<Io> {
    fn poll_write_out(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.written < self.out.len() {
            match Pin::new(&mut self.io).poll_write(cx, &self.out[self.written..]) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Poll::Ready(Ok(n)) => self.written += n,
                Poll::Ready(Err(e)) => return Poll::Ready(Err(e)),
                Poll::Pending => {
                    self.out.drain(..self.written);
                    self.written = 0;
                    self.backlog_since.get_or_insert(self.clock.now());
                    return Poll::Pending;
                }
            }
        }
        self.out.clear();
        self.out.shrink_to(2 * READ_BYTES);
        self.written = 0;
        self.backlog_since = None;
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_ahead(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.ahead_end == READ_BYTES_FIRST && self.ahead.len() == READ_BYTES_FIRST {
            self.ahead = vec![0; READ_BYTES].into_boxed_slice();
        }
        let mut buf = ReadBuf::new(&mut self.ahead);
        ready!(Pin::new(&mut self.io).poll_read(cx, &mut buf))?;
        (self.ahead_at, self.ahead_end) = (0, buf.filled().len());
        self.heard |= self.ahead_end > 0;
        Poll::Ready(Ok(()))
    }
}

impl<Io: AsyncRead + AsyncWrite + Unpin> AsyncRead for Gather<Io> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let mut inner = self.0.borrow_mut();
        if inner.ahead_at == inner.ahead_end {
            if inner.in_a_row == 0 {
                inner.in_a_row = READ_IN_A_ROW;
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            let Poll::Ready(read) = inner.poll_ahead(cx) else {
                inner.in_a_row = READ_IN_A_ROW;
                return Poll::Pending;
            };
            read?;
            inner.in_a_row = inner.in_a_row.saturating_sub(inner.ahead_end);
        }
        let n = buf.remaining().min(inner.ahead_end - inner.ahead_at);
        buf.put_slice(&inner.ahead[inner.ahead_at..inner.ahead_at + n]);
        inner.ahead_at += n;
        Poll::Ready(Ok(()))
    }
}

impl<Io: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Gather<Io> {
    /// Pending when full: the driver, which is the same task, writes out and polls h2 again.
    fn poll_write(self: Pin<&mut Self>, _cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let mut inner = self.0.borrow_mut();
        let n = bytes.len().min(WRITE_BYTES.saturating_sub(inner.out.len()));
        if n == 0 && !bytes.is_empty() {
            return Poll::Pending;
        }
        inner.out.extend_from_slice(&bytes[..n]);
        Poll::Ready(Ok(n))
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut inner = self.0.borrow_mut();
        ready!(inner.poll_write_out(cx))?;
        Pin::new(&mut inner.io).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::{
            Arc,
            atomic::{AtomicU32, Ordering},
        },
        task::Wake,
    };

    use tokio::io::{join, repeat, sink};

    use super::*;

    #[derive(Debug, Default)]
    struct Woken(AtomicU32);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[tokio::test]
    async fn a_peer_that_always_has_more_is_interrupted() {
        let mut gather = Gather::new(join(repeat(b'x'), sink()), Clock::start());
        let woken = Arc::new(Woken::default());
        let (waker, mut bytes) = (Arc::clone(&woken).into(), [0; 16 * 1024]);
        for turn in 0..3 {
            let (mut read, mut buf) = (0, ReadBuf::new(&mut bytes));
            while Pin::new(&mut gather).poll_read(&mut Context::from_waker(&waker), &mut buf).is_ready() {
                read += buf.filled().len();
                buf.clear();
            }
            assert!((READ_IN_A_ROW..READ_IN_A_ROW + READ_BYTES).contains(&read), "{read}");
            assert_eq!(woken.0.load(Ordering::Relaxed), turn + 1);
        }
    }
}
