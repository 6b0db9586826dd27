//! Every bound of the broker holds, and what is over it is refused or dropped, and counted.

use baton_broker_sim::broker::{Closing, Fault, Limits};
use rmqtt_codec::v5::{Connect, ConnectAckReason, Packet, SubscribeAckReason, SubscriptionOptions};

use crate::{
    desk::{Desk, Q0, Q1, clean, five, lasting, message, puback},
    line::{CONNECT_311, Line},
};

fn desk(change: impl FnOnce(&mut Limits)) -> Desk {
    let mut limits = Limits::default();
    change(&mut limits);
    Desk::with(limits)
}

#[test]
fn sessions() {
    let mut desk = desk(|limits| limits.sessions = 2);
    desk.join("a");
    let kept = desk.join_with(lasting("b")).0;
    desk.leave(kept);
    let refused = desk.ask(clean("c"));
    match desk.got(refused).as_slice() {
        [Packet::ConnectAck(ack)] => assert_eq!(ack.reason_code, ConnectAckReason::ServerBusy),
        other => panic!("{other:?}"),
    }
    assert_eq!(desk.closed(refused), Some(Closing::Fault(Fault::NoRoom)));
    let mut line = Line::to(desk);
    assert_eq!(line.say(CONNECT_311), [0x20, 2, 0, 3]);
    assert!(line.desk.closed(line.conn).is_some(), "3.1.1, 4.8.0-2: closed");
    let mut desk = line.desk;
    assert!(desk.join_with(lasting("b")).1.session_present, "one that is there needs no room");
    assert_eq!(desk.broker.counts().sessions, 2);
}

#[test]
fn subscriptions() {
    let mut desk = desk(|limits| limits.subscriptions = 2);
    let conn = desk.join("c");
    let options = SubscriptionOptions::default();
    let codes = desk.subscribe_with(conn, &["a", "b", "c", "a"], options, None);
    use SubscribeAckReason::{GrantedQos0 as Yes, QuotaExceeded as No};
    assert_eq!(codes, [Yes, Yes, No, Yes]);
    desk.unsubscribe(conn, &["a"]);
    assert_eq!(desk.subscribe_with(conn, &["c"], options, None), [Yes]);
}

#[test]
fn retained_topics() {
    let mut desk = desk(|limits| limits.retained = 1);
    let publisher = desk.join("p");
    for (topic, payload) in [("a", "1"), ("b", "1"), ("a", "2")] {
        desk.send(publisher, message(topic, payload, Q0, |p| p.retain = true));
    }
    assert_eq!(desk.broker.counts().dropped, 1);
    let conn = desk.listener("c", &["#"], Q0);
    assert_eq!(desk.heard(conn), ["a 2 0 retain"]);
    desk.send(publisher, message("a", "", Q0, |p| p.retain = true));
    desk.send(publisher, message("b", "3", Q0, |p| p.retain = true));
    let conn = desk.listener("d", &["#"], Q0);
    assert_eq!(desk.heard(conn), ["b 3 0 retain"]);
}

#[test]
fn retained_bytes() {
    let mut desk = desk(|limits| limits.retained_bytes = 600);
    let publisher = desk.join("p");
    let retain = |topic: &str, bytes: usize, expiry: u32| {
        message(topic, &"x".repeat(bytes), Q0, |p| {
            p.retain = true;
            p.properties.as_mut().unwrap().message_expiry_interval = expiry.try_into().ok();
        })
    };
    // Beyond the payload a message has 11 bytes here, or 6; its publisher's name is 1, and its level counts for 256.
    for (topic, bytes, expiry, dropped) in
        [("a", 40, 10, 0), ("b", 50, 0, 1), ("b", 20, 10, 1), ("c", 80, 0, 2), ("a", 41, 0, 2)]
    {
        desk.send(publisher, retain(topic, bytes, expiry));
        assert_eq!(desk.broker.counts().dropped, dropped, "{topic} {bytes}");
    }
    desk.pass(10_000);
    desk.send(publisher, retain("c", 30, 0));
    assert_eq!(desk.broker.counts().dropped, 2, "what has expired holds no room");
    let conn = desk.listener("c", &["#"], Q0);
    assert_eq!(desk.messages(conn).iter().map(|m| m.payload.len()).collect::<Vec<_>>(), [41, 30]);
}

#[test]
fn bytes_in_flight() {
    let mut desk = Desk::new();
    let conn = desk.listener("c", &["t"], Q1);
    let publisher = desk.join("p");
    let payload = "x".repeat(4_000_000);
    for _ in 0..8 {
        desk.publish(publisher, "t", &payload, Q1);
    }
    assert_eq!(desk.messages(conn).len(), 5, "over 16 MiB with the last one");
    desk.send(conn, puback(1));
    assert_eq!(desk.messages(conn).len(), 1);
    for id in 2..=6 {
        desk.send(conn, puback(id));
    }
    assert_eq!((desk.messages(conn).len(), desk.broker.backlog("c")), (2, Some(2)));
}

#[test]
fn queues() {
    for change in [(|limits| limits.queued_messages = 3) as fn(&mut Limits), |limits| limits.queued_bytes = 3 * 20] {
        let mut desk = desk(change);
        let conn = desk.join_with(lasting("c")).0;
        desk.subscribe(conn, &["t"], Q1);
        desk.cut(conn);
        let publisher = desk.join("p");
        for n in 0..5 {
            desk.publish(publisher, "t", &format!("{n:012}"), Q1);
        }
        assert_eq!((desk.broker.backlog("c"), desk.broker.counts().dropped), (Some(3), 2));
        let conn = desk.join_with(lasting("c")).0;
        assert_eq!(desk.messages(conn).len(), 3);
    }
}

#[test]
fn a_connection_that_takes_nothing() {
    let mut desk = desk(|limits| limits.unsent_bytes = 100);
    let conn = desk.listener("c", &["t"], Q1);
    let other = desk.listener("o", &["t"], Q1);
    desk.stuck.insert(conn);
    let publisher = desk.join("p");
    for n in 0..20 {
        desk.publish(publisher, "t", &n.to_string(), if n % 2 == 0 { Q0 } else { Q1 });
    }
    assert_eq!(desk.heard(other).len(), 20, "the others hear everything");
    let first = desk.heard(conn).len();
    assert!(first < 20, "{first}");
    let dropped = desk.broker.counts().dropped;
    desk.unstick(conn);
    let second = desk.heard(conn);
    assert!(second.iter().all(|message| message.ends_with('1')), "only QoS 1 waited: {second:?}");
    assert_eq!(first as u64 + second.len() as u64 + dropped, 20);
}

#[test]
fn the_window() {
    let mut desk = desk(|limits| limits.inflight = 2);
    let conn = desk.listener("c", &["t"], Q1);
    let publisher = desk.join("p");
    for _ in 0..5 {
        desk.publish(publisher, "t", "x", Q1);
    }
    assert_eq!(desk.heard(conn).len(), 2);
    desk.send(conn, puback(1));
    assert_eq!(desk.heard(conn).len(), 1);
}

/// 3.1.2-25: what a client says it can't take isn't sent to it, and counts as delivered.
#[test]
fn the_clients_maximum_packet_size() {
    let mut desk = Desk::new();
    let conn = desk.join_with(Connect { max_packet_size: 100.try_into().ok(), ..clean("c") }).0;
    desk.subscribe(conn, &["t"], Q1);
    let publisher = desk.join("p");
    for (payload, qos) in [("x".repeat(100), Q1), ("y".repeat(100), Q0), ("z".to_owned(), Q1)] {
        desk.publish(publisher, "t", &payload, qos);
    }
    assert_eq!(desk.heard(conn), ["t z 1"]);
    assert_eq!((desk.broker.backlog("c"), desk.broker.counts().dropped), (Some(1), 2));
    let filters: Vec<_> = (0..200).map(|n| n.to_string()).collect();
    let topic_filters = filters.iter().map(|f| (f.as_str().into(), SubscriptionOptions::default())).collect();
    let packet_id = 1.try_into().unwrap();
    desk.send(
        conn,
        Packet::Subscribe(rmqtt_codec::v5::Subscribe { packet_id, id: None, user_properties: vec![], topic_filters }),
    );
    assert!(desk.closed(conn).is_some(), "a SUBACK over it can't be sent at all");
}

#[test]
fn the_smallest_maximum_packet_size() {
    for (most, reason) in [(63, ConnectAckReason::ImplementationSpecificError), (64, ConnectAckReason::Success)] {
        let mut desk = Desk::new();
        let conn = desk.ask(Connect { max_packet_size: u32::try_into(most).ok(), ..five("") });
        match desk.got(conn).as_slice() {
            [Packet::ConnectAck(ack)] => assert_eq!(ack.reason_code, reason, "{most}"),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn topic_levels() {
    let mut desk = Desk::new();
    let conn = desk.join_with(five("c")).0;
    let levels = |many: usize| vec!["a"; many].join("/");
    use SubscribeAckReason::{GrantedQos0 as Yes, TopicFilterInvalid as No};
    let filters = [levels(200), levels(201), format!("{}/#", levels(199)), format!("{}/#", levels(200))];
    let filters = filters.each_ref().map(String::as_str);
    assert_eq!(desk.subscribe_with(conn, &filters, SubscriptionOptions::default(), None), [Yes, No, Yes, No]);
    desk.publish(conn, &levels(200), "x", Q0);
    assert_eq!((desk.heard(conn).len(), desk.closed(conn)), (1, None));
    desk.publish(conn, &levels(201), "x", Q0);
    assert_eq!(desk.closed(conn), Some(Closing::Fault(Fault::TopicName)));
}

#[test]
fn nothing_is_left_of_clients_that_left() {
    let mut desk = Desk::new();
    for n in 0..50 {
        let conn = desk.listener(&format!("c{n}"), &["a/#", "$share/g/b"], Q1);
        desk.publish(conn, "a/x", "y", Q1);
        if n % 2 == 0 { desk.cut(conn) } else { desk.leave(conn) }
    }
    let counts = desk.broker.counts();
    assert_eq!((counts.sessions, counts.connections), (0, 0));
    assert_eq!(desk.broker.poll_timeout(), None);
}
