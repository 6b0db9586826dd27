//! Our Receive Maximum (4.9), and packet ids that are taken (2.2.1).

use baton_broker_sim::broker::{Closing, ConnId, Fault, Limits};
use rmqtt_codec::v5::{
    Connect, Disconnect, DisconnectReasonCode, Packet, PublishAckReason, SubscribeAckReason, SubscriptionOptions,
    UnsubscribeAckReason,
};

use crate::desk::{Desk, Q0, Q1, Q2, five, message, pubcomp, pubrel};

fn desk(receive: u16) -> Desk {
    Desk::with(Limits { receive: receive.try_into().unwrap(), ..Limits::default() })
}

fn publish(desk: &mut Desk, conn: ConnId, qos: rmqtt_codec::types::QoS, id: u16) {
    desk.send(conn, message("t", "x", qos, |p| p.packet_id = id.try_into().ok()));
}

fn without_reasons(client: &str) -> Connect {
    Connect { request_problem_info: false, ..five(client) }
}

/// 3.2.2.3.2: it is told.
#[test]
fn told() {
    assert_eq!(desk(7).join_with(five("c")).1.receive_max.get(), 7);
}

/// 3.3.4-7, 3.3.4: one message more than that, of whichever QoS above 0, is 0x93.
#[test]
fn one_too_many() {
    for last in [Q1, Q2] {
        let mut desk = desk(2);
        let conn = desk.join_with(without_reasons("c")).0;
        for id in [1, 2] {
            publish(&mut desk, conn, Q2, id);
        }
        desk.publish(conn, "t", "free", Q0);
        publish(&mut desk, conn, Q2, 2);
        assert_eq!(desk.closed(conn), None, "one that comes again is no more than before");
        desk.got(conn);
        publish(&mut desk, conn, last, 3);
        assert_eq!(desk.closed(conn), Some(Closing::Fault(Fault::ReceiveMaximum)));
        let code = DisconnectReasonCode::ReceiveMaximumExceeded;
        assert_eq!(desk.got(conn), [Packet::Disconnect(Disconnect::new(code))]);
    }
}

/// 4.9: what is finished makes room: QoS 1 with its PUBACK, QoS 2 with its PUBCOMP.
#[test]
fn what_is_finished_makes_room() {
    let mut desk = desk(1);
    let conn = desk.join_with(five("c")).0;
    for id in 1..50 {
        publish(&mut desk, conn, if id % 2 == 0 { Q1 } else { Q2 }, id);
        desk.send(conn, pubrel(id));
    }
    assert_eq!(desk.closed(conn), None);
}

/// 4.9: a new connection begins anew, though the session remembers ids.
#[test]
fn a_new_connection_begins_anew() {
    let mut desk = desk(2);
    let connect = Connect { clean_start: false, session_expiry_interval_secs: 60, ..five("c") };
    let conn = desk.join_with(connect.clone()).0;
    publish(&mut desk, conn, Q2, 1);
    publish(&mut desk, conn, Q2, 2);
    desk.cut(conn);
    let conn = desk.join_with(connect).0;
    publish(&mut desk, conn, Q2, 3);
    desk.send(conn, pubrel(1));
    publish(&mut desk, conn, Q2, 2);
    assert_eq!(desk.closed(conn), None);
    publish(&mut desk, conn, Q2, 4);
    assert_eq!(desk.closed(conn), Some(Closing::Fault(Fault::ReceiveMaximum)));
}

/// 3.1.1 has no Receive Maximum: its clients aren't held to one.
#[test]
fn none_before_5() {
    let mut desk = desk(1);
    let conn = desk.join("old");
    for id in 1..50 {
        publish(&mut desk, conn, Q2, id);
    }
    assert_eq!(desk.closed(conn), None);
}

/// 2.2.1-3: a packet id that a message of QoS 2 has isn't free for anything else.
#[test]
fn taken_ids() {
    let mut desk = Desk::new();
    let listener = desk.listener("l", &["#"], Q0);
    let conn = desk.join_with(without_reasons("c")).0;
    publish(&mut desk, conn, Q2, 77);
    publish(&mut desk, conn, Q2, 78);
    desk.got(conn);
    desk.got(listener);
    publish(&mut desk, conn, Q1, 77);
    match desk.got(conn).as_slice() {
        [Packet::PublishAck(ack)] => assert_eq!(ack.reason_code, PublishAckReason::PacketIdentifierInUse),
        other => panic!("{other:?}"),
    }
    assert_eq!(desk.heard(listener), [] as [&str; 0], "what is refused isn't passed on");
    // The desk subscribes as 77 and unsubscribes as 78.
    let codes = desk.subscribe_with(conn, &["a", "b"], SubscriptionOptions::default(), None);
    assert_eq!(codes, [SubscribeAckReason::PacketIdentifierInUse; 2]);
    assert_eq!(desk.unsubscribe(conn, &["a"]), [UnsubscribeAckReason::PacketIdentifierInUse as u8]);
    desk.send(conn, pubrel(77));
    assert_eq!(desk.got(conn), [pubcomp(77)]);
    let codes = desk.subscribe_with(conn, &["a"], SubscriptionOptions::default(), None);
    assert_eq!(codes, [SubscribeAckReason::GrantedQos0]);
}
