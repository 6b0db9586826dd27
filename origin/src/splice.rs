//! One tunnel: what arrives on one side is sent on the other as it came, each direction by itself.
//!
//! Both sides are read at once, whatever the destination takes: HTTP/2's budget for small frames belongs to the whole
//! connection and comes back only with the read. The sender's credit comes back when the destination has taken the
//! bytes, so a tunnel holds at most one window a direction.
//!
//! END_STREAM is passed on as END_STREAM. Everything else that ends a side resets the other: an orderly end would tell
//! the edge that its session was moved on purpose.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use baton_link::budget::Share;
use bytes::{Bytes, BytesMut};
use h2::{Reason, RecvStream, SendStream};

use crate::edges::Carried;

/// A tunnel is to be reset: one of its sides was, or its connection is gone, or too much is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Broken;

/// One direction.
struct Way {
    from: RecvStream,
    to: SendStream<Bytes>,
    /// What the destination hasn't taken, in one piece: kept frames would each pin the buffer that they were read to.
    waiting: BytesMut,
    /// The source sent END_STREAM.
    input_ended: bool,
    /// It was passed on.
    ended: bool,
}

impl Way {
    fn new(from: RecvStream, to: SendStream<Bytes>) -> Self {
        Self { from, to, waiting: BytesMut::new(), input_ended: false, ended: false }
    }

    /// Reads all there is, sends what it can. Ready when END_STREAM has been passed on.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        while !self.input_ended {
            match self.from.poll_data(cx) {
                Poll::Ready(Some(Ok(data))) => self.take(data)?,
                Poll::Ready(Some(Err(_))) => return Poll::Ready(Err(Broken)),
                Poll::Ready(None) => self.input_ended = true,
                Poll::Pending => break,
            }
        }
        while !self.waiting.is_empty() {
            self.to.reserve_capacity(self.waiting.len());
            // `poll_capacity` tells of changes only.
            let room = self.to.capacity().min(self.waiting.len());
            if room > 0 {
                let data = self.waiting.split_to(room).freeze();
                self.pass(data)?;
                continue;
            }
            match self.to.poll_capacity(cx) {
                Poll::Ready(Some(Ok(_))) => {}
                Poll::Ready(None | Some(Err(_))) => return Poll::Ready(Err(Broken)),
                Poll::Pending => return Poll::Pending,
            }
        }
        if !self.input_ended {
            return Poll::Pending;
        }
        if !self.ended {
            self.to.send_data(Bytes::new(), true).map_err(|_| Broken)?;
            self.ended = true;
        }
        Poll::Ready(Ok(()))
    }

    /// A frame has arrived: it passes as it is, or waits.
    fn take(&mut self, data: Bytes) -> Result<(), Broken> {
        // An empty frame that isn't the last says nothing, and peers count them.
        if data.is_empty() {
            return Ok(());
        }
        if self.waiting.is_empty() {
            self.to.reserve_capacity(data.len());
            if self.to.capacity() >= data.len() {
                return self.pass(data);
            }
        }
        self.waiting.extend_from_slice(&data);
        Ok(())
    }

    fn pass(&mut self, data: Bytes) -> Result<(), Broken> {
        let len = data.len();
        self.to.send_data(data, false).map_err(|_| Broken)?;
        // Fails only for a stream that is gone, which the next read says.
        let _ = self.from.flow_control().release_capacity(len);
        Ok(())
    }

    /// Whether the destination has reset its stream. Its own direction says so too, until that has ended.
    fn poll_reset(&mut self, cx: &mut Context<'_>) -> bool {
        !self.ended && self.to.poll_reset(cx).is_ready()
    }
}

/// A tunnel that carries a session: a task of its own, which ends when both sides have ended, or one broke.
pub(crate) struct Splice {
    up: Way,
    down: Way,
    share: Share,
    _carried: Carried,
}

/// A tunnel is held for as long as a client stays: with HTTP/2's two streams it costs less than 1.5 KiB.
const _: () = assert!(size_of::<Splice>() <= 256);

impl Splice {
    /// Between an edge's stream and an anchor's.
    pub(crate) fn new(
        edge: (SendStream<Bytes>, RecvStream),
        anchor: (SendStream<Bytes>, RecvStream),
        share: Share,
        carried: Carried,
    ) -> Self {
        Self { up: Way::new(edge.1, anchor.0), down: Way::new(anchor.1, edge.0), share, _carried: carried }
    }

    fn poll_ways(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        let (up, down) = (self.up.poll(cx)?, self.down.poll(cx)?);
        if !self.share.hold(self.up.waiting.len() + self.down.waiting.len(), cx) {
            return Poll::Ready(Err(Broken));
        }
        if up.is_ready() && down.is_ready() {
            return Poll::Ready(Ok(()));
        }
        let unheard =
            self.down.input_ended && self.up.poll_reset(cx) || self.up.input_ended && self.down.poll_reset(cx);
        if unheard { Poll::Ready(Err(Broken)) } else { Poll::Pending }
    }
}

impl Future for Splice {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.poll_ways(cx).map(|ended| {
            if ended == Err(Broken) {
                self.up.to.send_reset(Reason::CANCEL);
                self.down.to.send_reset(Reason::CANCEL);
            }
        })
    }
}
