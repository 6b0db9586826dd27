//! The broker's side.

use std::{io, rc::Rc};

use baton_drill::{bytes::Party, mqtt::Frame};
use baton_process::{
    env::Env,
    net::{Listen, Stream},
    phase::Phase,
    run::Exit,
};
use rand::rngs::SmallRng;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    task::spawn_local,
};

use super::{Book, play};
use crate::judge::Judge;

/// A broker that only records: it knows every client by the CONNECT that it must get, and tells a probe that it is well.
pub(crate) async fn record<L: Listen>(listener: L, book: Rc<Book>, env: Env) -> io::Result<Exit> {
    env.phases.enter(Phase::Serving);
    let mut listener = listener;
    let mut env = env;
    loop {
        let (stream, _) = listener.accept().await?;
        let chance = rand::SeedableRng::from_rng(&mut env.chance);
        spawn_local(recorder(stream, Rc::clone(&book), chance));
    }
}

async fn recorder<S: Stream>(mut stream: S, book: Rc<Book>, mut chance: SmallRng) {
    let mut packet = Vec::new();
    while !matches!(Frame::take(&packet), Ok(Some(_))) {
        // An orphan: its open was answered, and the answer was lost.
        let Ok(byte) = stream.read_u8().await else { return };
        packet.push(byte);
    }
    if stream.write_all(&[0x20, 2, 0, 0]).await.is_err() {
        return;
    }
    let exchange = book.all().into_iter().find(|exchange| exchange.connect() == packet[..]);
    let Some(exchange) = exchange else { return answer_pings(stream).await };
    let judge = Judge::current();
    exchange.connects.set(exchange.connects.get() + 1);
    if exchange.connects.get() > 1 {
        return judge.violated(&format!("a CONNECT was delivered twice: {}", exchange.show()));
    }
    play(stream, Party::Broker, &exchange, &judge, &mut chance).await;
}

async fn answer_pings<S: Stream>(mut stream: S) {
    let mut ping = [0; 2];
    while stream.read_exact(&mut ping).await.is_ok() {
        if stream.write_all(&[0xd0, 0]).await.is_err() {
            return;
        }
    }
}
