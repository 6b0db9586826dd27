//! A client on strings: it does what it is told, and tells what it hears. A JSON object a line, each way; `who` is one
//! of its connections.
//!
//! | It is told | with | and says |
//! |---|---|---|
//! | `connect` | `port` `mqtt` `id` `clean` `user` `password`; maybe `session_expiry` `largest`, `will`: `topic` `payload` `qos` `retain` `delay` `content_type` | `connack`: `reason`, and if it has them `present`, `properties` |
//! | `subscribe` | `filter` `qos`; maybe `no_local` `as_published` `retain_handling` `subscription` | `suback`: `reasons` |
//! | `unsubscribe` | `filter` | `unsuback` |
//! | `publish` | `topic` `payload` `qos` `retain`; maybe `properties` | `published` once it is over |
//! | `leave` | | `left`, after DISCONNECT |
//! | `vanish` | | `left`, without |
//!
//! Unasked it says `message`: `topic` `payload` `qos` `retain` `properties`, and `closed`. Reasons are those of MQTT 5.

use std::{collections::VecDeque, path::PathBuf, process::Command};

use serde_json::{Value, json};

use crate::{client::Told, program::Program};

/// A client, in the program that plays it.
pub(crate) trait Puppet {
    fn tell(&mut self, order: &Value) -> Told;
    /// The next thing that it says.
    fn hear(&mut self) -> Told<Value>;
}

impl Puppet for Program {
    fn tell(&mut self, order: &Value) -> Told {
        self.say(order)
    }

    fn hear(&mut self) -> Told<Value> {
        let line = self.line()?;
        serde_json::from_str(&line).map_err(|_| line)
    }
}

/// One of the scripts beside this file.
pub(crate) fn script(mut command: Command, name: &str) -> Program {
    let scripts = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/interop/likeness");
    Program::start(command.arg(scripts.join(name)))
}

/// Where one habit is played: a broker's port, a version of MQTT, names of its own.
pub(crate) struct Stage<'a> {
    puppet: &'a mut dyn Puppet,
    port: u16,
    pub(crate) mqtt: u8,
    own: String,
    /// Heard, and not asked for yet.
    heard: VecDeque<Value>,
}

/// One object with the fields of both.
fn with(mut first: Value, more: &Value) -> Value {
    for (key, value) in more.as_object().into_iter().flatten() {
        first[key] = value.clone();
    }
    first
}

impl<'a> Stage<'a> {
    pub(crate) fn new(puppet: &'a mut dyn Puppet, port: u16, mqtt: u8, own: String) -> Self {
        Self { puppet, port, mqtt, own, heard: VecDeque::new() }
    }

    /// A topic or filter below the habit's own.
    pub(crate) fn topic(&self, levels: &str) -> String {
        format!("{}/{levels}", self.own)
    }

    /// Tells `who`, whose next word has to be this.
    fn ask(&mut self, who: &str, order: Value, answer: &str) -> Told<Value> {
        self.puppet.tell(&with(order, &json!({"who": self.name(who)})))?;
        self.next(who, answer)
    }

    /// No other habit's: a connection that is left over is no other's either.
    fn name(&self, who: &str) -> String {
        format!("{}-{who}", self.own)
    }

    /// The next that `who` says besides messages, if it is to answer, or its next message.
    fn next(&mut self, who: &str, event: &str) -> Told<Value> {
        let name = self.name(who);
        let is_message = |said: &Value| said["event"] == "message";
        let is_awaited = |said: &Value| said["who"] == *name && is_message(said) == (event == "message");
        // Whose connection ended says nothing else, whatever is waited for.
        let is_over = |said: &Value| said["who"] == *name && said["event"] == "closed";
        let said = loop {
            if let Some(at) = self.heard.iter().position(|said| is_awaited(said) || is_over(said)) {
                break self.heard.remove(at).unwrap_or_default();
            }
            let said = self.puppet.hear().map_err(|why| format!("{who}: {event} didn't come: {why}"))?;
            self.heard.push_back(said);
        };
        if said["event"] == event { Ok(said) } else { Err(format!("{said} instead of {event}")) }
    }

    fn connect(&mut self, who: &str, options: &Value) -> Told<Value> {
        let order = json!({
            "do": "connect", "port": self.port, "mqtt": self.mqtt, "id": self.name(who), "clean": true,
            "user": baton_drill::tier::USER, "password": baton_drill::tier::PASSWORD,
        });
        self.ask(who, with(order, options), "connack")
    }

    /// `who` connects, to an MQTT session that is there or isn't.
    pub(crate) fn enter(&mut self, who: &str, present: bool, options: Value) -> Told<Value> {
        let connack = self.connect(who, &options)?;
        same("reason", &connack["reason"], &json!(0))?;
        // Not every client tells.
        if connack.get("present").is_some() {
            same("session present", &connack["present"], &json!(present))?;
        }
        Ok(connack)
    }

    /// `who` is to be refused. For which reason?
    pub(crate) fn refused(&mut self, who: &str, options: Value) -> Told<Value> {
        Ok(self.connect(who, &options)?["reason"].clone())
    }

    /// `who` subscribes, and is granted what it asks for.
    pub(crate) fn subscribe(&mut self, who: &str, filter: &str, qos: u8, options: Value) -> Told {
        let order = json!({"do": "subscribe", "filter": filter, "qos": qos});
        let suback = self.ask(who, with(order, &options), "suback")?;
        same("granted", &suback["reasons"], &json!([qos]))
    }

    pub(crate) fn unsubscribe(&mut self, who: &str, filter: &str) -> Told {
        self.ask(who, json!({"do": "unsubscribe", "filter": filter}), "unsuback").map(drop)
    }

    pub(crate) fn publish(&mut self, who: &str, topic: &str, payload: &str, qos: u8, options: Value) -> Told {
        let order = json!({"do": "publish", "topic": topic, "payload": payload, "qos": qos, "retain": false});
        self.ask(who, with(order, &options), "published").map(drop)
    }

    /// The next message of `who`, which has to be this one. Returns its properties.
    pub(crate) fn hears(&mut self, who: &str, topic: &str, payload: &str, qos: u8, retain: bool) -> Told<Value> {
        let message = self.next(who, "message")?;
        let about = |message: &Value| ["topic", "qos", "retain"].map(|field| message[field].clone());
        let wanted = json!({"topic": topic, "qos": qos, "retain": retain});
        same("message", &json!(about(&message)), &json!(about(&wanted)))?;
        // A large one isn't worth a page.
        let payload_is = message["payload"].as_str().unwrap_or_default();
        if payload_is != payload {
            let start = |text: &str| text.chars().take(40).collect::<String>();
            return Err(format!("payload {:?} instead of {:?}", start(payload_is), start(payload)));
        }
        Ok(message["properties"].clone())
    }

    /// The connection of `who` ends, and not by its own doing.
    pub(crate) fn is_closed(&mut self, who: &str) -> Told {
        self.next(who, "closed").map(drop)
    }

    /// `who` leaves in order.
    pub(crate) fn leave(&mut self, who: &str) -> Told {
        self.ask(who, json!({"do": "leave"}), "left").map(drop)
    }

    /// The connection of `who` ends without a word.
    pub(crate) fn vanish(&mut self, who: &str) -> Told {
        self.ask(who, json!({"do": "vanish"}), "left").map(drop)
    }

    /// Nothing has come that wasn't asked for.
    pub(crate) fn is_quiet(&self) -> Told {
        if self.heard.is_empty() { Ok(()) } else { Err(format!("{:?} came as well", self.heard)) }
    }
}

pub(crate) fn same(what: &str, got: &Value, wanted: &Value) -> Told {
    if got == wanted { Ok(()) } else { Err(format!("{what} {got} instead of {wanted}")) }
}
