//! Retained messages (3.3.1.3).

use baton_broker_sim::broker::Limits;
use rmqtt_codec::v5::{Connect, Packet, RetainHandling, SubscriptionOptions, Unsubscribe};

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
        assert_eq!(at_once, 53, "1 MiB, with the last one");
        // 256 KiB with the last one on the page, and the newer one; those of QoS 1 that were sent are in flight.
        let waiting = 14 + 1 + if qos == Q1 { at_once } else { 0 };
        assert_eq!(desk.broker.backlog("c"), Some(waiting));
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
    let (mut heard, mut most) = (Vec::new(), 0);
    let mut conn = conn;
    loop {
        desk.pass(1);
        let messages = desk.messages(conn);
        if messages.is_empty() {
            break;
        }
        most = most.max(desk.broker.backlog("c").unwrap());
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
    assert_eq!((most, desk.broker.counts().dropped), (200, 0), "100 in flight, and a page of 100 that waits");
}

/// A search that takes long lets the others have their turn, and ends with its subscription.
#[test]
fn a_long_search() {
    let mut desk = desk_with_many();
    let (conn, other) = (desk.join("c"), desk.join("o"));
    // Some 20,000 nodes, 10,000 at a time.
    desk.subscribe(conn, &["+/+/2", "t/19999/1"], Q0);
    desk.subscribe(other, &["+/+/2", "t/19998/0"], Q0);
    desk.publish(conn, "t/19999/1", "newer", Q0);
    let expected = ["t/19999/1 x 0 retain", "t/19999/1 newer 0"];
    // In turns: the first has its second, the second has its, and then the first has its third.
    for (of_conn, of_other) in [(0, 0), (0, 0), (0, 0), (2, 0), (0, 1)] {
        let heard = (desk.heard(conn), desk.heard(other));
        assert_eq!((heard.0.len(), heard.1.len()), (of_conn, of_other), "{heard:?}");
        assert!(heard.0.is_empty() || heard.0 == expected, "{heard:?}");
        desk.pass(1);
    }
    assert_eq!(desk.broker.poll_timeout(), None);

    desk.subscribe(conn, &["+/+/2", "t/#"], Q0);
    desk.unsubscribe(conn, &["+/+/2", "t/#", "t/19999/1"]);
    desk.publish(conn, "t/19999/1", "unheard", Q0);
    desk.pass(10);
    assert_eq!(desk.heard(conn), [] as [&str; 0]);
    assert_eq!(desk.broker.poll_timeout(), None);
}

/// What waits for a search that finds nothing comes when that ends, and when it is given up.
#[test]
fn behind_a_search_for_nothing() {
    for given_up in [false, true] {
        let mut desk = desk_with_many();
        let conn = desk.listener("c", &["live"], Q0);
        desk.subscribe(conn, &["+/+/2"], Q0);
        desk.publish(conn, "live", "x", Q0);
        assert_eq!(desk.heard(conn), [] as [&str; 0], "not yet");
        if given_up {
            let topic_filters = vec!["+/+/2".into()];
            let packet_id = 7.try_into().unwrap();
            desk.send(conn, Packet::Unsubscribe(Unsubscribe { packet_id, user_properties: vec![], topic_filters }));
        } else {
            desk.pass(10);
        }
        assert_eq!(desk.heard(conn), ["live x 0"], "{given_up}");
    }
}

/// Nobody's topics that begin with `$` are in anybody's way.
#[test]
fn hidden_topics_cost_no_search() {
    let mut desk = Desk::new();
    let publisher = desk.join("p");
    for n in 0..MANY {
        desk.send(publisher, retained(&format!("${n:05}"), "x"));
    }
    for topic in ["!", "%", "a"] {
        desk.send(publisher, retained(topic, "x"));
    }
    let conn = desk.listener("c", &["+"], Q0);
    assert_eq!(desk.heard(conn), ["! x 0 retain", "% x 0 retain", "a x 0 retain"]);
    assert_eq!(desk.broker.poll_timeout(), None, "at once");
}

/// 3.8.4-8: what is still to come when a subscription is replaced comes as the new one asks.
#[test]
fn a_replaced_subscription_counts_for_what_is_still_to_come() {
    let mut desk = desk_with_many();
    let conn = desk.join_with(Connect { receive_max: 1.try_into().ok(), ..clean("c") }).0;
    desk.subscribe_with(conn, &["t/+/1"], SubscriptionOptions { qos: Q1, ..PLAIN }, Some(1));
    let changed = SubscriptionOptions { qos: Q0, retain_handling: RetainHandling::NoAtSubscribe, ..PLAIN };
    desk.subscribe_with(conn, &["t/+/1"], changed, Some(2));
    let mut heard = desk.heard(conn);
    for id in 1..=200 {
        desk.send(conn, puback(id));
        desk.pass(1);
        heard.extend(desk.heard(conn));
    }
    assert_eq!(heard.len(), MANY / 2);
    let old = heard.iter().filter(|message| message.ends_with("x 1 retain #1")).count();
    let new = heard.iter().filter(|message| message.ends_with("x 0 retain #2")).count();
    assert_eq!((old, old + new), (101, heard.len()), "what was sent, and a page");
}

/// 4.6.0-6: no topic's message comes after a newer one, however many are retained.
#[test]
fn nothing_newer_comes_before() {
    let mut desk = desk_with_many();
    let conn = desk.join_with(Connect { receive_max: 1.try_into().ok(), ..clean("c") }).0;
    desk.subscribe(conn, &["t/19999/1"], Q1);
    let publisher = desk.join("p");
    desk.publish(publisher, "t/19999/1", "1", Q1);
    desk.publish(publisher, "t/19999/1", "2", Q1);
    desk.send(publisher, retained("t/19999/1", "3"));
    desk.subscribe(conn, &["t/19999/1", "t/+/1"], Q1);
    desk.publish(publisher, "t/19999/1", "4", Q1);
    desk.send(publisher, retained("t/19999/1", "5"));
    let mut heard: Vec<_> = Vec::new();
    for id in 1..=u16::MAX {
        let new = desk.heard(conn);
        if new.is_empty() && id > 2 {
            break;
        }
        heard.extend(new.into_iter().filter(|message| message.starts_with("t/19999/1")));
        desk.send(conn, puback(id));
        desk.pass(1);
    }
    let payloads: Vec<_> = heard.iter().map(|message| message.split(' ').nth(1).unwrap()).collect();
    // What was retained at the first SUBSCRIBE, and then each in its turn; what was retained at the second is replaced.
    assert_eq!(payloads, ["x", "1", "2", "3", "4", "5"]);
}

/// At QoS 0 nothing waits for a client that isn't there, retained or not.
#[test]
fn a_client_that_goes_meanwhile() {
    let mut desk = desk_with_many();
    let conn = desk.join_with(lasting("c")).0;
    desk.subscribe(conn, &["t/+/1"], Q1);
    let sent = desk.messages(conn).len();
    desk.cut(conn);
    let publisher = desk.join("p");
    for _ in 0..10 {
        desk.publish(publisher, "t/00001/1", "passing", Q0);
    }
    assert_eq!(desk.broker.backlog("c"), Some(sent + 100), "in flight, and a page");
    desk.publish(publisher, "t/00001/1", "waits", Q1);
    assert_eq!(desk.broker.backlog("c"), Some(sent + 101));

    let conn = desk.join_with(lasting("d")).0;
    desk.stuck.insert(conn);
    desk.subscribe(conn, &["t/#"], Q0);
    desk.cut(conn);
    let conn = desk.join_with(lasting("d")).0;
    assert_eq!(desk.heard(conn), [] as [&str; 0], "those that hadn't come don't come");
    desk.publish(publisher, "t/x", "now", Q0);
    assert_eq!(desk.heard(conn), ["t/x now 0"]);
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
