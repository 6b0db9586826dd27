//! Which roles a file is for.

use toml::Table;

use crate::role::Role;

/// The roles whose own section is in this text. `[anchor]` is a sidecar's and a broker-sim's: without the section of one of
/// them it's meant for both. What has no section of any role, or is no TOML, has to do for all of them.
pub fn roles_in(text: &str) -> Vec<Role> {
    let table = text.parse::<Table>().unwrap_or_default();
    let mut roles: Vec<_> = Role::ALL.into_iter().filter(|role| table.contains_key(role.sections()[0])).collect();
    let anchors = [Role::Sidecar, Role::BrokerSim];
    if table.contains_key("anchor") && !anchors.iter().any(|role| roles.contains(role)) {
        roles.extend(anchors);
    }
    if roles.is_empty() { Role::ALL.into() } else { roles }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_for_the_roles_whose_sections_it_has() {
        use Role::{BrokerSim, Edge, Origin, Sidecar};
        for (text, roles) in [
            ("[edge]\n", &[Edge][..]),
            ("edge.name = \"a\"\n[limits]\nsessions = 1\n", &[Edge]),
            ("[origin.homes]\na = \"h:1\"\n[edge]\n", &[Edge, Origin]),
            ("[anchor]\n", &[Sidecar, BrokerSim]),
            ("[anchor]\n[origin]\n", &[Origin, Sidecar, BrokerSim]),
            ("[anchor]\n[sidecar]\n", &[Sidecar]),
            ("[anchor]\n[broker_sim]\n", &[BrokerSim]),
            ("", &Role::ALL),
            ("[edgee]\n", &Role::ALL),
            ("[edge\n", &Role::ALL),
        ] {
            assert_eq!(roles_in(text), roles, "{text}");
        }
    }
}
