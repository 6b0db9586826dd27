//! CONNECT, CONNACK, keep-alive and DISCONNECT (3.1, 3.2, 3.12, 3.14).

use baton_broker_sim::broker::{Closing, Fault};
use rmqtt_codec::v5::{Connect, ConnectAckReason, Disconnect, DisconnectReasonCode, Packet};

use crate::desk::{Desk, clean, lasting};

/// 3.2.2.2: a session that is there is present, unless a clean start was asked for.
#[test]
fn session_present() {
    for (first, then, present) in [
        (clean("c"), clean("c"), false),
        (clean("c"), lasting("c"), false),
        (lasting("c"), lasting("c"), true),
        (lasting("c"), clean("c"), false),
        (lasting("c"), lasting("another"), false),
    ] {
        let mut desk = Desk::new();
        let conn = desk.join_with(first.clone()).0;
        desk.leave(conn);
        let (_, ack) = desk.join_with(then.clone());
        assert_eq!(ack.session_present, present, "{first:?} {then:?}");
    }
}

/// 3.1.3.1: a client without an id is given one of its own, by which it may come back.
#[test]
fn assigned_client_ids_differ() {
    let mut desk = Desk::new();
    desk.join("auto-1");
    let first = desk.join_with(clean("")).1.assigned_client_id.unwrap();
    let second = desk.join_with(clean("")).1.assigned_client_id.unwrap();
    assert!(first != second && first != "auto-1", "{first} {second}");
    assert_eq!(desk.join_with(clean("own")).1.assigned_client_id, None);
    let (conn, ack) = desk.join_with(lasting(""));
    desk.cut(conn);
    assert!(desk.join_with(lasting(&ack.assigned_client_id.unwrap())).1.session_present);
}

/// 3.1.4-3: the older connection of a client id is told and closed; the session goes on.
#[test]
fn client_takeover() {
    let mut desk = Desk::new();
    let old = desk.join_with(lasting("c")).0;
    let (new, ack) = desk.join_with(lasting("c"));
    assert!(ack.session_present);
    assert_eq!(desk.got(old), [Packet::Disconnect(Disconnect::new(DisconnectReasonCode::SessionTakenOver))]);
    assert_eq!(desk.closed(old), Some(Closing::TakenOver));
    assert_eq!(desk.closed(new), None);
    let counts = desk.broker.counts();
    assert_eq!((counts.takeovers, counts.connections, counts.sessions), (1, 1, 1));
    desk.cut(old);
    assert_eq!(desk.broker.counts().connections, 1, "the old one's end is no news");
}

/// 3.1.2.10: one and a half times the keep-alive without a packet ends the connection, and any packet counts.
#[test]
fn keep_alive() {
    let mut desk = Desk::new();
    let conn = desk.join_with(Connect { keep_alive: 10, ..clean("c") }).0;
    desk.pass(14_000);
    desk.send(conn, Packet::PingRequest);
    assert_eq!(desk.got(conn), [Packet::PingResponse]);
    desk.pass(14_999);
    assert_eq!(desk.closed(conn), None);
    desk.pass(1);
    assert_eq!(desk.closed(conn), Some(Closing::Fault(Fault::KeepAlive)));
    assert_eq!(desk.got(conn), [Packet::Disconnect(Disconnect::new(DisconnectReasonCode::KeepAliveTimeout))]);
}

/// 3.1.2.10: a keep-alive of 0 turns it off.
#[test]
fn no_keep_alive() {
    let mut desk = Desk::new();
    let conn = desk.join("c");
    desk.pass(1_000_000_000);
    assert_eq!(desk.closed(conn), None);
}

/// 3.1.4: a connection without a CONNECT is closed after a reasonable time, in silence.
#[test]
fn no_connect() {
    let mut desk = Desk::new();
    let conn = desk.open();
    desk.pass(9_999);
    assert_eq!(desk.closed(conn), None);
    desk.pass(1);
    assert_eq!(desk.closed(conn), Some(Closing::Fault(Fault::NoConnect)));
    assert_eq!(desk.got(conn), []);
    assert_eq!(desk.broker.counts().connections, 0);
}

/// 3.1.4-2: refusals say why, in a CONNACK, and close.
#[test]
fn refusals() {
    let with = |change: fn(&mut Connect)| {
        let mut connect = clean("c");
        change(&mut connect);
        connect
    };
    let cases = [
        (with(|c| c.auth_method = Some("x".into())), ConnectAckReason::BadAuthenticationMethod),
        (with(|c| c.client_id = "a\0b".into()), ConnectAckReason::ClientIdentifierNotValid),
        (with(|c| *c = crate::desk::with_will(c.clone(), "a/#", "", 0)), ConnectAckReason::TopicNameInvalid),
        (with(|c| c.max_packet_size = 20.try_into().ok()), ConnectAckReason::ImplementationSpecificError),
    ];
    for (connect, reason) in cases {
        let mut desk = Desk::new();
        let conn = desk.ask(connect);
        match desk.got(conn).as_slice() {
            [Packet::ConnectAck(ack)] => assert_eq!((ack.reason_code, ack.session_present), (reason, false)),
            other => panic!("{other:?}"),
        }
        assert!(matches!(desk.closed(conn), Some(Closing::Fault(_))));
        assert_eq!(desk.broker.counts().sessions, 0);
    }
}

/// 3.14.2.2.2: a DISCONNECT may change the expiry, but not from zero.
#[test]
fn disconnect_changes_the_expiry() {
    let leave = |desk: &mut Desk, conn, seconds| {
        let session_expiry_interval_secs = Some(seconds);
        desk.send(conn, Packet::Disconnect(Disconnect { session_expiry_interval_secs, ..Disconnect::default() }));
    };
    let mut desk = Desk::new();
    let conn = desk.join_with(lasting("c")).0;
    leave(&mut desk, conn, 0);
    assert_eq!((desk.closed(conn), desk.broker.counts().sessions), (Some(Closing::Left), 0));

    let conn = desk.join("c");
    leave(&mut desk, conn, 60);
    assert_eq!(desk.closed(conn), Some(Closing::Fault(Fault::ExpiryFromZero)));
    assert_eq!(desk.got(conn), [Packet::Disconnect(Disconnect::new(DisconnectReasonCode::ProtocolError))]);
}

/// 3.2.2.3: what the CONNACK tells about the broker.
#[test]
fn connack_properties() {
    let mut desk = Desk::new();
    let (_, ack) = desk.join_with(clean("c"));
    assert_eq!((ack.topic_alias_max, ack.max_packet_size), (32, Some(4 * 1024 * 1024)));
    assert!(ack.retain_available && ack.shared_subscription_available && ack.wildcard_subscription_available);
}

#[test]
fn a_broker_that_ends_says_so_and_sends_no_wills() {
    let mut desk = Desk::new();
    let listener = desk.listener("l", &["#"], crate::desk::Q0);
    let conn = desk.join_with(crate::desk::with_will(clean("c"), "will", "", 0)).0;
    desk.shut_down();
    for conn in [listener, conn] {
        assert_eq!(desk.closed(conn), Some(Closing::Shutdown));
        assert_eq!(desk.got(conn), [Packet::Disconnect(Disconnect::new(DisconnectReasonCode::ServerShuttingDown))]);
    }
    assert_eq!(desk.broker.counts().wills, 0);
}

/// 3.2.0-1, 3.2.0-2: the CONNACK comes before anything that waits, and once.
#[test]
fn the_connack_comes_first() {
    let mut desk = Desk::new();
    let conn = desk.join_with(lasting("c")).0;
    desk.subscribe(conn, &["t"], crate::desk::Q1);
    desk.cut(conn);
    let publisher = desk.join("p");
    desk.publish(publisher, "t", "x", crate::desk::Q1);
    let conn = desk.ask(lasting("c"));
    let said = desk.got(conn);
    assert!(matches!(said.as_slice(), [Packet::ConnectAck(_), Packet::Publish(_)]), "{said:?}");
}
