//! The sections `[broker_sim]` and `[anchor]`.

use baton_process::config::Reader;
use baton_protocol::{
    id::NodeName,
    limits::{GRACE, GRACE_MAX, Millis},
};

/// What a broker-sim reads besides the sections that all roles share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// `ip:port` for clients that come without a relay.
    pub listen: String,
    /// The homes, each with `ip:port` for the origins. All of them have the one topic space.
    pub homes: Vec<(NodeName, String)>,
    /// Milliseconds that a session lives without a tunnel.
    pub grace: Millis,
}

impl Config {
    /// Reads the sections. Without `[broker_sim.homes]` the one home is the one that `[anchor]` names.
    pub fn read(reader: &mut Reader) -> Self {
        let name = reader.node_name("anchor.name", "home-1");
        let listen = reader.link_listen("anchor.listen", "127.0.0.1:7201");
        Self {
            listen: reader.listen("broker_sim.listen", "127.0.0.1:1884"),
            homes: reader.link_listens("broker_sim.homes", &[(name.as_str(), listen.as_str())]),
            grace: reader.duration("anchor.grace", GRACE, 0..=GRACE_MAX),
        }
    }
}

#[cfg(test)]
mod tests {
    use baton_process::config::Inputs;

    use super::*;

    fn read(sets: &[&str]) -> Config {
        let sets = sets.iter().map(|set| (*set).to_owned()).collect();
        let mut reader = Reader::new(&Inputs { sets, ..Inputs::default() });
        let config = Config::read(&mut reader);
        reader.finish().expect("no mistake");
        config
    }

    fn homes(config: &Config) -> Vec<(&str, &str)> {
        config.homes.iter().map(|(name, listen)| (name.as_str(), listen.as_str())).collect()
    }

    #[test]
    fn one_home_unless_a_table_names_more() {
        let config = read(&[]);
        assert_eq!((&*config.listen, config.grace), ("127.0.0.1:1884", 60_000));
        assert_eq!(homes(&config), [("home-1", "127.0.0.1:7201")]);
        assert_eq!(homes(&read(&["anchor.name=a", "anchor.listen=127.0.0.1:1"])), [("a", "127.0.0.1:1")]);
        let two = read(&["broker_sim.homes.b=127.0.0.1:2", "broker_sim.homes.c=127.0.0.1:3", "anchor.grace=5s"]);
        assert_eq!((homes(&two), two.grace), (vec![("b", "127.0.0.1:2"), ("c", "127.0.0.1:3")], 5_000));
    }
}
