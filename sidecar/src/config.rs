//! The sections `[sidecar]` and `[anchor]`.

use std::{net::IpAddr, time::Duration};

use baton_process::{config::Reader, net::Address};
use baton_protocol::{
    id::NodeName,
    limits::{GRACE, GRACE_MAX, Millis},
};

/// Addresses of one broker: those of a node, not of a cluster.
const BROKERS: usize = 16;
/// Addresses of ours to connect from: with 28,000 ports each, far more than the sessions of one process.
const SOURCES: usize = 256;
/// Milliseconds between two questions whether the broker is well.
const PROBE_EVERY: Millis = 10_000;
const SECOND: Millis = 1_000;
const HOUR: Millis = 3_600 * SECOND;

/// What a sidecar reads besides the sections that all roles share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Its home's name.
    pub name: NodeName,
    /// `ip:port` for the origins.
    pub listen: String,
    /// Milliseconds that a session lives without a tunnel.
    pub grace: Millis,
    /// Where the broker listens: all of these lead to the same node.
    pub brokers: Vec<Address>,
    /// Our own addresses to connect to it from; none: as the kernel likes.
    pub sources: Vec<IpAddr>,
    /// Whether each connection to it begins with a header of the PROXY protocol, version 2.
    pub proxy_protocol: bool,
    /// How it is asked whether it is well.
    pub probe: Probe,
}

/// How a broker is asked whether it is well, and how often.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Probe {
    /// In MQTT: it has to answer.
    Mqtt {
        /// Time between two questions.
        every: Duration,
    },
    /// By connecting: it has to take the connection.
    Connect {
        /// Time between two connections.
        every: Duration,
    },
}

impl Config {
    /// Reads the sections.
    pub fn read(reader: &mut Reader) -> Self {
        let every = Duration::from_millis(reader.duration("sidecar.probe_every", PROBE_EVERY, SECOND..=HOUR));
        let probes = [("mqtt", Probe::Mqtt { every }), ("connect", Probe::Connect { every })];
        let config = Self {
            name: reader.node_name("anchor.name", "home-1"),
            listen: reader.link_listen("anchor.listen", "127.0.0.1:7201"),
            grace: reader.duration("anchor.grace", GRACE, 0..=GRACE_MAX),
            brokers: reader.urls("sidecar.broker", "tcp://127.0.0.1:1883", BROKERS),
            sources: reader.ips("sidecar.sources", SOURCES),
            proxy_protocol: reader.flag("sidecar.proxy_protocol", false),
            probe: reader.choice("sidecar.probe", Probe::Mqtt { every }, &probes),
        };
        config.refuse_stranded(reader);
        config
    }

    /// An address that none of our own could connect to is a mistake.
    fn refuse_stranded(&self, reader: &mut Reader) {
        let ways = |ip: IpAddr| self.sources.iter().any(|source| source.is_ipv4() == ip.is_ipv4());
        let stranded = |broker: &&Address| !self.sources.is_empty() && broker.ip().is_some_and(|ip| !ways(ip));
        if let Some(broker) = self.brokers.iter().find(stranded) {
            let expected = format!("an address of the family of {broker}, among others");
            let got: Vec<_> = self.sources.iter().map(IpAddr::to_string).collect();
            reader.refuse("sidecar.sources", &expected, &got.join(", "));
        }
    }
}

#[cfg(test)]
mod tests {
    use baton_process::config::Inputs;

    use super::*;

    fn read(sets: &[&str]) -> Result<Config, String> {
        let sets = sets.iter().map(|set| format!("sidecar.{set}")).collect();
        let mut reader = Reader::new(&Inputs { sets, ..Inputs::default() });
        let config = Config::read(&mut reader);
        reader.finish().map(|()| config).map_err(|report| report.to_string())
    }

    fn brokers(text: &str) -> Vec<String> {
        read(&[&format!("broker={text}")]).unwrap().brokers.iter().map(Address::to_string).collect()
    }

    #[test]
    fn a_broker_has_one_address_or_several() {
        assert_eq!(brokers("tcp://127.0.0.1:1883"), ["tcp://127.0.0.1:1883"]);
        let several = ["tcp://10.0.0.1:1883", "tcp://[::1]:1883", "unix:///run/m.sock"];
        assert_eq!(brokers(&several.join(",")), several);
        assert_eq!(brokers(&format!("{several:?}")), several);
        for mistaken in ["127.0.0.1:1883", "ssl://127.0.0.1:8883", "unix:run/m", "[]", "tcp://a:1,tcp://a:1"] {
            let report = read(&[&format!("broker={mistaken}")]).unwrap_err();
            assert!(
                report.contains("sidecar.broker") && report.contains("tcp://host:port or unix:///path"),
                "{report}"
            );
        }
    }

    #[test]
    fn sources_are_ip_addresses_that_lead_to_each_broker() {
        let config = read(&["sources=10.0.0.8, 10.0.0.9"]).unwrap();
        assert_eq!(config.sources, [IpAddr::from([10, 0, 0, 8]), IpAddr::from([10, 0, 0, 9])]);
        for (mistaken, word) in [
            (vec!["sources=[\"eth0\"]"], "IP addresses"),
            (vec!["sources=10.0.0.8,10.0.0.8"], "different"),
            (vec!["sources=::1"], "of the family of tcp://127.0.0.1:1883"),
        ] {
            let report = read(&mistaken).unwrap_err();
            assert!(report.contains("sidecar.sources") && report.contains(word), "{report}");
        }
        assert!(read(&["sources=::1", "broker=tcp://broker.example:1883,unix:///m"]).is_ok());
    }

    #[test]
    fn probes_speak_mqtt_unless_told_otherwise() {
        let every = Duration::from_secs(10);
        assert_eq!(read(&[]).unwrap().probe, Probe::Mqtt { every });
        assert_eq!(read(&["probe=connect"]).unwrap().probe, Probe::Connect { every });
        let report = read(&["probe=tcp", "probe_every=10ms"]).unwrap_err();
        assert!(report.contains("one of mqtt, connect") && report.contains("from 1s to"), "{report}");
    }
}
