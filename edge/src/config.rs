//! The edge's section of the configuration.

use baton_process::config::Reader;
use baton_protocol::{connect::UserIdSource, id::NodeName};

/// `[edge]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Its name, by which anchors know whose sessions it may resume.
    pub name: NodeName,
    /// Where clients connect: `ip:port`.
    pub listen: String,
    /// Where the origins' links are: `host:port` each.
    pub origins: Vec<String>,
    /// What tells whom a session belongs to.
    pub user_id: UserIdSource,
    /// Whether sessions outlive their tunnels. Without it a lost tunnel closes the client, as with any other proxy.
    pub dcr: bool,
}

impl Config {
    /// Reads the section.
    pub fn read(reader: &mut Reader) -> Self {
        let sources = [("client_id", UserIdSource::ClientId), ("username", UserIdSource::Username)];
        Self {
            name: reader.node_name("edge.name", "edge-1"),
            listen: reader.listen("edge.listen", "0.0.0.0:1883"),
            origins: reader.link_addresses("edge.origins", &["127.0.0.1:7101"]),
            user_id: reader.choice("edge.user_id", UserIdSource::ClientId, &sources),
            dcr: reader.flag("edge.dcr", true),
        }
    }
}
