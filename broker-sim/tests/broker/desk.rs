//! A broker with everything that it says laid out, and a clock to turn.

use std::collections::{BTreeMap, BTreeSet};

use baton_broker_sim::broker::{Broker, Closing, ConnId, Fault, Limits, Output};
use bytes::BytesMut;
use rmqtt_codec::{
    types::{Publish, QoS},
    v5::{
        Codec, Connect, ConnectAck, Disconnect, LastWill, Packet, PublishAck, PublishAck2, PublishProperties,
        Subscribe, SubscribeAckReason, SubscriptionOptions, Unsubscribe,
    },
};

use tokio_util::codec::Encoder;

pub(crate) use QoS::{AtLeastOnce as Q1, AtMostOnce as Q0, ExactlyOnce as Q2};

/// Session expiry that keeps a session for an hour.
pub(crate) const HOUR: u32 = 3600;

pub(crate) struct Desk {
    pub(crate) broker: Broker,
    pub(crate) now: u64,
    said: BTreeMap<ConnId, Vec<Packet>>,
    closed: BTreeMap<ConnId, Closing>,
    /// Connections that write nothing of what they are given.
    pub(crate) stuck: BTreeSet<ConnId>,
    unwritten: BTreeMap<ConnId, usize>,
    /// The Maximum Packet Size of those who have one.
    most: BTreeMap<ConnId, usize>,
}

impl Desk {
    pub(crate) fn new() -> Self {
        Self::with(Limits::default())
    }

    pub(crate) fn with(limits: Limits) -> Self {
        Self::of(Broker::new(limits))
    }

    pub(crate) fn of(broker: Broker) -> Self {
        Self {
            broker,
            now: 1_000_000,
            said: BTreeMap::new(),
            closed: BTreeMap::new(),
            stuck: BTreeSet::new(),
            unwritten: BTreeMap::new(),
            most: BTreeMap::new(),
        }
    }

    pub(crate) fn open(&mut self) -> ConnId {
        let conn = self.broker.connected(self.now);
        self.collect();
        conn
    }

    pub(crate) fn send(&mut self, conn: ConnId, packet: Packet) {
        if let Packet::Connect(connect) = &packet {
            // What a second one says doesn't count.
            self.most.entry(conn).or_insert(connect.max_packet_size.map_or(usize::MAX, |most| most.get() as usize));
        }
        self.broker.handle(conn, packet, self.now);
        self.collect();
    }

    /// Opens a connection and sends a CONNECT; what comes back is still there to be `got`.
    pub(crate) fn ask(&mut self, connect: Connect) -> ConnId {
        let conn = self.open();
        self.send(conn, Packet::Connect(Box::new(connect)));
        conn
    }

    /// A CONNECT that must be accepted, and its CONNACK.
    pub(crate) fn join_with(&mut self, connect: Connect) -> (ConnId, ConnectAck) {
        let conn = self.ask(connect);
        let mut said = self.got(conn);
        let Packet::ConnectAck(ack) = said.remove(0) else { panic!("{said:?}") };
        assert_eq!(u8::from(ack.reason_code), 0);
        self.said.insert(conn, said);
        (conn, *ack)
    }

    /// A client with a clean session.
    pub(crate) fn join(&mut self, client: &str) -> ConnId {
        self.join_with(clean(client)).0
    }

    /// A client that subscribes to each filter with this QoS and empty options.
    pub(crate) fn listener(&mut self, client: &str, filters: &[&str], qos: QoS) -> ConnId {
        let conn = self.join(client);
        self.subscribe(conn, filters, qos);
        conn
    }

    pub(crate) fn subscribe(&mut self, conn: ConnId, filters: &[&str], qos: QoS) {
        let options = SubscriptionOptions { qos, ..SubscriptionOptions::default() };
        let codes = self.subscribe_with(conn, filters, options, None);
        assert!(codes.iter().all(|code| u8::from(*code) == u8::from(qos)), "{codes:?}");
    }

    pub(crate) fn subscribe_with(
        &mut self,
        conn: ConnId,
        filters: &[&str],
        options: SubscriptionOptions,
        id: Option<u32>,
    ) -> Vec<SubscribeAckReason> {
        let topic_filters = filters.iter().map(|filter| ((*filter).into(), options)).collect();
        let id = id.map(|id| id.try_into().unwrap());
        let packet_id = 77.try_into().unwrap();
        let subscribe = Subscribe { packet_id, id, user_properties: Vec::new(), topic_filters };
        self.send(conn, Packet::Subscribe(subscribe));
        let said = self.said.entry(conn).or_default();
        let at = said.iter().position(|packet| matches!(packet, Packet::SubscribeAck(_))).expect("a SUBACK");
        let Packet::SubscribeAck(ack) = said.remove(at) else { unreachable!() };
        assert_eq!(ack.packet_id, packet_id);
        ack.status
    }

    pub(crate) fn unsubscribe(&mut self, conn: ConnId, filters: &[&str]) -> Vec<u8> {
        let topic_filters = filters.iter().map(|filter| (*filter).into()).collect();
        let unsubscribe = Unsubscribe { packet_id: 78.try_into().unwrap(), user_properties: vec![], topic_filters };
        self.send(conn, Packet::Unsubscribe(unsubscribe));
        match self.got(conn).as_slice() {
            [Packet::UnsubscribeAck(ack)] if ack.packet_id.get() == 78 => {
                ack.status.iter().map(|code| *code as u8).collect()
            }
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn publish(&mut self, conn: ConnId, topic: &str, payload: &str, qos: QoS) {
        self.send(conn, publish(topic, payload, qos));
    }

    /// Everything said to a connection since it was last asked.
    pub(crate) fn got(&mut self, conn: ConnId) -> Vec<Packet> {
        self.said.remove(&conn).unwrap_or_default()
    }

    /// The messages among what was said, as "topic payload qos", with "retain", "dup" and subscription ids.
    pub(crate) fn heard(&mut self, conn: ConnId) -> Vec<String> {
        self.got(conn)
            .into_iter()
            .filter_map(|packet| if let Packet::Publish(p) = packet { Some(show(&p)) } else { None })
            .collect()
    }

    /// The messages as they are.
    pub(crate) fn messages(&mut self, conn: ConnId) -> Vec<Publish> {
        self.got(conn)
            .into_iter()
            .filter_map(|packet| if let Packet::Publish(p) = packet { Some(*p) } else { None })
            .collect()
    }

    /// The shell finds a fault in what a client sent.
    pub(crate) fn fault(&mut self, conn: ConnId, fault: Fault) {
        self.broker.handle_fault(conn, fault, self.now);
        self.collect();
    }

    /// The connection is gone without a DISCONNECT.
    pub(crate) fn cut(&mut self, conn: ConnId) {
        self.broker.closed(conn, self.now);
        self.collect();
    }

    /// The broker ends.
    pub(crate) fn shut_down(&mut self) {
        self.broker.shut_down(self.now);
        self.collect();
    }

    /// The client says DISCONNECT.
    pub(crate) fn leave(&mut self, conn: ConnId) {
        self.send(conn, Packet::Disconnect(Disconnect::default()));
    }

    pub(crate) fn closed(&self, conn: ConnId) -> Option<Closing> {
        self.closed.get(&conn).copied()
    }

    /// Turns the clock, stopping at each deadline.
    pub(crate) fn pass(&mut self, millis: u64) {
        let end = self.now + millis;
        while let Some(due) = self.broker.poll_timeout().filter(|due| *due <= end) {
            self.now = self.now.max(due);
            self.broker.handle_timeout(self.now);
            self.collect();
        }
        self.now = end;
    }

    /// A stuck connection writes everything, and is stuck no more.
    pub(crate) fn unstick(&mut self, conn: ConnId) {
        self.stuck.remove(&conn);
        let bytes = self.unwritten.remove(&conn).unwrap_or(0);
        self.broker.handle_sent(conn, bytes, self.now);
        self.collect();
    }

    /// Each packet can be written, has the size that is counted for it, and is one that the client takes (3.1.2-24).
    fn measure(&self, conn: ConnId, packet: &Packet, bytes: usize) {
        let mut wire = BytesMut::new();
        Codec::default().encode(packet.clone(), &mut wire).expect("it can be written");
        assert_eq!(wire.len(), bytes, "{packet:?}");
        assert!(self.most.get(&conn).is_none_or(|most| bytes <= *most), "{packet:?}");
    }

    fn collect(&mut self) {
        while let Some(output) = self.broker.poll_output() {
            match output {
                Output::Send { conn, packet, bytes } => {
                    assert!(!self.closed.contains_key(&conn), "nothing is said after the close: {packet:?}");
                    self.measure(conn, &packet, bytes);
                    self.said.entry(conn).or_default().push(packet);
                    if self.stuck.contains(&conn) {
                        *self.unwritten.entry(conn).or_default() += bytes;
                    } else {
                        self.broker.handle_sent(conn, bytes, self.now);
                    }
                }
                Output::Close { conn, why } => assert_eq!(self.closed.insert(conn, why), None, "closed once"),
            }
        }
    }
}

fn show(publish: &Publish) -> String {
    let mut text = format!("{} {} {}", publish.topic, String::from_utf8_lossy(&publish.payload), u8::from(publish.qos));
    if publish.retain {
        text.push_str(" retain");
    }
    if publish.dup {
        text.push_str(" dup");
    }
    for id in publish.properties.iter().flat_map(|properties| &properties.subscription_ids) {
        text.push_str(&format!(" #{id}"));
    }
    text
}

pub(crate) fn clean(client: &str) -> Connect {
    Connect { clean_start: true, client_id: client.into(), ..Connect::default() }
}

/// A client of MQTT 5: as the codec reads it there is always a Receive Maximum.
pub(crate) fn five(client: &str) -> Connect {
    Connect { receive_max: u16::MAX.try_into().ok(), ..clean(client) }
}

/// A CONNECT for a session that is kept for an hour.
pub(crate) fn lasting(client: &str) -> Connect {
    Connect { client_id: client.into(), session_expiry_interval_secs: HOUR, ..Connect::default() }
}

pub(crate) fn with_will(mut connect: Connect, topic: &str, payload: &str, delay: u32) -> Connect {
    connect.last_will = Some(LastWill {
        qos: Q1,
        retain: false,
        topic: topic.into(),
        message: payload.to_owned().into(),
        will_delay_interval_sec: (delay > 0).then_some(delay),
        correlation_data: None,
        message_expiry_interval: None,
        content_type: None,
        user_properties: Vec::new(),
        is_utf8_payload: None,
        response_topic: None,
    });
    connect
}

/// A PUBLISH, with packet id 9 above QoS 0.
pub(crate) fn publish(topic: &str, payload: &str, qos: QoS) -> Packet {
    message(topic, payload, qos, |_| {})
}

pub(crate) fn message(topic: &str, payload: &str, qos: QoS, change: impl FnOnce(&mut Publish)) -> Packet {
    let mut publish = Publish {
        dup: false,
        retain: false,
        qos,
        topic: topic.into(),
        packet_id: if qos == Q0 { None } else { 9.try_into().ok() },
        payload: payload.to_owned().into(),
        properties: Some(PublishProperties::default()),
    };
    change(&mut publish);
    Packet::Publish(Box::new(publish))
}

pub(crate) fn puback(id: u16) -> Packet {
    Packet::PublishAck(PublishAck { packet_id: id.try_into().unwrap(), ..PublishAck::default() })
}

pub(crate) fn pubrec(id: u16) -> Packet {
    Packet::PublishReceived(PublishAck { packet_id: id.try_into().unwrap(), ..PublishAck::default() })
}

pub(crate) fn pubrel(id: u16) -> Packet {
    Packet::PublishRelease(PublishAck2 { packet_id: id.try_into().unwrap(), ..PublishAck2::default() })
}

pub(crate) fn pubcomp(id: u16) -> Packet {
    Packet::PublishComplete(PublishAck2 { packet_id: id.try_into().unwrap(), ..PublishAck2::default() })
}
