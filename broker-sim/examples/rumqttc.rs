//! How does rumqttc behave when its PUBACK is lost? `cargo run -p baton-broker-sim --example rumqttc`

use std::{error::Error, time::Duration};

use rumqttc::{Client, Event, MqttOptions, Packet, QoS};

/// Requests that its event loop may be behind.
const REQUESTS: usize = 1;

fn main() -> Result<(), Box<dyn Error>> {
    // The connection is cut when it asks whether anybody is there.
    let faults = "drop puback 1\ncut on pingreq 1";
    let broker = baton_broker_sim::start(baton_broker_sim::Config { faults: faults.into(), ..Default::default() })?;
    let mut options = MqttOptions::new("rust", broker.addr().ip().to_string(), broker.addr().port());
    options.set_keep_alive(Duration::from_secs(1)).set_clean_session(false);
    let (client, mut connection) = Client::new(options, REQUESTS);
    client.publish("news", QoS::AtLeastOnce, false, "hello")?;
    for event in connection.iter() {
        match event {
            Ok(Event::Incoming(Packet::PubAck(ack))) => {
                println!("PUBACK {}", ack.pkid);
                break;
            }
            Ok(event) => println!("{event:?}"),
            Err(error) => println!("lost: {error}"),
        }
    }
    println!("PUBLISH of QoS 0, 1, 2: {:?}", broker.counts().publishes);
    Ok(())
}
