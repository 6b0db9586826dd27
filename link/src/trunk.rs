//! One HTTP/2 connection between two tiers, from either end: driven, watched for silence, ended.
//!
//! The driver is one task: it lets all tunnels that are ready go first (it yields once), polls h2, and writes what was
//! gathered with one call. A PING goes out after [`PING_AFTER`] of silence; any byte counts as the pong.

use std::{
    cell::{Cell, RefCell},
    fmt,
    future::Future,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use baton_protocol::limits::Millis;
use bytes::Bytes;
use h2::{
    Ping, PingPong, Reason, RecvStream, SendStream,
    client::{ResponseFuture, SendRequest},
    ext::Protocol,
    server::{self, SendResponse},
};
use http::Request;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::{Notify, oneshot},
    time::{Interval, MissedTickBehavior, interval, timeout},
};

use crate::{gather::Gather, settings, worker::Worker};

/// Silence after which a PING goes out.
pub const PING_AFTER: Millis = 2_000;
/// Silence after a PING that makes the peer dead.
pub const DEAD_AFTER: Millis = 3_000;
/// How often silence is looked at.
const PULSE: Duration = Duration::from_millis(500);
/// By how much a look may come late before our own loop, not the peer, counts as having been silent.
const LATE: Millis = 500;
/// Milliseconds for which bytes must wait for the kernel to count as a backlog: a busy connection always has some.
const BACKLOG: Millis = 1_000;
/// Time for the HTTP/2 preface, and for the first PING to come back.
const HANDSHAKE: Duration = Duration::from_secs(5);

/// How a trunk ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LinkEnd {
    /// In order, by either end.
    Closed,
    /// Nothing was heard in time: hung, or cut off.
    Silent,
    /// What the peer sent is no HTTP/2 that we take; what h2 says of it.
    Garbage(String),
    /// The connection broke.
    Broken(String),
}

impl LinkEnd {
    /// The stable word.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Silent => "silent",
            Self::Garbage(_) => "garbage",
            Self::Broken(_) => "broken",
        }
    }

    fn of(error: &h2::Error) -> Self {
        if error.is_io() {
            Self::Broken(error.to_string())
        } else if error.reason() == Some(Reason::NO_ERROR) {
            Self::Closed
        } else {
            Self::Garbage(error.to_string())
        }
    }
}

impl fmt::Display for LinkEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => f.write_str("closed"),
            Self::Silent => f.write_str("silent"),
            Self::Garbage(what) => write!(f, "garbage: {what}"),
            Self::Broken(what) => write!(f, "broken: {what}"),
        }
    }
}

/// What an owner can ask of the driver of an accepted trunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Command {
    None,
    GoAway,
    GoingAway,
    Cut,
}

/// What tunnels and owners know of a trunk.
#[derive(Debug)]
pub struct TrunkState {
    tunnels: Cell<usize>,
    emptied: Notify,
    backlog_since: Cell<Option<Millis>>,
    flushed: Cell<Millis>,
    ended: Cell<bool>,
    command: Cell<Command>,
    driver: RefCell<Option<Waker>>,
}

impl TrunkState {
    fn new() -> Rc<Self> {
        Rc::new(Self {
            tunnels: Cell::new(0),
            emptied: Notify::new(),
            backlog_since: Cell::new(None),
            flushed: Cell::new(0),
            ended: Cell::new(false),
            command: Cell::new(Command::None),
            driver: RefCell::new(None),
        })
    }

    /// Tunnels and attempts on the trunk.
    pub fn tunnels(&self) -> usize {
        self.tunnels.get()
    }

    /// Returns when there are none. What was ended in order is known at both ends by then, or the connection is gone; what
    /// was reset doesn't count, and its reset may not have left yet.
    pub async fn empty(&self) {
        loop {
            let emptied = self.emptied.notified();
            if self.tunnels() == 0 {
                return;
            }
            emptied.await;
        }
    }

    /// Until when there last were bytes that the kernel didn't take for a second or longer: `now` if there are.
    pub fn flushed(&self, now: Millis) -> Millis {
        match self.backlog_since.get() {
            Some(since) if now.saturating_sub(since) >= BACKLOG => now,
            _ => self.flushed.get(),
        }
    }

    fn note_backlog(&self, since: Option<Millis>, now: Millis) {
        if since.is_none() {
            self.flushed.set(self.flushed(now));
        }
        self.backlog_since.set(since);
    }

    /// Whether the connection is gone.
    pub fn ended(&self) -> bool {
        self.ended.get()
    }

    /// GOAWAY, and once more after a PING round trip: no new tunnel, those that are go on.
    pub fn go_away(&self) {
        if self.command.get() == Command::None {
            self.tell(Command::GoAway);
        }
    }

    /// Ends the connection now.
    pub fn cut(&self) {
        self.tell(Command::Cut);
    }

    fn tell(&self, command: Command) {
        self.command.set(command);
        if let Some(waker) = self.driver.borrow_mut().take() {
            waker.wake();
        }
    }

    /// Counts one more tunnel, for as long as the answer is held.
    pub fn count(self: &Rc<Self>) -> Counted {
        self.tunnels.set(self.tunnels.get() + 1);
        Counted(Rc::clone(self))
    }
}

/// One of a trunk's tunnels, for as long as it is held.
#[derive(Debug)]
pub struct Counted(Rc<TrunkState>);

impl Counted {
    /// The trunk.
    pub fn trunk(&self) -> &TrunkState {
        &self.0
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.tunnels.set(self.0.tunnels.get() - 1);
        if self.0.tunnels.get() == 0 {
            self.0.emptied.notify_waiters();
        }
    }
}

/// The end of a trunk that opens tunnels. Clones share the connection.
#[derive(Clone, Debug)]
pub struct Trunk {
    send: SendRequest<Bytes>,
    state: Rc<TrunkState>,
}

/// A trunk that is up.
#[derive(Debug)]
pub struct Connected {
    /// To open tunnels on.
    pub trunk: Trunk,
    /// Says, once, how it ended.
    pub ended: oneshot::Receiver<LinkEnd>,
}

impl Trunk {
    /// Makes a trunk of a connection, and waits until the peer has answered: before that it can't be known whether it
    /// takes extended CONNECT. The driver runs as a task of its own.
    ///
    /// # Errors
    /// The peer is silent, or no HTTP/2 server of ours.
    pub async fn connect<Io>(io: Io, worker: &Rc<Worker>) -> Result<Connected, LinkEnd>
    where
        Io: AsyncRead + AsyncWrite + Unpin + 'static,
    {
        let gather = Gather::new(io, worker.clock());
        let (send, mut connection) = settings::client().handshake(gather.clone()).await.map_err(|e| LinkEnd::of(&e))?;
        let ping = connection.ping_pong().expect("asked for once");
        let state = TrunkState::new();
        let pulse = Pulse::new(ping, worker, true);
        let (pong, first_pong) = oneshot::channel();
        let mut driver = Driver { gather, pulse, state: Rc::clone(&state), worker: Rc::clone(worker), yielded: false };
        let mut pong = Some(pong);
        let on_pong = move || {
            // Nobody waits for it where connecting was given up.
            let _ = pong.take().map(|pong| pong.send(()));
        };
        let (end, mut ended) = oneshot::channel();
        tokio::task::spawn_local(async move {
            let drive = |cx: &mut Context<'_>, _: &TrunkState| Pin::new(&mut connection).poll(cx);
            let how = driver.run(drive, on_pong).await;
            // Nobody waits for it where the trunk was given up before it was ready.
            let _ = end.send(how);
        });
        let trunk = Self { send, state };
        tokio::select! {
            biased;
            answered = timeout(HANDSHAKE, first_pong) => match answered {
                Ok(Ok(())) if trunk.send.is_extended_connect_protocol_enabled() => Ok(Connected { trunk, ended }),
                Ok(Ok(())) => Err(LinkEnd::Garbage("the peer takes no extended CONNECT".into())),
                Ok(Err(_)) => Err(ended.try_recv().unwrap_or(LinkEnd::Closed)),
                Err(_) => Err(LinkEnd::Silent),
            }
        }
    }

    /// What is known of the connection.
    pub fn state(&self) -> &Rc<TrunkState> {
        &self.state
    }

    /// Sends a request with this `:protocol`.
    ///
    /// # Errors
    /// The connection takes no more streams: it is gone, or going (GOAWAY).
    pub fn request(
        &self,
        mut request: Request<()>,
        protocol: &'static str,
    ) -> Result<(ResponseFuture, SendStream<Bytes>), h2::Error> {
        request.extensions_mut().insert(Protocol::from_static(protocol));
        self.send.clone().send_request(request, false)
    }
}

impl Drop for Trunk {
    fn drop(&mut self) {
        // The driver ends by itself when the last handle and the last stream are gone; it only has to notice.
        if let Some(waker) = self.state.driver.borrow_mut().take() {
            waker.wake();
        }
    }
}

/// The end of a trunk that accepts tunnels, before it is driven.
#[derive(Debug)]
pub struct Accepting<Io: AsyncRead + AsyncWrite + Unpin> {
    connection: server::Connection<Gather<Io>, Bytes>,
    driver: Driver<Io>,
}

/// Reads the preface of an accepted connection.
///
/// # Errors
/// The peer is silent, or speaks something else.
pub async fn accept<Io>(io: Io, worker: &Rc<Worker>) -> Result<Accepting<Io>, LinkEnd>
where
    Io: AsyncRead + AsyncWrite + Unpin + 'static,
{
    let gather = Gather::new(io, worker.clock());
    let handshake = async {
        // Whoever only connects isn't worth what HTTP/2 sets up for a connection, which is tens of KiB.
        gather.first_word().await.map_err(|e| LinkEnd::Broken(e.to_string()))?;
        settings::server().handshake(gather.clone()).await.map_err(|e| LinkEnd::of(&e))
    };
    let mut connection = timeout(HANDSHAKE, handshake).await.map_err(|_| LinkEnd::Silent)??;
    let pulse = Pulse::new(connection.ping_pong().expect("asked for once"), worker, false);
    let driver = Driver { gather, pulse, state: TrunkState::new(), worker: Rc::clone(worker), yielded: false };
    Ok(Accepting { connection, driver })
}

impl<Io: AsyncRead + AsyncWrite + Unpin> Accepting<Io> {
    /// What is known of the connection.
    pub fn state(&self) -> Rc<TrunkState> {
        Rc::clone(&self.driver.state)
    }

    /// Drives the connection to its end; `on_request` gets each request and must return at once.
    pub async fn run(self, mut on_request: impl FnMut(Request<RecvStream>, SendResponse<Bytes>)) -> LinkEnd {
        let Self { mut connection, mut driver } = self;
        let drive = |cx: &mut Context<'_>, state: &TrunkState| {
            loop {
                match state.command.get() {
                    Command::None | Command::GoingAway => {}
                    Command::GoAway => {
                        state.command.set(Command::GoingAway);
                        connection.graceful_shutdown();
                    }
                    Command::Cut => return Poll::Ready(Ok(())),
                }
                match connection.poll_accept(cx) {
                    Poll::Ready(Some(Ok((request, respond)))) => on_request(request, respond),
                    Poll::Ready(Some(Err(error))) => return Poll::Ready(Err(error)),
                    Poll::Ready(None) => return Poll::Ready(Ok(())),
                    Poll::Pending => return Poll::Pending,
                }
            }
        };
        driver.run(drive, || ()).await
    }
}

/// The connection task's own parts.
#[derive(Debug)]
struct Driver<Io> {
    gather: Gather<Io>,
    pulse: Pulse,
    state: Rc<TrunkState>,
    worker: Rc<Worker>,
    yielded: bool,
}

impl<Io: AsyncRead + AsyncWrite + Unpin> Driver<Io> {
    async fn run(
        &mut self,
        mut connection: impl FnMut(&mut Context<'_>, &TrunkState) -> Poll<Result<(), h2::Error>>,
        mut on_pong: impl FnMut(),
    ) -> LinkEnd {
        let how = std::future::poll_fn(|cx| self.turn(cx, &mut connection, &mut on_pong)).await;
        self.state.ended.set(true);
        how
    }

    fn turn(
        &mut self,
        cx: &mut Context<'_>,
        connection: &mut impl FnMut(&mut Context<'_>, &TrunkState) -> Poll<Result<(), h2::Error>>,
        on_pong: &mut impl FnMut(),
    ) -> Poll<LinkEnd> {
        let mut driver = self.state.driver.borrow_mut();
        if !driver.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            *driver = Some(cx.waker().clone());
        }
        drop(driver);
        self.yielded = !self.yielded;
        if self.yielded {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let now = self.worker.now();
        loop {
            let polled = connection(cx, &self.state);
            let was_full = self.gather.is_full();
            let written = self.gather.poll_write_out(cx);
            self.state.note_backlog(self.gather.backlog_since(), now);
            match (polled, written) {
                (Poll::Ready(Ok(())), _) => return Poll::Ready(LinkEnd::Closed),
                (Poll::Ready(Err(error)), _) => return Poll::Ready(LinkEnd::of(&error)),
                (_, Poll::Ready(Err(error))) => return Poll::Ready(LinkEnd::Broken(error.to_string())),
                (Poll::Pending, Poll::Ready(Ok(()))) if was_full => {}
                (Poll::Pending, _) => break,
            }
        }
        self.pulse.poll(cx, self.gather.take_heard(), now, on_pong)
    }
}

/// Watches for silence.
#[derive(Debug)]
struct Pulse {
    ping: PingPong,
    tick: Interval,
    last_tick: Millis,
    /// When the last bytes arrived, as far as a turn has seen.
    heard: Millis,
    asked: Option<Millis>,
    ping_now: bool,
}

impl Pulse {
    fn new(ping: PingPong, worker: &Worker, ping_now: bool) -> Self {
        let mut tick = interval(PULSE);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let now = worker.now();
        Self { ping, tick, last_tick: now, heard: now, asked: None, ping_now }
    }

    fn poll(&mut self, cx: &mut Context<'_>, heard: bool, now: Millis, on_pong: &mut impl FnMut()) -> Poll<LinkEnd> {
        if heard {
            self.heard = now;
        }
        if self.asked.is_some() && self.ping.poll_pong(cx).is_ready() {
            self.asked = None;
            on_pong();
        }
        while self.tick.poll_tick(cx).is_ready() {
            let late = now.saturating_sub(self.last_tick) > LATE + u64::try_from(PULSE.as_millis()).unwrap_or(u64::MAX);
            self.last_tick = now;
            match &mut self.asked {
                Some(asked) if late => *asked = now,
                Some(asked) if now.saturating_sub(self.heard.max(*asked)) >= DEAD_AFTER => {
                    return Poll::Ready(LinkEnd::Silent);
                }
                None if (self.ping_now || now.saturating_sub(self.heard) >= PING_AFTER)
                    && self.ping.send_ping(Ping::opaque()).is_ok() =>
                {
                    (self.asked, self.ping_now) = (Some(now), false);
                    // The PING must leave, and its pong must wake this task: one more turn does both.
                    cx.waker().wake_by_ref();
                }
                _ => {}
            }
        }
        Poll::Pending
    }
}
