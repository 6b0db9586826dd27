//! What a role makes of a configuration, without its process.

use std::collections::BTreeSet;

use baton_process::{
    config::{Inputs, Reader, Shared},
    role::Role,
};

/// All that a role makes of a file's text: the sections that every role has, its own as text, and the keys that it asked for.
pub(crate) fn read(role: Role, text: &str) -> (Shared, String, BTreeSet<String>) {
    let mut reader = Reader::new(&Inputs { file: Some(("baton.toml".into(), text.into())), ..Inputs::default() });
    let shared = Shared::read(&mut reader, role);
    let own = match role {
        Role::Edge => format!("{:?}", baton_edge::Config::read(&mut reader)),
        Role::Origin => format!("{:?}", baton_origin::Config::read(&mut reader)),
        Role::Sidecar => format!("{:?}", baton_sidecar::Config::read(&mut reader)),
        Role::BrokerSim => format!("{:?}", baton_broker_sim::config::Config::read(&mut reader)),
    };
    let keys = reader.keys().collect();
    reader.finish().unwrap_or_else(|report| panic!("{role}: {report}"));
    (shared, own, keys)
}
