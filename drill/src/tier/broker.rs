//! Brokers: which there are, and what those that aren't ours are started with.
//!
//! Each is told the same: listen on one loopback address, let anybody in who gives no name, know one user where it can do
//! both, and have no limit that a load could meet. The ledger would call a message that a full queue dropped
//! lost, and wouldn't know whose doing it was.

use std::{
    collections::BTreeMap,
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use super::{Error, io_error};

mod aedes;
mod mosquitto;
mod rabbitmq;
mod rumqttd;

pub(super) use mosquitto::BRIDGE;

/// Which broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Broker {
    /// `baton broker-sim`, its homes inside.
    Sim,
    /// `baton broker-sim` as if it were a real broker: a sidecar per home before its plain port.
    SimApart,
    /// Mosquitto, with a sidecar per home, as every further one.
    Mosquitto,
    /// RabbitMQ with its MQTT plugin.
    RabbitMq,
    /// Aedes, in a program of a few lines.
    Aedes,
    /// rumqttd, which has a port for each version of MQTT; here that for 3.1.1.
    Rumqttd,
    /// rumqttd's port for MQTT 5.
    Rumqttd5,
    /// Whatever listens there, such as a recorder, in MQTT or not; no process of the tier, but a sidecar per home.
    At(SocketAddr),
}

/// Whom brokers know by a name and a password.
pub const USER: &str = "baton";
/// The user's password.
pub const PASSWORD: &str = "right horse";

/// Keys and values of a configuration.
pub(super) type Settings = Vec<(&'static str, String)>;

/// What a broker's process may call its own.
pub(super) struct Place<'a> {
    pub(super) name: &'a str,
    /// Where it is to take MQTT clients.
    pub(super) listen: SocketAddr,
    /// A further address, for what it can't do without.
    pub(super) internal: SocketAddr,
    /// The tier's directory.
    pub(super) directory: &'a Path,
    /// Brokers that it is to share its topics with: name and address. They don't know of it.
    pub(super) peers: &'a [(String, SocketAddr)],
}

impl Place<'_> {
    /// A file or directory that no other process uses.
    fn path(&self, extension: &str) -> PathBuf {
        self.directory.join(format!("{}.{extension}", self.name))
    }
}

/// A program that isn't ours.
#[derive(Debug)]
pub(super) struct Foreign {
    /// Itself and its arguments.
    pub(super) command: Vec<String>,
    /// Variables that are set for it.
    pub(super) environment: Vec<(&'static str, String)>,
    /// Where its settings are written, a line each, before each start.
    configuration: PathBuf,
    /// What stands between key and value there.
    between: &'static str,
    /// What a line of its log says of a client that it has taken, besides the client id.
    pub(super) connected: &'static str,
    /// What lines of its log say of a client whose connection ended without DISCONNECT: its will is published then. Empty
    /// if it doesn't say.
    pub(super) cut: &'static [&'static str],
    /// Further files that it reads.
    files: Vec<(PathBuf, String)>,
}

impl Foreign {
    /// What its configuration says.
    pub(super) fn lines(&self, settings: &BTreeMap<String, String>) -> String {
        settings.iter().map(|(key, value)| format!("{key}{}{value}\n", self.between)).collect()
    }

    pub(super) fn write_files(&self, settings: &BTreeMap<String, String>) -> Result<(), Error> {
        let lines = self.lines(settings);
        let write = |path: &PathBuf, text: &String| {
            fs::write(path, text).map_err(io_error(format!("writing {}", path.display())))
        };
        write(&self.configuration, &lines)?;
        self.files.iter().try_for_each(|(path, text)| write(path, text))
    }
}

impl Broker {
    /// How a sidecar is to ask whether it is well: in MQTT, if it speaks that.
    pub(super) fn probe(self) -> &'static str {
        match self {
            Self::At(_) => "connect",
            _ => "mqtt",
        }
    }

    /// The program and its settings.
    pub(super) fn foreign(self, place: &Place<'_>) -> Result<(Foreign, Settings), Error> {
        match self {
            Self::Mosquitto => mosquitto::foreign(place),
            Self::RabbitMq => rabbitmq::foreign(place),
            Self::Aedes => aedes::foreign(place),
            Self::Rumqttd => rumqttd::foreign(place, "v4"),
            Self::Rumqttd5 => rumqttd::foreign(place, "v5"),
            Self::Sim | Self::SimApart | Self::At(_) => {
                unreachable!("the layout starts neither as a program that isn't ours")
            }
        }
    }
}

/// A program, if it is installed: on the PATH, where Debian puts what users don't look for, or where `test.sh` does.
fn program(name: &'static str) -> Result<PathBuf, Error> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let further = ["/usr/sbin", "/usr/local/sbin"].map(PathBuf::from);
    let tools = tools().map(|tools| tools.join("bin"));
    let places = std::env::split_paths(&path).chain(further).chain(tools);
    places.map(|place| place.join(name)).find(|program| program.is_file()).ok_or(Error::NotInstalled(name))
}

/// Where `test.sh` installs: beside what cargo builds, this program among it.
fn tools() -> Option<PathBuf> {
    let this = std::env::current_exe().ok()?;
    this.ancestors().map(|place| place.join("tools")).find(|tools| tools.is_dir())
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}
