//! rumqttd.

use super::{Error, Foreign, Place, Settings, program, text};

/// `version`: that of its listener, `v4` or `v5`.
pub(super) fn foreign(place: &Place<'_>, version: &'static str) -> Result<(Foreign, Settings), Error> {
    let configuration = place.path("toml");
    let foreign = Foreign {
        command: vec![text(&program("rumqttd")?), "-v".into(), "--config".into(), text(&configuration)],
        environment: vec![("NO_COLOR", "1".into())],
        configuration,
        between: " = ",
        connected: "incoming_connect with client_id: ",
        cut: &[],
        files: Vec::new(),
    };
    let settings = vec![
        ("id", "0".to_owned()),
        ("router.id", "0".to_owned()),
        ("router.max_connections", "10000".to_owned()),
        ("router.max_outgoing_packet_count", "10000".to_owned()),
        // Bytes of a topic's log segment, and segments before the oldest is dropped.
        ("router.max_segment_size", "104857600".to_owned()),
        ("router.max_segment_count", "10".to_owned()),
        (version, listener(place)),
    ];
    Ok((foreign, settings))
}

/// Without users: where it knows any, it lets in nobody else.
fn listener(place: &Place<'_>) -> String {
    // Bytes of payload in a packet, in place of 20 KiB, and QoS 1 and 2 messages under way to one client.
    let connections = "{ connection_timeout_ms = 60000, max_payload_size = 268435455, max_inflight_count = 1000, \
                       dynamic_filters = true }";
    let Place { name, listen, .. } = place;
    format!(
        r#"{{ 1 = {{ name = "{name}", listen = "{listen}", next_connection_delay_ms = 0, connections = {connections} }} }}"#
    )
}
