//! Each fault, as a client meets it: packets.

use std::time::Duration;

use baton_broker_sim::{Config, Handle, start};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{Instant, timeout},
};

/// Longest wait for what comes at once.
const WITHIN: Duration = Duration::from_secs(20);
/// How long nothing has to come.
const QUIET: Duration = Duration::from_millis(300);
/// What a rule delays by, in these tests: longer than anything that isn't delayed takes.
pub(crate) const LATE: Duration = Duration::from_millis(500);

pub(crate) const PING: &[u8] = b"\xc0\0";
pub(crate) const PONG: &[u8] = b"\xd0\0";
pub(crate) const CONNACK: &[u8] = b"\x20\x02\0\0";
const SUBSCRIBE: &[u8] = b"\x82\x06\0\x01\0\x01t\x01";
const SUBACK: &[u8] = b"\x90\x03\0\x01\x01";

pub(crate) fn broker(faults: &str) -> Handle {
    start(Config { faults: faults.to_owned(), ..Config::default() }).unwrap()
}

/// A client of 3.1.1.
pub(crate) struct Client(pub(crate) TcpStream);

impl Client {
    pub(crate) async fn dial(broker: &Handle) -> Self {
        Self(TcpStream::connect(broker.addr()).await.unwrap())
    }

    /// Dials and says CONNECT; a name in capitals keeps its session.
    pub(crate) async fn connect(broker: &Handle, name: u8) -> Self {
        let mut client = Self::dial(broker).await;
        let clean = if name.is_ascii_uppercase() { 0 } else { 2 };
        client.send(&[b"\x10\x0d\0\x04MQTT\x04", &[clean][..], b"\0\0\0\x01", &[name]].concat()).await;
        client
    }

    pub(crate) async fn join(broker: &Handle, name: u8) -> Self {
        let mut client = Self::connect(broker, name).await;
        client.gets(CONNACK).await;
        client
    }

    /// A client of 5.
    async fn join_5(broker: &Handle) -> Self {
        let mut client = Self::dial(broker).await;
        client.send(b"\x10\x0e\0\x04MQTT\x05\x02\0\0\0\0\x01c").await;
        client.gets(b"\x20").await;
        let length = client.0.read_u8().await.unwrap();
        client.0.read_exact(&mut vec![0; usize::from(length)]).await.unwrap();
        client
    }

    pub(crate) async fn send(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).await.unwrap();
    }

    /// Publishes to "t" with QoS 1.
    pub(crate) async fn publish(&mut self, id: u8, payload: u8) {
        self.send(&[0x32, 6, 0, 1, b't', 0, id, payload]).await;
    }

    pub(crate) async fn gets(&mut self, bytes: &[u8]) {
        let mut got = vec![0; bytes.len()];
        let read = timeout(WITHIN, self.0.read_exact(&mut got)).await;
        read.unwrap_or_else(|_| panic!("{bytes:x?} in time")).unwrap();
        assert_eq!(got, bytes);
    }

    pub(crate) async fn gets_nothing(&mut self) {
        let mut byte = [0; 1];
        assert!(timeout(QUIET, self.0.read(&mut byte)).await.is_err(), "{byte:x?}");
    }

    /// What comes until the end; an error if it is a reset.
    pub(crate) async fn rest(&mut self) -> std::io::Result<Vec<u8>> {
        let mut got = Vec::new();
        timeout(WITHIN, self.0.read_to_end(&mut got)).await.expect("it ends")?;
        Ok(got)
    }
}

/// The hits of each rule.
pub(crate) fn hits(broker: &Handle) -> Vec<u64> {
    broker.faults().list().iter().map(|status| status.hits).collect()
}

#[tokio::test]
async fn a_packet_that_is_dropped_never_comes_and_the_next_one_does() {
    let broker = broker("drop puback 1\ndrop suback\ndrop pingresp first 1");
    let mut client = Client::join(&broker, b'c').await;
    client.publish(1, b'x').await;
    client.send(SUBSCRIBE).await;
    client.send(PING).await;
    client.gets_nothing().await;
    client.publish(2, b'x').await;
    client.send(PING).await;
    client.gets(b"\x32\x06\0\x01t\0\x01x\x40\x02\0\x02\xd0\0").await;
    assert_eq!(hits(&broker), [1, 1, 1]);
}

/// A message that is dropped has taught the client no alias.
#[tokio::test]
async fn a_message_that_is_dropped_takes_no_topic_with_it() {
    let broker = broker("drop publish 1");
    let mut client = Client::dial(&broker).await;
    client.send(b"\x10\x11\0\x04MQTT\x05\x02\0\0\x03\x22\0\x05\0\x01c").await;
    client.gets(b"\x20").await;
    let length = client.0.read_u8().await.unwrap();
    client.0.read_exact(&mut vec![0; usize::from(length)]).await.unwrap();
    client.send(b"\x82\x0b\0\x01\0\0\x05topic\0").await;
    client.gets(b"\x90\x04\0\x01\0\0").await;
    for payload in [b'a', b'b', b'c'] {
        client.send(&[b"\x30\x09\0\x05topic\0", &[payload][..]].concat()).await;
    }
    client.gets(b"\x30\x0c\0\x05topic\x03\x23\0\x01b\x30\x07\0\0\x03\x23\0\x01c").await;
    assert_eq!(hits(&broker), [1]);
}

/// A copy counts for nothing, and what is behind it comes all the same.
#[tokio::test]
async fn behind_a_large_copy() {
    const LARGE: usize = 70_000;
    let broker = broker("duplicate publish");
    for last in [PING, b"\xe0\0"] {
        let mut client = Client::join(&broker, b'c').await;
        client.send(b"\x82\x06\0\x01\0\x01t\0").await;
        client.gets(b"\x90\x03\0\x01\0").await;
        let message = [b"\x30\xf3\xa2\x04\0\x01t", vec![b'x'; LARGE].as_slice()].concat();
        client.send(&[&message[..], &message[..], last].concat()).await;
        for _ in 0..4 {
            client.gets(&message).await;
        }
        if last == PING {
            client.gets(PONG).await;
        } else {
            assert!(client.rest().await.unwrap().is_empty());
        }
    }
}

#[tokio::test]
async fn a_late_packet_is_overtaken() {
    let broker = broker("delay 500ms suback");
    let mut client = Client::join(&broker, b'c').await;
    let begun = Instant::now();
    client.send(SUBSCRIBE).await;
    client.send(PING).await;
    client.gets(PONG).await;
    client.gets(SUBACK).await;
    assert!(begun.elapsed() >= LATE, "{:?}", begun.elapsed());
    assert_eq!(hits(&broker), [1]);
}

#[tokio::test]
async fn messages_twice_and_in_the_wrong_order() {
    let broker = broker("duplicate publish 1\nreorder publish 1");
    let mut client = Client::join(&broker, b'c').await;
    client.send(b"\x82\x06\0\x01\0\x01t\0").await;
    client.gets(b"\x90\x03\0\x01\0").await;
    for payload in [b'a', b'b', b'c'] {
        client.send(&[0x30, 4, 0, 1, b't', payload]).await;
    }
    client.gets(b"\x30\x04\0\x01ta\x30\x04\0\x01ta\x30\x04\0\x01tc\x30\x04\0\x01tb").await;
    assert_eq!(hits(&broker), [1, 1]);
}

#[tokio::test]
async fn what_is_ignored_is_as_if_it_had_not_come() {
    let broker = broker("ignore publish 1\nignore pingreq 1 client c");
    let mut client = Client::join(&broker, b'c').await;
    client.publish(1, b'x').await;
    client.send(PING).await;
    client.gets_nothing().await;
    client.publish(2, b'x').await;
    client.gets(b"\x40\x02\0\x02").await;
    assert_eq!(broker.counts().publishes, [0, 1, 0]);
    assert_eq!(hits(&broker), [1, 1]);
}

#[tokio::test]
async fn refusals_of_either_mqtt() {
    // Quota exceeded isn't in 3.1.1: such a client is closed without a word.
    for (reason, old, new) in
        [("not-authorized", &b"\x20\x02\0\x05"[..], 0x87), ("0x03", b"\x20\x02\0\x03", 0x88), ("0x97", b"", 0x97)]
    {
        let broker = broker(&format!("connack {reason} first 2"));
        assert_eq!(Client::connect(&broker, b'c').await.rest().await.unwrap(), old, "{reason}");
        let mut client = Client::dial(&broker).await;
        client.send(b"\x10\x0e\0\x04MQTT\x05\x02\0\0\0\0\x01c").await;
        assert_eq!(client.rest().await.unwrap()[..4], [0x20, 3, 0, new]);
        let _welcome = Client::join(&broker, b'c').await;
        assert_eq!((hits(&broker), broker.counts().sessions), (vec![2], 1), "no session of those");
    }
}

#[tokio::test]
async fn a_lie_about_the_session() {
    let broker = broker("session-present yes 1\nsession-present no 3");
    Client::connect(&broker, b'K').await.gets(b"\x20\x02\x01\0").await;
    Client::connect(&broker, b'K').await.gets(b"\x20\x02\x01\0").await;
    Client::connect(&broker, b'K').await.gets(b"\x20\x02\0\0").await;
    assert_eq!(hits(&broker), [1, 1]);
}

#[tokio::test]
async fn sent_away_with_a_reason_that_only_5_can_tell() {
    let broker = broker("disconnect server-busy on packet 3 per connection\ndisconnect 0x8b after puback 2");
    let mut new = Client::join_5(&broker).await;
    new.send(PING).await;
    new.gets(PONG).await;
    new.send(PING).await;
    assert_eq!(new.rest().await.unwrap(), b"\xe0\x02\x89\0");
    let mut old = Client::join(&broker, b'o').await;
    old.publish(1, b'x').await;
    old.gets(b"\x40\x02\0\x01").await;
    old.publish(2, b'x').await;
    assert_eq!(old.rest().await.unwrap(), b"", "before the broker acted on it");
    assert_eq!(broker.counts().publishes, [0, 1, 0]);
    assert_eq!(hits(&broker), [2, 0]);
}

#[tokio::test]
async fn a_broker_that_lost_its_memory() {
    let broker = broker("");
    Client::join(&broker, b'K').await.send(b"\xe0\0").await;
    let mut kept = Client::connect(&broker, b'K').await;
    kept.gets(b"\x20\x02\x01\0").await;
    let mut other = Client::join(&broker, b'O').await;
    other.send(b"\x31\x04\0\x01tr\xc0\0").await;
    other.gets(PONG).await;
    broker.faults().add("forget sessions now client K").unwrap();
    assert_eq!(kept.rest().await.unwrap(), b"", "closed without a word");
    let mut again = Client::connect(&broker, b'K').await;
    again.gets(CONNACK).await;
    again.send(SUBSCRIBE).await;
    again.gets(&[SUBACK, b"\x31\x04\0\x01tr"].concat()).await;
    other.send(PING).await;
    other.gets(PONG).await;

    broker.faults().add("forget everything on pingreq").unwrap();
    other.send(PING).await;
    assert_eq!(other.rest().await.unwrap(), b"");
    let mut again = Client::connect(&broker, b'O').await;
    again.gets(CONNACK).await;
    again.send(SUBSCRIBE).await;
    again.gets(SUBACK).await;
    again.gets_nothing().await;
    assert_eq!(hits(&broker), [1, 1]);
}

#[tokio::test]
async fn a_crash_takes_everything_with_it() {
    let broker = broker("crash on publish");
    let mut bystander = Client::join(&broker, b'b').await;
    let mut client = Client::join(&broker, b'c').await;
    client.publish(1, b'x').await;
    for client in [&mut client, &mut bystander] {
        // Whether it's an end or a reset is the kernel's.
        assert!(client.rest().await.unwrap_or_default().is_empty());
    }
    let refused = async {
        while TcpStream::connect(broker.addr()).await.is_ok() {
            tokio::task::yield_now().await;
        }
    };
    timeout(WITHIN, refused).await.expect("the port closes");
    assert_eq!((broker.counts().connects, broker.faults().list()), (0, vec![]));
    assert!(broker.faults().add("drop puback").is_err());
}

#[tokio::test]
async fn a_crash_after_a_packet_lets_it_go_first() {
    let broker = broker("crash after pingresp");
    let mut client = Client::join(&broker, b'c').await;
    client.send(&[PING, PING].concat()).await;
    client.gets(PONG).await;
    // It may be a reset, as it is when a process dies with something unread.
    let rest = client.rest().await;
    assert!(rest.as_ref().is_ok_and(Vec::is_empty) || rest.is_err(), "{rest:?}");
}

#[tokio::test]
async fn rules_come_and_go_while_it_runs() {
    let broker = broker("");
    let (mut one, mut two) = (Client::join(&broker, b'1').await, Client::join(&broker, b'2').await);
    let first = broker.faults().add("drop pingresp client 1\ndisconnect now client 2").unwrap();
    assert_eq!(first, 1);
    assert_eq!(two.rest().await.unwrap(), b"");
    one.send(PING).await;
    one.gets_nothing().await;
    assert!(broker.faults().remove(1) && !broker.faults().remove(1));
    one.send(PING).await;
    one.gets(PONG).await;
    broker.faults().clear();
    assert_eq!(broker.faults().list(), []);
    assert_eq!(broker.faults().add("drop it").unwrap_err().kind(), std::io::ErrorKind::InvalidInput);
}

/// What a client library makes of it: rumqttc sends a message again that was cut off.
#[tokio::test]
async fn rumqttc_recovers_from_a_cut_and_from_a_lost_answer() {
    use rumqttc::{AsyncClient, Event, MqttOptions, Packet, QoS};

    let broker = broker("connack server-unavailable 1\ncut on publish 1\ncut after puback 2");
    let mut options = MqttOptions::new("c", "127.0.0.1", broker.addr().port());
    options.set_clean_session(false);
    let (client, mut events) = AsyncClient::new(options, 10);
    client.publish("t", QoS::AtLeastOnce, false, "x").await.unwrap();
    let mut errors = 0;
    let acknowledged = async {
        loop {
            match events.poll().await {
                Ok(Event::Incoming(Packet::PubAck(ack))) => return ack.pkid,
                Ok(_) => {}
                Err(_) => errors += 1,
            }
        }
    };
    assert_eq!(timeout(WITHIN, acknowledged).await.expect("in time"), 1);
    assert_eq!(errors, 2, "refused, then cut off");
    client.publish("t", QoS::AtLeastOnce, false, "y").await.unwrap();
    let cut = async { while events.poll().await.is_ok() {} };
    timeout(WITHIN, cut).await.expect("in time");
    assert_eq!((hits(&broker), broker.counts().publishes), (vec![1, 1, 1], [0, 2, 0]));
}
