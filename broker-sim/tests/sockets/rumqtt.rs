//! rumqttc, 3.1.1 and 5.

use std::time::Duration;

use tokio::time::timeout;

use crate::Running;

const WITHIN: Duration = Duration::from_secs(20);

mod v4 {
    use rumqttc::{AsyncClient, Event, EventLoop, MqttOptions, Packet, Publish, QoS};

    use super::*;

    fn client(broker: &Running, name: &str) -> (AsyncClient, EventLoop) {
        let mut options = MqttOptions::new(name, "127.0.0.1", broker.plain.port());
        options.set_max_packet_size(1 << 20, 1 << 20).set_clean_session(name != "kept");
        AsyncClient::new(options, 100)
    }

    async fn until<T>(events: &mut EventLoop, wanted: impl Fn(&Packet) -> Option<T>) -> T {
        let search = async {
            loop {
                if let Event::Incoming(packet) = events.poll().await.unwrap()
                    && let Some(found) = wanted(&packet)
                {
                    return found;
                }
            }
        };
        timeout(WITHIN, search).await.expect("in time")
    }

    fn suback(packet: &Packet) -> Option<()> {
        matches!(packet, Packet::SubAck(_)).then_some(())
    }

    fn message(packet: &Packet) -> Option<Publish> {
        if let Packet::Publish(publish) = packet { Some(publish.clone()) } else { None }
    }

    #[tokio::test]
    async fn messages_of_every_qos_and_size() {
        let broker = Running::start(&[]);
        let (client, mut events) = client(&broker, "c");
        client.subscribe("t/#", QoS::ExactlyOnce).await.unwrap();
        until(&mut events, suback).await;
        for qos in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce] {
            for size in [0, 1, 1000, 200_000] {
                client.publish(format!("t/{size}"), qos, false, vec![7; size]).await.unwrap();
                let got = until(&mut events, message).await;
                assert_eq!((got.qos, got.payload.len(), got.dup), (qos, size, false));
            }
        }
        client.disconnect().await.unwrap();
        while timeout(WITHIN, events.poll()).await.expect("in time").is_ok() {}
        broker.stop();
    }

    #[tokio::test]
    async fn a_session_that_is_kept_has_what_was_missed() {
        let broker = Running::start(&[]);
        let (kept, mut events) = client(&broker, "kept");
        kept.subscribe("t", QoS::AtLeastOnce).await.unwrap();
        until(&mut events, suback).await;
        drop((kept, events));

        let (publisher, mut events) = client(&broker, "p");
        publisher.publish("t", QoS::AtLeastOnce, false, "missed").await.unwrap();
        until(&mut events, |packet| matches!(packet, Packet::PubAck(_)).then_some(())).await;
        drop((publisher, events));

        let (_kept, mut events) = client(&broker, "kept");
        let present = until(&mut events, |packet| match packet {
            Packet::ConnAck(ack) => Some(ack.session_present),
            _ => None,
        });
        assert!(present.await);
        assert_eq!(&until(&mut events, message).await.payload[..], b"missed");
        drop(events);
        broker.stop();
    }
}

mod v5 {
    use rumqttc::v5::{
        AsyncClient, ConnectionError, Event, EventLoop, MqttOptions, StateError,
        mqttbytes::{QoS, v5::DisconnectReasonCode, v5::Packet},
    };

    use super::*;

    fn client(broker: &Running, name: &str) -> (AsyncClient, EventLoop) {
        let mut options = MqttOptions::new(name, "127.0.0.1", broker.plain.port());
        // Its table of packet ids would take 14 MB otherwise.
        options.set_outgoing_inflight_upper_limit(100);
        AsyncClient::new(options, 100)
    }

    #[tokio::test]
    async fn messages_of_every_qos() {
        let broker = Running::start(&[]);
        let (client, mut events) = client(&broker, "c");
        client.subscribe("t/+", QoS::ExactlyOnce).await.unwrap();
        let mut got = Vec::new();
        let conversation = async {
            while got.len() < 30 {
                match events.poll().await.unwrap() {
                    Event::Incoming(Packet::SubAck(_)) => {
                        for n in 0..30_u8 {
                            let qos = [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce][usize::from(n % 3)];
                            client.publish(format!("t/{}", n % 3), qos, false, vec![n]).await.unwrap();
                        }
                    }
                    Event::Incoming(Packet::Publish(publish)) => got.push((publish.qos as u8, publish.payload[0])),
                    _ => {}
                }
            }
        };
        timeout(WITHIN, conversation).await.expect("in time");
        got.sort_by_key(|(qos, _)| *qos);
        let expected: Vec<_> = (0..3).flat_map(|qos| (0..10).map(move |n| (qos, n * 3 + qos))).collect();
        assert_eq!(got, expected, "all of them, each QoS in order");
        drop(events);
        broker.stop();
    }

    #[tokio::test]
    async fn client_takeover_is_told() {
        let broker = Running::start(&[]);
        let connected = |events: Result<Event, ConnectionError>| {
            assert!(matches!(events.unwrap(), Event::Incoming(Packet::ConnAck(_))));
        };
        let (_old, mut old_events) = client(&broker, "c");
        connected(old_events.poll().await);
        let (_new, mut new_events) = client(&broker, "c");
        connected(new_events.poll().await);
        let end = timeout(WITHIN, old_events.poll()).await.expect("in time");
        // The packet itself comes first or the error that it makes, as rumqttc likes.
        let end = if end.is_ok() { old_events.poll().await } else { end };
        match end {
            Err(ConnectionError::MqttState(StateError::ServerDisconnect { reason_code, .. })) => {
                assert_eq!(reason_code, DisconnectReasonCode::SessionTakenOver);
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(broker.number("baton_broker_takeovers_total"), 1);
        drop((old_events, new_events));
        broker.stop();
    }
}
