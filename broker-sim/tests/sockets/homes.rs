//! The broker as an anchor sees it.

use baton_anchor::{Backend, Opening};
use baton_broker_sim::{broker::Limits, homes::Inside, serve::BrokerHandle};
use baton_process::{clock::Clock, metrics::Metrics};
use baton_protocol::id::{SessionKey, UserId};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    runtime::{Builder, LocalOptions},
};

/// Will topic "t", will message "w".
const CONNECT: &[u8] = b"\x10\x13\0\x04MQTT\x04\x06\0\0\0\x01c\0\x01t\0\x01w";
const CONNACK: &[u8] = b"\x20\x02\0\0";

fn run(test: impl Future<Output = ()>) {
    Builder::new_current_thread().enable_all().build_local(LocalOptions::default()).unwrap().block_on(test);
}

fn opening() -> Opening {
    let sid = SessionKey::from_bytes([7; 32]).sid();
    Opening { sid, user: UserId::new("u"), client: Some("192.0.2.1:7".into()) }
}

async fn join(home: &Inside) -> <Inside as Backend>::Stream {
    let mut stream = home.dial(&opening()).await.unwrap();
    stream.write_all(CONNECT).await.unwrap();
    let mut got = [0; 4];
    stream.read_exact(&mut got).await.unwrap();
    assert_eq!(got, CONNACK);
    stream
}

#[test]
fn homes_share_topics_and_client_ids() {
    run(async {
        let broker = BrokerHandle::new(Limits::default(), Clock::start(), &Metrics::new("broker-sim"));
        let homes = [Inside::new(&broker), Inside::new(&broker)];
        let mut first = join(&homes[0]).await;
        let second = join(&homes[1]).await;
        assert_eq!(first.read(&mut [0; 1]).await.unwrap(), 0, "taken over: closed in order");
        drop((first, second));
        broker.fewer_than(1).await;
        let counts = broker.counts();
        assert_eq!((counts.takeovers, counts.connects, counts.sessions), (1, 2, 0));
    });
}

#[test]
fn a_reset_brings_the_will_and_a_disconnect_is_answered_by_a_close() {
    run(async {
        let broker = BrokerHandle::new(Limits::default(), Clock::start(), &Metrics::new("broker-sim"));
        let home = Inside::new(&broker);
        Inside::reset(join(&home).await);
        broker.fewer_than(1).await;
        assert_eq!((broker.counts().wills, broker.counts().connections), (1, 0));

        let mut stream = join(&home).await;
        assert_eq!(broker.served(), 1);
        stream.write_all(b"\xe0\0").await.unwrap();
        assert_eq!(stream.read(&mut [0; 1]).await.unwrap(), 0);
        assert_eq!(broker.counts().wills, 1);
        drop(stream);
        broker.fewer_than(1).await;
    });
}

#[test]
fn a_half_closed_stream_is_closed_in_order_from_the_other_side() {
    run(async {
        let broker = BrokerHandle::new(Limits::default(), Clock::start(), &Metrics::new("broker-sim"));
        let home = Inside::new(&broker);
        let mut stream = join(&home).await;
        stream.shutdown().await.unwrap();
        assert_eq!(stream.read(&mut [0; 1]).await.unwrap(), 0, "no reset: nothing broke");
        assert_eq!(broker.counts().wills, 1);
    });
}
