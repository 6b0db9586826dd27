//! Retained messages (3.3.1.3).

use baton_broker_sim::broker::Limits;
use rmqtt_codec::v5::{Connect, Packet, RetainHandling, SubscriptionOptions};

use crate::desk::{Desk, Q0, Q1, Q2, clean, lasting, message, puback};

fn retained(topic: &str, payload: &str) -> Packet {
    message(topic, payload, Q1, |p| p.retain = true)
}

const PLAIN: SubscriptionOptions = SubscriptionOptions {
    qos: Q2,
    no_local: false,
    retain_as_published: false,
    retain_handling: RetainHandling::AtSubscribe,
};

/// 3.3.1-5, 3.3.1-6: the last one is kept, also when its publisher's session has ended, and an empty one clears it.
#[test]
fn kept_and_cleared() {
    let mut desk = Desk::new();
    let publisher = desk.join("p");
    for packet in [retained("a/1", "old"), retained("a/1", "new"), retained("a/2", "x"), retained("a/2", "")] {
        desk.send(publisher, packet);
    }
    desk.leave(publisher);
    let conn = desk.listener("c", &["a/+"], Q2);
    assert_eq!(desk.heard(conn), ["a/1 new 1 retain"]);
}

/// 3.3.1-8: a message without RETAIN leaves the retained one alone, and isn't retained where there is none.
#[test]
fn left_alone() {
    let mut desk = Desk::new();
    let publisher = desk.join("p");
    desk.send(publisher, retained("t", "kept"));
    for topic in ["t", "u"] {
        desk.publish(publisher, topic, "passing", Q0);
    }
    let conn = desk.listener("c", &["#"], Q0);
    assert_eq!(desk.heard(conn), ["t kept 0 retain"]);
}

/// 3.3.1-9 to 3.3.1-13: RETAIN towards a subscription that is there already.
#[test]
fn retain_as_published() {
    for (keeps, expected) in [(false, "t x 1"), (true, "t x 1 retain")] {
        let mut desk = Desk::new();
        let conn = desk.join("c");
        desk.subscribe_with(conn, &["t"], SubscriptionOptions { retain_as_published: keeps, ..PLAIN }, None);
        let publisher = desk.join("p");
        desk.send(publisher, retained("t", "x"));
        desk.publish(publisher, "t", "passing", Q1);
        assert_eq!(desk.heard(conn), [expected, "t passing 1"]);
    }
}

/// 3.8.3.1: Retain Handling at a new subscription and at one that is there.
#[test]
fn retain_handling() {
    for (handling, new, again) in [
        (RetainHandling::AtSubscribe, 1, 1),
        (RetainHandling::AtSubscribeNew, 1, 0),
        (RetainHandling::NoAtSubscribe, 0, 0),
    ] {
        let mut desk = Desk::new();
        let publisher = desk.join("p");
        desk.send(publisher, retained("t", "x"));
        let conn = desk.join("c");
        for count in [new, again] {
            desk.subscribe_with(conn, &["t"], SubscriptionOptions { retain_handling: handling, ..PLAIN }, None);
            assert_eq!(desk.heard(conn).len(), count, "{handling:?}");
            desk.send(conn, puback(1));
        }
    }
}

/// 4.8.2: none for a shared subscription.
#[test]
fn none_for_a_share() {
    let mut desk = Desk::new();
    let publisher = desk.join("p");
    desk.send(publisher, retained("t", "x"));
    let conn = desk.listener("c", &["$share/g/t"], Q1);
    assert_eq!(desk.got(conn), []);
}

/// 3.8.4: the SUBACK comes first, then what is retained, with the subscription's id.
#[test]
fn after_the_suback() {
    let mut desk = Desk::new();
    let publisher = desk.join("p");
    desk.send(publisher, retained("t", "x"));
    let conn = desk.join("c");
    desk.subscribe_with(conn, &["t"], PLAIN, Some(5));
    assert_eq!(desk.heard(conn), ["t x 1 retain #5"]);
}

/// 4.7.2-1: a wildcard in the first level brings no retained `$` topics.
#[test]
fn dollar_topics() {
    let mut desk = Desk::new();
    let publisher = desk.join("p");
    desk.send(publisher, retained("$SYS/a", "x"));
    desk.send(publisher, retained("b", "y"));
    let conn = desk.listener("c", &["#"], Q0);
    assert_eq!(desk.heard(conn), ["b y 0 retain"]);
}

/// 3.3.2.3.3: a retained message expires, too.
#[test]
fn expired() {
    let mut desk = Desk::new();
    let publisher = desk.join("p");
    desk.send(
        publisher,
        message("t", "x", Q0, |p| {
            p.retain = true;
            p.properties.as_mut().unwrap().message_expiry_interval = 10.try_into().ok();
        }),
    );
    desk.pass(10_000);
    let conn = desk.listener("c", &["t"], Q0);
    assert_eq!(desk.heard(conn), [] as [&str; 0]);
    assert_eq!(desk.broker.counts().dropped, 0, "nobody should have had it");
}

/// 3.3.1.3: all of many retained messages arrive, at any QoS, though the connection takes them slowly; and a message
/// that comes meanwhile comes after them.
#[test]
fn many_at_once() {
    for qos in [Q0, Q1] {
        let mut desk = Desk::new();
        let publisher = desk.join("p");
        let payload = "x".repeat(20_000);
        for n in 0..90 {
            desk.send(publisher, retained(&format!("t/{n}"), &payload));
        }
        let conn = desk.join("c");
        desk.stuck.insert(conn);
        desk.subscribe(conn, &["t/#"], qos);
        desk.publish(publisher, "t/0", "newer", qos);
        let at_once = desk.messages(conn).len();
        assert!(at_once < 90, "{at_once} fit");
        desk.unstick(conn);
        let rest = desk.messages(conn);
        assert_eq!(at_once + rest.len(), 91);
        assert_eq!(&rest.last().unwrap().payload[..], b"newer");
        assert_eq!(desk.broker.counts().dropped, 0);
    }
}

/// 3.3.1-6 (3.1.1: 3.3.1-10): an empty one goes to those who are there, as any message does.
#[test]
fn an_empty_one_is_passed_on() {
    let mut desk = Desk::new();
    let conn = desk.listener("c", &["t"], Q1);
    let publisher = desk.join("p");
    desk.send(publisher, retained("t", ""));
    assert_eq!(desk.heard(conn), ["t  1"]);
}

/// 3.8.3-3: No Local counts for what was retained, too.
#[test]
fn no_local() {
    let mut desk = Desk::new();
    let (mine, other) = (desk.join("c"), desk.join("o"));
    desk.send(mine, retained("t/1", "mine"));
    desk.send(other, retained("t/2", "other's"));
    for (no_local, expected) in
        [(true, vec!["t/2 other's 1 retain"]), (false, vec!["t/1 mine 1 retain", "t/2 other's 1 retain"])]
    {
        desk.subscribe_with(mine, &["t/#"], SubscriptionOptions { no_local, ..PLAIN }, None);
        assert_eq!(desk.heard(mine), expected);
    }
}

/// How many retained messages more than a session's queue takes.
const MANY: usize = 20_000;

fn desk_with_many() -> Desk {
    let mut desk = Desk::new();
    let publisher = desk.join("p");
    for n in 0..MANY {
        desk.send(publisher, retained(&format!("t/{n:05}/{}", n % 2), "x"));
    }
    desk
}

/// 3.3.1-9: all that match arrive, a page at a time, in whatever way the client takes them.
#[test]
fn more_than_a_queue_takes() {
    assert!(MANY > Limits::default().queued_messages);
    let mut desk = desk_with_many();
    let conn = desk.join_with(Connect { session_expiry_interval_secs: 60, ..clean("c") }).0;
    desk.subscribe(conn, &["t/+/1"], Q1);
    let mut heard = Vec::new();
    let mut conn = conn;
    loop {
        desk.pass(1);
        let messages = desk.messages(conn);
        if messages.is_empty() {
            break;
        }
        assert!(desk.broker.backlog("c") <= Some(200), "a page in flight, and a page that waits");
        for message in messages {
            desk.send(conn, puback(message.packet_id.unwrap().get()));
            heard.push(message.topic.to_string());
        }
        // It goes on where it was, in another connection too.
        if heard.len().is_multiple_of(1000) {
            desk.cut(conn);
            conn = desk.join_with(Connect { clean_start: false, ..lasting("c") }).0;
        }
    }
    let expected: Vec<_> = (1..MANY).step_by(2).map(|n| format!("t/{n:05}/1")).collect();
    assert!(heard == expected, "{} of {}", heard.len(), expected.len());
    assert_eq!(desk.broker.counts().dropped, 0);
}

/// A search that takes long lets the others have their turn, and ends with its subscription.
#[test]
fn a_long_search() {
    let mut desk = desk_with_many();
    let conn = desk.join("c");
    desk.subscribe(conn, &["+/+/2", "t/19999/1"], Q0);
    assert_eq!(desk.heard(conn), [] as [&str; 0], "not yet");
    assert_eq!(desk.broker.poll_timeout(), Some(desk.now + 1));
    desk.publish(conn, "t/19999/1", "newer", Q0);
    desk.pass(10);
    assert_eq!(desk.heard(conn), ["t/19999/1 x 0 retain", "t/19999/1 newer 0"], "the older one first");
    assert_eq!(desk.broker.poll_timeout(), None);

    desk.subscribe(conn, &["+/+/2", "t/#"], Q0);
    desk.unsubscribe(conn, &["+/+/2", "t/#", "t/19999/1"]);
    desk.publish(conn, "t/19999/1", "unheard", Q0);
    desk.pass(10);
    assert_eq!(desk.heard(conn), [] as [&str; 0]);
    assert_eq!(desk.broker.poll_timeout(), None);
}

/// The same filter again begins again, and many of the same in one SUBSCRIBE are one.
#[test]
fn the_same_filter_many_times() {
    let mut desk = Desk::new();
    let publisher = desk.join("p");
    desk.send(publisher, retained("t", "x"));
    let conn = desk.join("c");
    desk.subscribe(conn, &["#"; 100_000], Q0);
    assert_eq!(desk.heard(conn), ["t x 0 retain"]);
    desk.subscribe(conn, &["#"], Q0);
    assert_eq!(desk.heard(conn), ["t x 0 retain"]);
}
