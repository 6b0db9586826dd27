//! One party of an exchange at its socket.

use std::{cell::Cell, io};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpStream,
        tcp::{ReadHalf, WriteHalf},
    },
    time::sleep,
};

use super::{Ending, Exchange, Party, Seen, noise};

/// Bytes of the largest write, and of a read.
pub(super) const CHUNK_BYTES: u32 = 64 * 1024;

/// How an error of a socket is seen.
pub(super) fn seen(error: &io::Error) -> Seen {
    match error.kind() {
        io::ErrorKind::ConnectionReset => Seen::Reset,
        kind => Seen::Failed(kind),
    }
}

/// Sends, receives and ends as the script says.
pub(super) async fn play(mut stream: TcpStream, own: Party, exchange: &Exchange) {
    let (mut read, mut write) = stream.split();
    // The kernel tells of a reset once, to whoever asks first; to the other it's an end.
    let broken = Cell::new(None);
    let both =
        async { tokio::join!(reads(&mut read, own, exchange, &broken), writes(&mut write, own, exchange, &broken)) };
    let leave = async {
        let total = exchange.script.total(own);
        let got_all = |exchange: &Exchange| {
            let other = exchange.side(other(own)).get();
            other.connections > 0 && other.received == total
        };
        if exchange.script.ending == Ending::Reset(own) {
            exchange.until(got_all).await;
        } else {
            std::future::pending().await
        }
    };
    let reset = tokio::select! {
        biased;
        ((), ()) = both => false,
        () = leave => true,
    };
    if reset {
        // Where the other side was faster, there is nothing left to reset.
        drop(stream.set_zero_linger());
        drop(stream);
        exchange.change(own, |side| side.end = Some(Seen::Left));
    }
}

fn other(party: Party) -> Party {
    match party {
        Party::Client => Party::Broker,
        Party::Broker => Party::Client,
    }
}

/// The seed of what `party` sends.
fn seed(party: Party, exchange: &Exchange) -> u64 {
    noise::word(exchange.script.seed, if party == Party::Client { 0 } else { 1 })
}

async fn reads(read: &mut ReadHalf<'_>, own: Party, exchange: &Exchange, broken: &Cell<Option<Seen>>) {
    let seed = seed(other(own), exchange);
    let mut buffer = vec![0; 65_536];
    let end = loop {
        match read.read(&mut buffer).await {
            Ok(0) => break broken.get().unwrap_or(Seen::Eof),
            Ok(length) => exchange.change(own, |side| {
                let difference = || noise::difference(seed, side.received, &buffer[..length]);
                side.difference = side.difference.or_else(difference);
                side.received += u64::try_from(length).unwrap_or(0);
            }),
            Err(error) => break seen(&error),
        }
    };
    exchange.change(own, |side| side.end = Some(end));
}

/// Ends early where the socket fails, and leaves word of it in `broken`.
async fn writes(write: &mut WriteHalf<'_>, own: Party, exchange: &Exchange, broken: &Cell<Option<Seen>>) {
    let script = exchange.script;
    let seed = seed(own, exchange);
    let total = script.total(own);
    let held_from = if script.ending.by() == own { total } else { total - total / 4 };
    let mut chunks = (0..).map(|nth| noise::word(seed ^ u64::MAX, nth) % u64::from(script.chunk) + 1);
    let mut sent = 0;
    while sent < total {
        if sent == held_from {
            exchange.until(|exchange| exchange.side(own).get().end.is_some()).await;
        }
        let until = if sent < held_from { held_from } else { total };
        let length = chunks.next().unwrap_or(1).min(until - sent);
        let chunk = noise::bytes(seed, sent, usize::try_from(length).unwrap_or(1));
        match write.write(&chunk).await {
            Ok(written) => sent += u64::try_from(written).unwrap_or(0),
            Err(error) => return broken.set(Some(seen(&error))),
        }
        exchange.change(own, |side| side.sent = sent);
        if !script.pause.is_zero() {
            sleep(script.pause).await;
        }
    }
    if script.ending == Ending::Reset(own) {
        return std::future::pending().await;
    }
    // The second to close closes after it saw the first one's end; where there was nothing to keep, here.
    if script.ending.by() != own {
        exchange.until(|exchange| exchange.side(own).get().end.is_some()).await;
    }
    drop(write.shutdown().await);
}
