//! SUBSCRIBE and UNSUBSCRIBE (3.8 to 3.11), filters and shared subscriptions (4.7, 4.8).

use rmqtt_codec::v5::{SubscribeAckReason, SubscriptionOptions};

use crate::desk::{Desk, HOUR, Q0, Q1, Q2, clean, lasting, puback};

const PLAIN: SubscriptionOptions = SubscriptionOptions {
    qos: Q1,
    no_local: false,
    retain_as_published: false,
    retain_handling: rmqtt_codec::v5::RetainHandling::AtSubscribe,
};

/// 3.9.3: one code for each filter, in order.
#[test]
fn codes() {
    let mut desk = Desk::new();
    let conn = desk.join("c");
    let filters = ["a/#", "a/#/b", "$share/g/a", "$share/g", ""];
    let codes = desk.subscribe_with(conn, &filters, PLAIN, None);
    use SubscribeAckReason::{GrantedQos1 as Yes, TopicFilterInvalid as No};
    assert_eq!(codes, [Yes, No, Yes, No, No]);
    assert_eq!(desk.closed(conn), None);
}

/// 3.3.4-2: overlapping subscriptions bring one message, at the highest QoS of them.
#[test]
fn overlapping() {
    let mut desk = Desk::new();
    let conn = desk.join("c");
    for (filter, qos) in [("a/b", Q0), ("a/+", Q2), ("#", Q1)] {
        desk.subscribe(conn, &[filter], qos);
    }
    let publisher = desk.join("p");
    desk.publish(publisher, "a/b", "x", Q2);
    assert_eq!(desk.heard(conn), ["a/b x 2"]);
}

/// 3.8.4-3: the same filter again replaces the subscription.
#[test]
fn replaced() {
    let mut desk = Desk::new();
    let conn = desk.listener("c", &["t"], Q2);
    desk.subscribe(conn, &["t"], Q0);
    let publisher = desk.join("p");
    desk.publish(publisher, "t", "x", Q2);
    assert_eq!(desk.heard(conn), ["t x 0"]);
}

/// 3.3.4-3: the ids of all subscriptions that match.
#[test]
fn subscription_ids() {
    let mut desk = Desk::new();
    let conn = desk.join("c");
    desk.subscribe_with(conn, &["a/+"], PLAIN, Some(3));
    desk.subscribe_with(conn, &["a/#"], PLAIN, Some(400));
    desk.subscribe_with(conn, &["#"], PLAIN, None);
    let publisher = desk.join("p");
    desk.publish(publisher, "a/b", "x", Q0);
    desk.publish(publisher, "b", "y", Q0);
    let heard = desk.heard(conn);
    assert!(["a/b x 0 #3 #400", "a/b x 0 #400 #3"].contains(&&*heard[0]), "{heard:?}");
    assert_eq!(heard[1], "b y 0");
}

/// 3.8.3.1: No Local keeps a client's own messages from it, and only those.
#[test]
fn no_local() {
    let mut desk = Desk::new();
    let conn = desk.join("c");
    desk.subscribe_with(conn, &["t"], SubscriptionOptions { no_local: true, ..PLAIN }, None);
    desk.publish(conn, "t", "own", Q0);
    let other = desk.join("o");
    desk.publish(other, "t", "other", Q0);
    assert_eq!(desk.heard(conn), ["t other 0"]);
}

/// 3.10.4, 3.11.3: unsubscribing stops new messages, lets those in flight finish, and says what there was.
#[test]
fn unsubscribe() {
    let mut desk = Desk::new();
    let conn = desk.listener("c", &["a", "$share/g/b"], Q1);
    let publisher = desk.join("p");
    desk.publish(publisher, "a", "1", Q1);
    assert_eq!(desk.heard(conn), ["a 1 1"]);
    assert_eq!(desk.unsubscribe(conn, &["a", "$share/g/b", "never", "bad#"]), [0, 0, 17, 143]);
    desk.publish(publisher, "a", "2", Q1);
    desk.publish(publisher, "b", "2", Q1);
    assert_eq!(desk.got(conn), []);
    desk.send(conn, puback(1));
    assert_eq!(desk.broker.backlog("c"), Some(0));
}

/// 4.7.2-1: wildcards in the first level don't match topics that begin with `$`.
#[test]
fn dollar_topics() {
    let mut desk = Desk::new();
    let all = desk.listener("all", &["#", "+/x"], Q0);
    let own = desk.listener("own", &["$SYS/#"], Q0);
    let publisher = desk.join("p");
    desk.publish(publisher, "$SYS/x", "v", Q0);
    assert_eq!(desk.got(all), []);
    assert_eq!(desk.heard(own), ["$SYS/x v 0"]);
}

/// 4.8.2: each message goes to one member of each share, and to everyone else who wants it.
#[test]
fn shared() {
    let mut desk = Desk::new();
    let members: Vec<_> = ["m1", "m2"].map(|m| desk.listener(m, &["$share/g/t/+"], Q1)).into();
    let other_share = desk.listener("o", &["$share/h/t/+"], Q1);
    let alone = desk.listener("a", &["t/+"], Q1);
    let publisher = desk.join("p");
    for n in 0..4 {
        desk.publish(publisher, "t/x", &n.to_string(), Q0);
    }
    assert_eq!(desk.heard(members[0]), ["t/x 0 0", "t/x 2 0"]);
    assert_eq!(desk.heard(members[1]), ["t/x 1 0", "t/x 3 0"]);
    assert_eq!((desk.heard(other_share).len(), desk.heard(alone).len()), (4, 4));
}

/// 4.8.2: a member that is away gets nothing while another is there; with none there, one of them keeps the message.
#[test]
fn shared_with_members_away() {
    let mut desk = Desk::new();
    let kept = desk.join_with(lasting("kept")).0;
    desk.subscribe(kept, &["$share/g/t"], Q1);
    let here = desk.listener("here", &["$share/g/t"], Q1);
    desk.cut(kept);
    let publisher = desk.join("p");
    desk.publish(publisher, "t", "a", Q1);
    desk.publish(publisher, "t", "b", Q1);
    assert_eq!(desk.heard(here), ["t a 1", "t b 1"]);
    desk.cut(here);
    desk.publish(publisher, "t", "c", Q1);
    assert_eq!(desk.broker.backlog("kept"), Some(1));
    desk.pass(1000 * u64::from(HOUR));
    desk.publish(publisher, "t", "d", Q1);
    assert_eq!(desk.broker.counts().sessions, 1, "the share ended with its last member");
}

/// 4.7.1: many subscribers, each with its own topic: each hears its own.
#[test]
fn many_topics() {
    let mut desk = Desk::new();
    let conns: Vec<_> = (0..200).map(|n| desk.listener(&format!("c{n}"), &[&format!("d/{n}/x")], Q0)).collect();
    let publisher = desk.join_with(clean("p")).0;
    for n in 0..200 {
        desk.publish(publisher, &format!("d/{n}/x"), "v", Q0);
    }
    for (n, conn) in conns.into_iter().enumerate() {
        assert_eq!(desk.heard(conn), [format!("d/{n}/x v 0")]);
    }
}
