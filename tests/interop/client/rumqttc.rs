//! rumqttc: one connection, which hears itself.

use std::{
    sync::mpsc::{Receiver, sync_channel},
    thread,
    time::Duration,
};

use super::{Client, Following, Seat, Told};
use crate::{program::LINES, support::PATIENCE};

/// Requests that its event loop may be behind.
const REQUESTS: usize = 16;
/// Handshakes at once. Its packet ids begin again there, and it ends if the next is still taken, as it is where a broker
/// acknowledges QoS 1 before older QoS 2: so this is more than a test has messages.
const IN_FLIGHT: u16 = 1_000;

pub(super) use {v4::start as v4, v5::start as v5};

/// What its event loop tells.
enum Heard {
    Granted(String),
    Message(usize),
    Ended(String),
}

struct Rumqttc<C> {
    client: C,
    heard: Receiver<Heard>,
    topic: String,
    following: Following,
    published: usize,
    received: usize,
}

impl<C> Rumqttc<C> {
    fn new(client: C, heard: Receiver<Heard>, seat: &Seat) -> Self {
        let following = Following::new(seat.qos);
        Self { client, heard, topic: seat.name.clone(), following, published: 0, received: 0 }
    }

    fn hears(&self) -> Told<Heard> {
        self.heard.recv_timeout(PATIENCE).map_err(|_| "it says nothing".into())
    }

    fn granted(self, qos: &str) -> Told<Self> {
        match self.hears()? {
            Heard::Granted(granted) if granted == qos => Ok(self),
            Heard::Granted(granted) => Err(format!("asked for {qos}, granted {granted}")),
            Heard::Message(_) => Err("a message before the subscription".into()),
            Heard::Ended(how) => Err(how),
        }
    }

    fn how_it_ended(&self) -> String {
        let ended = self.heard.try_iter().find_map(|heard| match heard {
            Heard::Ended(how) => Some(how),
            _ => None,
        });
        ended.unwrap_or("it takes nothing more".into())
    }

    fn receive_all(&mut self) -> Told {
        while self.received < self.published {
            match self.hears()? {
                Heard::Message(number) => self.following.hears(number)?,
                Heard::Granted(_) => return Err("subscribed again".into()),
                Heard::Ended(how) => return Err(how),
            }
            self.received += 1;
        }
        Ok(())
    }
}

/// Both versions have the same names for everything, in different places.
macro_rules! version {
    ($name:ident, $client:ty, $options:ty, $in_flight:ident, $event:path, $packet:path, $qos:path) => {
        mod $name {
            use $event as Event;
            use $packet as Packet;
            use $qos as QoS;

            use super::*;

            const QUALITIES: [QoS; 3] = [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce];

            pub(in super::super) fn start(seat: &Seat) -> Told<Box<dyn Client>> {
                let address = seat.subscriber;
                let mut options = <$options>::new(&seat.name, address.ip().to_string(), address.port());
                options.set_keep_alive(Duration::from_secs(5));
                options.$in_flight(IN_FLIGHT);
                let (client, mut connection) = <$client>::new(options, REQUESTS);
                let (sender, heard) = sync_channel(LINES);
                thread::spawn(move || {
                    for event in connection.iter() {
                        let told = match event {
                            Ok(Event::Incoming(Packet::SubAck(ack))) => {
                                Heard::Granted(format!("{:?}", ack.return_codes))
                            }
                            Ok(Event::Incoming(Packet::Publish(publish))) => {
                                let text = String::from_utf8_lossy(&publish.payload);
                                Heard::Message(text.parse().unwrap_or(usize::MAX))
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
                let client = Rumqttc::<$client>::new(client, heard, seat);
                let qos = QUALITIES[usize::from(seat.qos.level())];
                client.client.subscribe(&seat.name, qos).map_err(|error| error.to_string())?;
                Ok(Box::new(client.granted(&format!("[Success({qos:?})]"))?))
            }

            impl Client for Rumqttc<$client> {
                fn publish(&mut self, messages: usize) -> Told {
                    for number in self.published..self.published + messages {
                        let qos = QUALITIES[number % self.following.next.len()];
                        let published = self.client.publish(&self.topic, qos, false, number.to_string());
                        published.map_err(|_| self.how_it_ended())?;
                    }
                    self.published += messages;
                    Ok(())
                }

                fn has_all(&mut self) -> Told {
                    self.receive_all()
                }

                fn leave(self: Box<Self>) -> Told {
                    self.client.disconnect().map_err(|error| error.to_string())?;
                    match self.hears()? {
                        Heard::Ended(_) => Ok(()),
                        _ => Err("more came than was published".into()),
                    }
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
