//! Clients and recorders who exchange noise and know every byte of it: the plain model of what each must see.
//!
//! What one end has got is compared, at every read, with what the other has sent; a connection that ends is compared
//! with what was ordered and with what was done to the processes that it runs through.

use std::{cell::RefCell, collections::BTreeMap, io, rc::Rc, time::Duration};

use baton_drill::bytes::{Ending, Party, Seen, noise};
use baton_process::net::{Dial, Stream};
use rand::{RngExt, rngs::SmallRng};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, split},
    time::sleep,
};

use crate::{judge::Judge, net::Host};

mod exchange;
mod recorder;

pub(crate) use exchange::Exchange;
use exchange::{Flow, Manner, REFUSED, other};
pub(crate) use recorder::record;

/// Bytes of the largest write and of a read.
const CHUNK: usize = 16 * 1024;

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
            // This client comes back later, as clients do.
            book.exchanges.borrow_mut().remove(&exchange.name);
            if !judge.was_away_since(exchange.edge, exchange.began) {
                judge.violated(&format!("{} couldn't connect to an edge that is there", exchange.name));
            }
            continue;
        };
        let connected = judge.now();
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
                if judge.excuses_beginner(exchange.edge, &exchange.name, exchange.began, connected) {
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
