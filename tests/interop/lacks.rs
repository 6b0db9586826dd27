//! What a broker doesn't do, whoever asks: shown by the same clients without Baton.

use baton_drill::tier::Broker;

use crate::client::{Part, Version};

/// A client that fails before a broker.
pub(crate) struct Lack {
    broker: Broker,
    version: Version,
    /// Of these clients; of all if there is none.
    clients: &'static [&'static str],
    /// From this quality of service on.
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
    Lack { broker, version, clients: &[], from, reason }
}

impl Lack {
    /// Why this client fails before this broker, if it is known to.
    pub(crate) fn of(broker: Broker, part: &Part) -> Option<&'static Self> {
        LACKS.iter().find(|lack| {
            let concerned = lack.clients.is_empty() || lack.clients.contains(&part.name);
            lack.broker == broker && lack.version == part.version && concerned && part.qos.level() >= lack.from
        })
    }
}
