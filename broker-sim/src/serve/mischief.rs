//! What a rule does to the bytes of one connection.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::time::{Sleep, sleep};

use crate::faults::ConnAct;

/// What is wrong with a connection; nothing by default.
#[derive(Default)]
pub(super) struct Mischief {
    /// It is to be reset.
    pub(super) cut: bool,
    pub(super) half: HalfClose,
    reads: Option<Pin<Box<Sleep>>>,
    writes: Option<Pin<Box<Sleep>>>,
    piece: Option<usize>,
    pause: Option<Duration>,
}

/// How far the end of the broker's own direction is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum HalfClose {
    /// It hasn't ended.
    #[default]
    Open,
    /// It is to end once what is being written is.
    Wanted,
    /// Nothing is written any more.
    Done,
}

impl Mischief {
    /// Begins one. To send a client away is the broker's, and comes to nothing here.
    pub(super) fn begin(&mut self, act: ConnAct) {
        let stall = |time| Some(Box::pin(sleep(Duration::from_millis(time))));
        match act {
            ConnAct::Disconnect(_) => {}
            ConnAct::Cut => self.cut = true,
            ConnAct::HalfClose if self.half == HalfClose::Open => self.half = HalfClose::Wanted,
            ConnAct::HalfClose => {}
            ConnAct::StallReads(time) => self.reads = stall(time),
            ConnAct::StallWrites(time) => self.writes = stall(time),
            ConnAct::Dribble { bytes, pause } => {
                self.piece = Some(bytes);
                self.pause = Some(Duration::from_millis(pause));
            }
            ConnAct::Split(bytes) => (self.piece, self.pause) = (Some(bytes), None),
        }
    }

    /// Until reading isn't stalled.
    pub(super) fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        poll_stall(&mut self.reads, cx)
    }

    /// Until writing isn't stalled; how much may then be written at once.
    pub(super) fn poll_writable(&mut self, cx: &mut Context<'_>) -> Poll<usize> {
        ready!(poll_stall(&mut self.writes, cx));
        Poll::Ready(self.piece.unwrap_or(usize::MAX))
    }

    /// Something was written. Whether each piece is to go by itself.
    pub(super) fn written(&mut self) -> bool {
        self.writes = self.pause.map(|pause| Box::pin(sleep(pause)));
        self.piece.is_some()
    }
}

fn poll_stall(stall: &mut Option<Pin<Box<Sleep>>>, cx: &mut Context<'_>) -> Poll<()> {
    if let Some(sleep) = stall {
        ready!(sleep.as_mut().poll(cx));
        *stall = None;
    }
    Poll::Ready(())
}
