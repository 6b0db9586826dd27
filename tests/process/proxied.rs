//! RabbitMQ, told by the PROXY protocol who its clients are.

use baton_drill::tier::{Broker, Layout, Role};

use crate::support::{
    BATON, start, until,
    wire::{Wire, connect},
};

#[test]
fn the_broker_sees_where_a_client_is() {
    let layout = Layout { broker: Broker::RabbitMq, ..Layout::new(BATON) };
    let layout = layout.set(Role::Broker, "mqtt.proxy_protocol", "true");
    let Some(tier) = start(layout.set(Role::Sidecar, "sidecar.proxy_protocol", "true")) else { return };
    let mut client = Wire::saying(tier.edges()[0], &connect(4, "from afar"));
    assert_eq!(client.hears(), [0x20, 2, 0, 0]);
    let seen =
        format!("({} -> {}, client id: from afar)", client.local(), tier.address("broker-1").expect("it has one"));
    until("the broker says so", || tier.log_count("broker-1", &seen).is_ok_and(|lines| lines == 1));
    // The sidecar's own question comes from the sidecar: this broker takes no LOCAL header, and is told so.
    let log = tier.log("broker-1").expect("it has one");
    let own = |line: &&str| line.contains("(127.0.0.1:") && line.contains("client id: baton-probe-home-1)");
    assert!(log.lines().any(|line| own(&line)), "{log}");
}
