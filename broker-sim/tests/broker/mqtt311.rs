//! MQTT 3.1.1 in its own bytes: what its clients are told where MQTT 5 would say more, or something else.

use crate::{
    desk::{Desk, Q1, lasting, message},
    line::{CONNECT_311, LASTING_311, Line, packet},
};

/// "c" subscribes to "t" with QoS 2.
const SUBSCRIBE: &[u8] = b"\0\x07\0\x01t\x02";

/// 3.1.2-4, 3.1.2-5, 3.2.2-2, 3.2.2-3, 4.1.0-1: a session that isn't clean is there again, with what came meanwhile.
#[test]
fn a_session_that_is_kept() {
    let mut line = Line::new();
    assert_eq!(line.say(LASTING_311), [0x20, 2, 0, 0]);
    assert_eq!(line.say(&packet(0x82, SUBSCRIBE)), [0x90, 3, 0, 7, 2]);
    let mut desk = line.broken();
    let publisher = desk.join("p");
    desk.publish(publisher, "t", "kept", Q1);
    // A year, if need be.
    desk.pass(365 * 24 * 3_600_000);
    assert_eq!(Line::to(desk).say(LASTING_311), b"\x20\x02\x01\x00\x32\x09\0\x01t\0\x01kept");
}

/// 3.1.2-6, 3.2.2-1: a clean one begins anew, and ends with its connection.
#[test]
fn a_clean_session() {
    let mut line = Line::connected(LASTING_311);
    line.say(&packet(0x82, SUBSCRIBE));
    let mut line = line.again();
    assert_eq!(line.say(CONNECT_311), [0x20, 2, 0, 0]);
    let publisher = line.desk.join("p");
    line.desk.publish(publisher, "t", "x", Q1);
    assert_eq!(line.hear(), [] as [u8; 0]);
    let mut line = line.again();
    assert_eq!(line.desk.broker.counts().sessions, 1, "only the publisher's");
    assert_eq!(line.say(LASTING_311), [0x20, 2, 0, 0]);
}

/// 3.1.3-6: a client without an id has one of its own, that it isn't told.
#[test]
fn without_an_id() {
    let mut desk = Desk::new();
    for sessions in [1, 2] {
        let mut line = Line::to(desk);
        assert_eq!(line.say(&packet(0x10, b"\0\x04MQTT\x04\x02\0\x0a\0\0")), [0x20, 2, 0, 0]);
        desk = line.desk;
        assert_eq!((desk.broker.counts().sessions, desk.broker.counts().takeovers), (sessions, 0));
    }
}

/// 3.2.2-6: a refusal that 3.1.1 has no code for is the close alone.
#[test]
fn a_refusal_without_a_code() {
    let mut line = Line::new();
    assert_eq!(line.say(&packet(0x10, b"\0\x04MQTT\x04\x06\0\x0a\0\x01c\0\x01#\0\0")), [] as [u8; 0]);
    assert!(line.desk.closed(line.conn).is_some());
}

/// 3.8.4-2, 3.8.4-5, 3.9.3-1, 3.9.3-2: a code for each filter, 0x80 for each that isn't legal.
#[test]
fn suback_codes() {
    let mut line = Line::connected(CONNECT_311);
    let subscribe = packet(0x82, b"\0\x09\0\x01a\x01\0\x03b#c\x02\0\x01#\0\0\0\x01");
    assert_eq!(line.say(&subscribe), [0x90, 6, 0, 9, 1, 0x80, 0, 0x80]);
    // 3.8.4-4: as many subscriptions, and the one SUBACK.
    let publisher = line.desk.join("p");
    line.desk.publish(publisher, "a", "x", Q1);
    line.desk.publish(publisher, "b", "x", Q1);
    assert_eq!(line.hear(), b"\x32\x06\0\x01a\0\x01x\x30\x04\0\x01bx");
}

/// 3.10.4-4 to 3.10.4-6: one UNSUBACK, of the same id, also where there was nothing.
#[test]
fn unsuback() {
    let mut line = Line::connected(CONNECT_311);
    line.say(&packet(0x82, SUBSCRIBE));
    assert_eq!(line.say(&packet(0xa2, b"\0\x08\0\x01t\0\x01u")), [0xb0, 2, 0, 8]);
    let publisher = line.desk.join("p");
    line.desk.publish(publisher, "t", "x", Q1);
    assert_eq!(line.hear(), [] as [u8; 0]);
    assert_eq!(line.say(&packet(0xa2, b"\0\x0a\0\x01t")), [0xb0, 2, 0, 10]);
}

/// 3.3.4-1, 2.3.1-6, 4.3.2-2, 4.3.3-2: the acknowledgements, without reasons.
#[test]
fn acknowledgements() {
    let mut line = Line::connected(CONNECT_311);
    for (first, rest, expected) in [
        (0x30, &b"\0\x01tx"[..], &b""[..]),
        (0x32, b"\0\x01t\0\x05x", b"\x40\x02\0\x05"),
        (0x34, b"\0\x01t\0\x06x", b"\x50\x02\0\x06"),
        (0x3c, b"\0\x01t\0\x06x", b"\x50\x02\0\x06"),
        (0x62, b"\0\x06", b"\x70\x02\0\x06"),
        (0x62, b"\0\x06", b"\x70\x02\0\x06"),
        (0xc0, b"", b"\xd0\x00"),
    ] {
        assert_eq!(line.say(&packet(first, rest)), expected, "{first:x}");
    }
    assert_eq!(line.desk.broker.counts().publishes, [1, 1, 2]);
}

/// 4.3.3-1, 4.4.0-1, 3.3.1-1: a delivery of QoS 2 over a broken connection, with the same id and DUP.
#[test]
fn a_delivery_over_a_broken_connection() {
    let mut line = Line::connected(LASTING_311);
    line.say(&packet(0x82, SUBSCRIBE));
    let publisher = line.desk.join("p");
    line.desk.send(publisher, message("t", "x", crate::desk::Q2, |p| p.dup = true));
    assert_eq!(line.hear(), b"\x34\x06\0\x01t\0\x01x", "the publisher's DUP isn't passed on");
    let mut line = line.again();
    assert_eq!(line.say(LASTING_311), b"\x20\x02\x01\0\x3c\x06\0\x01t\0\x01x");
    assert_eq!(line.say(&packet(0x50, b"\0\x01")), b"\x62\x02\0\x01");
    let mut line = line.again();
    assert_eq!(line.say(LASTING_311), b"\x20\x02\x01\0\x62\x02\0\x01");
    line.say(&packet(0x70, b"\0\x01"));
    assert_eq!(line.desk.broker.backlog("c"), Some(0));
}

/// 3.3.1-6, 3.3.1-8, 3.3.1-9: RETAIN for a new subscription, and for none that is there.
#[test]
fn retain() {
    let mut line = Line::connected(CONNECT_311);
    let publisher = line.desk.join("p");
    let kept = |payload| message("t", payload, Q1, |p| p.retain = true);
    line.desk.send(publisher, kept("a"));
    assert_eq!(line.say(&packet(0x82, SUBSCRIBE)), b"\x90\x03\0\x07\x02\x33\x06\0\x01t\0\x01a");
    line.desk.send(publisher, kept("b"));
    assert_eq!(line.hear(), b"\x32\x06\0\x01t\0\x02b");
    assert_eq!(line.say(&packet(0x82, SUBSCRIBE)), b"\x90\x03\0\x07\x02\x33\x06\0\x01t\0\x03b", "3.8.4-3: again");
}

/// 3.1.2-8, 3.1.2-10, 3.1.2-16, 3.1.2-17, 3.14.4-3: a will, unless the client says DISCONNECT.
#[test]
fn wills() {
    for (flags, leaves, expected) in [(0x06, false, "w x 0"), (0x26, false, "w x 0 retain"), (0x06, true, "")] {
        let mut line = Line::new();
        let rest = [b"\0\x04MQTT\x04", &[flags][..], b"\0\x0a\0\x01c\0\x01w\0\x01x"].concat();
        assert_eq!(line.say(&packet(0x10, &rest)), [0x20, 2, 0, 0]);
        let options = rmqtt_codec::v5::SubscriptionOptions { retain_as_published: true, ..Default::default() };
        let watch = line.desk.join("watch");
        line.desk.subscribe_with(watch, &["w"], options, None);
        if leaves {
            assert_eq!(line.say(b"\xe0\0"), [] as [u8; 0]);
        } else {
            line.desk.cut(line.conn);
        }
        assert_eq!(line.desk.heard(watch).concat(), expected);
        assert_eq!(line.desk.broker.counts().wills, u64::from(!leaves));
    }
}

/// 3.1.2-12: who has no will has none published.
#[test]
fn no_will() {
    let mut line = Line::connected(CONNECT_311);
    let watch = line.desk.listener("watch", &["#"], Q1);
    line.desk.cut(line.conn);
    assert_eq!((line.desk.got(watch), line.desk.broker.counts().wills), (vec![], 0));
}

/// 3.1.4-2: whoever has the id now stays, and the other one's connection ends without a word.
#[test]
fn takeover() {
    let mut line = Line::connected(CONNECT_311);
    let new = line.desk.join_with(lasting("c")).0;
    assert_eq!(line.hear(), [] as [u8; 0]);
    assert!(line.desk.closed(line.conn).is_some() && line.desk.closed(new).is_none());
}

/// A client of 3.1.1 may be a member of a share, and there is no other meaning of `$share/` for it.
#[test]
fn shares() {
    let mut line = Line::connected(CONNECT_311);
    assert_eq!(line.say(&packet(0x82, b"\0\x07\0\x0a$share/g/t\x01\0\x08$share/g\x01")), [0x90, 4, 0, 7, 1, 0x80]);
    let other = line.desk.listener("o", &["$share/g/t"], Q1);
    let publisher = line.desk.join("p");
    for payload in ["a", "b"] {
        line.desk.publish(publisher, "t", payload, Q1);
    }
    assert_eq!((line.hear().len(), line.desk.heard(other).len()), (8, 1));
}

/// What MQTT 5 adds to a message isn't there for a client of 3.1.1.
#[test]
fn properties_are_left_out() {
    let mut desk = Desk::new();
    let publisher = desk.join("p");
    let mut line = Line::to(desk);
    line.say(CONNECT_311);
    line.say(&packet(0x82, SUBSCRIBE));
    let change = |p: &mut rmqtt_codec::types::Publish| {
        p.properties.as_mut().unwrap().content_type = Some("text".into());
    };
    line.desk.send(publisher, message("t", "x", Q1, change));
    assert_eq!(line.hear(), b"\x32\x06\0\x01t\0\x01x");
}
