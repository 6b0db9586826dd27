//! Clients that do what no library would.

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use crate::Running;

const CONNECT_311: &[u8] = b"\x10\x0d\0\x04MQTT\x04\x02\0\0\0\x01c";
/// Without reason strings.
const CONNECT_5: &[u8] = b"\x10\x10\0\x04MQTT\x05\x02\0\0\x02\x17\0\0\x01c";
/// What is answered to `CONNECT_5`: Receive Maximum 1,024, Maximum Packet Size 4 MiB, Topic Alias Maximum 32.
const CONNACK_5: &[u8] = b"\x20\x0e\0\0\x0b\x21\x04\0\x27\0\x40\0\0\x22\0\x20";
const CONNACK_311: &[u8] = b"\x20\x02\0\0";
const PING: &[u8] = b"\xc0\0";
const PONG: &[u8] = b"\xd0\0";

async fn dial(broker: &Running) -> TcpStream {
    TcpStream::connect(broker.plain).await.unwrap()
}

/// Dials, connects with 3.1.1 as `client`, and reads the CONNACK.
async fn join(broker: &Running, client: u8) -> TcpStream {
    let mut stream = dial(broker).await;
    stream.write_all(&[&CONNECT_311[..14], &[client]].concat()).await.unwrap();
    expect(&mut stream, CONNACK_311).await;
    stream
}

async fn expect(stream: &mut TcpStream, bytes: &[u8]) {
    let mut got = vec![0; bytes.len()];
    stream.read_exact(&mut got).await.unwrap();
    assert_eq!(got, bytes);
}

async fn rest(mut stream: TcpStream) -> Vec<u8> {
    let mut got = Vec::new();
    timeout(Duration::from_secs(10), stream.read_to_end(&mut got)).await.expect("it is closed").unwrap();
    got
}

#[tokio::test]
async fn bad_input_gets_the_answer_that_mqtt_prescribes_and_a_close() {
    let after = |connect: &[u8], more: &[u8]| [connect, more].concat();
    let cases = [
        ("no MQTT", b"HEAD / HTTP/1.1\r\n\r\n".to_vec(), vec![]),
        ("TLS", b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03".to_vec(), vec![]),
        ("no CONNECT", PING.to_vec(), vec![]),
        ("an unknown level", b"\x10\x0d\0\x04MQTT\x06\x02\0\0\0\x01c".to_vec(), b"\x20\x02\0\x01".to_vec()),
        ("3.1.1 without a client id", b"\x10\x0c\0\x04MQTT\x04\0\0\0\0\0".to_vec(), b"\x20\x02\0\x02".to_vec()),
        ("5, reserved flag", b"\x10\x0e\0\x04MQTT\x05\x03\0\0\0\0\x01c".to_vec(), b"\x20\x03\0\x81\0".to_vec()),
        ("a huge CONNECT", b"\x10\xff\xff\xff\x7f".to_vec(), vec![]),
        ("an endless length", b"\x10\xff\xff\xff\xff\xff".to_vec(), vec![]),
        ("5, malformed", after(CONNECT_5, b"\x82\x02\0\x01"), after(CONNACK_5, b"\xe0\x02\x81\0")),
        ("5, too large", after(CONNECT_5, b"\x30\xff\xff\xff\x7f"), after(CONNACK_5, b"\xe0\x02\x95\0")),
        ("5, a wildcard", after(CONNECT_5, b"\x30\x05\0\x01#\0x"), after(CONNACK_5, b"\xe0\x02\x90\0")),
        ("5, a second CONNECT", after(CONNECT_5, CONNECT_5), after(CONNACK_5, b"\xe0\x02\x82\0")),
        ("3.1.1, malformed", after(CONNECT_311, b"\x82\x02\0\0"), CONNACK_311.to_vec()),
        ("3.1.1, DISCONNECT", after(CONNECT_311, b"\xe0\0"), CONNACK_311.to_vec()),
    ];
    let broker = Running::start(&[]);
    for (name, input, answer) in cases {
        let mut stream = dial(&broker).await;
        stream.write_all(&input).await.unwrap();
        assert_eq!(rest(stream).await, answer, "{name}");
    }
    broker.stop();
}

#[tokio::test]
async fn packets_that_come_byte_by_byte_or_many_at_once() {
    let broker = Running::start(&[]);
    let mut stream = dial(&broker).await;
    stream.set_nodelay(true).unwrap();
    for byte in CONNECT_311 {
        stream.write_all(&[*byte]).await.unwrap();
        // Lets the byte go by itself.
        tokio::task::yield_now().await;
    }
    expect(&mut stream, CONNACK_311).await;
    stream.write_all(&PING.repeat(1000)).await.unwrap();
    expect(&mut stream, &PONG.repeat(1000)).await;
    drop(stream);
    broker.stop();
}

#[tokio::test]
async fn a_client_that_asks_and_does_not_listen_is_no_longer_read_and_loses_nothing() {
    let broker = Running::start(&[]);
    let mut stream = join(&broker, b'c').await;
    let pings = PING.repeat(4096);
    let mut sent = 0;
    // Full in both directions: as many requests as the sockets hold, and the broker takes no more.
    while let Ok(written) = timeout(Duration::from_millis(500), stream.write(&pings[sent % 2..])).await {
        sent += written.unwrap();
        assert!(sent < 256 << 20, "the broker reads on and on");
    }
    let mut other = join(&broker, b'd').await;
    other.write_all(PING).await.unwrap();
    expect(&mut other, PONG).await;

    let (mut got, mut buffer) = (0, vec![0; 1 << 16]);
    while got < sent / 2 * 2 {
        let read = timeout(Duration::from_secs(10), stream.read(&mut buffer)).await.expect("answers go on").unwrap();
        got += read;
    }
    assert_eq!(got, sent / 2 * 2, "an answer for each");
    drop((stream, other));
    broker.stop();
}

#[tokio::test]
async fn a_client_that_does_not_read_harms_only_itself() {
    const SUBSCRIBE: &[u8] = b"\x82\x06\0\x01\0\x01t\0";
    const SUBACK: &[u8] = b"\x90\x03\0\x01\0";
    const MESSAGES: usize = 2000;
    let broker = Running::start(&[]);
    let (mut slow, mut fast, mut publisher) =
        (join(&broker, b's').await, join(&broker, b'f').await, join(&broker, b'p').await);
    for stream in [&mut slow, &mut fast] {
        stream.write_all(SUBSCRIBE).await.unwrap();
        expect(stream, SUBACK).await;
    }
    // 16,384 bytes: remaining length 16,381, topic "t".
    let mut message = b"\x30\xfd\x7f\0\x01t".to_vec();
    message.resize(16_384, b'x');
    // In step, so that the one who reads is never behind.
    for _ in 0..MESSAGES / 10 {
        let (sent, mut got) = (message.repeat(10), vec![0; 10 * message.len()]);
        let (written, read) = tokio::join!(publisher.write_all(&sent), fast.read_exact(&mut got));
        written.and(read).unwrap();
        assert!(got == sent);
    }
    let dropped = broker.number("baton_broker_dropped_total");
    assert!(dropped > 0 && dropped < MESSAGES as u64, "{dropped}");
    let mut got = vec![0; message.len()];
    for _ in 0..MESSAGES as u64 - dropped {
        slow.read_exact(&mut got).await.unwrap();
        assert!(got == message, "whole messages only");
    }
    slow.write_all(PING).await.unwrap();
    expect(&mut slow, PONG).await;
    drop((slow, fast, publisher));
    broker.stop();
}

#[tokio::test]
async fn a_lost_connection_brings_the_will_and_a_disconnect_does_not() {
    let broker = Running::start(&[]);
    let mut watch = join(&broker, b'w').await;
    watch.write_all(b"\x82\x06\0\x01\0\x01t\0").await.unwrap();
    expect(&mut watch, b"\x90\x03\0\x01\0").await;
    for (last, wills) in [(&b""[..], 1), (b"\xe0\0", 1), (b"", 2)] {
        let mut stream = dial(&broker).await;
        // Will topic "t", will message "w".
        stream.write_all(b"\x10\x13\0\x04MQTT\x04\x06\0\0\0\x01c\0\x01t\0\x01w").await.unwrap();
        expect(&mut stream, CONNACK_311).await;
        stream.write_all(last).await.unwrap();
        stream.shutdown().await.unwrap();
        assert_eq!(rest(stream).await, b"");
        assert_eq!(broker.number("baton_broker_wills_total"), wills);
    }
    expect(&mut watch, &b"\x30\x04\0\x01tw".repeat(2)).await;
    drop(watch);
    broker.stop();
}
