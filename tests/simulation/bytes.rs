//! Clients and recorders who exchange noise and know every byte of it: the plain model of what each must see.
//!
//! What one end has got is compared, at every read, with what the other has sent; a connection that ends is compared
//! with what was ordered and with what was done to the processes that it runs through.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    io,
    rc::Rc,
    time::Duration,
};

use baton_drill::{
    bytes::{Ending, Party, Seen, noise},
    mqtt::encode,
};
use baton_process::net::{Dial, Stream};
use baton_protocol::limits::Millis;
use bytes::BytesMut;
use rand::{RngExt, rngs::SmallRng};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, split},
    sync::Notify,
    time::sleep,
};

use crate::{judge::Judge, net::Host};

mod recorder;

pub(crate) use recorder::record;

/// Bytes of the largest write and of a read.
const CHUNK: usize = 16 * 1024;

/// How much an exchange says, and how often.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Manner {
    /// Largest number of bytes said at once.
    pub(crate) bytes: u64,
    /// Longest pause, in milliseconds.
    pub(crate) pause: Millis,
}

impl Manner {
    /// Most say little; some say more than a window at once, some hardly anything.
    pub(crate) fn draw(chance: &mut SmallRng) -> Self {
        match chance.random_range(0..12) {
            0 => Self { bytes: 400_000, pause: 30_000 },
            1 => Self { bytes: 20, pause: 30_000 },
            2 | 3 => Self { bytes: 6_000, pause: 1_500 },
            _ => Self { bytes: 300, pause: 800 },
        }
    }
}

/// One direction.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Flow {
    pub(crate) sent: u64,
    pub(crate) received: u64,
}

/// One connection of a client, from its CONNECT to its end.
#[derive(Debug)]
pub(crate) struct Exchange {
    pub(crate) name: String,
    pub(crate) edge: Host,
    pub(crate) began: Millis,
    /// How often a recorder got its CONNECT.
    pub(crate) connects: Cell<u32>,
    seed: u64,
    manner: Manner,
    up: Cell<Flow>,
    down: Cell<Flow>,
    client: Cell<Option<Seen>>,
    recorder: Cell<Option<Seen>>,
    ending: Cell<Option<Ending>>,
    /// What was done to a process that it ran through.
    excuse: RefCell<Option<String>>,
    /// Whether the client or the recorder doesn't read for now.
    slow: [Cell<bool>; 2],
    changed: Notify,
}

impl Exchange {
    fn new(name: String, edge: Host, began: Millis, chance: &mut SmallRng) -> Rc<Self> {
        Rc::new(Self {
            name,
            edge,
            began,
            connects: Cell::new(0),
            seed: chance.random(),
            manner: Manner::draw(chance),
            up: Cell::default(),
            down: Cell::default(),
            client: Cell::new(None),
            recorder: Cell::new(None),
            ending: Cell::new(None),
            excuse: RefCell::default(),
            slow: Default::default(),
            changed: Notify::new(),
        })
    }

    fn flow(&self, from: Party) -> &Cell<Flow> {
        if from == Party::Client { &self.up } else { &self.down }
    }

    /// How it ended for this party.
    pub(crate) fn end(&self, party: Party) -> Option<Seen> {
        if party == Party::Client { self.client.get() } else { self.recorder.get() }
    }

    fn ended(&self, party: Party, seen: Seen) {
        let cell = if party == Party::Client { &self.client } else { &self.recorder };
        if cell.get().is_none() {
            cell.set(Some(seen));
        }
        self.changed.notify_waiters();
    }

    /// Orders its end, unless that is done.
    pub(crate) fn finish(&self, ending: Ending) {
        if self.ending.get().is_none() {
            self.ending.set(Some(ending));
            self.changed.notify_waiters();
        }
    }

    /// Whether the client is connected, as far as it knows, and has been asked nothing.
    pub(crate) fn is_open(&self) -> bool {
        self.client.get().is_none() && self.connects.get() > 0
    }

    /// Bytes that have arrived, both ways.
    pub(crate) fn received(&self) -> u64 {
        self.up.get().received + self.down.get().received
    }

    /// A process that it runs through was taken away.
    pub(crate) fn excuse(&self, why: &str) {
        self.excuse.borrow_mut().get_or_insert_with(|| why.to_owned());
        self.changed.notify_waiters();
    }

    /// A party stops reading, or reads again.
    pub(crate) fn slow(&self, party: Party, slow: bool) {
        self.slow[usize::from(party == Party::Broker)].set(slow);
        self.changed.notify_waiters();
    }

    async fn until(&self, condition: impl Fn(&Self) -> bool) {
        loop {
            let changed = self.changed.notified();
            if condition(self) {
                return;
            }
            changed.await;
        }
    }

    fn is_slow(&self, party: Party) -> bool {
        self.slow[usize::from(party == Party::Broker)].get()
    }

    fn connect(&self) -> BytesMut {
        let mut packet = BytesMut::new();
        let client_id = &self.name;
        let connect = encode::Connect { client_id, username: None, keep_alive: 0, clean_session: true, will: None };
        encode::connect(&connect, &mut packet);
        packet
    }

    /// The seed of what a party says.
    fn seed(&self, from: Party) -> u64 {
        noise::word(self.seed, u64::from(from == Party::Broker))
    }

    fn show(&self) -> String {
        let (up, down) = (self.up.get(), self.down.get());
        let ends = (self.client.get(), self.recorder.get(), self.ending.get());
        format!("{}: up {}/{} down {}/{} ends {ends:?}", self.name, up.received, up.sent, down.received, down.sent)
    }

    /// What isn't as it must be now that the run is over.
    fn verdict(&self) -> Result<(), String> {
        if self.excuse.borrow().is_some() {
            return Ok(());
        }
        if self.client.get() == Some(REFUSED) {
            let got = || format!("it was refused, and its broker got it all the same: {}", self.show());
            return if self.connects.get() == 0 { Ok(()) } else { Err(got()) };
        }
        let whole = |flow: &Cell<Flow>| flow.get().sent == flow.get().received;
        let (client, recorder) = (self.client.get(), self.recorder.get());
        let fine = match self.ending.get() {
            Some(Ending::HalfClose(_)) => {
                client == Some(Seen::Eof) && recorder == Some(Seen::Eof) && whole(&self.up) && whole(&self.down)
            }
            Some(Ending::Reset(Party::Client)) => recorder == Some(Seen::Reset) && whole(&self.up),
            Some(Ending::Reset(Party::Broker)) => client == Some(Seen::Reset) && whole(&self.down),
            None => false,
        };
        if fine { Ok(()) } else { Err(format!("it isn't whole at the end: {}", self.show())) }
    }
}

/// A client that was told in MQTT that no server is available.
const REFUSED: Seen = Seen::Failed(io::ErrorKind::ConnectionRefused);

fn other(party: Party) -> Party {
    if party == Party::Client { Party::Broker } else { Party::Client }
}

/// Every exchange of a run.
#[derive(Debug, Default)]
pub(crate) struct Book {
    exchanges: RefCell<BTreeMap<String, Rc<Exchange>>>,
}

impl Book {
    /// All of them, over or not.
    pub(crate) fn all(&self) -> Vec<Rc<Exchange>> {
        self.exchanges.borrow().values().cloned().collect()
    }

    /// Those that go on.
    pub(crate) fn open(&self) -> Vec<Rc<Exchange>> {
        self.all().into_iter().filter(|exchange| exchange.is_open()).collect()
    }

    /// A process was taken away: these have an excuse. How many sessions that hit.
    pub(crate) fn taken_away(&self, which: impl Fn(&Exchange) -> bool, recorder_died: bool, why: &str) -> u64 {
        let over = |x: &Rc<Exchange>| x.client.get().is_some() && x.recorder.get().is_some();
        let hit: Vec<_> = self.all().into_iter().filter(|x| !over(x) && which(x)).collect();
        for exchange in &hit {
            exchange.excuse(why);
            if recorder_died {
                // Its recorder is gone, and with it whoever would say so.
                exchange.ended(Party::Broker, Seen::Left);
            }
        }
        hit.len() as u64
    }

    /// Every client is told to leave; whether all have.
    pub(crate) fn dismiss(&self) -> bool {
        let all = self.all();
        all.iter().for_each(|exchange| exchange.finish(Ending::HalfClose(Party::Client)));
        all.iter().all(|exchange| exchange.end(Party::Client).is_some())
    }

    /// What isn't as it must be at the end.
    pub(crate) fn verdict(&self, judge: &Judge) {
        for exchange in self.all() {
            if let Err(what) = exchange.verdict() {
                judge.violated(&what);
            }
        }
    }
}

/// One client: connects, and connects again whenever its exchange is over, until the run ends.
pub(crate) async fn client(
    number: u32,
    edge: (Host, String),
    dial: impl Dial,
    judge: Rc<Judge>,
    book: Rc<Book>,
    mut chance: SmallRng,
) {
    for generation in 0u32.. {
        sleep(Duration::from_millis(chance.random_range(0..2_000))).await;
        if judge.closing() {
            return;
        }
        let exchange = Exchange::new(format!("c{number:02}-{generation}"), edge.0, judge.now(), &mut chance);
        // Before it is connected, for its edge may die while it is half so.
        book.exchanges.borrow_mut().insert(exchange.name.clone(), Rc::clone(&exchange));
        let Ok(mut stream) = dial.dial(&edge.1).await else {
            // An edge that is down: this client comes back later, as clients do.
            book.exchanges.borrow_mut().remove(&exchange.name);
            continue;
        };
        let begin = async {
            stream.write_all(&exchange.connect()).await?;
            let mut answer = [0; 4];
            stream.read_exact(&mut answer).await?;
            io::Result::Ok(answer)
        };
        match begin.await {
            Ok([0x20, 2, 0, 0]) => play(stream, Party::Client, &exchange, &judge, &mut chance).await,
            Ok([0x20, 2, 0, _]) => exchange.ended(Party::Client, REFUSED),
            Ok(answer) => judge.violated(&format!("{}: {answer:02x?} in place of a CONNACK", exchange.name)),
            Err(error) => {
                exchange.ended(Party::Client, seen(&error));
                if judge.excuses_beginner(exchange.edge, &exchange.name, exchange.began) {
                    exchange.excuse("its edge or its broker has gone");
                }
            }
        }
        explain(&exchange, &judge);
    }
}

/// A client's connection has ended: for a reason that was ordered, or that the schedule explains.
fn explain(exchange: &Exchange, judge: &Judge) {
    let end = exchange.client.get();
    let expected = match (exchange.ending.get(), end) {
        (_, Some(REFUSED)) => judge.excuses_refusal(exchange.began),
        (Some(Ending::HalfClose(_)), Some(Seen::Eof)) => true,
        (Some(Ending::Reset(Party::Client)), Some(Seen::Left)) => true,
        (Some(Ending::Reset(Party::Broker)), Some(Seen::Reset)) => true,
        _ => false,
    };
    if end == Some(REFUSED) {
        judge.refused();
    }
    if !expected && exchange.excuse.borrow().is_none() {
        judge.violated(&format!("a client was closed and nothing explains it: {}", exchange.show()));
    }
}

fn seen(error: &io::Error) -> Seen {
    match error.kind() {
        io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => Seen::Reset,
        io::ErrorKind::UnexpectedEof => Seen::Eof,
        kind => Seen::Failed(kind),
    }
}

/// Says and hears noise until it is over.
async fn play<S: Stream>(stream: S, own: Party, exchange: &Exchange, judge: &Judge, chance: &mut SmallRng) {
    let (mut read, mut write) = split(stream);
    let reset = {
        let both = async {
            tokio::join!(
                biased;
                hears(&mut read, own, exchange, judge),
                says(&mut write, own, exchange, chance)
            )
        };
        tokio::select! {
            biased;
            ((), ()) = both => false,
            () = exchange.until(|x| x.ending.get() == Some(Ending::Reset(own)) && x.end(own).is_none()) => true,
        }
    };
    if reset {
        read.unsplit(write).reset();
        exchange.ended(own, Seen::Left);
    }
}

async fn hears(read: &mut (impl AsyncRead + Unpin), own: Party, exchange: &Exchange, judge: &Judge) {
    let (from, seed) = (exchange.flow(other(own)), exchange.seed(other(own)));
    let mut buffer = vec![0; CHUNK];
    let end = loop {
        exchange.until(|x| !x.is_slow(own)).await;
        match read.read(&mut buffer).await {
            Ok(0) => break Seen::Eof,
            Err(error) => break seen(&error),
            Ok(length) => {
                let Flow { sent, received } = from.get();
                let got = received + length as u64;
                from.set(Flow { sent, received: got });
                if let Some(offset) = noise::difference(seed, received, &buffer[..length]) {
                    judge.violated(&format!("byte {offset} to {own:?} differs: {}", exchange.show()));
                } else if got > sent {
                    judge.violated(&format!("more came to {own:?} than was sent: {}", exchange.show()));
                }
            }
        }
    };
    exchange.ended(own, end);
}

async fn says(write: &mut (impl AsyncWrite + Unpin), own: Party, exchange: &Exchange, chance: &mut SmallRng) {
    let Manner { bytes, pause } = exchange.manner;
    loop {
        let pause = Duration::from_millis(chance.random_range(0..=pause));
        let over = exchange.until(|x| x.ending.get().is_some_and(|e| by(e) == own) || x.end(own).is_some());
        let over = tokio::select! { biased; () = over => true, () = sleep(pause) => false };
        // Whoever closes second has a last word.
        let last = over && exchange.end(own) == Some(Seen::Eof);
        if (!over || last) && !say(write, own, exchange, chance.random_range(1..=bytes)).await {
            return;
        }
        if over {
            break;
        }
    }
    if exchange.ending.get() == Some(Ending::Reset(own)) && exchange.end(own).is_none() {
        return std::future::pending().await;
    }
    // It is closed already where that fails.
    let _ = write.shutdown().await;
}

fn by(ending: Ending) -> Party {
    match ending {
        Ending::HalfClose(party) | Ending::Reset(party) => party,
    }
}

/// Says so many bytes; false if it can't.
async fn say(write: &mut (impl AsyncWrite + Unpin), own: Party, exchange: &Exchange, bytes: u64) -> bool {
    let (flow, seed) = (exchange.flow(own), exchange.seed(own));
    let until = flow.get().sent + bytes;
    while flow.get().sent < until {
        let sent = flow.get().sent;
        let length = usize::try_from(until - sent).unwrap_or(CHUNK).min(CHUNK);
        match write.write(&noise::bytes(seed, sent, length)).await {
            Ok(written) => flow.set(Flow { sent: sent + written as u64, ..flow.get() }),
            Err(_) => return false,
        }
    }
    true
}
