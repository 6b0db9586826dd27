//! The loop that runs a session half over its local byte stream and whatever tunnel it has now.
//!
//! One turn: let the owner act → tunnel to half → half to local socket → local socket to half → half to tunnel →
//! outputs → one timer. It ends when the half is over. Edge and anchor differ in their [`Owner`] only.

use std::{
    future::{Future, poll_fn},
    io::IoSlice,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
};

use baton_protocol::{
    error::CloseCause,
    id::Epoch,
    limits::Millis,
    session::{Half, HowEnded, Loss, Output, pipe::FRAME_MIN},
};
use bytes::BytesMut;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::Sleep,
};

use crate::{
    budget::Share,
    tunnel::{Dry, Tunnel},
    worker::Worker,
};

/// Bytes read from one local socket in one turn, before other sessions have theirs.
const READ_PER_TURN: usize = 256 * 1024;

/// What an owner's turn brought.
#[derive(Debug)]
pub enum Event {
    /// The half was changed.
    Changed,
    /// The half was changed, and this tunnel carries it from now on.
    Tunnel(Tunnel),
}

/// What edge and anchor add to the loop.
pub trait Owner {
    /// Which half.
    type Half: Half;

    /// Lets the owner act on the half. Called at every turn until it is Pending, which means that it will wake the
    /// task when it wants to act again.
    fn poll(&mut self, cx: &mut Context<'_>, half: &mut Self::Half, now: Millis) -> Poll<Event>;

    /// An attempt is to be ended: it isn't a tunnel of the loop's.
    fn end_attempt(&mut self, epoch: Epoch, how: HowEnded);

    /// The tunnel is gone, by itself.
    fn lost(&mut self, half: &Self::Half, loss: Loss, now: Millis);
}

/// How a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Closing {
    /// Why.
    pub cause: CloseCause,
    /// Whether the local socket is to be closed with RST.
    pub reset: bool,
}

/// Runs `half` over `local` until it is over. The local socket is the caller's to close.
pub fn drive<'a, O, L>(
    worker: &Rc<Worker>,
    owner: &'a mut O,
    half: &'a mut O::Half,
    tunnel: Option<Tunnel>,
    local: &'a mut L,
) -> impl Future<Output = Closing> + use<'a, O, L>
where
    O: Owner,
    L: AsyncRead + AsyncWrite + Unpin,
{
    let share = worker.budget.share();
    let mut turns = Turns { worker: Rc::clone(worker), tunnel, timer: None, ack_at: None, share };
    // No async function, whose future would hold the tunnel twice.
    poll_fn(move |cx| turns.turn(cx, owner, half, local))
}

/// What outputs there were.
enum Done {
    Nothing,
    Something,
    Closed(Closing),
}

struct Turns {
    worker: Rc<Worker>,
    tunnel: Option<Tunnel>,
    /// Fires at or before the half's deadline: one that only moved away is looked at again when it fires.
    timer: Option<(Millis, Pin<Box<Sleep>>)>,
    /// When an owed acknowledgement is due.
    ack_at: Option<Millis>,
    share: Share,
}

impl Turns {
    fn turn<O: Owner, L: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        cx: &mut Context<'_>,
        owner: &mut O,
        half: &mut O::Half,
        local: &mut L,
    ) -> Poll<Closing> {
        let now = self.worker.now();
        loop {
            let mut changed = false;
            while let Poll::Ready(event) = owner.poll(cx, half, now) {
                changed = true;
                let left = match event {
                    Event::Tunnel(tunnel) => self.tunnel.replace(tunnel),
                    Event::Changed => None,
                };
                if let Done::Closed(closing) = self.outputs(owner, half, left, now) {
                    return Poll::Ready(closing);
                }
            }
            match self.receive(cx, owner, half, now) {
                Done::Closed(closing) => return Poll::Ready(closing),
                Done::Something => changed = true,
                Done::Nothing => {}
            }
            self.write(cx, half, local, now);
            self.read(cx, half, local, now);
            self.send(cx, half, now);
            changed |= self.timeouts(cx, half, now);
            match self.outputs(owner, half, None, now) {
                Done::Closed(closing) => return Poll::Ready(closing),
                Done::Something => changed = true,
                Done::Nothing => {}
            }
            if changed {
                continue;
            }
            if self.share.hold(half.pipe().held(), cx) {
                return Poll::Pending;
            }
            half.abort(CloseCause::Overload, now);
        }
    }

    /// Tunnel to half.
    fn receive<O: Owner>(&mut self, cx: &mut Context<'_>, owner: &mut O, half: &mut O::Half, now: Millis) -> Done {
        let Some(tunnel) = &mut self.tunnel else { return Done::Nothing };
        let epoch = tunnel.epoch();
        let Poll::Ready(dry) = tunnel.poll_pieces(cx, |piece| half.handle_piece(epoch, piece, now)) else {
            return Done::Nothing;
        };
        // What the last pieces brought about goes out on this tunnel if it is still there to be ended.
        if let Done::Closed(closing) = self.outputs(owner, half, None, now) {
            return Done::Closed(closing);
        }
        match dry {
            Dry::Garbage(error) => {
                tracing::debug!(event = "tunnel.garbage", %epoch, %error);
                half.handle_garbage(epoch, now);
            }
            Dry::Lost(loss) => {
                if let Some(tunnel) = self.tunnel.take() {
                    tunnel.end(if loss == Loss::EndStream { HowEnded::EndStream } else { HowEnded::Reset });
                    half.handle_lost(epoch, loss, now);
                    owner.lost(half, loss, now);
                }
            }
        }
        Done::Something
    }

    /// Half to local socket.
    fn write<H: Half, L: AsyncWrite + Unpin>(
        &mut self,
        cx: &mut Context<'_>,
        half: &mut H,
        local: &mut L,
        now: Millis,
    ) {
        let mut wrote = false;
        loop {
            let (front, back) = half.unwritten();
            let result = if !front.is_empty() {
                let write = if back.is_empty() {
                    Pin::new(&mut *local).poll_write(cx, front)
                } else {
                    Pin::new(&mut *local).poll_write_vectored(cx, &[IoSlice::new(front), IoSlice::new(back)])
                };
                match write {
                    Poll::Ready(Ok(n)) if n > 0 => {
                        half.handle_written(n, now);
                        wrote = true;
                        continue;
                    }
                    Poll::Ready(result) => result.map(drop),
                    Poll::Pending => break,
                }
            } else if half.shutdown_due() {
                match Pin::new(&mut *local).poll_shutdown(cx) {
                    Poll::Ready(Ok(())) => {
                        half.handle_shut_down(now);
                        continue;
                    }
                    Poll::Ready(Err(error)) => Err(error),
                    Poll::Pending => break,
                }
            } else {
                break;
            };
            // A socket that takes 0 bytes is as dead as one that says so.
            let _ = result;
            half.handle_write_error(now);
        }
        if wrote {
            // Layered streams (TLS) hold bytes back until told; an error shows at the next write.
            let _ = Pin::new(&mut *local).poll_flush(cx);
        }
    }

    /// Local socket to half.
    fn read<H: Half, L: AsyncRead + Unpin>(&mut self, cx: &mut Context<'_>, half: &mut H, local: &mut L, now: Millis) {
        let worker = Rc::clone(&self.worker);
        let mut scratch = worker.scratch.borrow_mut();
        let mut left = READ_PER_TURN;
        loop {
            let room = half.read_room().min(scratch.len());
            if room == 0 {
                return;
            }
            if left == 0 {
                cx.waker().wake_by_ref();
                return;
            }
            let mut buf = ReadBuf::new(&mut scratch[..room]);
            match Pin::new(&mut *local).poll_read(cx, &mut buf) {
                Poll::Ready(Ok(())) if buf.filled().is_empty() => half.handle_eof(now),
                Poll::Ready(Ok(())) => {
                    left = left.saturating_sub(buf.filled().len());
                    half.handle_read(buf.filled());
                }
                Poll::Ready(Err(_)) => half.handle_read_error(now),
                Poll::Pending => return,
            }
        }
    }

    /// Half to tunnel: all that there is room for, in one piece.
    fn send<H: Half>(&mut self, cx: &mut Context<'_>, half: &mut H, now: Millis) {
        let ack_due = self.ack_at.is_some_and(|at| at <= now);
        if ack_due {
            self.ack_at = None;
        }
        if let Some(tunnel) = &mut self.tunnel {
            let mut waits = false;
            loop {
                let want = half.frame_len(ack_due);
                if want == 0 {
                    break;
                }
                let Poll::Ready(room) = tunnel.poll_room(cx, want, FRAME_MIN) else {
                    waits = true;
                    break;
                };
                let mut capsule = BytesMut::new();
                if !half.poll_frame(room, ack_due, now, &mut capsule) {
                    break;
                }
                tunnel.send(capsule);
            }
            if !waits {
                tunnel.idle();
            }
        }
        if self.ack_at.is_none() && self.tunnel.is_some() && half.pipe().incoming().ack_owed() {
            self.ack_at = Some(self.worker.wake_when_ack_is_due(cx.waker(), now));
        }
    }

    /// Does what the half wants done. `left`: a tunnel that was just replaced.
    fn outputs<O: Owner>(&mut self, owner: &mut O, half: &mut O::Half, left: Option<Tunnel>, now: Millis) -> Done {
        let (mut left, mut done) = (left, Done::Nothing);
        while let Some(output) = half.poll_output() {
            let (epoch, how) = match output {
                Output::EndTunnel(epoch, how) => (epoch, how),
                Output::Close { cause, reset } => {
                    done = Done::Closed(Closing { cause, reset });
                    continue;
                }
            };
            if !matches!(done, Done::Closed(_)) {
                done = Done::Something;
            }
            let is = |tunnel: &mut Tunnel| tunnel.epoch() == epoch;
            if let Some(tunnel) = left.take_if(is) {
                tunnel.end(how);
            } else if let Some(tunnel) = self.tunnel.take_if(is) {
                tunnel.end(how);
                if !half.closed() {
                    owner.lost(half, Loss::Reset, now);
                }
            } else {
                owner.end_attempt(epoch, how);
            }
        }
        done
    }

    /// Arms the timer for the half's next deadline. True if one has passed.
    fn timeouts<H: Half>(&mut self, cx: &mut Context<'_>, half: &mut H, now: Millis) -> bool {
        loop {
            let deadline = half.poll_timeout();
            if deadline.is_some_and(|at| at <= now) {
                let flushed = self.tunnel.as_ref().map_or(0, |tunnel| tunnel.flushed(now));
                half.handle_timeout(now, flushed);
                return true;
            }
            match (&mut self.timer, deadline) {
                (None, None) => return false,
                (Some((armed, timer)), deadline) if deadline.is_none_or(|at| *armed <= at) => {
                    if timer.as_mut().poll(cx).is_pending() {
                        return false;
                    }
                    // It stood for a deadline that has moved on, or gone: nothing is kept for an idle session.
                    self.timer = None;
                }
                (_, None) => return false,
                (_, Some(at)) => {
                    let sleep = tokio::time::sleep_until(self.worker.clock().instant(at));
                    self.timer = Some((at, Box::pin(sleep)));
                }
            }
        }
    }
}
