//! One stream of a trunk that carries capsules, and an attempt at one.

use std::{
    future::Future,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
    time::Duration,
};

use baton_protocol::{
    attach::{self, Accepted, Attach, Refused},
    capsule::{CapsuleError, Decoder, Piece},
    id::Epoch,
    limits::Millis,
    session::{HowEnded, Loss},
};
use bytes::{Bytes, BytesMut};
use h2::{Reason, RecvStream, SendStream, client::ResponseFuture};
use tokio::time::timeout;

use crate::trunk::{Counted, Trunk, TrunkState};

/// Time for the other end to end its direction of a tunnel that was left, before it is reset.
const LINGER: Duration = Duration::from_secs(5);

/// A tunnel: one stream of a trunk.
#[derive(Debug)]
pub struct Tunnel {
    epoch: Epoch,
    send: SendStream<Bytes>,
    recv: RecvStream,
    decoder: Decoder,
    /// Whether capacity was asked for and not used up: it is taken from the connection's window, so it goes back.
    reserved: bool,
    counted: Counted,
}

/// Why nothing more comes out of a tunnel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dry {
    /// It ended.
    Lost(Loss),
    /// It carries what is no capsule.
    Garbage(CapsuleError),
}

/// How the stream's error reads for a session.
fn loss(error: &h2::Error) -> Loss {
    if error.is_reset() && error.is_remote() { Loss::Reset } else { Loss::Connection }
}

impl Tunnel {
    /// A tunnel over an accepted stream.
    pub fn new(epoch: Epoch, send: SendStream<Bytes>, recv: RecvStream, counted: Counted) -> Self {
        Self { epoch, send, recv, decoder: Decoder::default(), reserved: false, counted }
    }

    /// The attach that made it.
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// Until when its connection last had bytes that the kernel didn't take for a while.
    pub fn flushed(&self, now: Millis) -> Millis {
        self.counted.trunk().flushed(now)
    }

    /// Hands every piece that is there to `take`, releasing HTTP/2's credit at once: the session's window rules.
    pub fn poll_pieces(&mut self, cx: &mut Context<'_>, mut take: impl FnMut(Piece<'_>)) -> Poll<Dry> {
        loop {
            let data = match ready!(self.recv.poll_data(cx)) {
                Some(Ok(data)) => data,
                Some(Err(error)) => return Poll::Ready(Dry::Lost(loss(&error))),
                None => return Poll::Ready(Dry::Lost(Loss::EndStream)),
            };
            // Fails only for a stream that is gone, which the next poll says.
            let _ = self.recv.flow_control().release_capacity(data.len());
            let mut input = &data[..];
            loop {
                match self.decoder.next(&mut input) {
                    Ok(Some(piece)) => take(piece),
                    Ok(None) => break,
                    Err(error) => return Poll::Ready(Dry::Garbage(error)),
                }
            }
        }
    }

    /// Room for a capsule of up to `want` bytes, at least `least`; Pending until there is. What isn't used goes back
    /// with [`Tunnel::idle`].
    pub fn poll_room(&mut self, cx: &mut Context<'_>, want: usize, least: usize) -> Poll<usize> {
        let want = want.max(least);
        self.reserved = true;
        self.send.reserve_capacity(want);
        loop {
            // `poll_capacity` tells of changes only.
            let room = self.send.capacity();
            if room >= least {
                return Poll::Ready(room.min(want));
            }
            match self.send.poll_capacity(cx) {
                Poll::Ready(Some(Ok(_))) => {}
                // The stream is gone; its receiving half says how.
                Poll::Ready(None | Some(Err(_))) | Poll::Pending => return Poll::Pending,
            }
        }
    }

    /// Sends whole capsules, for which `poll_room` had room.
    pub fn send(&mut self, capsules: BytesMut) {
        // Fails only for a stream that is gone, which the receiving half says.
        let _ = self.send.send_data(capsules.freeze(), false);
    }

    /// Nothing to send: credit that was asked for goes back to the connection, where its siblings need it.
    pub fn idle(&mut self) {
        if std::mem::take(&mut self.reserved) {
            self.send.reserve_capacity(0);
        }
    }

    /// Ends it. The other end's direction is listened to for some seconds, so that an orderly end stays one.
    pub fn end(mut self, how: HowEnded) {
        let last = match how {
            HowEnded::EndStream => Bytes::new(),
            HowEnded::Last(bytes) => bytes,
            HowEnded::Reset | HowEnded::TimedOut => return self.send.send_reset(Reason::CANCEL),
        };
        if self.send.send_data(last, true).is_err() || self.recv.is_end_stream() {
            return;
        }
        let Self { send, recv, counted, .. } = self;
        tokio::task::spawn_local(async move {
            linger(recv).await;
            drop((send, counted));
        });
    }
}

/// Listens to the other end's direction of a stream that ours was ended of, for [`LINGER`] at most.
pub(crate) async fn linger(recv: RecvStream) {
    linger_with(discard(recv)).await;
}

/// As [`linger`], where somebody listens already.
pub(crate) async fn linger_with(listening: impl Future) {
    if timeout(LINGER, listening).await.is_err() {
        tracing::debug!(event = "stream.lingered", "the other end left a stream open");
    }
}

/// Takes whatever comes until the stream ends.
pub(crate) async fn discard(mut recv: RecvStream) {
    while let Some(Ok(data)) = recv.data().await {
        // Fails only for a stream that is gone.
        let _ = recv.flow_control().release_capacity(data.len());
    }
}

/// An attach that was sent and not answered. Dropping it resets the stream.
#[derive(Debug)]
pub struct Attempt {
    epoch: Epoch,
    response: ResponseFuture,
    send: Option<SendStream<Bytes>>,
    trunk: Rc<TrunkState>,
    counted: Option<Counted>,
}

/// How an attach was answered.
#[derive(Debug)]
pub enum Answer {
    /// connect_ack, and the tunnel that it made.
    Accepted(Accepted, Tunnel),
    /// connect_refuse, or another refusal.
    Refused(Refused),
    /// No answer will come.
    Lost(Loss),
}

impl Attempt {
    /// Sends an attach over `trunk`, to the pool of origins that `authority` names.
    ///
    /// # Errors
    /// The trunk takes no more streams.
    pub fn send(trunk: &Trunk, epoch: Epoch, attach: &Attach, authority: &str) -> Result<Self, h2::Error> {
        let (response, send) = trunk.request(attach.to_request(authority), attach::TUNNEL)?;
        let state = trunk.state();
        Ok(Self { epoch, response, send: Some(send), trunk: Rc::clone(state), counted: Some(state.count()) })
    }

    /// The attach's number.
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// The trunk that carries it.
    pub fn trunk(&self) -> &Rc<TrunkState> {
        &self.trunk
    }

    /// The answer. Not to be polled again after it.
    pub fn poll_answer(&mut self, cx: &mut Context<'_>) -> Poll<Answer> {
        let response = match ready!(Pin::new(&mut self.response).poll(cx)) {
            Ok(response) => response,
            Err(error) => return Poll::Ready(Answer::Lost(loss(&error))),
        };
        if !response.status().is_success() {
            return Poll::Ready(Answer::Refused(Refused::from_response(&response)));
        }
        let (Ok(accepted), Some(send), Some(counted)) =
            (Accepted::from_response(&response), self.send.take(), self.counted.take())
        else {
            return Poll::Ready(Answer::Lost(Loss::Reset));
        };
        let tunnel = Tunnel::new(self.epoch, send, response.into_body(), counted);
        Poll::Ready(Answer::Accepted(accepted, tunnel))
    }
}
