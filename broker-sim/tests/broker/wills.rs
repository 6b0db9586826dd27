//! Will messages (3.1.2.5, 3.1.3.2).

use baton_broker_sim::broker::{ConnId, Fault};
use rmqtt_codec::v5::{Connect, Disconnect, DisconnectReasonCode, Packet};

use crate::desk::{Desk, HOUR, Q0, Q1, clean, lasting, with_will};

fn watch(desk: &mut Desk) -> ConnId {
    desk.listener("watch", &["will/#"], Q1)
}

/// 3.1.2.5: whatever ends the connection but a normal DISCONNECT brings the will.
#[test]
fn what_brings_it() {
    type Ending = fn(&mut Desk, ConnId);
    let endings: [(&str, Ending, usize); 6] = [
        ("a lost connection", |desk, conn| desk.cut(conn), 1),
        ("a DISCONNECT", |desk, conn| desk.leave(conn), 0),
        (
            "a DISCONNECT that asks for it",
            |desk, conn| {
                let code = DisconnectReasonCode::DisconnectWithWillMessage;
                desk.send(conn, Packet::Disconnect(Disconnect::new(code)));
            },
            1,
        ),
        ("silence", |desk, _| desk.pass(15_000), 1),
        ("a protocol error", |desk, conn| desk.send(conn, Packet::PingResponse), 1),
        ("a malformed packet", |desk, conn| desk.fault(conn, Fault::Malformed), 1),
    ];
    for (name, end, wills) in endings {
        let mut desk = Desk::new();
        let watch = watch(&mut desk);
        let connect = Connect { keep_alive: 10, ..with_will(clean("c"), "will/c", "gone", 0) };
        let conn = desk.join_with(connect).0;
        end(&mut desk, conn);
        assert_eq!(desk.heard(watch), vec!["will/c gone 1"; wills], "{name}");
        assert_eq!(desk.broker.counts().wills, wills as u64);
    }
}

/// 3.1.2.5, 3.1.4-3: a client takeover brings it, too.
#[test]
fn takeover_brings_it() {
    let mut desk = Desk::new();
    let watch = watch(&mut desk);
    desk.join_with(with_will(clean("c"), "will/c", "gone", 0));
    desk.join("c");
    assert_eq!(desk.heard(watch), ["will/c gone 1"]);
}

/// 3.1.3.2.2: the will waits for its delay.
#[test]
fn delay() {
    let mut desk = Desk::new();
    let watch = watch(&mut desk);
    let conn = desk.join_with(with_will(lasting("c"), "will/c", "gone", 60)).0;
    desk.cut(conn);
    desk.pass(59_999);
    assert_eq!(desk.got(watch), []);
    desk.pass(1);
    assert_eq!(desk.heard(watch), ["will/c gone 1"]);
    assert_eq!(desk.broker.counts().sessions, 2, "the session lives on");
}

/// 3.1.3-9: a client that is back in time has no will published.
#[test]
fn back_in_time() {
    let mut desk = Desk::new();
    let watch = watch(&mut desk);
    let conn = desk.join_with(with_will(lasting("c"), "will/c", "gone", 60)).0;
    desk.cut(conn);
    desk.pass(59_000);
    let conn = desk.join_with(lasting("c")).0;
    desk.pass(600_000);
    assert_eq!(desk.got(watch), []);
    assert_eq!(desk.closed(conn), None);
}

/// 3.1.3.2.2: the will doesn't outwait the session, whether that expires or is started anew.
#[test]
fn the_session_ends_first() {
    let anew = |desk: &mut Desk| {
        desk.join("c");
    };
    let ends: [fn(&mut Desk); 2] = [|desk| desk.pass(10_000), anew];
    for end in ends {
        let mut desk = Desk::new();
        let watch = watch(&mut desk);
        let connect = Connect { session_expiry_interval_secs: 10, ..with_will(clean("c"), "will/c", "gone", 60) };
        let conn = desk.join_with(connect).0;
        desk.cut(conn);
        assert_eq!(desk.got(watch), []);
        end(&mut desk);
        assert_eq!(desk.heard(watch), ["will/c gone 1"]);
    }
}

/// 3.1.2-14, 3.1.2-15: a will is retained if it says so.
#[test]
fn retained() {
    for (retain, expected) in [(true, vec!["will/c gone 0 retain"]), (false, vec![])] {
        let mut desk = Desk::new();
        let mut connect = with_will(clean("c"), "will/c", "gone", 0);
        connect.last_will.as_mut().unwrap().retain = retain;
        let conn = desk.join_with(connect).0;
        desk.cut(conn);
        let watch = desk.listener("late", &["will/#"], Q0);
        assert_eq!(desk.heard(watch), expected);
    }
}

/// 3.1.2-10: a will that was published, or discarded by a DISCONNECT, doesn't stay with the session.
#[test]
fn once() {
    for (leaves, wills) in [(false, 1), (true, 0)] {
        let mut desk = Desk::new();
        let watch = watch(&mut desk);
        let conn = desk.join_with(with_will(lasting("c"), "will/c", "gone", 1)).0;
        if leaves {
            desk.leave(conn)
        } else {
            desk.cut(conn)
        }
        desk.pass(1000);
        assert_eq!(desk.heard(watch).len(), wills);
        let (conn, ack) = desk.join_with(lasting("c"));
        assert!(ack.session_present);
        desk.cut(conn);
        desk.pass(1000 * u64::from(HOUR));
        assert_eq!((desk.broker.backlog("c"), desk.heard(watch)), (None, vec![]), "the session has ended too");
    }
}

/// 3.1.2.5: the client itself, kept for later, gets its own will.
#[test]
fn its_own_will() {
    let mut desk = Desk::new();
    let conn = desk.join_with(with_will(lasting("c"), "will/c", "gone", 0)).0;
    desk.subscribe(conn, &["will/c"], Q1);
    desk.cut(conn);
    let conn = desk.join_with(lasting("c")).0;
    assert_eq!(desk.heard(conn), ["will/c gone 1"]);
}

/// 3.1.3-10, 3.1.3.2: what a will has beside its payload is passed on, its user properties in their order.
#[test]
fn properties() {
    let mut desk = Desk::new();
    let watch = watch(&mut desk);
    let mut connect = with_will(clean("c"), "will/c", "gone", 0);
    let will = connect.last_will.as_mut().unwrap();
    will.content_type = Some("text".into());
    will.response_topic = Some("r".into());
    will.correlation_data = Some("id".into());
    will.is_utf8_payload = Some(true);
    will.message_expiry_interval = 9.try_into().ok();
    will.user_properties = vec![("b".into(), "1".into()), ("a".into(), "2".into()), ("b".into(), "3".into())];
    let expected = will.clone();
    let conn = desk.join_with(connect).0;
    desk.pass(60_000);
    desk.cut(conn);
    let heard = desk.messages(watch).remove(0).properties.unwrap();
    assert_eq!(heard.user_properties, expected.user_properties);
    assert_eq!((heard.content_type, heard.response_topic), (expected.content_type, expected.response_topic));
    assert_eq!((heard.correlation_data, heard.is_utf8_payload), (expected.correlation_data, true));
    assert_eq!(heard.message_expiry_interval, expected.message_expiry_interval, "it begins with the will");
}
