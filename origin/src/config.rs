//! The section `[origin]`.

use baton_process::config::{Home, Reader};
use baton_protocol::{
    id::NodeName,
    ring::{POINTS, Ring, RingError, VNODES},
};

/// Where an open goes whose home can't be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HomeDown {
    /// Nowhere: it is refused until the home is back. Brokers that aren't clustered would lose MQTT sessions otherwise.
    Wait,
    /// To the next home on the ring: for brokers that share everything.
    Next,
}

/// What an origin reads besides the sections that all roles share.
#[derive(Clone, Debug)]
pub struct Config {
    /// Its name.
    pub name: NodeName,
    /// `ip:port` for the edges.
    pub listen: String,
    /// The anchors.
    pub homes: Vec<Home>,
    /// Which home a user belongs to.
    pub ring: Ring,
    /// What becomes of opens whose home can't be reached.
    pub home_down: HomeDown,
}

impl Config {
    /// Reads the section.
    pub fn read(reader: &mut Reader) -> Self {
        let homes = reader.homes("origin.homes", &[("home-1", "127.0.0.1:7201")]);
        Self {
            name: reader.node_name("origin.name", "origin-1"),
            listen: reader.link_listen("origin.listen", "127.0.0.1:7101"),
            ring: ring(reader, &homes),
            homes,
            home_down: reader.choice(
                "origin.home_down",
                HomeDown::Wait,
                &[("wait", HomeDown::Wait), ("next", HomeDown::Next)],
            ),
        }
    }
}

fn ring(reader: &mut Reader, homes: &[Home]) -> Ring {
    let vnodes = reader.count("origin.ring.vnodes", VNODES.into(), 1..=POINTS);
    let vnodes = u32::try_from(vnodes).expect("the range fits 32 bits");
    let seed = reader.count("origin.ring.seed", 0, 0..=u64::MAX);
    let members: Vec<_> = homes.iter().map(|home| (home.name.clone(), home.weight)).collect();
    Ring::new(&members, vnodes, seed).unwrap_or_else(|error| {
        // No home at all comes only of mistakes that were noted where each was read.
        if error != RingError::Empty {
            reader.refuse("origin.homes", "homes that make a ring", &error.to_string());
        }
        let some = NodeName::new("home-1").expect("a legal name");
        Ring::new(&[(some, 1)], 1, 0).expect("one home with one point makes a ring")
    })
}

#[cfg(test)]
mod tests {
    use baton_process::config::Inputs;
    use baton_protocol::id::UserId;

    use super::*;

    fn read(sets: &[&str]) -> Result<Config, String> {
        let sets = sets.iter().map(|set| (*set).to_owned()).collect();
        let mut reader = Reader::new(&Inputs { sets, ..Inputs::default() });
        let config = Config::read(&mut reader);
        reader.finish().map(|()| config).map_err(|report| report.to_string())
    }

    #[test]
    fn one_home_unless_a_table_names_more() {
        let config = read(&[]).unwrap();
        assert_eq!((config.name.as_str(), &*config.listen, config.homes.len()), ("origin-1", "127.0.0.1:7101", 1));
        assert_eq!(config.home_down, HomeDown::Wait);
        let two = read(&[
            "origin.homes.a=127.0.0.1:1",
            "origin.homes.b={address='127.0.0.1:2',weight=3}",
            "origin.home_down=next",
            "origin.ring.seed=7",
        ]);
        let two = two.unwrap();
        let homes: Vec<_> = two.homes.iter().map(|home| (home.name.as_str(), home.weight)).collect();
        assert_eq!((homes, two.home_down), (vec![("a", 1), ("b", 3)], HomeDown::Next));
        assert_eq!(two.ring.successors(&UserId::new("alice")).count(), 2);
        assert_ne!(two.ring.digest(), config.ring.digest());
    }

    #[test]
    fn every_mistake_is_reported_at_once() {
        let report = read(&["origin.home_down=maybe", "origin.homes.a=127.0.0.1:1", "origin.ring.vnodes=1048577"]);
        let report = report.unwrap_err();
        assert_eq!(report.lines().filter(|line| line.contains("origin.")).count(), 2, "{report}");
        let report = read(&["origin.homes.a={address='127.0.0.1:1',weight=100}", "origin.ring.vnodes=1048576"]);
        let report = report.unwrap_err();
        assert!(report.contains("origin.homes") && report.contains("104857600"), "{report}");
    }
}
