//! A counted MQTT client: one TCP connection, every message stamped and entered in a ledger.
//!
//! It doesn't reconnect: a lost connection is what a drill is there to see, and ends the client with an [`End`]. Only where
//! the storm is what there is to see, it connects again, with the same client id ([`Options::returning`]).
//! A client is one task and little memory, so thousands fit on one thread:
//!
//! | Part | Does |
//! |---|---|
//! | [`Options`] | what it shall do |
//! | [`Dialogue`] | the packets: handshakes both ways, ids, what may be published now; pure but for the ledger |
//! | `run` | the socket and the timers |
//! | [`Board`] | what the clients of one load share |

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    fmt, io,
    net::{IpAddr, SocketAddr},
    rc::Rc,
    time::Duration,
};

use tokio::{sync::Notify, time::Instant};

use crate::{
    ledger::Ledger,
    mqtt::{Malformed, Qos, encode::Will},
    stamp::Stamp,
};

mod dialogue;
mod pacer;
mod run;

pub use dialogue::Dialogue;
use pacer::Pacer;

/// Bytes read from one socket at a time, into a buffer that all clients of a board share.
const READ_BYTES: usize = 64 * 1024;

/// What a client shall do.
#[derive(Clone, Debug)]
pub struct Options {
    /// Its number in the ledger; also its number as a publisher.
    pub number: u32,
    /// Where the broker, or the edge, listens.
    pub address: SocketAddr,
    /// The local address, for more connections than one address has ports; 127.0.0.0/8 will do on one host.
    pub source: Option<IpAddr>,
    /// MQTT client id.
    pub client_id: String,
    /// MQTT user name.
    pub username: Option<String>,
    /// Seconds; a PINGREQ is sent after three quarters of it, and one that is still unanswered when the next is due
    /// ends the client. 0 is none.
    pub keep_alive: u16,
    /// MQTT clean session.
    pub clean_session: bool,
    /// MQTT will.
    pub will: Option<Will>,
    /// Topic numbers to subscribe to; the client is ready when all are granted.
    pub subscriptions: Vec<u32>,
    /// Quality of service that it subscribes at, and must be granted.
    pub subscribed_at: Qos,
    /// What to publish once told to, if anything.
    pub publishing: Option<Publishing>,
    /// How long connecting may take, until the broker's CONNACK.
    pub patience: Duration,
    /// Time after which a client whose connection was lost, or refused, connects again, as most MQTT libraries do. What
    /// was under way is forgotten and counts as lost or unacknowledged. `None`: it doesn't.
    pub returning: Option<Duration>,
    /// When it connects again it is another one in the ledger, and nothing of the former is held against it: this is
    /// added to its number and to those of its topics. `None`: it stays the one that it is.
    pub reborn: Option<u32>,
}

impl Options {
    /// A client that connects, answers, and does nothing else.
    pub fn new(number: u32, address: SocketAddr, client_id: impl Into<String>) -> Self {
        Self {
            number,
            address,
            source: None,
            client_id: client_id.into(),
            username: None,
            keep_alive: 60,
            clean_session: true,
            will: None,
            subscriptions: Vec::new(),
            subscribed_at: Qos::ExactlyOnce,
            publishing: None,
            patience: Duration::from_secs(30),
            returning: None,
            reborn: None,
        }
    }

    /// The next life, if it has another each time.
    fn be_reborn(&mut self, ledger: &mut Ledger) {
        let Some(step) = self.reborn else { return };
        self.number += step;
        for topic in &mut self.subscriptions {
            *topic += step;
            ledger.expect(self.number, *topic);
        }
        self.publishing.iter_mut().flat_map(|publishing| &mut publishing.round).for_each(|(topic, _)| *topic += step);
    }
}

/// What a client publishes, message by message in turn.
#[derive(Clone, Debug)]
pub struct Publishing {
    /// Topic number and quality of service of each message of a round; not empty.
    pub round: Vec<(u32, Qos)>,
    /// When the next one is due.
    pub pace: Pace,
    /// Bytes of payload, at least [`Stamp::BYTES`].
    pub payload: usize,
    /// Handshakes of QoS 1 and 2 that may be unfinished at once.
    pub in_flight: usize,
}

impl Publishing {
    /// One topic at these qualities of service in turn, with small messages and 20 handshakes at once.
    pub fn new(topic: u32, mix: &[Qos], pace: Pace) -> Self {
        let round = mix.iter().map(|qos| (topic, *qos)).collect();
        Self { round, pace, payload: 64.max(Stamp::BYTES), in_flight: 20 }
    }
}

/// When a message is due.
#[derive(Clone, Copy, Debug)]
pub enum Pace {
    /// One every `interval`, the first after `offset`. A message that couldn't go out when it was due goes late, and
    /// its latency counts from when it was due.
    Every {
        /// Time between two messages.
        interval: Duration,
        /// Time from the start to the first, to spread clients over an interval.
        offset: Duration,
    },
    /// As soon as fewer than `window` of this client's messages are under way, counted at the receivers.
    Closed {
        /// Messages under way.
        window: u32,
        /// Clients that receive each message; at least one.
        receivers: u32,
    },
}

/// How a client's connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// We were told to leave, and left.
    Left,
    /// No TCP connection.
    Unreachable(io::ErrorKind),
    /// A CONNACK with this code.
    Refused(u8),
    /// A SUBACK with a failure.
    NotGranted,
    /// No CONNACK in time.
    Silent,
    /// A PINGREQ without an answer.
    NoPong,
    /// The other side closed.
    Closed,
    /// The other side reset.
    Reset,
    /// Another failure of the socket.
    Failed(io::ErrorKind),
    /// What came wasn't MQTT.
    Malformed(Malformed),
}

impl End {
    /// A word or two for a verdict.
    pub fn label(self) -> &'static str {
        match self {
            Self::Left => "left",
            Self::Unreachable(_) => "unreachable",
            Self::Refused(_) => "refused",
            Self::NotGranted => "subscription refused",
            Self::Silent => "no CONNACK",
            Self::NoPong => "no PINGRESP",
            Self::Closed => "closed",
            Self::Reset => "reset",
            Self::Failed(_) => "socket failed",
            Self::Malformed(_) => "malformed",
        }
    }
}

/// Where a client stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Before the CONNACK.
    Connecting,
    /// Before the SUBACK.
    Subscribing,
    /// Connected, and subscribed to everything.
    Ready,
    /// Over, or until it connects again.
    Ended(End),
}

/// How many clients stand where.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Neither ready nor over.
    pub starting: u32,
    /// Connected and subscribed.
    pub ready: u32,
    /// Lost their connection or never got one, and haven't connected again.
    pub dropped: u32,
    /// Left because they were told to.
    pub left: u32,
}

impl Counts {
    fn at(&mut self, state: State) -> &mut u32 {
        match state {
            State::Connecting | State::Subscribing => &mut self.starting,
            State::Ready => &mut self.ready,
            State::Ended(End::Left) => &mut self.left,
            State::Ended(_) => &mut self.dropped,
        }
    }
}

/// What the clients of one load share: the ledger, its clock, and word that something changed.
pub struct Board {
    ledger: RefCell<Ledger>,
    start: Instant,
    counts: Cell<Counts>,
    changed: Notify,
    topics: String,
    gates: RefCell<BTreeMap<u32, Rc<Gate>>>,
    scratch: RefCell<Box<[u8]>>,
    pacer: Pacer,
}

/// Receipts that a publisher with [`Pace::Closed`] waits for.
#[derive(Default)]
struct Gate {
    receipts: Cell<u64>,
    opened: Notify,
}

impl Board {
    /// A board with an empty ledger whose topics are called `topics`/number.
    pub fn new(topics: &str) -> Rc<Self> {
        Rc::new(Self {
            ledger: RefCell::default(),
            start: Instant::now(),
            counts: Cell::default(),
            changed: Notify::new(),
            topics: topics.to_owned(),
            gates: RefCell::default(),
            scratch: RefCell::new(vec![0; READ_BYTES].into_boxed_slice()),
            pacer: Pacer::default(),
        })
    }

    /// Asks or tells the ledger something.
    pub fn with_ledger<R>(&self, ask: impl FnOnce(&mut Ledger) -> R) -> R {
        ask(&mut self.ledger.borrow_mut())
    }

    /// Waits until `condition` holds, looking whenever a client's state or the ledger changed.
    pub async fn until(&self, mut condition: impl FnMut() -> bool) {
        loop {
            let changed = self.changed.notified();
            if condition() {
                return;
            }
            changed.await;
        }
    }

    /// How many of its clients stand where.
    pub fn counts(&self) -> Counts {
        self.counts.get()
    }

    fn moved(&self, from: Option<State>, to: State) {
        let mut counts = self.counts.get();
        if let Some(from) = from {
            *counts.at(from) -= 1;
        }
        *counts.at(to) += 1;
        self.counts.set(counts);
        self.changed.notify_waiters();
    }

    /// When the ledger's clock stood at zero.
    pub fn zero(&self) -> std::time::Instant {
        self.start.into_std()
    }

    /// Microseconds on the ledger's clock.
    pub fn now(&self) -> u64 {
        self.micros(Instant::now())
    }

    fn micros(&self, at: Instant) -> u64 {
        u64::try_from(at.saturating_duration_since(self.start).as_micros()).unwrap_or(u64::MAX)
    }

    fn topic(&self, number: u32) -> String {
        Self::topic_of(&self.topics, number)
    }

    /// What a board whose topics are called `topics` calls this one.
    pub(crate) fn topic_of(topics: &str, number: u32) -> String {
        format!("{topics}/{number}")
    }

    fn gate(&self, publisher: u32) -> Rc<Gate> {
        Rc::clone(self.gates.borrow_mut().entry(publisher).or_default())
    }

    fn received(&self, receiver: u32, topic: &str, payload: &[u8], now: Instant) {
        let number = topic.strip_prefix(&self.topics).and_then(|rest| rest.strip_prefix('/')?.parse().ok());
        let stamp = self.ledger.borrow_mut().received(receiver, number, payload, self.micros(now));
        if let Some(gate) = stamp.and_then(|stamp| self.gates.borrow().get(&stamp.stream.publisher).cloned()) {
            gate.receipts.set(gate.receipts.get() + 1);
            gate.opened.notify_one();
        }
        self.changed.notify_waiters();
    }
}

impl fmt::Debug for Board {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Board").field("topics", &self.topics).finish_non_exhaustive()
    }
}

/// What a client was told. Read by its task whenever `told` says so.
struct Orders {
    told: Notify,
    publishing: Cell<bool>,
    reading: Cell<bool>,
    leaving: Cell<Option<Leave>>,
    state: Cell<State>,
}

impl Orders {
    fn enter(&self, state: State, board: &Board) {
        let from = self.state.replace(state);
        if from != state {
            board.moved(Some(from), state);
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Leave {
    Disconnect,
    Abort,
}

/// A handle on a client. Dropping it lets the client run on until its stage ends.
pub struct Client {
    orders: Rc<Orders>,
}

impl Client {
    /// Starts a client on the current local runtime. What it subscribes to is expected by the ledger from now on.
    ///
    /// # Panics
    /// Outside a local runtime, or if the options publish an empty round.
    pub fn start(options: Options, board: &Rc<Board>) -> Self {
        let orders = Rc::new(Orders {
            told: Notify::new(),
            publishing: Cell::new(false),
            reading: Cell::new(true),
            leaving: Cell::new(None),
            state: Cell::new(State::Connecting),
        });
        assert!(options.publishing.as_ref().is_none_or(|p| !p.round.is_empty() && p.payload >= Stamp::BYTES));
        for topic in &options.subscriptions {
            board.with_ledger(|ledger| ledger.expect(options.number, *topic));
        }
        board.moved(None, State::Connecting);
        tokio::task::spawn_local(run::run(options, Rc::clone(&orders), Rc::clone(board)));
        Self { orders }
    }

    /// Where it stands.
    pub fn state(&self) -> State {
        self.orders.state.get()
    }

    /// Begins to publish, or goes on.
    pub fn publish(&self) {
        self.tell(|orders| orders.publishing.set(true));
    }

    /// Stops publishing; handshakes under way go on.
    pub fn stop_publishing(&self) {
        self.tell(|orders| orders.publishing.set(false));
    }

    /// Stops reading its socket: a slow client. Its pings are no longer checked.
    pub fn pause_reading(&self) {
        self.tell(|orders| orders.reading.set(false));
    }

    /// Reads its socket again.
    pub fn resume_reading(&self) {
        self.tell(|orders| orders.reading.set(true));
    }

    /// Leaves in order: DISCONNECT, then reads until the broker closes.
    pub fn leave(&self) {
        self.tell(|orders| orders.leaving.set(Some(Leave::Disconnect)));
    }

    /// Vanishes: resets its connection.
    pub fn abort(&self) {
        self.tell(|orders| orders.leaving.set(Some(Leave::Abort)));
    }

    fn tell(&self, order: impl FnOnce(&Orders)) {
        order(&self.orders);
        self.orders.told.notify_one();
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("state", &self.state()).finish()
    }
}
