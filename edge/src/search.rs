//! What a session knows while it needs a tunnel: whom it tried, what it waits for, since when. It goes with the next tunnel;
//! a session that has missed none since has none of this.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use baton_process::clock::Clock;
use baton_protocol::{limits::Millis, session::EdgeSession};
use rand::Rng;
use tokio::time::Sleep;

use crate::{backoff::Backoff, origins::Waiting};

#[derive(Debug)]
pub(crate) struct Search {
    /// When the session began, which bounds T_open. Of no meaning once it has a home.
    began: Millis,
    pub(crate) waiting: Option<Waiting>,
    backoff: Backoff,
    /// No attach before this time.
    pub(crate) not_before: Millis,
    timer: Option<(Millis, Pin<Box<Sleep>>)>,
    /// The origin that failed this session last.
    pub(crate) failed: Option<usize>,
    /// When to leave a connection that is solicited, and the time by which it wants to be left: a repeated SOLICIT
    /// replaces both.
    pub(crate) move_at: Option<(Millis, Millis)>,
    /// Since when another tunnel has been needed, and since when there has been none.
    pub(crate) needed_at: Option<Millis>,
    pub(crate) detached_at: Option<Millis>,
    /// Since when T_open has stood still, because the open waits for our own rate or for a home that is busy.
    pub(crate) held_up_at: Option<Millis>,
}

impl Search {
    pub(crate) fn since(now: Millis) -> Self {
        Self {
            began: now,
            waiting: None,
            backoff: Backoff::new(),
            not_before: 0,
            timer: None,
            failed: None,
            move_at: None,
            needed_at: None,
            detached_at: None,
            held_up_at: None,
        }
    }

    /// Wakes the task at `at`. Pending unless that is now.
    pub(crate) fn poll_until(&mut self, cx: &mut Context<'_>, clock: Clock, at: Millis) -> Poll<()> {
        if self.timer.as_ref().is_none_or(|(armed, _)| *armed != at) {
            self.timer = Some((at, Box::pin(tokio::time::sleep_until(clock.instant(at)))));
        }
        let (_, timer) = self.timer.as_mut().expect("it was just set");
        let fired = timer.as_mut().poll(cx);
        if fired.is_ready() {
            self.timer = None;
        }
        fired
    }

    /// T_open stands still while the open waits for our own rate or a home that is busy.
    pub(crate) fn hold_up(&mut self, half: &mut EdgeSession, held: bool, now: Millis) {
        if let Some(since) = self.held_up_at.take() {
            half.extend_open(now - since, self.began);
        }
        if held {
            self.held_up_at = Some(now);
        }
    }

    /// Backs off after a failed attach.
    pub(crate) fn fail(&mut self, origin: usize, now: Millis, wait: Option<Millis>, chance: &mut impl Rng) {
        self.failed = Some(origin);
        self.not_before = now + wait.unwrap_or_else(|| self.backoff.next(chance));
    }
}
