//! What outlives a connection (4.1, 4.4), and for how long.

use rmqtt_codec::v5::{Connect, Packet};

use crate::desk::{Desk, HOUR, Q0, Q1, Q2, clean, lasting, puback, pubcomp, publish, pubrec};

/// 3.1.2.11.2: a session ends with its expiry, to the second, and takes its subscriptions with it.
#[test]
fn expiry() {
    for (seconds, kept) in [(HOUR - 1, true), (HOUR, false)] {
        let mut desk = Desk::new();
        let conn = desk.join_with(lasting("c")).0;
        desk.subscribe(conn, &["t"], Q1);
        desk.cut(conn);
        desk.pass(u64::from(seconds) * 1000);
        let publisher = desk.join("p");
        desk.publish(publisher, "t", "late", Q1);
        let (conn, ack) = desk.join_with(lasting("c"));
        assert_eq!(ack.session_present, kept);
        assert_eq!(desk.heard(conn), if kept { vec!["t late 1"] } else { vec![] });
    }
}

/// 3.1.2.11.2: 0xFFFFFFFF never ends; 0 ends with the connection.
#[test]
fn expiry_never_and_at_once() {
    let mut desk = Desk::new();
    let conn = desk.join_with(Connect { session_expiry_interval_secs: u32::MAX, ..clean("c") }).0;
    desk.leave(conn);
    assert_eq!(desk.broker.poll_timeout(), None);
    desk.pass(u64::from(u32::MAX) * 2000);
    assert_eq!(desk.broker.counts().sessions, 1);

    let conn = desk.join("d");
    desk.cut(conn);
    assert_eq!(desk.broker.counts().sessions, 1);
}

/// 3.1.2.11.2: the expiry runs from the last connection, not from the first.
#[test]
fn expiry_starts_anew() {
    let mut desk = Desk::new();
    for _ in 0..3 {
        let conn = desk.join_with(lasting("c")).0;
        desk.pass(2 * 1000 * u64::from(HOUR));
        desk.cut(conn);
        desk.pass(900 * u64::from(HOUR));
        assert_eq!(desk.broker.counts().sessions, 1);
    }
}

/// 4.5: QoS 1 and 2 wait for a client that is away, in order; QoS 0 doesn't.
#[test]
fn messages_wait() {
    let mut desk = Desk::new();
    let conn = desk.join_with(lasting("c")).0;
    desk.subscribe(conn, &["t/#"], Q2);
    desk.cut(conn);
    let publisher = desk.join("p");
    for (payload, qos) in [("a", Q1), ("b", Q0), ("c", Q2)] {
        desk.publish(publisher, "t/x", payload, qos);
    }
    assert_eq!(desk.broker.backlog("c"), Some(2));
    let conn = desk.join_with(lasting("c")).0;
    assert_eq!(desk.heard(conn), ["t/x a 1", "t/x c 2"]);
    assert_eq!(desk.broker.counts().dropped, 1);
}

/// 4.4.0-1: what wasn't acknowledged is sent again with the same id and DUP, in its order; a PUBREL too; and only when
/// the client is back.
#[test]
fn resends() {
    let mut desk = Desk::new();
    let conn = desk.join_with(lasting("c")).0;
    desk.subscribe(conn, &["t"], Q2);
    let publisher = desk.join("p");
    for (payload, qos) in [("a", Q1), ("b", Q2), ("c", Q1)] {
        desk.publish(publisher, "t", payload, qos);
    }
    let ids: Vec<_> = desk.messages(conn).iter().map(|m| m.packet_id.unwrap().get()).collect();
    assert_eq!(ids, [1, 2, 3]);
    desk.send(conn, puback(1));
    desk.send(conn, pubrec(2));
    desk.got(conn);
    desk.pass(1000 * u64::from(HOUR));
    assert_eq!(desk.got(conn), []);
    desk.cut(conn);

    let conn = desk.join_with(lasting("c")).0;
    let said = desk.got(conn);
    assert!(matches!(&said[0], Packet::PublishRelease(ack) if ack.packet_id.get() == 2), "{said:?}");
    let Packet::Publish(last) = &said[1] else { panic!("{said:?}") };
    assert_eq!((last.packet_id.unwrap().get(), last.dup, &last.payload[..]), (3, true, &b"c"[..]));
    assert_eq!(said.len(), 2);
    desk.send(conn, pubcomp(2));
    desk.send(conn, puback(3));
    assert_eq!(desk.broker.backlog("c"), Some(0));
}

/// 4.3.3: a message of QoS 2 that is sent again after a reconnect isn't passed on twice.
#[test]
fn received_ids_outlive_the_connection() {
    let mut desk = Desk::new();
    let listener = desk.listener("l", &["t"], Q0);
    let conn = desk.join_with(lasting("p")).0;
    desk.send(conn, publish("t", "x", Q2));
    desk.cut(conn);
    let conn = desk.join_with(lasting("p")).0;
    desk.send(conn, crate::desk::message("t", "x", Q2, |p| p.dup = true));
    assert_eq!(desk.heard(listener), ["t x 0"]);
    assert!(matches!(desk.got(conn).as_slice(), [Packet::PublishReceived(_)]));
}

/// 3.1.2.4: a clean start forgets messages, subscriptions and ids.
#[test]
fn clean_start_forgets() {
    let mut desk = Desk::new();
    let conn = desk.join_with(lasting("c")).0;
    desk.subscribe(conn, &["t"], Q1);
    desk.cut(conn);
    let publisher = desk.join("p");
    desk.publish(publisher, "t", "old", Q1);
    let conn = desk.join("c");
    desk.publish(publisher, "t", "new", Q1);
    assert_eq!(desk.got(conn), []);
    assert_eq!(desk.broker.backlog("c"), Some(0));
}
