//! rumqttc: one client of each version that hears itself.

use std::{
    sync::mpsc::{Receiver, sync_channel},
    thread,
    time::Duration,
};

use baton_drill::tier::{Broker, Tier};

use super::{Foreign, LINES, through_faults};
use crate::support::PATIENCE;

before_both_brokers!(version_3_1_1 version_5);

/// Requests that its event loop may be behind.
const REQUESTS: usize = 16;
/// Handshakes at once: mosquitto closes a client that has more than its limit, 3.1.1 or not.
const IN_FLIGHT: u16 = 20;
const TOPIC: &str = "rumqttc/numbers";

/// What its event loop tells.
enum Heard {
    Subscribed,
    Message(u8, usize),
    Ended(String),
}

/// Messages of one quality of service come in order; between two of them none is promised.
struct Rumqttc<C> {
    client: C,
    heard: Receiver<Heard>,
    published: usize,
    received: usize,
    following: [usize; 3],
}

impl<C> Rumqttc<C> {
    fn new(client: C, heard: Receiver<Heard>) -> Self {
        Self { client, heard, published: 0, received: 0, following: [0, 1, 2] }
    }

    fn hears(&self) -> Heard {
        self.heard.recv_timeout(PATIENCE).expect("it goes on")
    }

    fn receive_all(&mut self) {
        while self.received < self.published {
            match self.hears() {
                Heard::Message(qos, number) => {
                    let following = &mut self.following[usize::from(qos)];
                    assert_eq!(number, *following, "QoS {qos}");
                    *following += 3;
                    self.received += 1;
                }
                Heard::Subscribed => panic!("subscribed again"),
                Heard::Ended(how) => panic!("it ended: {how}"),
            }
        }
    }
}

/// Both versions have the same names for everything, in different places.
macro_rules! version {
    ($name:ident, $client:ty, $options:ty, $in_flight:ident, $event:path, $packet:path, $qos:path) => {
        mod $name {
            use super::*;
            use $event as Event;
            use $packet as Packet;
            use $qos as QoS;

            impl Rumqttc<$client> {
                pub(super) fn $name(tier: &Tier) -> Option<Self> {
                    let edge = tier.edges()[0];
                    let mut options = <$options>::new(stringify!($name), edge.ip().to_string(), edge.port());
                    options.set_keep_alive(Duration::from_secs(5));
                    options.$in_flight(IN_FLIGHT);
                    let (client, mut connection) = <$client>::new(options, REQUESTS);
                    let (sender, heard) = sync_channel(LINES);
                    thread::spawn(move || {
                        for event in connection.iter() {
                            let told = match event {
                                Ok(Event::Incoming(Packet::SubAck(_))) => Heard::Subscribed,
                                Ok(Event::Incoming(Packet::Publish(publish))) => {
                                    let text = String::from_utf8_lossy(&publish.payload);
                                    Heard::Message(publish.qos as u8, text.parse().unwrap_or(usize::MAX))
                                }
                                Ok(_) => continue,
                                Err(error) => Heard::Ended(error.to_string()),
                            };
                            // It would connect again after an error; this one doesn't.
                            let over = matches!(told, Heard::Ended(_));
                            if sender.send(told).is_err() || over {
                                return;
                            }
                        }
                    });
                    let client = Self::new(client, heard);
                    client.client.subscribe(TOPIC, QoS::ExactlyOnce).expect("its event loop runs");
                    assert!(matches!(client.hears(), Heard::Subscribed));
                    Some(client)
                }
            }

            impl Foreign for Rumqttc<$client> {
                fn publish(&mut self, messages: usize) {
                    for number in self.published..self.published + messages {
                        let qos = [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce][number % 3];
                        self.client.publish(TOPIC, qos, false, number.to_string()).expect("its event loop runs");
                    }
                    self.published += messages;
                }

                fn has_all(&mut self) {
                    self.receive_all();
                }

                fn leave(self) {
                    self.client.disconnect().expect("its event loop runs");
                    assert!(matches!(self.hears(), Heard::Ended(_)));
                }
            }
        }
    };
}

version!(v4, rumqttc::Client, rumqttc::MqttOptions, set_inflight, rumqttc::Event, rumqttc::Packet, rumqttc::QoS);
version!(
    v5,
    rumqttc::v5::Client,
    rumqttc::v5::MqttOptions,
    set_outgoing_inflight_upper_limit,
    rumqttc::v5::Event,
    rumqttc::v5::mqttbytes::v5::Packet,
    rumqttc::v5::mqttbytes::QoS
);

fn version_3_1_1(broker: Broker) {
    through_faults(broker, 1, Rumqttc::<rumqttc::Client>::v4);
}

fn version_5(broker: Broker) {
    through_faults(broker, 1, Rumqttc::<rumqttc::v5::Client>::v5);
}
