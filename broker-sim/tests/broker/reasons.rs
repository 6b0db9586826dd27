//! Reason strings (3.1.2.11.7), and payloads that aren't what their publisher says (3.3.2.3.2).

use baton_broker_sim::broker::{Closing, ConnId, Fault};
use rmqtt_codec::v5::{
    Connect, ConnectAckReason, Packet, PublishAckReason, SubscriptionOptions, Unsubscribe, UnsubscribeAckReason,
};

use crate::desk::{Desk, Q0, Q1, Q2, five, message, pubrec, pubrel, with_will};

/// Everything that may come with a reason string: what is done, and whether a string came.
fn reasons(connect: &Connect) -> Vec<(&'static str, bool)> {
    type Deed = fn(&mut Desk, ConnId);
    let deeds: [(&str, Deed); 7] = [
        ("DISCONNECT", |desk, conn| desk.send(conn, Packet::PingResponse)),
        ("PUBACK", |desk, conn| desk.send(conn, not_text(Q1))),
        ("PUBREC", |desk, conn| desk.send(conn, not_text(Q2))),
        ("PUBREL", |desk, conn| desk.send(conn, pubrec(5))),
        ("PUBCOMP", |desk, conn| desk.send(conn, pubrel(5))),
        ("SUBACK", |desk, conn| desk.send(conn, subscribe("a/#/b"))),
        ("UNSUBACK", |desk, conn| desk.send(conn, unsubscribe("a/#/b"))),
    ];
    let reason = |deed: Deed| {
        let mut desk = Desk::new();
        let conn = desk.join_with(connect.clone()).0;
        deed(&mut desk, conn);
        match desk.got(conn).remove(0) {
            Packet::Disconnect(packet) => packet.reason_string,
            Packet::PublishAck(packet) | Packet::PublishReceived(packet) => packet.reason_string,
            Packet::PublishRelease(packet) | Packet::PublishComplete(packet) => packet.reason_string,
            Packet::SubscribeAck(packet) => packet.reason_string,
            Packet::UnsubscribeAck(packet) => packet.reason_string,
            other => panic!("{other:?}"),
        }
    };
    deeds.map(|(name, deed)| (name, reason(deed).is_some_and(|text| !text.is_empty()))).into()
}

fn not_text(qos: rmqtt_codec::types::QoS) -> Packet {
    message("t", "", qos, |publish| {
        publish.payload = vec![0xff].into();
        publish.properties.as_mut().unwrap().is_utf8_payload = true;
    })
}

fn subscribe(filter: &str) -> Packet {
    Packet::Subscribe(rmqtt_codec::v5::Subscribe {
        packet_id: 1.try_into().unwrap(),
        id: None,
        user_properties: Vec::new(),
        topic_filters: vec![(filter.into(), SubscriptionOptions::default())],
    })
}

fn unsubscribe(filter: &str) -> Packet {
    let packet_id = 1.try_into().unwrap();
    Packet::Unsubscribe(Unsubscribe { packet_id, user_properties: vec![], topic_filters: vec![filter.into()] })
}

/// 3.1.2-29: for those who want them, and no others.
#[test]
fn for_those_who_want_them() {
    for (wanted, connect) in [
        (true, five("c")),
        (false, Connect { request_problem_info: false, ..five("c") }),
        (false, Connect { receive_max: None, ..five("c") }),
    ] {
        for (name, given) in reasons(&connect) {
            assert_eq!(given, wanted, "{name}");
        }
    }
}

/// 3.1.2-24, 3.9.2-1, 3.11.2-1: none that makes the packet too large for the client. (The other packets have room for
/// any of them at the smallest Maximum Packet Size that is accepted.)
#[test]
fn none_that_makes_the_packet_too_large() {
    for (filters, expected) in [(5, true), (50, false)] {
        let mut desk = Desk::new();
        let conn = desk.join_with(Connect { max_packet_size: 64.try_into().ok(), ..five("c") }).0;
        let Packet::Subscribe(mut subscribe) = subscribe("#/b") else { unreachable!() };
        subscribe.topic_filters = vec![subscribe.topic_filters[0].clone(); filters];
        desk.send(conn, Packet::Subscribe(subscribe));
        let Packet::Unsubscribe(mut unsubscribe) = unsubscribe("#/b") else { unreachable!() };
        unsubscribe.topic_filters = vec![unsubscribe.topic_filters[0].clone(); filters];
        desk.send(conn, Packet::Unsubscribe(unsubscribe));
        match desk.got(conn).as_slice() {
            [Packet::SubscribeAck(suback), Packet::UnsubscribeAck(unsuback)] => {
                assert_eq!(suback.reason_string.is_some(), expected, "{filters}");
                assert_eq!(unsuback.reason_string.is_some(), expected, "{filters}");
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(reasons(&Connect { max_packet_size: 64.try_into().ok(), ..five("c") }).iter().all(|(_, given)| *given));
}

/// 3.2.2-19: a refusal says why to those who want it, if it fits.
#[test]
fn refusals() {
    for (wanted, most, given) in [(true, 64, true), (true, 20, false), (false, 64, false)] {
        let mut desk = Desk::new();
        let mut connect = with_will(five("c"), "a/#", "", 0);
        connect.request_problem_info = wanted;
        connect.max_packet_size = u32::try_into(most).ok();
        let conn = desk.ask(connect);
        match desk.got(conn).as_slice() {
            [Packet::ConnectAck(ack)] => assert_eq!(ack.reason_string.is_some(), given, "{wanted} {most}"),
            other => panic!("{other:?}"),
        }
    }
}

/// 3.1.2-24: where not even the refusal fits, the close alone tells.
#[test]
fn a_refusal_that_does_not_fit() {
    for (most, said) in [(5, 1), (4, 0)] {
        let mut desk = Desk::new();
        let conn = desk.ask(Connect { max_packet_size: u32::try_into(most).ok(), ..five("c") });
        assert_eq!(desk.got(conn).len(), said, "{most}");
        assert_eq!(desk.closed(conn), Some(Closing::Fault(Fault::PacketMaximum)));
    }
}

/// 3.3.2.3.2: a payload that isn't UTF-8 though it is said to be is refused, with 0x99, and passed on to nobody.
#[test]
fn payload_format() {
    let mut desk = Desk::new();
    let listener = desk.listener("l", &["#"], Q0);
    let conn = desk.join_with(five("c")).0;
    for qos in [Q1, Q2] {
        desk.send(conn, not_text(qos));
        match desk.got(conn).as_slice() {
            [Packet::PublishAck(ack) | Packet::PublishReceived(ack)] => {
                assert_eq!(ack.reason_code, PublishAckReason::PayloadFormatInvalid);
            }
            other => panic!("{other:?}"),
        }
    }
    // 4.3.3-9: the id of the refused one is free.
    desk.publish(conn, "t", "good", Q2);
    assert_eq!(desk.heard(listener), ["t good 0"]);
    desk.send(conn, not_text(Q0));
    assert_eq!(desk.closed(conn), Some(Closing::Fault(Fault::PayloadFormat)));
    assert_eq!(desk.got(listener), []);
}

/// 3.1.3.2.3: a will's payload likewise.
#[test]
fn payload_format_of_a_will() {
    for (payload, reason) in [(&b"\xff"[..], ConnectAckReason::PayloadFormatInvalid), (b"x", ConnectAckReason::Success)]
    {
        let mut desk = Desk::new();
        let mut connect = with_will(five("c"), "w", "", 0);
        let will = connect.last_will.as_mut().unwrap();
        will.is_utf8_payload = Some(true);
        will.message = payload.into();
        let conn = desk.ask(connect);
        match desk.got(conn).as_slice() {
            [Packet::ConnectAck(ack)] => assert_eq!(ack.reason_code, reason),
            other => panic!("{other:?}"),
        }
    }
}

/// 3.10.4: what an UNSUBACK says of each filter.
#[test]
fn unsubscribe_codes() {
    let mut desk = Desk::new();
    let conn = desk.listener("c", &["a"], Q0);
    use UnsubscribeAckReason::{NoSubscriptionExisted, Success, TopicFilterInvalid};
    let expected = [Success, NoSubscriptionExisted, TopicFilterInvalid].map(|code| code as u8);
    assert_eq!(desk.unsubscribe(conn, &["a", "b", "a/#/b"]), expected);
}
