//! The role from its start to its end.

use std::time::Duration;

use baton_process::run::Exit;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::Running;

const CONNECT_5: &[u8] = b"\x10\x0e\0\x04MQTT\x05\x02\0\0\0\0\x01c";
const CONNACK_BYTES: usize = 16;

async fn join(broker: &Running) -> TcpStream {
    let mut stream = TcpStream::connect(broker.plain).await.unwrap();
    stream.write_all(CONNECT_5).await.unwrap();
    stream.read_exact(&mut [0; CONNACK_BYTES]).await.unwrap();
    stream
}

/// Receive Maximum (0x21) and Server Keep Alive (0x13).
#[tokio::test]
async fn clients_are_told_what_is_configured() {
    let broker = Running::start(&["broker_sim.receive_maximum=7", "broker_sim.keep_alive=90s"]);
    let mut stream = TcpStream::connect(broker.plain).await.unwrap();
    stream.write_all(CONNECT_5).await.unwrap();
    let mut head = [0; 2];
    stream.read_exact(&mut head).await.unwrap();
    let mut connack = vec![0; head[1].into()];
    stream.read_exact(&mut connack).await.unwrap();
    for property in [[0x21, 0, 7], [0x13, 0, 90]] {
        assert!(connack.windows(3).any(|bytes| bytes == property), "{property:?} in {connack:02x?}");
    }
}

#[tokio::test]
async fn without_clients_it_ends_at_once() {
    let broker = Running::start(&["drain.deadline=1h"]);
    drop(TcpStream::connect(broker.home).await.unwrap());
    assert_eq!(broker.stop(), Exit::Done);
}

#[tokio::test]
async fn clients_that_stay_are_told_and_counted() {
    let broker = Running::start(&["drain.deadline=200ms"]);
    let mut stream = join(&broker).await;
    assert_eq!(broker.number("baton_broker_connections"), 1);
    let reading = async {
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).await.unwrap();
        drop(stream);
        rest
    };
    let (exit, rest) = tokio::join!(end(broker), reading);
    assert_eq!(exit, Exit::Left(1));
    assert_eq!(rest, b"\xe0\x02\x8b\0", "DISCONNECT, server shutting down");
}

#[tokio::test]
async fn a_drain_waits_for_clients_to_leave_and_takes_no_new_ones() {
    let broker = Running::start(&["drain.deadline=1h"]);
    let (stream, plain) = (join(&broker).await, broker.plain);
    let ending = tokio::spawn(end(broker));
    // The port closes as the drain begins.
    while TcpStream::connect(plain).await.is_ok() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(!ending.is_finished());
    drop(stream);
    assert_eq!(ending.await.unwrap(), Exit::Done);
}

/// SIGTERM, without holding up the test's own clients.
async fn end(broker: Running) -> Exit {
    let (sender, ended) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || sender.send(broker.stop()));
    ended.await.unwrap()
}
