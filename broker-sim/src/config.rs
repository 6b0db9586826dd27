//! The sections `[broker_sim]` and `[anchor]`.

use std::path::PathBuf;

use baton_process::config::Reader;
use baton_protocol::{
    id::NodeName,
    limits::{GRACE, GRACE_MAX, Millis},
};

use crate::{broker::Credentials, faults::Rule};

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
            faults: Vec::new(),
            seed: None,
            transcript: None,
            crash: Crash::default(),
        }
    }
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
