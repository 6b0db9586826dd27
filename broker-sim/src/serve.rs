//! The shell around the broker: connections over any byte stream, time, and the queues between.
//!
//! One worker owns the broker and all connections. Each connection is one task that owns its stream; what the broker
//! has for it is in its outbox, which the task empties into as few writes as it can.

mod connection;
mod faulty;
mod mischief;
mod outbox;

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    rc::Rc,
    time::Duration,
};

use baton_process::{clock::Clock, metrics::Metrics, net::Stream};
use baton_protocol::limits::Millis;
use bytes::BytesMut;
use tokio::{
    sync::Notify,
    time::{sleep_until, timeout},
};
use tracing::debug;

use self::{
    connection::{Connection, End},
    outbox::Outbox,
};
use crate::{
    broker::{Broker, ConnId, Counts, Limits, Output},
    faults::Engine,
    numbers::Numbers,
    transcript::{Recorder, Why},
};

/// Bytes that one read takes from a connection, in a buffer that all connections share.
const READ_BYTES: usize = 16 * 1024;
/// Bytes that are gathered into one write.
const WRITE_BYTES: usize = 64 * 1024;
/// Bytes of replies (everything but PUBLISH) that wait for one connection; above, nothing more is read from it.
const REPLY_BYTES: usize = 64 * 1024;
/// How long a connection that the broker closes may take to accept what is left to say to it, and to close its side.
pub(crate) const FAREWELL: Duration = Duration::from_secs(5);

/// The broker and all that its connections share. Clones are the same broker.
#[derive(Clone)]
pub struct BrokerHandle(Rc<Shared>);

struct Shared {
    broker: RefCell<Broker>,
    /// One for each connection that the broker knows, or that still has its last words to hear.
    outboxes: RefCell<BTreeMap<ConnId, Rc<Outbox>>>,
    packet_bytes: usize,
    engine: RefCell<Engine>,
    /// Whether the engine has anything to do: without rules they cost this one look.
    faulty: Cell<bool>,
    recorder: Recorder,
    /// A rule has ended the broker without a word.
    crashed: Cell<bool>,
    crash: Notify,
    /// Borrowed during one read only.
    scratch: RefCell<Box<[u8]>>,
    /// The buffer of whichever connection writes now; a connection that can't finish its write keeps it until it can.
    spare: RefCell<BytesMut>,
    clock: Clock,
    numbers: Numbers,
    /// When the timers' task will wake up.
    armed: Cell<Option<Millis>>,
    rearm: Notify,
    served: Cell<usize>,
    left: Notify,
}

impl BrokerHandle {
    /// An empty broker on this clock, whose counts are among these numbers.
    pub fn new(limits: Limits, clock: Clock, metrics: &Metrics) -> Self {
        Self::observed(Broker::new(limits), clock, metrics, Engine::new(0), Recorder::default())
    }

    /// This broker, which does wrong what these rules say, and is recorded.
    pub fn observed(broker: Broker, clock: Clock, metrics: &Metrics, engine: Engine, recorder: Recorder) -> Self {
        Self(Rc::new(Shared {
            packet_bytes: broker.limits().packet_bytes,
            faulty: Cell::new(!engine.is_idle()),
            engine: RefCell::new(engine),
            recorder,
            crashed: Cell::new(false),
            crash: Notify::new(),
            numbers: Numbers::new(metrics, broker.limits().sessions),
            broker: RefCell::new(broker),
            outboxes: RefCell::default(),
            scratch: RefCell::new(vec![0; READ_BYTES].into()),
            spare: RefCell::default(),
            clock,
            armed: Cell::new(None),
            rearm: Notify::new(),
            served: Cell::new(0),
            left: Notify::new(),
        }))
    }

    /// What the broker has seen and holds.
    pub fn counts(&self) -> Counts {
        self.0.broker.borrow().counts()
    }

    /// Bytes that a packet may have.
    pub(crate) fn packet_bytes(&self) -> usize {
        self.0.packet_bytes
    }

    /// How many connections are being served, those included that only have their last words to hear.
    pub fn served(&self) -> usize {
        self.0.served.get()
    }

    /// Until fewer than `most` connections are served.
    pub async fn fewer_than(&self, most: usize) {
        while self.served() >= most {
            self.0.left.notified().await;
        }
    }

    /// Tells and closes every connection: the broker ends.
    pub fn shut_down(&self) {
        self.drive(Broker::shut_down);
    }

    /// Runs keep-alives, session expiry, will delays and late faults, for as long as it is polled.
    pub async fn run_timers(&self) {
        loop {
            let due = self.due(&self.0.broker.borrow());
            self.0.armed.set(due);
            let reached = async {
                match due {
                    Some(due) => sleep_until(self.0.clock.instant(due)).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                () = self.0.rearm.notified() => {}
                () = reached => {
                    self.time_has_passed();
                    self.drive(Broker::handle_timeout);
                }
            }
        }
    }

    fn due(&self, broker: &Broker) -> Option<Millis> {
        let (own, faults) = (broker.poll_timeout(), self.0.engine.borrow().poll_timeout());
        own.into_iter().chain(faults).min()
    }

    /// Gives the broker one input, and every output of it to whom it concerns.
    fn drive<R>(&self, input: impl FnOnce(&mut Broker, Millis) -> R) -> R {
        let mut broker = self.0.broker.borrow_mut();
        let now = self.0.clock.now();
        let result = input(&mut broker, now);
        self.deliver(&mut broker, now);
        self.0.numbers.show(&broker.counts());
        let due = self.due(&broker);
        if due.is_some_and(|due| self.0.armed.get().is_none_or(|armed| due < armed)) {
            self.0.rearm.notify_one();
        }
        result
    }

    fn deliver(&self, broker: &mut Broker, now: Millis) {
        let outboxes = self.0.outboxes.borrow();
        loop {
            if self.0.faulty.get() {
                self.do_wrong(broker, now);
            }
            let Some(output) = broker.poll_output() else { return };
            match output {
                Output::Send { conn, packet, bytes } => {
                    if self.0.faulty.get() {
                        self.0.engine.borrow_mut().sending(conn, packet, bytes, now);
                    } else if let Some(outbox) = outboxes.get(&conn) {
                        outbox.push(packet, bytes);
                    }
                }
                Output::Close { conn, why } => {
                    if let Some(outbox) = outboxes.get(&conn) {
                        outbox.close(why);
                    }
                }
            }
        }
    }
}

/// Serves one client over `stream` until either side ends it. `peer` is for the log.
pub async fn serve_stream<S: Stream>(stream: S, peer: &str, handle: &BrokerHandle) {
    let (id, outbox, _served) = handle.admit(peer);
    let mut connection = Connection::new(stream, id, Rc::clone(&outbox));
    let end = connection.converse(handle).await;
    // What fails or takes too long here fails for a client that doesn't listen: the stream is dropped as it is.
    let why = match end {
        End::Gone => {
            debug!(event = "broker.gone", conn = %id, peer);
            handle.drive(|broker, now| broker.closed(id, now));
            let _ = timeout(FAREWELL, connection.shut_down()).await;
            Why::Gone
        }
        End::Closing(why) => {
            debug!(event = "broker.close", conn = %id, peer, cause = %why);
            let _ = timeout(FAREWELL, connection.finish(handle)).await;
            Why::Closed(why)
        }
        End::Cut => Why::Cut,
    };
    handle.note_close(id, &outbox, why);
    if connection.is_cut() {
        connection.reset();
    }
}

impl BrokerHandle {
    fn admit(&self, peer: &str) -> (ConnId, Rc<Outbox>, Served) {
        let id = self.drive(Broker::connected);
        let outbox = Rc::new(Outbox::new(self.0.clock.now()));
        self.0.outboxes.borrow_mut().insert(id, outbox.clone());
        self.0.served.set(self.served() + 1);
        self.note_open(id, &outbox, peer);
        (id, outbox, Served { id, handle: self.clone() })
    }
}

/// A connection's place in the tables, given back however its task ends.
struct Served {
    id: ConnId,
    handle: BrokerHandle,
}

impl Drop for Served {
    fn drop(&mut self) {
        self.handle.drive(|broker, now| broker.closed(self.id, now));
        self.handle.0.engine.borrow_mut().closed(self.id);
        self.handle.0.outboxes.borrow_mut().remove(&self.id);
        self.handle.0.served.set(self.handle.served() - 1);
        self.handle.0.left.notify_waiters();
    }
}
