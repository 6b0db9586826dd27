//! Who is let in (3.1.4), and what a CONNACK tells only some (3.2.2.3).

use std::num::NonZeroU16;

use baton_broker_sim::broker::{Broker, Closing, Credentials, Fault, Limits};
use rmqtt_codec::v5::{Connect, ConnectAckReason, Packet};

use crate::{
    desk::{Desk, Q0, clean, five, publish, with_will},
    line::Line,
};

fn guarded() -> Desk {
    let credentials = Credentials::parse("ann:secret\n").unwrap();
    Desk::of(Broker::new(Limits::default()).with_credentials(credentials))
}

fn as_user(user: &str, password: &str) -> Connect {
    Connect { username: Some(user.into()), password: Some(password.to_owned().into()), ..clean("c") }
}

/// The code of the CONNACK that is all that was said.
fn told(desk: &mut Desk, connect: Connect) -> (ConnectAckReason, Option<Closing>) {
    let conn = desk.ask(connect);
    match desk.got(conn).as_slice() {
        [Packet::ConnectAck(ack)] => (ack.reason_code, desk.closed(conn)),
        other => panic!("{other:?}"),
    }
}

/// 3.1.4-2: users are let in, others are told why not and closed; whoever is refused has no session and no will.
#[test]
fn users() {
    use ConnectAckReason::{BadUserNameOrPassword, NotAuthorized, Success};
    for (connect, reason, closing) in [
        (as_user("ann", "secret"), Success, None),
        (as_user("ann", "wrong"), BadUserNameOrPassword, Some(Closing::Fault(Fault::Credentials))),
        (as_user("eve", "secret"), BadUserNameOrPassword, Some(Closing::Fault(Fault::Credentials))),
        (clean("c"), NotAuthorized, Some(Closing::Fault(Fault::Anonymous))),
    ] {
        let mut desk = guarded();
        assert_eq!(told(&mut desk, with_will(connect, "w", "", 0)), (reason, closing));
        assert_eq!(desk.broker.counts().sessions, usize::from(closing.is_none()));
        assert_eq!(desk.broker.counts().wills, 0);
    }
}

/// 3.1.4-6: a refused client's later packets have no say, and nobody's session is taken over by one.
#[test]
fn a_refused_client_has_no_say() {
    let mut desk = guarded();
    let listener = desk.join_with(Connect { client_id: "l".into(), ..as_user("ann", "secret") }).0;
    desk.subscribe(listener, &["#"], Q0);
    let conn = desk.ask(Connect { client_id: "l".into(), clean_start: false, ..as_user("ann", "wrong") });
    match desk.got(conn).as_slice() {
        // 3.2.2-6, though there is a session.
        [Packet::ConnectAck(ack)] => assert!(!ack.session_present),
        other => panic!("{other:?}"),
    }
    desk.send(conn, publish("t", "x", Q0));
    desk.send(conn, Packet::PingRequest);
    assert_eq!(desk.got(conn), []);
    assert_eq!((desk.heard(listener), desk.closed(listener)), (vec![], None));
}

/// 3.1.1, 3.2.2.3: its codes for the same.
#[test]
fn users_of_mqtt_311() {
    for (rest, code) in [(&b"\xc2\0\x0a\0\x01c\0\x03ann\0\x01x"[..], 4), (b"\x02\0\x0a\0\x01c", 5)] {
        let mut line = Line::to(guarded());
        let packet = crate::line::packet(0x10, &[b"\0\x04MQTT\x04", rest].concat());
        assert_eq!(line.say(&packet), [0x20, 2, 0, code]);
        assert!(line.desk.closed(line.conn).is_some());
    }
}

/// 3.1.3-1: client id, will, user name and password, in this order.
#[test]
fn the_fields_have_their_order() {
    for head in [&b"\0\x04MQTT\x04\xc6\0\x0a\0\x01c"[..], b"\0\x04MQTT\x05\xc6\0\x0a\0\0\x01c\0"] {
        let mut line = Line::to(guarded());
        let watch = line.desk.join_with(Connect { client_id: "w".into(), ..as_user("ann", "secret") }).0;
        line.desk.subscribe(watch, &["#"], Q0);
        let connect = crate::line::packet(0x10, &[head, b"\0\x04will\0\x04gone\0\x03ann\0\x06secret"].concat());
        assert_eq!(line.say(&connect)[3], 0);
        assert_eq!(line.desk.broker.backlog("c"), Some(0));
        line.desk.cut(line.conn);
        assert_eq!(line.desk.heard(watch), ["will gone 0"]);
    }
}

/// 4.12.0-1, 4.12.0-6: no method of authentication is known, and none is named in a CONNACK to one who has none.
#[test]
fn enhanced_authentication() {
    let mut desk = Desk::new();
    let connect = Connect { auth_method: Some("SCRAM-SHA-1".into()), ..five("c") };
    let expected = (ConnectAckReason::BadAuthenticationMethod, Some(Closing::Fault(Fault::Authentication)));
    assert_eq!(told(&mut desk, connect), expected);
    let (conn, ack) = desk.join_with(five("c"));
    assert_eq!((ack.auth_method, ack.auth_data), (None, None));
    assert_eq!(desk.got(conn), []);
}

/// 3.1.2-28, 3.2.2.3.15: response information for those who ask, its own for each session, and the same again.
#[test]
fn response_information() {
    let mut desk = Desk::new();
    let asks = |client: &str| Connect {
        request_response_info: true,
        clean_start: false,
        session_expiry_interval_secs: 60,
        ..five(client)
    };
    assert_eq!(desk.join_with(five("c")).1.response_info, None);
    let (conn, first) = desk.join_with(asks("a"));
    let second = desk.join_with(asks("b")).1;
    assert!(first.response_info.is_some() && first.response_info != second.response_info);
    desk.leave(conn);
    assert_eq!(desk.join_with(asks("a")).1.response_info, first.response_info);
    let small = Connect { max_packet_size: 64.try_into().ok(), ..asks(&"n".repeat(60)) };
    assert!(desk.join_with(small).1.response_info.is_some(), "a CONNACK of this broker is small");
}

/// 3.2.2-21, 3.2.2-22, 3.1.2-22: the broker's keep-alive where it has one, else the client's.
#[test]
fn server_keep_alive() {
    let limit = NonZeroU16::new(20);
    for (asked, told, silence) in [(0, Some(20), 30_000), (60, Some(20), 30_000), (10, None, 15_000)] {
        let mut desk = Desk::with(Limits { keep_alive: limit, ..Limits::default() });
        let (conn, ack) = desk.join_with(Connect { keep_alive: asked, ..five("c") });
        assert_eq!(ack.server_keepalive_sec, told);
        desk.pass(silence - 1);
        assert_eq!(desk.closed(conn), None);
        desk.pass(1);
        assert_eq!(desk.closed(conn), Some(Closing::Fault(Fault::KeepAlive)));
    }
    // One who can't be told isn't held to it.
    let mut desk = Desk::with(Limits { keep_alive: limit, ..Limits::default() });
    let conn = desk.join("old");
    desk.pass(1_000_000);
    assert_eq!(desk.closed(conn), None);
}

/// 3.1.3-5: ids of 1 to 23 letters and digits, and any other that is text.
#[test]
fn client_ids() {
    for id in ["a", "0123456789abcdefghijklm", "nopqrstuvwxyzABCDEFGHIJ", "KLMNOPQRSTUVWXYZ", "a b/+#\u{1F600}"] {
        let mut desk = Desk::new();
        desk.join(id);
        assert_eq!(desk.broker.backlog(id), Some(0), "{id}");
    }
}
