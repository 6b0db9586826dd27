//! Shared subscriptions, where a message may have one of several receivers (MQTT 5, 4.8.2).

use rmqtt_codec::v5::{Packet, PublishAck, PublishAckReason, SubscriptionOptions};

use crate::desk::{Desk, HOUR, Q0, Q1, Q2, lasting, pubcomp, pubrec, pubrel};

/// 4.8.2-3: each member has its own QoS.
#[test]
fn the_granted_qos_counts() {
    let mut desk = Desk::new();
    let members = [Q0, Q1, Q2].map(|qos| desk.listener(&format!("m{}", u8::from(qos)), &["$share/g/t"], qos));
    let publisher = desk.join("p");
    for n in 1..=3 {
        desk.send(publisher, crate::desk::message("t", "x", Q2, |p| p.packet_id = u16::try_into(n).ok()));
    }
    for (qos, member) in members.into_iter().enumerate() {
        assert_eq!(desk.heard(member), [format!("t x {qos}")]);
    }
}

/// 4.8.2-4: what was sent to a member and not acknowledged is its own when it comes back.
#[test]
fn a_member_that_comes_back() {
    let mut desk = Desk::new();
    let first = desk.join_with(lasting("a")).0;
    desk.subscribe(first, &["$share/g/t"], Q2);
    let publisher = desk.join("p");
    desk.publish(publisher, "t", "x", Q2);
    assert_eq!(desk.heard(first), ["t x 2"]);
    desk.cut(first);
    let second = desk.listener("b", &["$share/g/t"], Q2);
    assert_eq!(desk.got(second), []);
    let first = desk.join_with(lasting("a")).0;
    assert_eq!(desk.heard(first), ["t x 2 dup"]);
    desk.send(first, pubrec(1));
    assert_eq!(desk.got(first), [pubrel(1)]);
    desk.send(first, pubcomp(1));
    assert_eq!(desk.broker.backlog("a"), Some(0));
    assert_eq!(desk.got(second), []);
}

/// 4.8.2-5: what was one member's is no other's, also when its session ends.
#[test]
fn a_member_that_does_not_come_back() {
    let mut desk = Desk::new();
    let first = desk.join_with(lasting("a")).0;
    desk.subscribe(first, &["$share/g/t"], Q2);
    let second = desk.listener("b", &["$share/g/t"], Q2);
    let publisher = desk.join("p");
    desk.publish(publisher, "t", "x", Q2);
    assert_eq!(desk.heard(first), ["t x 2"]);
    desk.cut(first);
    desk.pass(1000 * u64::from(HOUR));
    assert_eq!(desk.broker.backlog("a"), None);
    assert_eq!(desk.got(second), []);
}

/// 4.8.2-6: a message that a member refuses is over.
#[test]
fn a_member_that_refuses() {
    for qos in [Q1, Q2] {
        let mut desk = Desk::new();
        let first = desk.listener("a", &["$share/g/t"], qos);
        let second = desk.listener("b", &["$share/g/t"], qos);
        let publisher = desk.join("p");
        desk.publish(publisher, "t", "x", qos);
        assert_eq!(desk.heard(first).len(), 1);
        let reason_code = PublishAckReason::QuotaExceeded;
        let refusal = PublishAck { packet_id: 1.try_into().unwrap(), reason_code, ..Default::default() };
        let packet = if qos == Q1 { Packet::PublishAck(refusal) } else { Packet::PublishReceived(refusal) };
        desk.send(first, packet);
        assert_eq!((desk.broker.backlog("a"), desk.broker.backlog("b")), (Some(0), Some(0)));
        assert_eq!((desk.got(first), desk.got(second)), (vec![], vec![]));
    }
}

/// 4.8.2: a message that a session asked for by itself and by shares comes once for each share, and once more.
#[test]
fn each_of_a_sessions_shares_is_another_copy() {
    let mut desk = Desk::new();
    let conn = desk.join("c");
    let options = |qos| SubscriptionOptions { qos, ..SubscriptionOptions::default() };
    for (filters, qos, id) in [(["t", "+"], Q1, 1), (["$share/g/t", "$share/h/t"], Q0, 2)] {
        desk.subscribe_with(conn, &filters, options(qos), Some(id));
    }
    let other = desk.listener("o", &["$share/h/t"], Q0);
    let publisher = desk.join("p");
    desk.publish(publisher, "t", "x", Q1);
    assert_eq!(desk.heard(conn), ["t x 1 #1 #1", "t x 0 #2", "t x 0 #2"]);
    desk.publish(publisher, "t", "y", Q1);
    assert_eq!(desk.heard(conn), ["t y 1 #1 #1", "t y 0 #2"]);
    assert_eq!(desk.heard(other), ["t y 0"]);
}
