//! RabbitMQ with its MQTT plugin: a node of its own that shares nothing with one that the machine may run.

use std::path::Path;

use super::{Error, Foreign, PASSWORD, Place, Settings, USER, program, text};

/// The server's own script. Debian's on the PATH becomes another user in another session, where no drill finds it.
const SCRIPT: &str = "/usr/lib/rabbitmq/bin/rabbitmq-server";

pub(super) fn foreign(place: &Place<'_>) -> Result<(Foreign, Settings), Error> {
    program("rabbitmq-server")?;
    if !Path::new(SCRIPT).is_file() {
        return Err(Error::NotInstalled(SCRIPT));
    }
    let configuration = place.path("conf");
    let plugins = place.path("plugins");
    let node = format!("{}@localhost", place.name);
    let port = place.internal.port();
    let foreign = Foreign {
        command: vec![SCRIPT.into()],
        environment: vec![
            ("HOME", text(place.directory)),
            // One that doesn't exist keeps it from the machine's.
            ("RABBITMQ_CONF_ENV_FILE", text(&place.path("env"))),
            ("RABBITMQ_CONFIG_FILE", text(&configuration)),
            ("RABBITMQ_ENABLED_PLUGINS_FILE", text(&plugins)),
            ("RABBITMQ_MNESIA_BASE", text(&place.path("mnesia"))),
            ("RABBITMQ_LOG_BASE", text(place.directory)),
            ("RABBITMQ_LOGS", "-".into()),
            ("ERL_CRASH_DUMP", text(&place.path("dump"))),
            ("RABBITMQ_NODENAME", node.clone()),
            ("RABBITMQ_DIST_PORT", port.to_string()),
            // Without epmd, a daemon that would outlive it: that is for nodes that look for each other, and this one is
            // distributed from its first moment, so that the server doesn't start one either.
            (
                "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS",
                format!(
                    "-sname {node} -erl_epmd_port {port} -kernel inet_dist_use_interface {{127,0,0,1}} \
                     inet_dist_listen_min {port} inet_dist_listen_max {port}"
                ),
            ),
            // For every program of Erlang's, not for the server alone: each minute it starts another, to have epmd started.
            ("ERL_FLAGS", "-start_epmd false".into()),
            // The script becomes the server, which gets the signals, in place of watching over it.
            ("RUNNING_UNDER_SYSTEMD", "true".into()),
        ],
        configuration,
        between: " = ",
        connected: "accepting MQTT connection",
        cut: &[],
        files: vec![(plugins, "[rabbitmq_mqtt].\n".into())],
    };
    let settings = vec![
        ("listeners.tcp", "none".to_owned()),
        ("mqtt.listeners.tcp.1", place.listen.to_string()),
        ("mqtt.tcp_listen_options.nodelay", "true".to_owned()),
        ("mqtt.allow_anonymous", "true".to_owned()),
        // Who gives no name is taken for its one user.
        ("default_user", USER.to_owned()),
        ("default_pass", PASSWORD.to_owned()),
        ("mqtt.default_user", USER.to_owned()),
        ("mqtt.default_pass", PASSWORD.to_owned()),
        // Deliveries under way to one client. Their number is no limit on the queue behind them.
        ("mqtt.prefetch", "1000".to_owned()),
    ];
    Ok((foreign, settings))
}
