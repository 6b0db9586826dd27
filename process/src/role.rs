//! The roles a process can have.

use std::fmt;

/// What a process does in the tier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// Faces the clients.
    Edge,
    /// Splices tunnels.
    Origin,
    /// An anchor in front of a real broker.
    Sidecar,
    /// An anchor with a broker inside.
    BrokerSim,
}

impl Role {
    /// Every role.
    pub const ALL: [Self; 4] = [Self::Edge, Self::Origin, Self::Sidecar, Self::BrokerSim];

    /// The word on the command line, in logs and in labels.
    pub fn word(self) -> &'static str {
        match self {
            Self::Edge => "edge",
            Self::Origin => "origin",
            Self::Sidecar => "sidecar",
            Self::BrokerSim => "broker-sim",
        }
    }

    /// The sections of the configuration that it reads besides the ones that all roles share, its own first.
    pub fn sections(self) -> &'static [&'static str] {
        match self {
            Self::Edge => &["edge"],
            Self::Origin => &["origin"],
            Self::Sidecar => &["sidecar", "anchor"],
            Self::BrokerSim => &["broker_sim", "anchor"],
        }
    }

    /// Where its admin address is by default, on loopback.
    pub fn admin_port(self) -> u16 {
        match self {
            Self::Edge => 9101,
            Self::Origin => 9102,
            Self::Sidecar => 9103,
            Self::BrokerSim => 9104,
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}
