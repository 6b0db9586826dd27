//! Aedes, which is a library: the program around it is `aedes.js`.

use std::path::PathBuf;

use super::{Error, Foreign, PASSWORD, Place, Settings, USER, program, text, tools};

const PROGRAM: &str = include_str!("aedes.js");

pub(super) fn foreign(place: &Place<'_>) -> Result<(Foreign, Settings), Error> {
    let node = program("node")?;
    let modules = modules().ok_or(Error::NotInstalled("aedes"))?;
    let (configuration, script) = (place.path("conf"), place.path("js"));
    let foreign = Foreign {
        command: vec![text(&node), text(&script), text(&configuration)],
        environment: vec![("NODE_PATH", text(&modules))],
        configuration,
        between: " ",
        connected: "client ready: ",
        cut: &[],
        files: vec![(script, PROGRAM.to_owned())],
    };
    let settings = vec![
        ("listen", place.listen.to_string()),
        ("user", USER.to_owned()),
        ("password", PASSWORD.to_owned()),
        // Packets of a client that isn't connected yet, in place of 42.
        ("queueLimit", "10000".to_owned()),
        // QoS 2 messages under way from one client, in place of 1,000: 0 is no limit.
        ("maxInflightInbound", "0".to_owned()),
        // Longest client id of MQTT 3.1, in place of the 23 bytes that it asks for.
        ("maxClientsIdLength", "65535".to_owned()),
        // A client that doesn't read is the drill's to judge: 0 leaves it.
        ("drainTimeout", "0".to_owned()),
    ];
    Ok((foreign, settings))
}

/// The directory of npm packages that has it.
fn modules() -> Option<PathBuf> {
    let path = std::env::var_os("NODE_PATH").unwrap_or_default();
    let tools = tools().map(|tools| tools.join("node/node_modules"));
    std::env::split_paths(&path).chain(tools).find(|modules| modules.join("aedes").is_dir())
}
