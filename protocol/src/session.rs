//! A session: one client connection's pair of byte streams, kept by an edge half and an anchor half, outliving tunnels.
//!
//! Both halves are plain values. The one loop that runs them does, for each thing that happens, one `handle_*` call and
//! then, until there is nothing more, [`Half::poll_output`] and [`Half::poll_frame`]; it writes [`Half::unwritten`] to
//! the local socket and says what was taken; it arms one timer for [`Half::poll_timeout`]. Effects are values, time is
//! an argument, and nothing else changes a session.
//!
//! | File | Holds |
//! |---|---|
//! | [`stream`] | one direction: positions, what is held, close marks |
//! | [`pipe`] | both directions and the clocks that watch them: what the halves share |
//! | [`edge`] | the edge half: attempts, moves, grace |
//! | [`anchor`] | the anchor half: fencing, grace |
//! | [`snapshot`] | what survives a restart, versioned |

use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use crate::{
    capsule::Piece,
    error::CloseCause,
    id::Epoch,
    limits::{self, Millis},
};

pub mod anchor;
pub mod edge;
pub mod pipe;
pub mod snapshot;
pub mod stream;

pub use anchor::AnchorSession;
pub use edge::EdgeSession;
pub use pipe::Pipe;

/// The times and sizes that a half keeps to; shared by all sessions of a process.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Terms {
    /// Bytes that the peer may have in flight towards us.
    pub window: u64,
    /// Bytes that we hold for the peer, whatever window it grants.
    pub send_cap: u64,
    /// Bytes of payload in one DATA capsule.
    pub data_payload: usize,
    /// Bytes that may be held for the peer while there is no tunnel.
    pub detached_cap: u64,
    /// T_attach at first.
    pub attach: Millis,
    /// T_open.
    pub open: Millis,
    /// T_grace: at the anchor; the edge goes by what the anchor says.
    pub grace: Millis,
    /// T_half.
    pub half_closed: Millis,
    /// T_slow; [`Millis::MAX`] for never.
    pub slow: Millis,
    /// Silence after something was sent that makes a tunnel a black hole; [`Millis::MAX`] for never.
    pub black_hole: Millis,
}

impl Terms {
    /// The defaults of an edge half.
    pub fn edge() -> Self {
        Self {
            window: limits::WINDOW,
            send_cap: limits::WINDOW,
            data_payload: limits::DATA_PAYLOAD,
            detached_cap: limits::WINDOW,
            attach: limits::ATTACH,
            open: limits::OPEN,
            grace: limits::GRACE,
            half_closed: limits::HALF_CLOSED,
            slow: limits::SLOW,
            black_hole: limits::BLACK_HOLE,
        }
    }

    /// The defaults of an anchor half: a broker that doesn't read for minutes is not cut off.
    pub fn anchor() -> Self {
        Self { detached_cap: limits::DETACHED_READ_AHEAD, slow: Millis::MAX, ..Self::edge() }
    }
}

/// How a tunnel, or an attempt at one, is to be ended.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum HowEnded {
    /// END_STREAM: fenced, or left behind by a move.
    EndStream,
    /// RST_STREAM: it is not to be trusted or not wanted any more.
    Reset,
    /// RST_STREAM, because nothing answered within T_attach.
    TimedOut,
    /// These bytes with END_STREAM: a last acknowledgement, or ABORT.
    Last(Bytes),
}

/// How a tunnel ended by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Loss {
    /// END_STREAM.
    EndStream,
    /// RST_STREAM.
    Reset,
    /// Its connection is gone.
    Connection,
}

/// What a half wants done.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Output {
    /// End this tunnel or attempt.
    EndTunnel(Epoch, HowEnded),
    /// The session is over: close the local socket.
    Close {
        /// Why.
        cause: CloseCause,
        /// With RST rather than FIN.
        reset: bool,
    },
}

/// What the two halves have in common, as the loop that runs them sees it.
pub trait Half {
    /// Both directions.
    fn pipe(&self) -> &Pipe;

    #[doc(hidden)]
    fn pipe_mut(&mut self) -> &mut Pipe;

    /// The tunnel that carries the session now.
    fn tunnel(&self) -> Option<Epoch>;

    /// Whether the session is over.
    fn closed(&self) -> bool;

    /// A piece of a capsule arrived on the tunnel of `epoch`; from any other than the current one it is dropped.
    fn handle_piece(&mut self, epoch: Epoch, piece: Piece<'_>, now: Millis);

    /// The tunnel of `epoch`, or the attempt at it, ended.
    fn handle_lost(&mut self, epoch: Epoch, loss: Loss, now: Millis);

    /// The tunnel of `epoch` carries what is no capsule: it is given up, the session lives.
    fn handle_garbage(&mut self, epoch: Epoch, now: Millis);

    /// Something happened to the pipe: acts on what it says.
    #[doc(hidden)]
    fn settle(&mut self, now: Millis);

    /// A deadline passed. `flushed`: until when, at the latest, bytes of the tunnel's connection stood before a kernel
    /// that took none; a peer can't have answered those.
    fn handle_timeout(&mut self, now: Millis, flushed: Millis);

    /// When `handle_timeout` is wanted.
    fn poll_timeout(&self) -> Option<Millis>;

    /// The next thing to do.
    fn poll_output(&mut self) -> Option<Output>;

    /// Gives up: ABORT to the peer, the local socket closed with RST.
    fn abort(&mut self, cause: CloseCause, now: Millis);

    /// Bytes were read from the local socket, at most `read_room` many.
    fn handle_read(&mut self, bytes: &[u8]) {
        self.pipe_mut().handle_read(bytes);
    }

    /// The local socket's peer sent its FIN.
    fn handle_eof(&mut self, now: Millis) {
        self.pipe_mut().handle_eof(now);
        self.settle(now);
    }

    /// The local socket is broken.
    fn handle_read_error(&mut self, now: Millis) {
        self.pipe_mut().handle_read_error(now);
        self.settle(now);
    }

    /// The local socket can't be written any more; what it still has to say is read on.
    fn handle_write_error(&mut self, now: Millis) {
        self.pipe_mut().handle_write_error(now);
        self.settle(now);
    }

    /// The local socket accepted `n` of the unwritten bytes.
    fn handle_written(&mut self, n: usize, now: Millis) {
        self.pipe_mut().handle_written(n, now);
        self.settle(now);
    }

    /// The local socket's writing side was shut down, as `shutdown_due` demanded.
    fn handle_shut_down(&mut self, now: Millis) {
        self.pipe_mut().handle_shut_down(now);
        self.settle(now);
    }

    /// Bytes that may be read from the local socket now.
    fn read_room(&self) -> usize {
        if self.closed() { 0 } else { self.pipe().read_room(self.tunnel().is_some()) }
    }

    /// Bytes for the local socket, in order.
    fn unwritten(&self) -> (&[u8], &[u8]) {
        self.pipe().incoming().unwritten()
    }

    /// Whether the local socket's writing side is to be shut down.
    fn shutdown_due(&self) -> bool {
        !self.closed() && self.pipe().incoming().fin_due()
    }

    /// Bytes that `poll_frame` would send if it had room; 0 if there is nothing to send.
    fn frame_len(&self, ack_due: bool) -> usize {
        if self.tunnel().is_some() { self.pipe().frame_len(ack_due) } else { 0 }
    }

    /// Appends the next capsule for the tunnel, in at most `room` bytes ([`pipe::FRAME_MIN`] or more); false if there
    /// is none. An acknowledgement rides on it, or goes alone if `ack_due`.
    fn poll_frame(&mut self, room: usize, ack_due: bool, now: Millis, out: &mut BytesMut) -> bool {
        self.tunnel().is_some() && self.pipe_mut().poll_frame(room, ack_due, now, out)
    }
}

/// Whose terms: shared, since every session of a process keeps to the same.
pub type SharedTerms = Arc<Terms>;
