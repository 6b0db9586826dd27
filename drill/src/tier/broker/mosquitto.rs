//! Mosquitto, alone or bridged to others.

use std::{fmt::Write, net::SocketAddr};

use super::{Error, Foreign, Place, Settings, USER, io_error, program, text};

/// The password as `mosquitto_passwd` writes it.
const HASH: &str =
    "$7$101$jpm2G/8wR5VOWQaF$Au/5rlNlLVMDtdKMHIbk7CIszu9oZ9GjO99UA0ftlwD3Ajl3xc2HXmqS8nCUjzfQv2qHD2mkczyeD0JQyPt/ng==";

/// Its words for every way to go but DISCONNECT (loop.c, `do_disconnect`; handle_connect.c for a client id that connects
/// again). Of a client that left in order it says just "disconnected.".
const CUT: &[&str] = &[
    " closed its connection",
    " disconnected due to ",
    " disconnected, not authorised",
    " disconnected: ",
    " has exceeded timeout",
    "Bad socket read/write on client ",
    " been disconnected by administrative action",
    " already connected, closing old connection",
];

/// Begins the client ids of bridges, at both ends after whatever their broker puts before them.
pub(in crate::tier) const BRIDGE: &str = "bridge-to-";

pub(super) fn foreign(place: &Place<'_>) -> Result<(Foreign, Settings), Error> {
    let configuration = place.path("conf");
    let bridges = place.path("bridges");
    std::fs::create_dir_all(&bridges).map_err(io_error(format!("creating {}", bridges.display())))?;
    let passwords = place.path("passwords");
    let foreign = Foreign {
        command: vec![text(&program("mosquitto")?), "-c".into(), text(&configuration)],
        environment: Vec::new(),
        configuration,
        between: " ",
        connected: "New client connected",
        cut: CUT,
        files: vec![
            (passwords.clone(), format!("{USER}:{HASH}\n")),
            // In a directory of its own, since the order of its lines matters.
            (bridges.join("bridges.conf"), place.peers.iter().map(bridge).collect()),
        ],
    };
    let settings = vec![
        ("listener", format!("{} {}", place.listen.port(), place.listen.ip())),
        ("allow_anonymous", "true".to_owned()),
        ("password_file", text(&passwords)),
        ("persistence", "false".to_owned()),
        // It logs each connection, which tests count.
        ("log_dest", "stderr".to_owned()),
        ("set_tcp_nodelay", "true".to_owned()),
        ("max_queued_messages", "0".to_owned()),
        // With 20, the default, Mosquitto 2.0.11 lets a message that comes when the twentieth was just acknowledged
        // overtake those that wait: the ledger would call them reordered.
        ("max_inflight_messages", "0".to_owned()),
        // Started by root, it would become a user who can't read its files.
        ("user", "root".to_owned()),
        ("include_dir", text(&bridges)),
    ];
    Ok((foreign, settings))
}

/// All topics pass both ways (mosquitto.conf(5), "Configuring Bridges"). Brokers that are bridged without a circle don't
/// echo: each leaves out whom it has a message from.
fn bridge((peer, address): &(String, SocketAddr)) -> String {
    let mut lines = String::new();
    for (key, value) in [
        ("connection", peer.clone()),
        ("address", address.to_string()),
        ("topic", "# both 2".to_owned()),
        // What is published while the other is away arrives later.
        ("cleansession", "false".to_owned()),
        ("try_private", "true".to_owned()),
        ("notifications", "false".to_owned()),
        ("remote_clientid", format!("{BRIDGE}{peer}")),
        ("restart_timeout", "1".to_owned()),
    ] {
        writeln!(lines, "{key} {value}").expect("a String takes whatever is written to it");
    }
    lines
}
