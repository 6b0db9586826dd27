//! The sections `[sidecar]` and `[anchor]`.

use baton_process::config::Reader;
use baton_protocol::{
    id::NodeName,
    limits::{GRACE, GRACE_MAX, Millis},
};

/// What a sidecar reads besides the sections that all roles share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Its home's name.
    pub name: NodeName,
    /// `ip:port` for the origins.
    pub listen: String,
    /// Milliseconds that a session lives without a tunnel.
    pub grace: Millis,
    /// `host:port` of the broker.
    pub broker: String,
}

impl Config {
    /// Reads the sections.
    pub fn read(reader: &mut Reader) -> Self {
        Self {
            name: reader.node_name("anchor.name", "home-1"),
            listen: reader.link_listen("anchor.listen", "127.0.0.1:7201"),
            grace: reader.duration("anchor.grace", GRACE, 0..=GRACE_MAX),
            broker: reader.tcp_url("sidecar.broker", "tcp://127.0.0.1:1883"),
        }
    }
}

#[cfg(test)]
mod tests {
    use baton_process::config::Inputs;

    use super::*;

    fn read(broker: &str) -> Result<Config, String> {
        let mut reader = Reader::new(&Inputs { sets: vec![format!("sidecar.broker={broker}")], ..Inputs::default() });
        let config = Config::read(&mut reader);
        reader.finish().map(|()| config).map_err(|report| report.to_string())
    }

    #[test]
    fn brokers_are_reached_over_tcp() {
        for address in ["127.0.0.1:1883", "broker.example:1884", "[::1]:1883"] {
            assert_eq!(read(&format!("tcp://{address}")).unwrap().broker, address);
        }
        for other in ["127.0.0.1:1883", "ssl://127.0.0.1:8883", "tcp://127.0.0.1", "tcp://", "tcp://a:0", "unix:/run/m"]
        {
            let report = read(other).unwrap_err();
            assert!(report.contains("sidecar.broker") && report.contains("tcp://host:port"), "{report}");
        }
    }
}
