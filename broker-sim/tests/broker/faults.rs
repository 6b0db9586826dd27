//! Clients that break MQTT: each is told why (4.13), closed, and nobody else notices.

use baton_broker_sim::broker::{Closing, Fault};
use rmqtt_codec::{
    types::Publish,
    v5::{ConnectAckReason, Disconnect, DisconnectReasonCode, Packet, SubscriptionOptions},
};

use crate::desk::{Desk, Q0, Q1, clean, message, publish};

fn changed(change: fn(&mut Publish)) -> Packet {
    message("t", "x", Q0, change)
}

#[test]
fn connected_clients_are_told_and_closed() {
    let share = Packet::Subscribe(rmqtt_codec::v5::Subscribe {
        packet_id: 1.try_into().unwrap(),
        id: None,
        user_properties: Vec::new(),
        topic_filters: vec![("$share/g/t".into(), SubscriptionOptions { no_local: true, ..Default::default() })],
    });
    let cases = [
        // 3.1.0-2
        (Packet::Connect(Box::new(clean("c"))), Fault::SecondConnect, DisconnectReasonCode::ProtocolError),
        // 3.3.2-2
        (publish("a/+", "", Q0), Fault::TopicName, DisconnectReasonCode::TopicNameInvalid),
        (publish("a\0", "", Q0), Fault::TopicName, DisconnectReasonCode::TopicNameInvalid),
        // 3.3.2.1
        (publish("", "", Q1), Fault::NoTopic, DisconnectReasonCode::ProtocolError),
        // 3.3.2.3.4
        (
            changed(|p| p.properties.as_mut().unwrap().topic_alias = 33.try_into().ok()),
            Fault::TopicAlias,
            DisconnectReasonCode::TopicAliasInvalid,
        ),
        // 3.3.4-6
        (
            changed(|p| p.properties.as_mut().unwrap().subscription_ids = vec![1.try_into().unwrap()]),
            Fault::ServerOnly,
            DisconnectReasonCode::ProtocolError,
        ),
        // 3.3.2-14
        (
            changed(|p| p.properties.as_mut().unwrap().response_topic = Some("a/#".into())),
            Fault::TopicName,
            DisconnectReasonCode::TopicNameInvalid,
        ),
        // 3.8.3-4
        (share, Fault::SharedNoLocal, DisconnectReasonCode::ProtocolError),
        // 2.1.2
        (Packet::PingResponse, Fault::ServerOnly, DisconnectReasonCode::ProtocolError),
        (Packet::Auth(rmqtt_codec::v5::Auth::default()), Fault::Protocol, DisconnectReasonCode::ProtocolError),
    ];
    for (packet, fault, code) in cases {
        let mut desk = Desk::new();
        let other = desk.listener("other", &["#"], Q0);
        let conn = desk.join("c");
        desk.send(conn, packet.clone());
        assert_eq!(desk.closed(conn), Some(Closing::Fault(fault)), "{packet:?}");
        assert_eq!(desk.got(conn), [Packet::Disconnect(Disconnect::new(code))], "{packet:?}");
        assert_eq!((desk.closed(other), desk.heard(other)), (None, vec![]));
        desk.send(conn, publish("t", "after", Q0));
        assert_eq!(desk.heard(other), [] as [&str; 0], "a closed connection has no say");
    }
}

/// 3.1.0-1: anything but CONNECT first is answered by the close alone.
#[test]
fn the_first_packet_is_a_connect() {
    let mut desk = Desk::new();
    let conn = desk.open();
    desk.send(conn, Packet::PingRequest);
    assert_eq!(desk.closed(conn), Some(Closing::Fault(Fault::FirstNotConnect)));
    assert_eq!(desk.got(conn), []);
}

/// 4.13: what the shell can't parse, before and after the CONNECT.
#[test]
fn unparsable() {
    for (fault, refusal, code) in [
        (Fault::Malformed, Some(ConnectAckReason::MalformedPacket), DisconnectReasonCode::MalformedPacket),
        (Fault::TooLarge, Some(ConnectAckReason::PacketTooLarge), DisconnectReasonCode::PacketTooLarge),
        (Fault::UnknownLevel, Some(ConnectAckReason::UnsupportedProtocolVersion), DisconnectReasonCode::ProtocolError),
        (Fault::FirstNotConnect, None, DisconnectReasonCode::MalformedPacket),
    ] {
        let mut desk = Desk::new();
        let (fresh, connected) = (desk.open(), desk.join("c"));
        for conn in [fresh, connected] {
            desk.fault(conn, fault);
        }
        let told: Vec<_> = desk
            .got(fresh)
            .into_iter()
            .map(|packet| match packet {
                Packet::ConnectAck(ack) => ack.reason_code,
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(told, Vec::from_iter(refusal));
        assert_eq!(desk.got(connected), [Packet::Disconnect(Disconnect::new(code))]);
    }
}
