//! Mosquitto.

use super::{Error, Foreign, Place, Settings, program, text};

pub(super) fn foreign(place: &Place<'_>) -> Result<(Foreign, Settings), Error> {
    let configuration = place.path("conf");
    let foreign = Foreign {
        command: vec![text(&program("mosquitto")?), "-c".into(), text(&configuration)],
        environment: Vec::new(),
        configuration,
        between: " ",
        connected: "New client connected",
        files: Vec::new(),
    };
    let settings = vec![
        ("listener", format!("{} {}", place.listen.port(), place.listen.ip())),
        ("allow_anonymous", "true".to_owned()),
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
    ];
    Ok((foreign, settings))
}
