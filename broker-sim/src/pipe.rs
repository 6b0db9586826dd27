//! A byte stream between two tasks of one worker, as TCP would carry it: bounded, with half-close and reset. It holds
//! memory only while bytes are on their way.

use std::{
    cell::RefCell,
    collections::VecDeque,
    io::{self, Read},
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, Waker},
};

use baton_process::net::Stream;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Bytes that one direction holds: what the kernel would hold for a slow reader.
pub const PIPE_BYTES: usize = 64 * 1024;

/// The two ends of a new pipe.
pub fn pipe() -> (PipeEnd, PipeEnd) {
    let (there, back) = (Rc::new(RefCell::default()), Rc::new(RefCell::default()));
    let near = PipeEnd { out: Rc::clone(&there), back: Rc::clone(&back) };
    (near, PipeEnd { out: back, back: there })
}

/// One end. Dropped before it was shut down, it resets the stream: the other end reads what was written, then an
/// error.
#[derive(Debug)]
pub struct PipeEnd {
    out: Rc<RefCell<Way>>,
    back: Rc<RefCell<Way>>,
}

/// One direction.
#[derive(Debug, Default)]
struct Way {
    bytes: VecDeque<u8>,
    ended: Option<Ended>,
    /// The reader is gone: nothing that is written arrives.
    deaf: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

#[derive(Clone, Copy, Debug)]
enum Ended {
    Shutdown,
    Reset,
}

impl Way {
    fn end(&mut self, how: Ended) {
        self.ended.get_or_insert(how);
        self.reader.take().into_iter().for_each(Waker::wake);
    }
}

impl AsyncRead for PipeEnd {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let way = &mut *self.back.borrow_mut();
        if way.bytes.is_empty() {
            return match way.ended {
                Some(Ended::Shutdown) => Poll::Ready(Ok(())),
                Some(Ended::Reset) => Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())),
                None => {
                    way.reader = Some(cx.waker().clone());
                    Poll::Pending
                }
            };
        }
        let wanted = buffer.remaining().min(way.bytes.len());
        let filled = way.bytes.read(buffer.initialize_unfilled_to(wanted))?;
        buffer.advance(filled);
        if way.bytes.is_empty() {
            way.bytes = VecDeque::new();
        }
        way.writer.take().into_iter().for_each(Waker::wake);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for PipeEnd {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let way = &mut *self.out.borrow_mut();
        if way.deaf || way.ended.is_some() {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let room = PIPE_BYTES - way.bytes.len();
        if room == 0 {
            way.writer = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let taken = &bytes[..bytes.len().min(room)];
        way.bytes.extend(taken);
        way.reader.take().into_iter().for_each(Waker::wake);
        Poll::Ready(Ok(taken.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.out.borrow_mut().end(Ended::Shutdown);
        Poll::Ready(Ok(()))
    }
}

impl Stream for PipeEnd {
    fn reset(self) {}
}

impl Drop for PipeEnd {
    fn drop(&mut self) {
        self.out.borrow_mut().end(Ended::Reset);
        let back = &mut *self.back.borrow_mut();
        back.deaf = true;
        back.bytes = VecDeque::new();
        back.writer.take().into_iter().for_each(Waker::wake);
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[tokio::test]
    async fn bytes_pass_in_order_and_wait_when_it_is_full() {
        let (mut near, mut far) = pipe();
        let sent: Vec<u8> = (0..3 * PIPE_BYTES).map(|n| u8::try_from(n % 251).unwrap()).collect();
        let writing = async {
            near.write_all(&sent).await.unwrap();
            near.shutdown().await.unwrap();
        };
        let reading = async {
            let mut got = Vec::new();
            far.read_to_end(&mut got).await.unwrap();
            got
        };
        let ((), got) = tokio::join!(writing, reading);
        assert!(got == sent);
        assert_eq!(near.out.borrow().bytes.capacity(), 0, "an idle pipe holds no memory");
    }

    #[tokio::test]
    async fn a_dropped_end_is_a_reset_after_what_was_written() {
        let (mut near, mut far) = pipe();
        near.write_all(b"last").await.unwrap();
        drop(near);
        let mut got = [0; 4];
        far.read_exact(&mut got).await.unwrap();
        assert_eq!(&got, b"last");
        assert_eq!(far.read(&mut got).await.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
        assert_eq!(far.write(b"x").await.unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    }

    #[tokio::test]
    async fn a_half_closed_pipe_still_carries_the_other_way() {
        let (mut near, mut far) = pipe();
        near.shutdown().await.unwrap();
        assert_eq!(far.read(&mut [0; 4]).await.unwrap(), 0);
        far.write_all(b"bye").await.unwrap();
        drop(far);
        let mut got = Vec::new();
        assert!(near.read_to_end(&mut got).await.is_err());
        assert_eq!(got, b"bye");
    }

    #[tokio::test]
    async fn a_writer_that_waits_learns_of_the_reset() {
        let (mut near, far) = pipe();
        near.write_all(&[0; PIPE_BYTES]).await.unwrap();
        let (written, ()) = tokio::join!(near.write(b"x"), async { drop(far) });
        assert_eq!(written.unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    }
}
