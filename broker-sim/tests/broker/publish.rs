//! PUBLISH and its acknowledgements (3.3 to 3.7, 4.3).

use std::num::NonZeroU16;

use baton_broker_sim::broker::ConnId;
use rmqtt_codec::{
    types::Publish,
    v5::{Connect, Packet, PublishAck, PublishAck2Reason, PublishAckReason},
};

use crate::desk::{Desk, Q0, Q1, Q2, clean, lasting, message, puback, pubcomp, publish, pubrec, pubrel};

/// 4.3: the lower of the publisher's and the subscriber's QoS [MQTT-3.8.4-8].
#[test]
fn the_lower_qos_counts() {
    for published in [Q0, Q1, Q2] {
        for granted in [Q0, Q1, Q2] {
            let mut desk = Desk::new();
            let listener = desk.listener("l", &["t"], granted);
            let publisher = desk.join("p");
            desk.publish(publisher, "t", "x", published);
            let heard = desk.messages(listener);
            let [message] = heard.as_slice() else { panic!("{heard:?}") };
            assert_eq!(message.qos, published.min(granted));
            // 2.2.1-2, 4.3.1 to 4.3.3: a packet id above QoS 0 only, and no DUP at first.
            assert_eq!((message.packet_id.is_some(), message.dup), (message.qos > Q0, false));
        }
    }
}

/// 4.3.1 to 4.3.3: what the publisher is told.
#[test]
fn acknowledgements() {
    let mut desk = Desk::new();
    desk.listener("l", &["t"], Q0);
    let conn = desk.join("p");
    desk.publish(conn, "t", "x", Q0);
    assert_eq!(desk.got(conn), []);
    desk.publish(conn, "t", "x", Q1);
    assert_eq!(desk.got(conn), [puback(9)]);
    desk.publish(conn, "t", "x", Q2);
    assert_eq!(desk.got(conn), [pubrec(9)]);
    desk.send(conn, pubrel(9));
    assert_eq!(desk.got(conn), [pubcomp(9)]);
    assert_eq!(desk.broker.counts().publishes, [1, 1, 1]);
}

/// 3.4.2.1, 3.5.2.1: no matching subscribers.
#[test]
fn nobody_listens() {
    let mut desk = Desk::new();
    let conn = desk.join("p");
    for qos in [Q1, Q2] {
        desk.publish(conn, "t", "x", qos);
        let Some(Packet::PublishAck(ack) | Packet::PublishReceived(ack)) = desk.got(conn).pop() else { panic!() };
        assert_eq!(ack.reason_code, PublishAckReason::NoMatchingSubscribers);
    }
}

/// 4.3.3: a packet id of QoS 2 is passed on once until it is released, then it is a new message.
#[test]
fn exactly_once() {
    let mut desk = Desk::new();
    let listener = desk.listener("l", &["t"], Q0);
    let conn = desk.join("p");
    desk.publish(conn, "t", "a", Q2);
    desk.publish(conn, "t", "a", Q2);
    assert_eq!(desk.heard(listener), ["t a 0"]);
    assert_eq!(desk.got(conn), [pubrec(9), pubrec(9)]);
    desk.send(conn, pubrel(9));
    desk.publish(conn, "t", "b", Q2);
    assert_eq!(desk.heard(listener), ["t b 0"]);
}

/// 3.7.2.1: a PUBREL for an id that isn't known is answered, with 0x92.
#[test]
fn unknown_release() {
    let mut desk = Desk::new();
    let conn = desk.join("p");
    desk.send(conn, pubrel(5));
    match desk.got(conn).as_slice() {
        [Packet::PublishComplete(ack)] => assert_eq!(ack.reason_code, PublishAck2Reason::PacketIdNotFound),
        other => panic!("{other:?}"),
    }
}

/// 3.5.2.1, 3.6.2.1: a PUBREC for an id that isn't known likewise.
#[test]
fn unknown_receipt() {
    let mut desk = Desk::new();
    let conn = desk.join("c");
    desk.send(conn, pubrec(5));
    match desk.got(conn).as_slice() {
        [Packet::PublishRelease(ack)] => assert_eq!(ack.reason_code, PublishAck2Reason::PacketIdNotFound),
        other => panic!("{other:?}"),
    }
}

/// 4.3.3: the sender's side of QoS 2.
#[test]
fn delivery_of_qos_2() {
    let mut desk = Desk::new();
    let listener = desk.listener("l", &["t"], Q2);
    let publisher = desk.join("p");
    desk.publish(publisher, "t", "x", Q2);
    assert_eq!(desk.heard(listener), ["t x 2"]);
    desk.send(listener, pubrec(1));
    assert_eq!(desk.got(listener), [pubrel(1)]);
    let reason_code = PublishAckReason::NoMatchingSubscribers;
    let again = PublishAck { packet_id: 1.try_into().unwrap(), reason_code, ..PublishAck::default() };
    desk.send(listener, Packet::PublishReceived(again));
    assert_eq!(desk.got(listener), [pubrel(1)], "a receipt that comes again is answered again");
    desk.send(listener, pubcomp(1));
    assert_eq!(desk.broker.backlog("l"), Some(0));
}

/// 4.3.3, 4.4.0-2: a PUBACK or PUBREC with a refusal ends the delivery, also over a new connection.
#[test]
fn a_refused_message_is_over() {
    for qos in [Q1, Q2] {
        let mut desk = Desk::new();
        let listener = desk.join_with(lasting("l")).0;
        desk.subscribe(listener, &["t"], qos);
        let publisher = desk.join("p");
        desk.publish(publisher, "t", "x", qos);
        let refusal = PublishAck {
            packet_id: 1.try_into().unwrap(),
            reason_code: PublishAckReason::QuotaExceeded,
            ..PublishAck::default()
        };
        desk.got(listener);
        let packet = if qos == Q1 { Packet::PublishAck(refusal) } else { Packet::PublishReceived(refusal) };
        desk.send(listener, packet);
        assert_eq!(desk.got(listener), []);
        assert_eq!(desk.broker.backlog("l"), Some(0));
        desk.cut(listener);
        let listener = desk.join_with(lasting("l")).0;
        assert_eq!(desk.got(listener), []);
    }
}

/// 4.3: acknowledgements that fit nothing change nothing.
#[test]
fn stray_acknowledgements() {
    for (qos, stray) in [(Q1, pubrec(1)), (Q2, puback(1))] {
        let mut desk = Desk::new();
        let listener = desk.join_with(lasting("l")).0;
        desk.subscribe(listener, &["t"], qos);
        let publisher = desk.join("p");
        desk.publish(publisher, "t", "x", qos);
        for stray in [stray, pubcomp(1), puback(7), pubcomp(7)] {
            desk.send(listener, stray);
        }
        assert_eq!((desk.broker.backlog("l"), desk.closed(listener)), (Some(1), None));
        desk.cut(listener);
        let listener = desk.join_with(lasting("l")).0;
        assert_eq!(desk.heard(listener), [format!("t x {} dup", u8::from(qos))], "it is still unacknowledged");
    }
}

/// 3.3.2.3.3, 4.9: no more in flight than the client's Receive Maximum; the rest follows its acknowledgements.
#[test]
fn receive_maximum() {
    let mut desk = Desk::new();
    let listener = desk.join_with(Connect { receive_max: 2.try_into().ok(), ..clean("l") }).0;
    desk.subscribe(listener, &["t"], Q1);
    let publisher = desk.join("p");
    for payload in ["a", "b", "c", "d"] {
        desk.publish(publisher, "t", payload, Q1);
    }
    desk.publish(publisher, "t", "free", Q0);
    assert_eq!(desk.heard(listener), ["t a 1", "t b 1", "t free 0"]);
    desk.send(listener, puback(1));
    assert_eq!(desk.heard(listener), ["t c 1"]);
    desk.send(listener, puback(3));
    assert_eq!(desk.heard(listener), ["t d 1"]);
}

/// 3.3.4-9: a message of QoS 2 has its place until its PUBCOMP, or a PUBREC that refuses it.
#[test]
fn receive_maximum_of_qos_2() {
    let mut desk = Desk::new();
    let listener = desk.join_with(Connect { receive_max: 1.try_into().ok(), ..clean("l") }).0;
    desk.subscribe(listener, &["t"], Q2);
    let publisher = desk.join("p");
    for (id, payload) in [(1, "a"), (2, "b"), (3, "c")] {
        desk.send(publisher, message("t", payload, Q2, |p| p.packet_id = u16::try_into(id).ok()));
    }
    assert_eq!(desk.heard(listener), ["t a 2"]);
    desk.send(listener, pubrec(1));
    assert_eq!(desk.got(listener), [pubrel(1)]);
    desk.send(listener, pubcomp(1));
    assert_eq!(desk.heard(listener), ["t b 2"]);
    let reason_code = PublishAckReason::QuotaExceeded;
    let refusal = PublishAck { packet_id: 2.try_into().unwrap(), reason_code, ..PublishAck::default() };
    desk.send(listener, Packet::PublishReceived(refusal));
    assert_eq!(desk.heard(listener), ["t c 2"]);
}

/// 4.6: all messages of one publisher, topic and QoS arrive in order, those that waited for the client too.
#[test]
fn order() {
    for qos in [Q0, Q1, Q2] {
        let mut desk = Desk::new();
        let listener = desk.join_with(Connect { receive_max: 3.try_into().ok(), ..clean("l") }).0;
        desk.subscribe(listener, &["t"], qos);
        let publisher = desk.join("p");
        let mut heard = Vec::new();
        for n in 1..=50_u16 {
            let change = |p: &mut Publish| p.packet_id = p.packet_id.and(n.try_into().ok());
            desk.send(publisher, message("t", &n.to_string(), qos, change));
            desk.send(publisher, pubrel(n));
            if n % 10 == 0 {
                hear_out(&mut desk, listener, &mut heard);
            }
        }
        let expected: Vec<_> = (1..=50).map(|n| n.to_string()).collect();
        assert_eq!(heard, expected, "{qos:?}");
    }
}

/// Acknowledges what comes until nothing does.
fn hear_out(desk: &mut Desk, listener: ConnId, heard: &mut Vec<String>) {
    loop {
        let messages = desk.messages(listener);
        if messages.is_empty() {
            return;
        }
        for Publish { packet_id, payload, qos, .. } in messages {
            heard.push(String::from_utf8(payload.to_vec()).unwrap());
            let Some(id) = packet_id.map(NonZeroU16::get) else { continue };
            desk.send(listener, if qos == Q1 { puback(id) } else { pubrec(id) });
            desk.send(listener, pubcomp(id));
        }
    }
}

/// 3.3.2.3.4: topic aliases of the publisher's, which subscribers never see.
#[test]
fn topic_aliases() {
    let mut desk = Desk::new();
    let listener = desk.listener("l", &["#"], Q0);
    let conn = desk.join_with(lasting("p")).0;
    let alias = |topic: &str, payload: &str, alias: u16| {
        message(topic, payload, Q0, |p| p.properties.as_mut().unwrap().topic_alias = alias.try_into().ok())
    };
    desk.send(conn, alias("a", "1", 7));
    desk.send(conn, alias("", "2", 7));
    desk.send(conn, alias("b", "3", 7));
    desk.send(conn, alias("", "4", 7));
    let messages = desk.messages(listener);
    let seen: Vec<_> = messages.iter().map(|m| (&*m.topic, m.properties.is_some())).collect();
    assert_eq!(seen, [("a", false), ("a", false), ("b", false), ("b", false)]);

    desk.cut(conn);
    let conn = desk.join_with(lasting("p")).0;
    desk.send(conn, alias("", "5", 7));
    assert!(desk.closed(conn).is_some(), "an alias lives as long as its connection");
}

/// 3.3.2.3.3: a message that is too old isn't sent, and one that waited says how long it still lives.
#[test]
fn message_expiry() {
    let mut desk = Desk::new();
    let conn = desk.join_with(lasting("c")).0;
    desk.subscribe(conn, &["t"], Q1);
    desk.cut(conn);
    let publisher = desk.join("p");
    for (payload, seconds) in [("short", 10), ("long", 100)] {
        desk.send(
            publisher,
            message("t", payload, Q1, |p| {
                p.properties.as_mut().unwrap().message_expiry_interval = u32::try_into(seconds).ok();
            }),
        );
    }
    desk.pass(30_000);
    let conn = desk.join_with(lasting("c")).0;
    let messages = desk.messages(conn);
    let left: Vec<_> = messages
        .iter()
        .map(|m| (&m.payload[..], m.properties.as_ref().unwrap().message_expiry_interval.unwrap().get()))
        .collect();
    assert_eq!(left, [(&b"long"[..], 70)]);
    assert_eq!(desk.broker.counts().dropped, 1);
}

/// 3.3.2.3: what a publisher adds reaches the subscribers unchanged [MQTT-3.3.2-4, 3.3.2-15 to 3.3.2-18].
#[test]
fn properties_pass() {
    let mut desk = Desk::new();
    let listener = desk.listener("l", &["t"], Q1);
    let conn = desk.join("p");
    let packet = message("t", "x", Q1, |p| {
        let properties = p.properties.as_mut().unwrap();
        properties.is_utf8_payload = true;
        properties.content_type = Some("text".into());
        properties.response_topic = Some("r".into());
        properties.correlation_data = Some("id".into());
        properties.user_properties = vec![("k".into(), "1".into()), ("k".into(), "2".into())];
    });
    desk.send(conn, packet.clone());
    let Packet::Publish(sent) = packet else { unreachable!() };
    assert_eq!(desk.messages(listener)[0].properties, sent.properties);
}

/// 3.3.1.1: DUP of the publisher's isn't passed on.
#[test]
fn dup_is_not_passed_on() {
    let mut desk = Desk::new();
    let listener = desk.listener("l", &["t"], Q1);
    let conn = desk.join("p");
    desk.send(conn, message("t", "x", Q1, |p| p.dup = true));
    assert_eq!(desk.heard(listener), ["t x 1"]);
    for dup in [false, true] {
        desk.send(conn, message("t", "y", Q1, |p| p.dup = dup));
        assert_eq!(desk.heard(listener), ["t y 1"], "4.3.2-5: the same id of QoS 1 is a new message");
    }
}

/// 3.3.2-12: every alias up to the maximum that the CONNACK tells.
#[test]
fn every_alias_up_to_the_maximum() {
    let mut desk = Desk::new();
    let listener = desk.listener("l", &["#"], Q0);
    let (conn, ack) = desk.join_with(clean("p"));
    for alias in 1..=ack.topic_alias_max {
        for topic in [format!("t/{alias}"), String::new()] {
            desk.send(
                conn,
                message(&topic, "x", Q0, |p| p.properties.as_mut().unwrap().topic_alias = alias.try_into().ok()),
            );
        }
        assert_eq!(desk.heard(listener), vec![format!("t/{alias} x 0"); 2]);
    }
}

/// 3.3.4-10, 4.9.0-3: a full window holds back messages and nothing else.
#[test]
fn a_full_window_holds_back_nothing_else() {
    let mut desk = Desk::new();
    let conn = desk.join_with(Connect { receive_max: 1.try_into().ok(), ..clean("l") }).0;
    desk.subscribe(conn, &["t"], Q2);
    let publisher = desk.join("p");
    for payload in ["a", "b"] {
        desk.send(publisher, message("t", payload, Q1, |_| {}));
    }
    assert_eq!(desk.heard(conn), ["t a 1"]);
    desk.send(conn, Packet::PingRequest);
    desk.send(conn, publish("u", "x", Q2));
    desk.send(conn, pubrel(9));
    let said = desk.got(conn);
    assert!(
        matches!(said.as_slice(), [Packet::PingResponse, Packet::PublishReceived(_), Packet::PublishComplete(_)]),
        "{said:?}"
    );
    desk.subscribe(conn, &["v"], Q0);
    assert_eq!(desk.unsubscribe(conn, &["v"]), [0]);
}

/// 4.3.3-7, 3.3.2-6: what was sent before it expired is sent again, with a second left; 4.3.3-13: and what was taken
/// before it expired is acknowledged to its end.
#[test]
fn a_message_under_way_does_not_expire() {
    let mut desk = Desk::new();
    let expiring = |seconds: u32| {
        message("t", "x", Q2, |p| p.properties.as_mut().unwrap().message_expiry_interval = seconds.try_into().ok())
    };
    for (expiry, left) in [(10, 1), (100, 70)] {
        let conn = desk.join_with(lasting("c")).0;
        desk.subscribe(conn, &["t"], Q2);
        let publisher = desk.join("p");
        desk.send(publisher, expiring(expiry));
        let sent = desk.messages(conn);
        assert_eq!(sent[0].properties.as_ref().unwrap().message_expiry_interval.unwrap().get(), expiry);
        desk.cut(conn);
        desk.pass(30_000);
        let conn = desk.join_with(lasting("c")).0;
        let again = desk.messages(conn);
        assert!(again[0].dup && again[0].packet_id == sent[0].packet_id);
        assert_eq!(again[0].properties.as_ref().unwrap().message_expiry_interval.unwrap().get(), left);
        desk.got(publisher);
        desk.send(publisher, pubrel(9));
        assert_eq!(desk.got(publisher), [pubcomp(9)]);
        desk.join("c");
    }
}
