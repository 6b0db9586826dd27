//! Many clients that do anything at any time, packets damaged on the way included. Whatever comes, the broker doesn't
//! panic, says nothing to a connection that it has closed (the desk checks that), keeps to its limits, and serves a
//! bystander. The fuzz target `broker` draws from here as well.

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

use super::desk::{Desk, Q1, message, puback, pubcomp, pubrec, pubrel, with_will};

const TOPICS: [&str; 7] = ["a", "a/b", "a/b/c", "b/long", "$SYS/a", "", "a/+"];
const FILTERS: [&str; 8] = ["#", "a/#", "+/b", "$share/g/a/#", "$share/h/+", "a/b/c", "$SYS/+", "bad/#/x"];
/// MQTT sessions that the broker keeps: fewer than there are names.
const SESSIONS: usize = 6;
const CLIENTS: [&str; 6] = ["", "c", "d", "e", "f", "g"];

/// Where the crowd's decisions come from: asked for a number below another, of at most 256.
pub(crate) struct Dice<'a>(pub(crate) &'a mut dyn FnMut(u64) -> u64);

impl Dice<'_> {
    fn roll(&mut self, sides: u64) -> u64 {
        (self.0)(sides)
    }

    fn small(&mut self, sides: u16) -> u16 {
        u16::try_from(self.roll(u64::from(sides))).unwrap()
    }

    fn one_in(&mut self, sides: u64) -> bool {
        self.roll(sides) == 0
    }

    fn of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.which(choices.len())]
    }

    fn which(&mut self, count: usize) -> usize {
        usize::from(self.small(u16::try_from(count).unwrap()))
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
            topic_alias_max: self.small(3),
            request_problem_info: self.one_in(2),
            request_response_info: self.one_in(2),
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
            // At QoS 0 it is malformed.
            publish.dup = self.one_in(4) && (qos != QoS::AtMostOnce || self.one_in(100));
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
            let at = self.which(bytes.len());
            bytes[at] ^= 1 << self.roll(8);
        }
        bytes.to_vec()
    }
}

struct Client {
    conn: ConnId,
    codec: Codec,
}

/// The crowd, the broker that it crowds, and somebody who has no part in it.
pub(crate) struct Crowd {
    desk: Desk,
    clients: Vec<Client>,
    bystander: ConnId,
}

impl Crowd {
    pub(crate) fn new() -> Self {
        let limits = Limits {
            sessions: SESSIONS,
            subscriptions: 4,
            retained: 3,
            queued_messages: 5,
            queued_bytes: 400,
            unsent_bytes: 300,
            inflight: 3,
            receive: 6.try_into().unwrap(),
            keep_alive: 25.try_into().ok(),
            ..Limits::default()
        };
        let mut desk = Desk::with(limits);
        let bystander = desk.listener("bystander", &["quiet"], Q1);
        Self { desk, clients: Vec::new(), bystander }
    }

    /// Somebody does something; the bystander is served all the same.
    pub(crate) fn act(&mut self, dice: &mut Dice<'_>) {
        let Self { desk, clients, .. } = self;
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
                let at = dice.which(clients.len());
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
                let at = dice.which(clients.len());
                let packet = dice.packet();
                let bytes = dice.bytes(packet);
                feed(desk, &mut clients[at], &bytes);
            }
            _ => {}
        }
        clients.retain(|client| desk.closed(client.conn).is_none());
        self.check();
    }

    fn check(&mut self) {
        let counts = self.desk.broker.counts();
        assert!(counts.sessions <= SESSIONS && counts.connections == self.clients.len() + 1, "{counts:?}");
        self.desk.send(self.bystander, Packet::PingRequest);
        assert_eq!(self.desk.got(self.bystander), [Packet::PingResponse]);
    }

    /// Everybody goes, the bystander last, and is forgotten in time; how many messages were delivered.
    pub(crate) fn go_home(mut self) -> u64 {
        for client in self.clients.drain(..) {
            self.desk.cut(client.conn);
        }
        self.desk.publish(self.bystander, "quiet", "still here", Q1);
        assert_eq!(self.desk.heard(self.bystander), ["quiet still here 1"]);
        self.desk.cut(self.bystander);
        let kept = self.desk.broker.counts();
        assert_eq!(kept.connections, 0);
        // A damaged expiry may be anything up to 2^32 s.
        self.desk.pass(5_000_000_000_000);
        assert_eq!(self.desk.broker.poll_timeout(), None, "nothing is due");
        kept.delivered.iter().sum()
    }
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
