//! SUBSCRIBE and UNSUBSCRIBE (3.8 to 3.11), filters and shared subscriptions (4.7, 4.8).

use rmqtt_codec::v5::{Connect, Packet, Subscribe, SubscribeAckReason, SubscriptionOptions};

use crate::desk::{Desk, HOUR, Q0, Q1, Q2, clean, lasting, message, puback, pubcomp, pubrec, pubrel};

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
    let filters = ["a/#", "a+", "$share/g/a", "$share/g", ""];
    let codes = desk.subscribe_with(conn, &filters, PLAIN, None);
    use SubscribeAckReason::{GrantedQos1 as Yes, TopicFilterInvalid as No};
    assert_eq!(codes, [Yes, No, Yes, No, No]);
    assert_eq!(desk.got(conn), [], "one SUBACK");
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

/// 3.8.4-4 (3.1.1: 3.8.4-3): what waits when a subscription is replaced isn't lost, and comes as it would have come.
#[test]
fn replacing_loses_nothing() {
    let mut desk = Desk::new();
    let conn = desk.join_with(Connect { receive_max: 1.try_into().ok(), ..clean("c") }).0;
    desk.subscribe(conn, &["t"], Q1);
    let publisher = desk.join("p");
    desk.send(publisher, message("t", "kept", Q1, |p| p.retain = true));
    desk.publish(publisher, "t", "waits", Q1);
    desk.subscribe(conn, &["t"], Q2);
    desk.publish(publisher, "t", "later", Q1);
    let mut heard = Vec::new();
    for id in 1..=5 {
        heard.extend(desk.heard(conn));
        desk.send(conn, puback(id));
    }
    assert_eq!(heard, ["t kept 1", "t waits 1", "t kept 1 retain", "t later 1"]);
}

/// 3.8.4-5: several filters are as many subscriptions, one after the other.
#[test]
fn several_at_once() {
    let mut desk = Desk::new();
    let conn = desk.join("c");
    let topic_filters = [("a", Q1), ("b", Q2), ("a", Q0)]
        .map(|(filter, qos)| (filter.into(), SubscriptionOptions { qos, ..PLAIN }))
        .to_vec();
    let packet_id = 5.try_into().unwrap();
    desk.send(conn, Packet::Subscribe(Subscribe { packet_id, id: None, user_properties: Vec::new(), topic_filters }));
    match desk.got(conn).as_slice() {
        [Packet::SubscribeAck(ack)] => {
            use SubscribeAckReason::{GrantedQos0, GrantedQos1, GrantedQos2};
            assert_eq!((ack.packet_id, &*ack.status), (packet_id, &[GrantedQos1, GrantedQos2, GrantedQos0][..]));
        }
        other => panic!("{other:?}"),
    }
    let publisher = desk.join("p");
    for topic in ["a", "b"] {
        desk.publish(publisher, topic, "x", Q2);
        desk.send(publisher, pubrel(9));
    }
    assert_eq!(desk.heard(conn), ["a x 0", "b x 2"]);
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
    assert_eq!(&heard[1..], ["b y 0"]);
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
    let conn = desk.listener("c", &["a", "$share/g/b"], Q2);
    let publisher = desk.join("p");
    desk.publish(publisher, "a", "1", Q1);
    desk.publish(publisher, "a", "2", Q2);
    assert_eq!(desk.heard(conn), ["a 1 1", "a 2 2"]);
    assert_eq!(desk.unsubscribe(conn, &["a", "$share/g/b", "never", "bad#"]), [0, 0, 17, 143]);
    desk.publish(publisher, "a", "3", Q1);
    desk.publish(publisher, "b", "3", Q1);
    assert_eq!(desk.got(conn), []);
    desk.send(conn, puback(1));
    desk.send(conn, pubrec(2));
    assert_eq!(desk.got(conn), [pubrel(2)]);
    desk.send(conn, pubcomp(2));
    assert_eq!(desk.broker.backlog("c"), Some(0));
}

/// 3.10.4-1: what a filter matches isn't what deletes it, only the same letters do.
#[test]
fn unsubscribe_letter_by_letter() {
    let mut desk = Desk::new();
    let conn = desk.listener("c", &["a/+"], Q0);
    let publisher = desk.join("p");
    assert_eq!(desk.unsubscribe(conn, &["a/b", "a/#", "#", "A/+", "$share/g/a/+"]), [17; 5]);
    desk.publish(publisher, "a/b", "x", Q0);
    assert_eq!(desk.heard(conn), ["a/b x 0"]);
    assert_eq!(desk.unsubscribe(conn, &["a/+"]), [0]);
    desk.publish(publisher, "a/b", "x", Q0);
    assert_eq!(desk.got(conn), []);
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
