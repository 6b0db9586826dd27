//! The sections `[broker_sim]` and `[anchor]`.

use std::{num::NonZeroU16, path::PathBuf};

use baton_process::config::Reader;
use baton_protocol::{
    id::NodeName,
    limits::{GRACE, GRACE_MAX, Millis},
};

use crate::{
    broker::{Credentials, Limits},
    faults::Rule,
};

/// What a broker-sim reads besides the sections that all roles share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// `ip:port` for clients that come without a relay.
    pub listen: String,
    /// The homes, each with `ip:port` for the origins. All of them have the one topic space. None: a plain broker.
    pub homes: Vec<(NodeName, String)>,
    /// Milliseconds that a session lives without a tunnel.
    pub grace: Millis,
    /// Who may connect; none: anybody.
    pub users: Option<Credentials>,
    /// Its Receive Maximum.
    pub receive: NonZeroU16,
    /// Its Server Keep Alive, in seconds.
    pub keep_alive: Option<NonZeroU16>,
    /// What it does wrong from the start. Not in the configuration's files: a broker that misbehaves was told so by
    /// whoever started it.
    pub faults: Vec<Rule>,
    /// What repeats chance in the rules; none: of the kernel.
    pub seed: Option<u64>,
    /// Where it writes down every packet.
    pub transcript: Option<PathBuf>,
    /// What a crash is.
    pub crash: Crash,
}

/// What becomes of the process when a rule says `crash`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Crash {
    /// It aborts, as a broker's process would.
    #[default]
    Abort,
    /// The broker ends at once, without a word, and the process goes on: it's a test.
    End,
}

/// What configures a home. Without any of it nobody has asked for one, and its port would be one more that two brokers on
/// a machine can't both have.
const HOME_KEYS: [&str; 3] = ["anchor.name", "anchor.listen", "broker_sim.homes"];

impl Config {
    /// Reads the sections. Without `[broker_sim.homes]` the one home is the one that `[anchor]` names; without that
    /// there is none.
    pub fn read(reader: &mut Reader) -> Self {
        let any = HOME_KEYS.iter().any(|key| reader.is_given(key));
        let name = reader.node_name("anchor.name", "home-1");
        let listen = reader.link_listen("anchor.listen", "127.0.0.1:7201");
        Self {
            listen: reader.listen("broker_sim.listen", "127.0.0.1:1884"),
            homes: reader.link_listens("broker_sim.homes", &[(name.as_str(), listen.as_str())][..usize::from(any)]),
            grace: reader.duration("anchor.grace", GRACE, 0..=GRACE_MAX),
            users: users(reader),
            receive: receive(reader),
            keep_alive: keep_alive(reader),
            faults: Vec::new(),
            seed: None,
            transcript: None,
            crash: Crash::default(),
        }
    }
}

/// The Receive Maximum (MQTT 5, 3.2.2.3.3).
fn receive(reader: &mut Reader) -> NonZeroU16 {
    let default = Limits::default().receive;
    let most = reader.count("broker_sim.receive_maximum", default.get().into(), 1..=u16::MAX.into());
    u16::try_from(most).ok().and_then(NonZeroU16::new).unwrap_or(default)
}

/// The Server Keep Alive (MQTT 5, 3.2.2.3.14): whole seconds.
fn keep_alive(reader: &mut Reader) -> Option<NonZeroU16> {
    let key = "broker_sim.keep_alive";
    let millis = reader.optional_duration(key, 1_000..=Millis::from(u16::MAX) * 1_000)?;
    if millis % 1_000 != 0 {
        reader.refuse(key, "whole seconds", &format!("{millis}ms"));
    }
    u16::try_from(millis / 1_000).ok().and_then(NonZeroU16::new)
}

/// The file that names the users.
fn users(reader: &mut Reader) -> Option<Credentials> {
    let key = "broker_sim.users";
    let file = reader.text(key, "");
    if file.is_empty() {
        return None;
    }
    let expected = "a file with user:password on each line";
    match std::fs::read_to_string(&file).map(|text| Credentials::parse(&text)) {
        Ok(Ok(users)) => return Some(users),
        Ok(Err(mistake)) => reader.refuse(key, expected, &format!("{file}, {mistake}")),
        Err(error) => reader.refuse(key, expected, &format!("{file}: {error}")),
    }
    None
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
    fn no_home_unless_it_is_asked_for_and_one_unless_a_table_names_more() {
        let config = read(&[]);
        assert_eq!((&*config.listen, config.grace), ("127.0.0.1:1884", 60_000));
        assert_eq!(homes(&config), [], "a plain broker");
        assert_eq!(homes(&read(&["anchor.name=a"])), [("a", "127.0.0.1:7201")]);
        assert_eq!(homes(&read(&["anchor.listen=127.0.0.1:1"])), [("home-1", "127.0.0.1:1")]);
        assert_eq!(homes(&read(&["anchor.name=a", "anchor.listen=127.0.0.1:1"])), [("a", "127.0.0.1:1")]);
        let two = read(&["broker_sim.homes.b=127.0.0.1:2", "broker_sim.homes.c=127.0.0.1:3", "anchor.grace=5s"]);
        assert_eq!((homes(&two), two.grace), (vec![("b", "127.0.0.1:2"), ("c", "127.0.0.1:3")], 5_000));
    }

    #[test]
    fn what_it_tells_clients_of_mqtt_5() {
        let told = |sets: &[&str]| {
            let config = read(sets);
            (config.receive.get(), config.keep_alive.map(NonZeroU16::get))
        };
        assert_eq!(told(&[]), (1_024, None));
        assert_eq!(told(&["broker_sim.receive_maximum=1", "broker_sim.keep_alive=90s"]), (1, Some(90)));
        for wrong in
            ["receive_maximum=0", "receive_maximum=65536", "keep_alive=999ms", "keep_alive=1500ms", "keep_alive=1d"]
        {
            let mut reader = Reader::new(&Inputs { sets: vec![format!("broker_sim.{wrong}")], ..Inputs::default() });
            Config::read(&mut reader);
            assert!(reader.finish().is_err(), "{wrong}");
        }
    }

    #[test]
    fn users_are_in_a_file_that_is_read_at_once() {
        let path = std::env::temp_dir().join(format!("baton-users-{}", std::process::id()));
        let users = |text: &str| {
            std::fs::write(&path, text).unwrap();
            let mut reader = Reader::new(&Inputs {
                sets: vec![format!("broker_sim.users={}", path.display())],
                ..Inputs::default()
            });
            let config = Config::read(&mut reader);
            reader.finish().map(|()| config.users).map_err(|report| report.to_string())
        };
        assert_eq!(users("ann:secret\n"), Ok(Some(Credentials::parse("ann:secret").unwrap())));
        let report = users("ann:secret\nbob\n").unwrap_err();
        assert!(report.contains("broker_sim.users") && report.contains("line 2: no colon"), "{report}");
        std::fs::remove_file(&path).unwrap();
        assert!(users_missing(&path).contains("No such file"));
    }

    fn users_missing(path: &std::path::Path) -> String {
        let sets = vec![format!("broker_sim.users={}", path.display())];
        let mut reader = Reader::new(&Inputs { sets, ..Inputs::default() });
        Config::read(&mut reader);
        reader.finish().unwrap_err().to_string()
    }
}
