//! rumqttc as a puppet, in this process: a thread for each connection.

use std::{
    collections::BTreeMap,
    sync::mpsc::{Receiver, Sender, SyncSender, TryRecvError, channel, sync_channel},
    thread::{self, JoinHandle},
    time::Duration,
};

use serde_json::{Value, json};

use super::puppet::Puppet;
use crate::{client::Told, program::LINES, support::PATIENCE};

/// Requests that an event loop may be behind.
const REQUESTS: usize = 16;
/// Time between two looks at whether the connection is to go.
const LOOK: Duration = Duration::from_millis(20);
/// Bytes of a packet that it takes; by itself it takes 10 KiB.
const LARGEST: u32 = 1 << 20;

/// All connections.
pub(super) struct Rumqttc {
    open: BTreeMap<String, Open>,
    said: Receiver<Value>,
    says: SyncSender<Value>,
}

enum Client {
    V4(rumqttc::Client),
    V5(rumqttc::v5::Client),
}

struct Open {
    client: Client,
    thread: JoinHandle<()>,
    /// How it is told to go: dropped, without a word.
    leaves: Sender<()>,
}

impl Rumqttc {
    pub(super) fn new() -> Self {
        let (says, said) = sync_channel(LINES);
        Self { open: BTreeMap::new(), said, says }
    }
}

impl Puppet for Rumqttc {
    fn tell(&mut self, order: &Value) -> Told {
        let who = text(&order["who"]);
        match order["do"].as_str() {
            Some("connect") => {
                let connect = if order["mqtt"] == 5 { v5::connect } else { v4::connect };
                self.open.insert(who.clone(), connect(who, order, self.says.clone()));
                Ok(())
            }
            Some(word @ ("leave" | "vanish")) => {
                let Open { client, thread, leaves } = self.open.remove(&who).ok_or("it isn't connected")?;
                if word == "leave" {
                    leaves.send(()).map_err(|_| "its connection has ended")?;
                    client.disconnect()?;
                }
                drop(leaves);
                thread.join().map_err(|_| "its thread has panicked")?;
                self.says.send(json!({"who": who, "event": "left"})).map_err(|error| error.to_string())
            }
            _ => self.open.get(&who).ok_or("it isn't connected")?.client.asks(order),
        }
    }

    fn hear(&mut self) -> Told<Value> {
        self.said.recv_timeout(PATIENCE).map_err(|_| "it says nothing".into())
    }
}

impl Client {
    fn disconnect(&self) -> Told {
        match self {
            Self::V4(client) => client.disconnect().map_err(|error| error.to_string()),
            Self::V5(client) => client.disconnect().map_err(|error| error.to_string()),
        }
    }

    fn asks(&self, order: &Value) -> Told {
        let filter = text(&order["filter"]);
        match (self, order["do"].as_str()) {
            (Self::V4(client), Some("subscribe")) => {
                let qos = v4::QUALITIES[usize::from(small(&order["qos"]))];
                client.subscribe(filter, qos).map_err(|error| error.to_string())
            }
            (Self::V4(client), Some("unsubscribe")) => client.unsubscribe(filter).map_err(|error| error.to_string()),
            (Self::V4(client), _) => v4::publish(client, order),
            (Self::V5(client), Some("subscribe")) => v5::subscribe(client, order),
            (Self::V5(client), Some("unsubscribe")) => client.unsubscribe(filter).map_err(|error| error.to_string()),
            (Self::V5(client), _) => v5::publish(client, order),
        }
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn small(value: &Value) -> u8 {
    value.as_u64().and_then(|number| number.try_into().ok()).unwrap_or_default()
}

fn number(value: &Value) -> Option<u32> {
    value.as_u64().and_then(|number| number.try_into().ok())
}

fn is(value: &Value) -> bool {
    value == &Value::Bool(true)
}

/// Both versions have the same names for everything, in different places.
macro_rules! version {
    ($name:ident, $kind:ident, $client:ty, $error:path, $event:path, $packet:path, $qos:path, $granted:path) => {
        mod $name {
            use $error as ConnectionError;
            use $event as Event;
            use $granted as Granted;
            use $packet as Packet;
            use $qos as QoS;
            use rumqttc::Outgoing;

            pub(super) use super::details::$name::*;
            use super::*;

            pub(super) const QUALITIES: [QoS; 3] = [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce];

            pub(super) fn connect(who: String, told: &Value, says: SyncSender<Value>) -> Open {
                let (client, mut connection) = <$client>::new(options(told), REQUESTS);
                let (leaves, leaving) = channel();
                let thread = thread::spawn(move || {
                    let say = |said: Value| {
                        let mut said = said;
                        said["who"] = json!(who);
                        // Who was listening has gone on to another program.
                        let _ = says.send(said);
                    };
                    let (mut is_in, mut leaves_in_order) = (false, false);
                    loop {
                        match leaving.try_recv() {
                            Ok(()) => leaves_in_order = true,
                            // Dropping the connection closes it.
                            Err(TryRecvError::Disconnected) if !leaves_in_order => return,
                            Err(_) => {}
                        }
                        match connection.recv_timeout(LOOK) {
                            Ok(Ok(event)) => {
                                is_in |= matches!(event, Event::Incoming(Packet::ConnAck(_)));
                                heard(event).into_iter().for_each(say);
                            }
                            Ok(Err(error)) => {
                                match error {
                                    _ if leaves_in_order => {}
                                    ConnectionError::ConnectionRefused(code) => {
                                        say(json!({"event": "connack", "reason": refusal(&format!("{code:?}"))}));
                                    }
                                    _ if is_in => say(json!({"event": "closed"})),
                                    error => say(json!({"event": "failed", "why": error.to_string()})),
                                }
                                return;
                            }
                            Err(_) => {}
                        }
                    }
                });
                Open { client: Client::$kind(client), thread, leaves }
            }

            fn heard(event: Event) -> Option<Value> {
                match event {
                    Event::Incoming(Packet::ConnAck(ack)) => Some(json!({
                        "event": "connack", "reason": 0, "present": ack.session_present, "properties": of_connack(&ack),
                    })),
                    Event::Incoming(Packet::SubAck(ack)) => {
                        let reasons: Vec<_> = ack.return_codes.iter().map(granted).collect();
                        Some(json!({"event": "suback", "reasons": reasons}))
                    }
                    Event::Incoming(Packet::UnsubAck(_)) => Some(json!({"event": "unsuback"})),
                    Event::Incoming(Packet::PubAck(_) | Packet::PubComp(_)) | Event::Outgoing(Outgoing::Publish(0)) => {
                        Some(json!({"event": "published"}))
                    }
                    Event::Incoming(Packet::Publish(message)) => Some(json!({
                        "event": "message", "topic": String::from_utf8_lossy(message.topic.as_ref()),
                        "payload": String::from_utf8_lossy(&message.payload), "qos": message.qos as u8,
                        "retain": message.retain, "properties": of_publish(&message),
                    })),
                    _ => None,
                }
            }

            fn granted(code: &Granted) -> u8 {
                if let Granted::Success(qos) = code { *qos as u8 } else { 0x80 }
            }
        }
    };
}

version!(
    v4,
    V4,
    rumqttc::Client,
    rumqttc::ConnectionError,
    rumqttc::Event,
    rumqttc::Packet,
    rumqttc::QoS,
    rumqttc::SubscribeReasonCode
);
version!(
    v5,
    V5,
    rumqttc::v5::Client,
    rumqttc::v5::ConnectionError,
    rumqttc::v5::Event,
    rumqttc::v5::mqttbytes::v5::Packet,
    rumqttc::v5::mqttbytes::QoS,
    rumqttc::v5::mqttbytes::v5::SubscribeReasonCode
);

/// Reasons of MQTT 5 by rumqttc's names, which are the same for both versions.
fn refusal(name: &str) -> u8 {
    match name {
        "BadUserNamePassword" => 0x86,
        "NotAuthorized" => 0x87,
        _ => 0x80,
    }
}

/// What isn't the same in both versions.
mod details {
    pub(super) mod v4 {
        use rumqttc::{Client, ConnAck, LastWill, MqttOptions, Publish};
        use serde_json::{Value, json};

        use super::super::{LARGEST, is, small, text, v4::QUALITIES};
        use crate::client::Told;

        pub(crate) fn options(told: &Value) -> MqttOptions {
            let port = told["port"].as_u64().and_then(|port| port.try_into().ok()).unwrap_or_default();
            let mut options = MqttOptions::new(text(&told["id"]), "127.0.0.1", port);
            options.set_clean_session(is(&told["clean"]));
            options.set_credentials(text(&told["user"]), text(&told["password"]));
            options.set_max_packet_size(LARGEST as usize, LARGEST as usize);
            if let Some(will) = told.get("will") {
                let qos = QUALITIES[usize::from(small(&will["qos"]))];
                options.set_last_will(LastWill::new(text(&will["topic"]), text(&will["payload"]), qos, false));
            }
            options
        }

        pub(crate) fn publish(client: &Client, told: &Value) -> Told {
            let qos = QUALITIES[usize::from(small(&told["qos"]))];
            let published = client.publish(text(&told["topic"]), qos, is(&told["retain"]), text(&told["payload"]));
            published.map_err(|error| error.to_string())
        }

        pub(crate) fn of_connack(_: &ConnAck) -> Value {
            json!({})
        }

        pub(crate) fn of_publish(_: &Publish) -> Value {
            json!({})
        }
    }

    pub(super) mod v5 {
        use rumqttc::v5::{
            Client, MqttOptions,
            mqttbytes::v5::{
                ConnAck, ConnectProperties, Filter, LastWill, LastWillProperties, Publish, PublishProperties,
                RetainForwardRule, SubscribeProperties,
            },
        };
        use serde_json::{Value, json};

        use super::super::{LARGEST, is, number, small, text, v5::QUALITIES};
        use crate::client::Told;

        pub(crate) fn options(told: &Value) -> MqttOptions {
            let port = told["port"].as_u64().and_then(|port| port.try_into().ok()).unwrap_or_default();
            let mut options = MqttOptions::new(text(&told["id"]), "127.0.0.1", port);
            options.set_clean_start(is(&told["clean"]));
            options.set_credentials(text(&told["user"]), text(&told["password"]));
            options.set_connect_properties(ConnectProperties {
                session_expiry_interval: number(&told["session_expiry"]),
                max_packet_size: number(&told["largest"]).or(Some(LARGEST)),
                ..ConnectProperties::new()
            });
            if let Some(will) = told.get("will") {
                let properties = LastWillProperties {
                    delay_interval: number(&will["delay"]),
                    payload_format_indicator: None,
                    message_expiry_interval: None,
                    content_type: will["content_type"].as_str().map(str::to_owned),
                    response_topic: None,
                    correlation_data: None,
                    user_properties: Vec::new(),
                };
                let qos = QUALITIES[usize::from(small(&will["qos"]))];
                let (topic, payload) = (text(&will["topic"]), text(&will["payload"]));
                options.set_last_will(LastWill::new(topic, payload, qos, false, Some(properties)));
            }
            options
        }

        pub(crate) fn subscribe(client: &Client, told: &Value) -> Told {
            let rules =
                [RetainForwardRule::OnEverySubscribe, RetainForwardRule::OnNewSubscribe, RetainForwardRule::Never];
            let filter = Filter {
                path: text(&told["filter"]),
                qos: QUALITIES[usize::from(small(&told["qos"]))],
                nolocal: is(&told["no_local"]),
                preserve_retain: is(&told["as_published"]),
                retain_forward_rule: rules[usize::from(small(&told["retain_handling"]))].clone(),
            };
            let id = told["subscription"].as_u64().and_then(|id| id.try_into().ok());
            let asked = match id {
                Some(_) => {
                    let properties = SubscribeProperties { id, user_properties: Vec::new() };
                    client.subscribe_many_with_properties([filter], properties)
                }
                None => client.subscribe_many([filter]),
            };
            asked.map_err(|error| error.to_string())
        }

        pub(crate) fn publish(client: &Client, told: &Value) -> Told {
            let qos = QUALITIES[usize::from(small(&told["qos"]))];
            let own = &told["properties"];
            let pairs = own["user"].as_array().into_iter().flatten();
            let properties = PublishProperties {
                payload_format_indicator: own["format"].as_u64().map(|_| small(&own["format"])),
                message_expiry_interval: number(&own["expiry"]),
                topic_alias: own["alias"].as_u64().and_then(|alias| alias.try_into().ok()),
                response_topic: own["response_topic"].as_str().map(str::to_owned),
                correlation_data: own["correlation"].as_str().map(|data| data.to_owned().into()),
                user_properties: pairs.map(|pair| (text(&pair[0]), text(&pair[1]))).collect(),
                subscription_identifiers: Vec::new(),
                content_type: own["content_type"].as_str().map(str::to_owned),
            };
            let (topic, payload) = (text(&told["topic"]), text(&told["payload"]));
            let published = client.publish_with_properties(topic, qos, is(&told["retain"]), payload, properties);
            published.map_err(|error| error.to_string())
        }

        pub(crate) fn of_connack(ack: &ConnAck) -> Value {
            let assigned = ack.properties.as_ref().and_then(|own| own.assigned_client_identifier.clone());
            json!({"assigned": assigned})
        }

        pub(crate) fn of_publish(message: &Publish) -> Value {
            let mut shown = json!({});
            let Some(own) = &message.properties else { return shown };
            let mut show = |name: &str, value: Value| {
                if !value.is_null() {
                    shown[name] = value;
                }
            };
            show("format", json!(own.payload_format_indicator));
            show("expiry", json!(own.message_expiry_interval));
            show("response_topic", json!(own.response_topic));
            show("correlation", json!(own.correlation_data.as_ref().map(|data| String::from_utf8_lossy(data))));
            show("content_type", json!(own.content_type));
            if !own.user_properties.is_empty() {
                show("user", json!(own.user_properties));
            }
            if !own.subscription_identifiers.is_empty() {
                show("subscription", json!(own.subscription_identifiers));
            }
            shown
        }
    }
}
