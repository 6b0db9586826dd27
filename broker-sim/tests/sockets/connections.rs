//! Each fault, as a client meets it: bytes and connections.

use std::{io::ErrorKind, time::Duration};

use tokio::{io::AsyncReadExt, time::Instant};

use crate::faults::{CONNACK, Client, LATE, PING, PONG, broker, hits};

#[tokio::test]
async fn a_cut_is_a_reset() {
    for (rule, before) in [("cut on publish", &b""[..]), ("cut after puback", b"\x40\x02\0\x01")] {
        let broker = broker(rule);
        let mut client = Client::join(&broker, b'c').await;
        client.publish(1, b'x').await;
        client.gets(before).await;
        assert_eq!(client.rest().await.unwrap_err().kind(), ErrorKind::ConnectionReset, "{rule}");
        assert_eq!(hits(&broker), [1]);
    }
}

/// What comes behind the packet that is cut at is nobody's, whatever it is; and others are served.
#[tokio::test]
async fn behind_a_cut_nothing_counts() {
    for rest in [&b"\x00"[..], b"\xff\xff\xff\xff\xff", PING, b"\x32\x06\0\x01t\0\x01x"] {
        let broker = broker("cut on connect client c\nignore pingreq client c");
        let mut client = Client::dial(&broker).await;
        client.send(&[b"\x10\x0d\0\x04MQTT\x04\x02\0\0\0\x01c", rest].concat()).await;
        assert_eq!(client.rest().await.unwrap_err().kind(), ErrorKind::ConnectionReset, "{rest:02x?}");
        let mut other = Client::join(&broker, b'o').await;
        other.send(PING).await;
        other.gets(PONG).await;
        assert_eq!(hits(&broker), [1, 0], "{rest:02x?}");
    }
}

#[tokio::test]
async fn half_closed_it_still_listens() {
    let broker = broker("half-close after connack client h");
    let mut client = Client::connect(&broker, b'h').await;
    assert_eq!(client.rest().await.unwrap(), CONNACK);
    client.publish(1, b'x').await;
    let mut other = Client::join(&broker, b'o').await;
    while broker.counts().publishes[1] == 0 {
        other.send(PING).await;
        other.gets(PONG).await;
    }
    assert_eq!(hits(&broker), [1]);
}

#[tokio::test]
async fn bytes_that_dribble() {
    const PAUSE: Duration = Duration::from_millis(100);
    let broker = broker("dribble 1 per 100ms on open");
    let mut client = Client::connect(&broker, b'c').await;
    let begun = Instant::now();
    let mut got = Vec::new();
    while got.len() < CONNACK.len() {
        let mut buffer = [0; 16];
        let read = client.0.read(&mut buffer).await.unwrap();
        got.extend_from_slice(&buffer[..read]);
    }
    assert_eq!(got, CONNACK);
    // The first byte goes at once.
    assert!(begun.elapsed() >= PAUSE * 3 - Duration::from_millis(50), "{:?}", begun.elapsed());
    assert_eq!(hits(&broker), [1]);
}

#[tokio::test]
async fn reads_and_writes_that_stand_still() {
    for rule in ["stall reads 500ms after connack", "stall writes 500ms after connack"] {
        let broker = broker(rule);
        let mut client = Client::join(&broker, b'c').await;
        let begun = Instant::now();
        client.send(PING).await;
        client.gets(PONG).await;
        assert!(begun.elapsed() >= LATE - Duration::from_millis(50), "{rule}: {:?}", begun.elapsed());
        let begun = Instant::now();
        client.send(PING).await;
        client.gets(PONG).await;
        assert!(begun.elapsed() < LATE, "{rule}: once");
        assert_eq!(hits(&broker), [1]);
    }
}

#[tokio::test]
async fn an_end_after_a_while() {
    let broker = broker("cut after 500ms client c");
    let begun = Instant::now();
    let (mut client, mut other) = (Client::join(&broker, b'c').await, Client::join(&broker, b'o').await);
    assert_eq!(client.rest().await.unwrap_err().kind(), ErrorKind::ConnectionReset);
    assert!(begun.elapsed() >= LATE - Duration::from_millis(50));
    other.send(PING).await;
    other.gets(PONG).await;
    assert_eq!(hits(&broker), [1]);
}

#[tokio::test]
async fn small_writes_are_whole_packets_for_whoever_reads_them_together() {
    let broker = broker("split 1 on open");
    let mut client = Client::join(&broker, b'c').await;
    client.send(PING).await;
    client.gets(PONG).await;
    assert_eq!(hits(&broker), [1]);
}
