//! The broker's counts among the numbers of its process.

use std::sync::atomic::Ordering;

use baton_process::metrics::{Gauge, Metrics};
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family},
};

use crate::broker::Counts;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct QosLabels {
    qos: &'static str,
}

/// The families; their handles are kept, so that an update is a handful of stores.
pub(crate) struct Numbers {
    connects: Counter,
    connacks: Counter,
    publishes: [Counter; 3],
    delivered: [Counter; 3],
    wills: Counter,
    takeovers: Counter,
    dropped: Counter,
    sessions: Gauge,
    sessions_used: Gauge,
    connections: Gauge,
}

impl Numbers {
    /// Registers the families; `sessions` is the limit of MQTT sessions.
    pub(crate) fn new(metrics: &Metrics, sessions: usize) -> Self {
        Self {
            connects: counter(metrics, "broker_connects", "CONNECT packets received"),
            connacks: counter(metrics, "broker_connacks", "CONNACK packets sent"),
            publishes: by_qos(metrics, "broker_publishes", "PUBLISH packets received"),
            delivered: by_qos(metrics, "broker_delivered", "PUBLISH packets sent"),
            wills: counter(metrics, "broker_wills", "Wills published"),
            takeovers: counter(metrics, "broker_takeovers", "Connections closed for a newer one of the same client id"),
            dropped: counter(metrics, "broker_dropped", "Messages that a client should have had and did not get"),
            sessions: gauge(metrics, "broker_sessions", "MQTT sessions, connected or kept"),
            sessions_used: metrics.limit("sessions", sessions as u64),
            connections: gauge(metrics, "broker_connections", "Connections of clients"),
        }
    }

    /// Shows the counts as they are now. They only rise, so to store them is to count.
    pub(crate) fn show(&self, counts: &Counts) {
        let set = |counter: &Counter, value| counter.inner().store(value, Ordering::Relaxed);
        set(&self.connects, counts.connects);
        set(&self.connacks, counts.connacks);
        for (counter, value) in self.publishes.iter().zip(counts.publishes) {
            set(counter, value);
        }
        for (counter, value) in self.delivered.iter().zip(counts.delivered) {
            set(counter, value);
        }
        set(&self.wills, counts.wills);
        set(&self.takeovers, counts.takeovers);
        set(&self.dropped, counts.dropped);
        let shown = |number| i64::try_from(number).unwrap_or(i64::MAX);
        self.sessions.set(shown(counts.sessions));
        self.sessions_used.set(shown(counts.sessions));
        self.connections.set(shown(counts.connections));
    }
}

fn counter(metrics: &Metrics, name: &str, help: &str) -> Counter {
    let counter = Counter::default();
    metrics.register(name, help, counter.clone());
    counter
}

fn by_qos(metrics: &Metrics, name: &str, help: &str) -> [Counter; 3] {
    let family = Family::<QosLabels, Counter>::default();
    metrics.register(name, help, family.clone());
    ["0", "1", "2"].map(|qos| family.get_or_create_owned(&QosLabels { qos }))
}

fn gauge(metrics: &Metrics, name: &str, help: &str) -> Gauge {
    let gauge = Gauge::default();
    metrics.register(name, help, gauge.clone());
    gauge
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_have_stable_names() {
        let metrics = Metrics::new("broker-sim");
        let numbers = Numbers::new(&metrics, 9);
        numbers.show(&Counts { connects: 7, publishes: [1, 2, 3], sessions: 5, ..Counts::default() });
        let text = metrics.encode();
        for line in [
            "baton_broker_connects_total 7",
            "baton_broker_connacks_total 0",
            "baton_broker_publishes_total{qos=\"2\"} 3",
            "baton_broker_delivered_total{qos=\"0\"} 0",
            "baton_broker_wills_total 0",
            "baton_broker_takeovers_total 0",
            "baton_broker_dropped_total 0",
            "baton_broker_sessions 5",
            "baton_broker_connections 0",
            "baton_limit{name=\"sessions\"} 9",
            "baton_limit_used{name=\"sessions\"} 5",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} in {text}");
        }
    }
}
