//! Many clients that do anything at any time, packets damaged on the way included. Whatever comes, the broker doesn't
//! panic, says nothing to a connection that it has closed (the desk checks that), and forgets those who are gone.

use baton_broker_sim::{
    broker::{ConnId, Limits},
    codec::Codec,
};
use bytes::BytesMut;
use rmqtt_codec::{
    types::QoS,
    v5::{
        Codec as Codec5, Connect, Disconnect, DisconnectReasonCode, Packet, RetainHandling, Subscribe,
        SubscriptionOptions, Unsubscribe,
    },
};
use tokio_util::codec::Encoder;

use crate::desk::{Desk, message, puback, pubcomp, pubrec, pubrel, with_will};

const TOPICS: [&str; 7] = ["a", "a/b", "a/b/c", "b", "$SYS/a", "", "a/+"];
const FILTERS: [&str; 8] = ["#", "a/#", "+/b", "$share/g/a/#", "$share/h/+", "a/b/c", "$SYS/+", "bad/#/x"];
const CLIENTS: [&str; 6] = ["", "c", "d", "e", "f", "g"];

/// A generator that a failing run's seed repeats.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) % sides
    }

    fn small(&mut self, sides: u16) -> u16 {
        u16::try_from(self.roll(u64::from(sides))).unwrap()
    }

    fn one_in(&mut self, sides: u64) -> bool {
        self.roll(sides) == 0
    }

    fn of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[usize::from(self.small(u16::try_from(choices.len()).unwrap()))]
    }

    fn qos(&mut self) -> QoS {
        self.of(&[QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce])
    }

    fn packet(&mut self) -> Packet {
        let id = 1 + self.small(6);
        match self.roll(12) {
            0 if self.one_in(20) => Packet::Connect(Box::new(self.connect())),
            0 | 1 => self.subscribe(id),
            2 => Packet::Unsubscribe(Unsubscribe {
                packet_id: id.try_into().unwrap(),
                user_properties: Vec::new(),
                topic_filters: vec![self.of(&FILTERS).into()],
            }),
            3 => puback(id),
            4 => pubrec(id),
            5 => pubrel(id),
            6 => pubcomp(id),
            7 if self.one_in(10) => {
                let code = self
                    .of(&[DisconnectReasonCode::NormalDisconnection, DisconnectReasonCode::DisconnectWithWillMessage]);
                let session_expiry_interval_secs = self.one_in(2).then(|| u32::from(self.small(3)));
                Packet::Disconnect(Disconnect { session_expiry_interval_secs, ..Disconnect::new(code) })
            }
            7 => Packet::PingRequest,
            _ => self.publish(id),
        }
    }

    fn connect(&mut self) -> Connect {
        let connect = Connect {
            clean_start: self.one_in(2),
            client_id: self.of(&CLIENTS).into(),
            keep_alive: self.small(3) * 10,
            session_expiry_interval_secs: self.of(&[0, 5, 100, u32::MAX]),
            receive_max: self.small(4).try_into().ok(),
            max_packet_size: self.of(&[0, 70, 200]).try_into().ok(),
            ..Connect::default()
        };
        if self.one_in(2) { with_will(connect, self.of(&TOPICS), "will", u32::from(self.small(20))) } else { connect }
    }

    fn subscribe(&mut self, id: u16) -> Packet {
        let options = |dice: &mut Self| SubscriptionOptions {
            qos: dice.qos(),
            no_local: dice.one_in(8),
            retain_as_published: dice.one_in(2),
            retain_handling: dice.of(&[
                RetainHandling::AtSubscribe,
                RetainHandling::AtSubscribeNew,
                RetainHandling::NoAtSubscribe,
            ]),
        };
        let topic_filters = (0..=self.roll(2)).map(|_| (self.of(&FILTERS).into(), options(self))).collect();
        let sub_id = u32::from(self.small(3)).try_into().ok();
        Packet::Subscribe(Subscribe {
            packet_id: id.try_into().unwrap(),
            id: sub_id,
            user_properties: Vec::new(),
            topic_filters,
        })
    }

    fn publish(&mut self, id: u16) -> Packet {
        let topics = if self.one_in(100) { &TOPICS[..] } else { &TOPICS[..5] };
        let (topic, qos) = (self.of(topics), self.qos());
        let payload = "x".repeat(self.of(&[0, 1, 10, 150]));
        message(topic, &payload, qos, |publish| {
            publish.packet_id = publish.packet_id.and(id.try_into().ok());
            publish.retain = self.one_in(4);
            publish.dup = self.one_in(4);
            let properties = publish.properties.as_mut().unwrap();
            properties.topic_alias = self.small(4).try_into().ok().filter(|_| !topic.is_empty() || self.one_in(3));
            properties.message_expiry_interval = u32::from(self.small(3)).try_into().ok();
        })
    }

    /// The packet's bytes, with one of them changed now and then.
    fn bytes(&mut self, packet: Packet) -> Vec<u8> {
        let mut bytes = BytesMut::new();
        Codec5::default().encode(packet, &mut bytes).unwrap();
        if self.one_in(200) {
            let at = usize::from(self.small(u16::try_from(bytes.len()).unwrap()));
            bytes[at] ^= 1 << self.roll(8);
        }
        bytes.to_vec()
    }
}

struct Client {
    conn: ConnId,
    codec: Codec,
}

fn act(desk: &mut Desk, dice: &mut Dice, clients: &mut Vec<Client>) {
    match dice.roll(20) {
        0 => desk.pass(dice.of(&[1, 100, 1_000, 8_000])),
        1 if clients.len() < 8 => {
            let (conn, connect) = (desk.open(), dice.connect());
            let mut client = Client { conn, codec: Codec::default() };
            let bytes = dice.bytes(Packet::Connect(Box::new(connect)));
            feed(desk, &mut client, &bytes);
            clients.push(client);
        }
        2 if !clients.is_empty() && dice.one_in(4) => {
            let at = usize::from(dice.small(u16::try_from(clients.len()).unwrap()));
            desk.cut(clients.swap_remove(at).conn);
        }
        3 => {
            for client in clients.iter() {
                if dice.one_in(2) {
                    desk.unstick(client.conn);
                } else {
                    desk.stuck.insert(client.conn);
                }
            }
        }
        _ if !clients.is_empty() => {
            let at = usize::from(dice.small(u16::try_from(clients.len()).unwrap()));
            let packet = dice.packet();
            let bytes = dice.bytes(packet);
            feed(desk, &mut clients[at], &bytes);
        }
        _ => {}
    }
    clients.retain(|client| desk.closed(client.conn).is_none());
}

fn feed(desk: &mut Desk, client: &mut Client, bytes: &[u8]) {
    let framed = match client.codec.frame(bytes, 4096) {
        Ok(Some(length)) => client.codec.decode(&bytes[..length]),
        Ok(None) => return,
        Err(fault) => Err(fault),
    };
    match framed {
        Ok(packet) => desk.send(client.conn, packet),
        Err(fault) => desk.fault(client.conn, fault),
    }
}

#[test]
fn whatever_comes() {
    let limits = Limits {
        sessions: 6,
        subscriptions: 4,
        retained: 3,
        queued_messages: 5,
        queued_bytes: 400,
        unsent_bytes: 300,
        inflight: 3,
        ..Limits::default()
    };
    let mut delivered = 0;
    for seed in 1..=300 {
        let (mut desk, mut dice, mut clients) = (Desk::with(limits.clone()), Dice(seed << 32 | seed), Vec::new());
        for _ in 0..1_000 {
            act(&mut desk, &mut dice, &mut clients);
            let counts = desk.broker.counts();
            assert!(counts.sessions <= 6 && counts.connections == clients.len(), "{seed}");
        }
        for client in clients.drain(..) {
            desk.cut(client.conn);
        }
        let kept = desk.broker.counts();
        // A damaged expiry may be anything up to 2^32 s.
        desk.pass(5_000_000_000_000);
        assert_eq!(desk.broker.poll_timeout(), None, "{seed}: nothing is due");
        assert_eq!(kept.connections, 0, "{seed}");
        delivered += kept.delivered.iter().sum::<u64>();
    }
    assert!(delivered > 30_000, "{delivered}: the noise is heard");
}
