//! The configuration: the document's block has every key, and the defaults that it shows are those of the roles.

use std::collections::{BTreeMap, BTreeSet};

use baton_process::role::Role;

use crate::{block, compare, roles::read, section};

/// The keys of a block, dotted, with their defaults; none for one that has no fixed default (`# key =`).
fn keys(block: &str) -> BTreeMap<String, String> {
    let mut section = "";
    let mut keys = BTreeMap::new();
    for line in block.lines() {
        if let Some(name) = line.strip_prefix('[') {
            section = name.split(']').next().expect("split gives at least one");
        } else if let Some((key, rest)) = line.trim_start_matches("# ").split_once(" =") {
            let default = rest.split("  #").next().expect("split gives at least one").trim();
            keys.insert(format!("{section}.{key}"), default.into());
        }
    }
    keys
}

#[test]
fn the_configuration() {
    let block = block(&section("## Configuration"));
    let mut known = BTreeSet::new();
    for role in Role::ALL {
        // The block shows an edge's, and names the others.
        let admin = format!("listen = \"127.0.0.1:{}\"", Role::Edge.admin_port());
        let own = role.admin_port().to_string();
        assert!(block.lines().any(|line| line.starts_with(&admin) && line.contains(&own)), "{role}: {own}");
        let mut shown = block.replace(&admin, &format!("listen = \"127.0.0.1:{own}\""));
        if role == Role::BrokerSim {
            // It has no home unless it's given one, as the block says of [anchor] and its own homes.
            shown = shown.replace("name = \"home-1\"\n", "").replace("listen = \"127.0.0.1:7201\"\n", "");
            shown = shown.replace("home-1 = \"127.0.0.1:7201\"\n\n[drain]", "\n[drain]");
        }
        let (shared, own, asked) = read(role, &shown);
        let (shared_unless_given, own_unless_given, _) = read(role, "");
        assert_eq!(shared, shared_unless_given, "{role}: the block shows another default");
        assert_eq!(own, own_unless_given, "{role}: the block shows another default");
        known.extend(asked);
    }
    // Homes have names of the user's choice; their parts are in a comment.
    let known: BTreeSet<_> = known.into_iter().filter(|key| !key.contains("homes.home-1")).collect();
    let keys = keys(&block);
    let shown: BTreeSet<_> = keys.keys().filter(|key| !key.contains("homes.home-1")).cloned().collect();
    assert_eq!(shown, known, "docs/interfaces.md shows, the roles read");
    let found: String =
        keys.iter().map(|(key, default)| format!("{key} = {default}").trim_end().to_owned() + "\n").collect();
    compare("configuration.txt", &found);
}
