//! Counted MQTT clients before a real broker's core: the judge is `drill`'s ledger.
//!
//! Each publishes to itself and to its partner at every quality of service. One that is closed for a reason that the
//! schedule explains is replaced by another, which has no partner.

use std::{
    cell::{Cell, RefCell},
    net::{Ipv4Addr, SocketAddr},
    rc::Rc,
    time::Duration,
};

use baton_drill::{
    client::{Board, Dialogue, End, Options, Pace, Publishing, State},
    ledger::Tally,
    mqtt::{
        Qos,
        encode::{self, Will},
    },
};
use baton_process::net::{Dial, Stream};
use baton_protocol::limits::Millis;
use bytes::{Buf, BytesMut};
use rand::{RngExt, rngs::SmallRng};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::Notify,
    time::{Instant, sleep, sleep_until, timeout},
};

use crate::{judge::Judge, net::Host};

/// Time between two messages of a client, in milliseconds.
const PAUSE: Millis = 3_000;
/// Bytes of a large message: so small that a broker keeps all of them for a client that does not read for a while.
const LARGE: usize = 2_000;
/// What a client's number rises by when another takes its place.
const GENERATION: u32 = 1_000;
/// How long a client that leaves waits for the broker to close.
const FAREWELL: Duration = Duration::from_secs(60);

/// All MQTT clients of a run.
pub(crate) struct Guests {
    board: Rc<Board>,
    all: RefCell<Vec<Rc<Guest>>>,
    publishing: Cell<bool>,
    dismissed: Cell<bool>,
}

/// One client.
#[derive(Debug)]
pub(crate) struct Guest {
    pub(crate) number: u32,
    pub(crate) user: String,
    pub(crate) edge: Host,
    began: Millis,
    /// When its edge took the connection.
    connected: Cell<Millis>,
    slow: Cell<bool>,
    leaving: Cell<Option<Leaving>>,
    /// It has its CONNACK; all that it subscribed to.
    greeted: Cell<bool>,
    ready: Cell<bool>,
    excuse: RefCell<Option<String>>,
    end: Cell<Option<End>>,
    changed: Notify,
}

/// How a client is told to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Leaving {
    /// With a DISCONNECT.
    Disconnect,
    /// With a reset.
    Reset,
}

impl Guests {
    pub(crate) fn new() -> Rc<Self> {
        Rc::new(Self {
            board: Board::new("sim"),
            all: RefCell::default(),
            publishing: Cell::new(true),
            dismissed: Cell::new(false),
        })
    }

    /// Those that are connected and go on.
    pub(crate) fn open(&self) -> Vec<Rc<Guest>> {
        let open = |guest: &&Rc<Guest>| guest.ready.get() && guest.end.get().is_none() && guest.leaving.get().is_none();
        self.all.borrow().iter().filter(open).cloned().collect()
    }

    /// These have an excuse from now on; how many of them there are.
    pub(crate) fn excuse(&self, which: impl Fn(&Guest) -> bool, why: &str) -> u64 {
        let all = self.all.borrow();
        let concerned = all.iter().filter(|guest| guest.end.get().is_none() && which(guest));
        concerned.inspect(|guest| guest.excuse.borrow_mut().clone_from(&Some(why.to_owned()))).count() as u64
    }

    /// Whether this client's messages would reach all who are to get them.
    fn is_heard(&self, number: u32) -> bool {
        let all = self.all.borrow();
        let partner = all.iter().find(|guest| guest.number == number ^ 1);
        // One that replaces another has none.
        number >= GENERATION || partner.is_some_and(|guest| guest.ready.get() || guest.end.get().is_some())
    }

    /// Nobody publishes any more. Whether everything between clients that are still there has arrived.
    pub(crate) fn settle(&self) -> bool {
        self.publishing.set(false);
        self.board.with_ledger(|ledger| ledger.settled())
    }

    /// Everybody is told to leave; whether all have.
    pub(crate) fn dismiss(&self) -> bool {
        self.dismissed.set(true);
        let all = self.all.borrow();
        all.iter().for_each(|guest| guest.leave(Leaving::Disconnect));
        all.iter().all(|guest| guest.end.get().is_some())
    }

    /// What isn't as it must be, of what passed between clients that kept their connection.
    pub(crate) fn verdict(&self, judge: &Judge) {
        let (survivors, all) = self.board.with_ledger(|ledger| {
            let clients = u32::try_from(self.all.borrow().len()).unwrap_or(u32::MAX);
            (ledger.verdict_of_survivors(clients), ledger.verdict(clients))
        });
        if !survivors.is_clean() {
            judge.violated(&format!(
                "between clients that stayed: {survivors}; first fault of all: {:?}",
                all.first_fault
            ));
        }
        // Whoever goes may miss something, and gets nothing twice or late.
        let Tally { duplicated, reordered, .. } = all.total();
        if duplicated + reordered > 0 {
            judge.violated(&format!("{all}"));
        }
    }

    /// How many have gone without a DISCONNECT, each of which may have cost a will.
    pub(crate) fn vanished(&self) -> u64 {
        let in_order = |guest: &&Rc<Guest>| {
            let disconnected = guest.end.get() == Some(End::Left) && guest.leaving.get() == Some(Leaving::Disconnect);
            disconnected && guest.excuse.borrow().is_none()
        };
        let all = self.all.borrow();
        (all.len() - all.iter().filter(in_order).count()) as u64
    }

    /// Messages that have arrived.
    pub(crate) fn received(&self) -> u64 {
        self.board.with_ledger(|ledger| ledger.totals().received)
    }
}

impl Guest {
    pub(crate) fn leave(&self, how: Leaving) {
        if self.leaving.get().is_none() {
            self.leaving.set(Some(how));
            self.changed.notify_one();
        }
    }

    pub(crate) fn slow(&self, slow: bool) {
        self.slow.set(slow);
        self.changed.notify_one();
    }

    fn options(&self, partner: Option<u32>, chance: &mut SmallRng) -> Options {
        let anywhere = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
        let interval = Duration::from_millis(chance.random_range(100..=PAUSE));
        let pace = Pace::Every { interval, offset: Duration::ZERO };
        let payload = if chance.random_ratio(1, 6) { LARGE } else { 64 };
        let will = Will { topic: "sim/wills".into(), payload: b"gone".to_vec(), qos: Qos::AtMostOnce };
        Options {
            keep_alive: 0,
            will: Some(will),
            subscriptions: [Some(self.number), partner].into_iter().flatten().collect(),
            publishing: Some(Publishing { payload, ..Publishing::new(self.number, &Qos::ALL, pace) }),
            ..Options::new(self.number, anywhere, self.user.clone())
        }
    }
}

/// A place at the table: a client, and another whenever one has gone.
pub(crate) async fn place(
    number: u32,
    edge: (Host, String),
    dial: impl Dial,
    judge: Rc<Judge>,
    guests: Rc<Guests>,
    mut chance: SmallRng,
) {
    for generation in 0u32.. {
        sleep(Duration::from_millis(chance.random_range(0..2_000))).await;
        if judge.closing() {
            return;
        }
        let number = number + GENERATION * generation;
        let guest = Rc::new(Guest {
            number,
            user: format!("m{number:04}"),
            edge: edge.0,
            began: judge.now(),
            connected: Cell::new(0),
            slow: Cell::new(false),
            leaving: Cell::new(None),
            greeted: Cell::new(false),
            ready: Cell::new(false),
            excuse: RefCell::default(),
            end: Cell::new(None),
            changed: Notify::new(),
        });
        guests.all.borrow_mut().push(Rc::clone(&guest));
        let end = match dial.dial(&edge.1).await {
            Ok(stream) => {
                guest.connected.set(judge.now());
                let partner = (generation == 0).then_some(number ^ 1);
                let options = guest.options(partner, &mut chance);
                converse(stream, &guest, &guests, options).await
            }
            Err(error) => End::Unreachable(error.kind()),
        };
        guest.end.set(Some(end));
        if !guests.dismissed.get() {
            // What was on its way to it or from it isn't judged.
            guests.board.with_ledger(|ledger| ledger.dropped(number, end.label(), judge.now() * 1_000));
        }
        explain(&guest, end, &judge);
    }
}

/// A client's connection has ended: because it was told to leave, or for a reason that the schedule explains.
fn explain(guest: &Guest, end: End, judge: &Judge) {
    let expected = match end {
        End::Left => guest.leaving.get().is_some(),
        End::Unreachable(_) => judge.was_away_since(guest.edge, guest.began),
        End::Refused(3) => {
            judge.refused();
            judge.excuses_refusal(guest.began)
        }
        End::Closed | End::Reset if !guest.greeted.get() => {
            judge.excuses_beginner(guest.edge, &guest.user, guest.began, guest.connected.get())
                || end == End::Closed && judge.excuses_late_connect(guest.began)
        }
        _ => false,
    };
    if !expected && guest.excuse.borrow().is_none() {
        judge.violated(&format!("a client was closed and nothing explains it: {} {end:?}", guest.user));
    }
}

async fn converse<S: Stream>(mut stream: S, guest: &Guest, guests: &Guests, options: Options) -> End {
    let mut out = BytesMut::new();
    let mut input = BytesMut::new();
    for topic in &options.subscriptions {
        guests.board.with_ledger(|ledger| ledger.expect(options.number, *topic));
    }
    let Some(Pace::Every { interval, .. }) = options.publishing.as_ref().map(|publishing| publishing.pace) else {
        return End::Left;
    };
    let mut dialogue = Dialogue::begin(options, Rc::clone(&guests.board), &mut out);
    let mut due = Instant::now() + interval;
    loop {
        if let Some(leaving) = guest.leaving.get() {
            return leave(stream, leaving, out).await;
        }
        if stream.write_all_buf(&mut out).await.is_err() {
            return End::Reset;
        }
        tokio::select! {
            biased;
            () = guest.changed.notified() => {}
            read = stream.read_buf(&mut input), if !guest.slow.get() => match read {
                Ok(0) => return End::Closed,
                Ok(_) => match dialogue.take(&input, Instant::now(), &mut out) {
                    Ok(used) => input.advance(used),
                    Err(end) => return end,
                },
                Err(_) => return End::Reset,
            },
            () = sleep_until(due) => {
                due = Instant::now() + interval;
                if guests.publishing.get() && guests.is_heard(guest.number) && dialogue.may_publish() {
                    dialogue.publish(Instant::now(), Instant::now(), &mut out);
                }
            }
        }
        guest.greeted.set(dialogue.state() != State::Connecting);
        guest.ready.set(dialogue.state() == State::Ready);
    }
}

async fn leave<S: Stream>(mut stream: S, leaving: Leaving, mut out: BytesMut) -> End {
    if leaving == Leaving::Reset {
        stream.reset();
        return End::Left;
    }
    encode::disconnect(&mut out);
    let goodbye = async {
        stream.write_all_buf(&mut out).await?;
        stream.shutdown().await?;
        while stream.read_buf(&mut BytesMut::with_capacity(16_384)).await? > 0 {}
        std::io::Result::Ok(())
    };
    match timeout(FAREWELL, goodbye).await {
        Ok(Ok(())) => End::Left,
        // Whoever sends DISCONNECT has said all that counts.
        Ok(Err(_)) => End::Left,
        Err(_) => End::Silent,
    }
}
