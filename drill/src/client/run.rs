//! A client's socket and timers.

use std::{io, pin::pin, rc::Rc, time::Duration};

use bytes::{Buf, BytesMut};
use nix::sys::socket::{setsockopt, sockopt::IpBindAddressNoPort};
use tokio::{
    io::{AsyncWriteExt, Interest, copy, sink},
    net::{TcpSocket, TcpStream},
    time::{Instant, sleep, sleep_until, timeout, timeout_at},
};

use super::{Board, End, Leave, Options, Orders, Pace, State, dialogue::Dialogue, pacer::Place};

/// Bytes waiting for the socket above which nothing more is published: what is late shall show as latency.
const OUT_BYTES: usize = 64 * 1024;
/// Bytes waiting for the socket above which nothing is read either, since answers would pile up.
const OUT_BYTES_MAX: usize = 1024 * 1024;
/// Bytes of a buffer that an idle client keeps.
const KEPT_BYTES: usize = 1024;
/// Reads in a row, after which the client answers and others get their turn.
const READS: usize = 4;
/// How long a client that leaves waits for the broker to close.
const FAREWELL: Duration = Duration::from_secs(5);

pub(super) async fn run(mut options: Options, orders: Rc<Orders>, board: Rc<Board>) {
    let place = place(&options, &board);
    loop {
        let begun = Instant::now();
        let end = match connect(&options).await {
            Ok(stream) => Line::new(stream, begun, options.clone(), &orders, &board).converse(place.as_ref()).await,
            Err(end) => end,
        };
        if end != End::Left {
            board.with_ledger(|ledger| ledger.dropped(options.number, end.label(), board.now()));
        }
        orders.enter(State::Ended(end), &board);
        let Some(pause) = options.returning.filter(|_| end != End::Left) else { return };
        sleep(pause).await;
        if orders.leaving.get().is_some() {
            return;
        }
        board.with_ledger(|ledger| options.be_reborn(ledger));
        orders.enter(State::Connecting, &board);
    }
}

/// A place in the board's pacer, for a client that publishes by time.
fn place(options: &Options, board: &Rc<Board>) -> Option<Place> {
    let pace = options.publishing.as_ref().map(|publishing| publishing.pace);
    let place = matches!(pace, Some(Pace::Every { .. })).then(|| board.pacer.place())?;
    if board.pacer.is_idle() {
        let board = Rc::clone(board);
        tokio::task::spawn_local(async move {
            if let Err(error) = board.pacer.run().await {
                panic!("no timer for a load: {error}");
            }
        });
    }
    Some(place)
}

async fn connect(options: &Options) -> Result<TcpStream, End> {
    let unreachable = |error: io::Error| End::Unreachable(error.kind());
    let socket = if options.address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() };
    let socket = socket.map_err(unreachable)?;
    socket.set_nodelay(true).map_err(unreachable)?;
    if let Some(source) = options.source {
        // The port is chosen when it connects, and one that a connection has left a moment ago will do: a herd that comes
        // and goes leaves few others, among which `bind` would search for long.
        setsockopt(&socket, IpBindAddressNoPort, &true).map_err(|error| unreachable(error.into()))?;
        socket.bind((source, 0).into()).map_err(unreachable)?;
    }
    let connected = timeout(options.patience, socket.connect(options.address)).await;
    connected.map_err(|_| End::Unreachable(io::ErrorKind::TimedOut))?.map_err(unreachable)
}

fn broken(error: &io::Error) -> End {
    match error.kind() {
        io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => End::Reset,
        kind => End::Failed(kind),
    }
}

struct Line<'a> {
    stream: TcpStream,
    orders: &'a Orders,
    board: &'a Board,
    dialogue: Dialogue,
    /// The beginning of a packet whose rest hasn't come.
    input: BytesMut,
    /// What the socket hasn't taken yet.
    out: BytesMut,
    /// When connecting began, until it is ready.
    begun: Option<Instant>,
    /// When the CONNACK must be there.
    patience: Instant,
    /// How writing failed, which the kernel reports once only.
    unwritable: Option<End>,
    ping_due: Option<Instant>,
    publish_due: Option<Instant>,
    /// What the pacer was asked for last.
    paced: Option<Instant>,
}

impl<'a> Line<'a> {
    fn new(stream: TcpStream, begun: Instant, options: Options, orders: &'a Orders, board: &'a Rc<Board>) -> Self {
        let mut out = BytesMut::new();
        let patience = Instant::now() + options.patience;
        let dialogue = Dialogue::begin(options, Rc::clone(board), &mut out);
        let mut line = Self {
            stream,
            orders,
            board,
            dialogue,
            input: BytesMut::new(),
            out,
            begun: Some(begun),
            patience,
            unwritable: None,
            ping_due: None,
            publish_due: None,
            paced: None,
        };
        line.ping_due = line.next_ping(Instant::now());
        line
    }

    async fn converse(mut self, place: Option<&Place>) -> End {
        let gate = self.dialogue.gate();
        let mut timer = pin!(sleep_until(Instant::now()));
        loop {
            if let Some(leave) = self.orders.leaving.get() {
                return self.leave(leave).await;
            }
            if let Err(end) = self.act(Instant::now()).and_then(|()| self.write()) {
                return end;
            }
            if self.dialogue.state() == State::Ready
                && let Some(begun) = self.begun.take()
            {
                let took = self.board.now().saturating_sub(self.board.micros(begun));
                self.board.with_ledger(|ledger| ledger.joined(took));
            }
            self.orders.enter(self.dialogue.state(), self.board);
            let interest = self.interest();
            if let Some(place) = place {
                self.pace(place);
            }
            let deadline = self.deadline();
            if let Some(deadline) = deadline.filter(|deadline| *deadline != timer.deadline()) {
                timer.as_mut().reset(deadline);
            }
            tokio::select! {
                biased;
                () = self.orders.told.notified() => {}
                ready = self.stream.ready(interest.unwrap_or(Interest::ERROR)), if interest.is_some() => {
                    let readable = ready.map(|ready| ready.is_readable() || ready.is_read_closed());
                    match readable.map_err(|error| broken(&error)) {
                        Ok(true) if self.may_read() => if let Err(end) = self.read() { return end },
                        Ok(_) => {}
                        Err(end) => return end,
                    }
                }
                () = async { if let Some(gate) = &gate { gate.opened.notified().await } }, if gate.is_some() => {}
                () = async { if let Some(place) = place { place.due.notified().await } }, if place.is_some() => {}
                () = &mut timer, if deadline.is_some() => {}
            }
        }
    }

    /// Everything whose time has come.
    fn act(&mut self, now: Instant) -> Result<(), End> {
        if self.dialogue.state() == State::Connecting && now >= self.patience {
            return Err(End::Silent);
        }
        if self.ping_due.is_some_and(|due| now >= due) {
            self.dialogue.ping(self.orders.reading.get(), &mut self.out)?;
            self.ping_due = self.next_ping(now);
        }
        let publishing = self.dialogue.options().publishing.as_ref();
        let Some(pace) = publishing.map(|p| p.pace).filter(|_| self.orders.publishing.get()) else {
            self.publish_due = None;
            return Ok(());
        };
        let first = match pace {
            Pace::Every { offset, .. } => now + offset,
            Pace::Closed { .. } => now,
        };
        let mut due = self.publish_due.unwrap_or(first);
        while due <= now && self.may_publish() {
            self.dialogue.publish(due, now, &mut self.out);
            match pace {
                Pace::Every { interval, .. } => due += interval,
                Pace::Closed { .. } => due = now,
            }
        }
        self.publish_due = matches!(pace, Pace::Every { .. }).then_some(due);
        Ok(())
    }

    fn may_publish(&self) -> bool {
        self.out.len() < OUT_BYTES && self.dialogue.may_publish()
    }

    fn may_read(&self) -> bool {
        self.orders.reading.get() && self.out.len() < OUT_BYTES_MAX
    }

    fn next_ping(&self, now: Instant) -> Option<Instant> {
        let keep_alive = self.dialogue.options().keep_alive;
        (keep_alive != 0).then(|| now + Duration::from_secs(keep_alive.into()) * 3 / 4)
    }

    fn deadline(&self) -> Option<Instant> {
        let patience = (self.dialogue.state() == State::Connecting).then_some(self.patience);
        [patience, self.ping_due].into_iter().flatten().min()
    }

    /// Asks to be woken for the next message.
    fn pace(&mut self, place: &Place) {
        let due = self.publish_due.filter(|_| self.may_publish());
        if due != self.paced {
            self.paced = due;
            due.into_iter().for_each(|due| self.board.pacer.at(due, place));
        }
    }

    fn interest(&self) -> Option<Interest> {
        match (self.may_read(), !self.out.is_empty()) {
            (true, true) => Some(Interest::READABLE | Interest::WRITABLE),
            (true, false) => Some(Interest::READABLE),
            (false, true) => Some(Interest::WRITABLE),
            (false, false) => None,
        }
    }

    fn write(&mut self) -> Result<(), End> {
        while !self.out.is_empty() {
            match self.stream.try_write(&self.out) {
                Ok(written) => self.out.advance(written),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                // What the broker said last is still to be read: reading will end the client.
                Err(error) => {
                    self.unwritable = Some(broken(&error));
                    self.out.clear();
                }
            }
        }
        if self.out.capacity() > KEPT_BYTES {
            self.out = BytesMut::new();
        }
        Ok(())
    }

    fn read(&mut self) -> Result<(), End> {
        let mut scratch = self.board.scratch.borrow_mut();
        for _ in 0..READS {
            match self.stream.try_read(&mut scratch) {
                Ok(0) => return Err(self.unwritable.unwrap_or(End::Closed)),
                Ok(read) => self.take(&scratch[..read])?,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(broken(&error)),
            }
        }
        Ok(())
    }

    /// Reads packets where they lie; only an unfinished one is copied.
    fn take(&mut self, bytes: &[u8]) -> Result<(), End> {
        let now = Instant::now();
        if self.input.is_empty() {
            let used = self.dialogue.take(bytes, now, &mut self.out)?;
            self.input.extend_from_slice(&bytes[used..]);
            return Ok(());
        }
        self.input.extend_from_slice(bytes);
        let used = self.dialogue.take(&self.input, now, &mut self.out)?;
        self.input.advance(used);
        if self.input.is_empty() {
            self.input = BytesMut::new();
        }
        Ok(())
    }

    async fn leave(mut self, leave: Leave) -> End {
        if leave == Leave::Abort {
            // Where the peer was faster, there is nothing left to reset.
            drop(self.stream.set_zero_linger());
            return End::Left;
        }
        crate::mqtt::encode::disconnect(&mut self.out);
        let goodbye = async {
            self.stream.write_all(&self.out).await?;
            self.stream.shutdown().await?;
            copy(&mut self.stream, &mut sink()).await
        };
        // A peer that cuts this short closes a connection that is over anyway.
        drop(timeout_at(Instant::now() + FAREWELL, goodbye).await);
        End::Left
    }
}
