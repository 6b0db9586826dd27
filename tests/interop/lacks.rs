//! What a broker doesn't do, whoever asks: shown by the same clients without Baton.

use baton_drill::tier::Broker;

use crate::client::{self, Part, Version};

/// Clients that fail before a broker: all that speak this version, from this quality of service on.
pub(crate) struct Lack {
    broker: Broker,
    version: Version,
    from: u8,
    pub(crate) reason: &'static str,
}

use Broker::{Aedes, RabbitMq, Rumqttd, Rumqttd5};
use Version::{V3_1, V3_1_1, V5};

/// What is known. A test fails if one of these works, as it does if anything else doesn't.
const LACKS: &[Lack] = &[
    lack(RabbitMq, V3_1, 2, "RabbitMQ 3.10 has no QoS 2: it grants 1"),
    lack(RabbitMq, V3_1_1, 2, "RabbitMQ 3.10 has no QoS 2: it grants 1"),
    lack(RabbitMq, V5, 0, "RabbitMQ 3.10 has no MQTT 5"),
    lack(Aedes, V5, 0, "Aedes 1.2 has no MQTT 5"),
    lack(Rumqttd, V3_1, 0, "rumqttd has no MQTT 3.1"),
    lack(Rumqttd, V5, 0, "rumqttd has another port for MQTT 5"),
    lack(Rumqttd5, V3_1, 0, "rumqttd has no MQTT 3.1"),
    lack(Rumqttd5, V3_1_1, 0, "rumqttd has another port for MQTT 3.1.1"),
];

const fn lack(broker: Broker, version: Version, from: u8, reason: &'static str) -> Lack {
    Lack { broker, version, from, reason }
}

impl Lack {
    /// Why this client fails before this broker, if it is known to.
    pub(crate) fn of(broker: Broker, part: &Part) -> Option<&'static Self> {
        LACKS.iter().find(|lack| lack.broker == broker && lack.concerns(part))
    }

    fn concerns(&self, part: &Part) -> bool {
        self.version == part.version && part.qos.level() >= self.from
    }
}

#[test]
fn a_client_shows_each_of_them() {
    for lack in LACKS {
        assert!(client::all().iter().any(|part| lack.concerns(part)), "{:?}: {}", lack.broker, lack.reason);
    }
}
