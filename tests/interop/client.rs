//! Clients, each of them a publisher and a subscriber who never connect again: the subscriber gets all that the
//! publisher publishes, once, and in order within a quality of service. (Between two, MQTT promises none.)

use std::{fmt, net::SocketAddr};

use baton_drill::mqtt::Qos;

mod counted;
mod mosquitto;
mod rumqttc;
pub(crate) mod script;

pub(crate) use mosquitto::installed as mosquitto_is_installed;

/// A version of MQTT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Version {
    V3_1,
    V3_1_1,
    V5,
}

impl Version {
    /// As it stands in a CONNECT.
    fn level(self) -> u8 {
        match self {
            Self::V3_1 => 3,
            Self::V3_1_1 => 4,
            Self::V5 => 5,
        }
    }
}

/// What went wrong, if anything did.
pub(crate) type Told<T = ()> = Result<T, String>;

/// A client that is connected and has subscribed.
pub(crate) trait Client {
    /// Begins to publish so many messages.
    fn publish(&mut self, messages: usize) -> Told;
    /// Waits until all of them have come, and whatever has to be acknowledged is.
    fn has_all(&mut self) -> Told;
    /// Leaves in order.
    fn leave(self: Box<Self>) -> Told;
}

/// Which client, and what it is to do.
#[derive(Clone, Copy)]
pub(crate) struct Part {
    /// The client.
    pub(crate) name: &'static str,
    /// How many connections it makes.
    pub(crate) connections: u32,
    pub(crate) version: Version,
    /// Its messages are of all qualities of service up to this one, in turn.
    pub(crate) qos: Qos,
    /// Whether it is on this machine; if not, what is missing.
    pub(crate) installed: fn() -> Told,
    pub(crate) begin: fn(&Seat) -> Told<Box<dyn Client>>,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {:?}, QoS {}", self.name, self.version, self.qos.level())
    }
}

impl Part {
    /// Connects to one of these addresses, or several.
    pub(crate) fn start(&self, addresses: &[SocketAddr]) -> Told<Box<dyn Client>> {
        let name = format!("{}-{}-{}", self.name, self.version.level(), self.qos.level());
        let [subscriber, .., publisher] = addresses else {
            return self.start(&[addresses[0], addresses[0]]);
        };
        let (subscriber, publisher) = (*subscriber, *publisher);
        (self.begin)(&Seat { name, subscriber, publisher, version: self.version, qos: self.qos })
    }
}

/// What a client has to know.
pub(crate) struct Seat {
    /// Its topic, and what its client ids begin with: no other client's. MQTT 3.1 has 23 bytes for one.
    name: String,
    /// Where it subscribes.
    subscriber: SocketAddr,
    /// Where it publishes, if it does that by another connection.
    publisher: SocketAddr,
    version: Version,
    qos: Qos,
}

/// Every client, in every version that it has, at the highest quality of service.
pub(crate) fn all() -> Vec<Part> {
    let anywhere = || Ok(());
    let part = |name, version, connections, installed, begin| Part {
        name,
        connections,
        version,
        qos: Qos::ExactlyOnce,
        installed,
        begin,
    };
    use Version::{V3_1, V3_1_1, V5};
    let mut parts = vec![part("counted", V3_1_1, counted::CLIENTS, anywhere, counted::start)];
    for version in [V3_1, V3_1_1, V5] {
        parts.push(part("mosquitto", version, 2, mosquitto::installed, mosquitto::start));
    }
    for version in [V3_1_1, V5] {
        parts.push(part("paho", version, 2, script::paho_is_installed, script::paho));
        parts.push(part("mqttjs", version, 2, script::mqtt_js_is_installed, script::mqtt_js));
    }
    parts.push(part("rumqttc", V3_1_1, 1, anywhere, rumqttc::v4));
    parts.push(part("rumqttc", V5, 1, anywhere, rumqttc::v5));
    for part in &mut parts {
        // Of Debian's mosquitto_sub 2.0.11, a burst at QoS 2 is too much in version 5, with nothing between it and its
        // broker: once the 20 that it may have under way have come, it calls the next a protocol error.
        if (part.name, part.version) == ("mosquitto", V5) {
            part.qos = Qos::AtLeastOnce;
        }
    }
    parts
}

/// What has to come next, for a client that hears the numbers of its messages: the next by quality of service that they
/// were published at.
#[derive(Debug)]
struct Following {
    next: Vec<usize>,
}

impl Following {
    fn new(qos: Qos) -> Self {
        Self { next: (0..=usize::from(qos.level())).collect() }
    }

    fn hears(&mut self, number: usize) -> Told {
        let qualities = self.next.len();
        let next = &mut self.next[number % qualities];
        if number != *next {
            return Err(format!("QoS {}: {number} came instead of {next}", number % qualities));
        }
        *next += qualities;
        Ok(())
    }
}
