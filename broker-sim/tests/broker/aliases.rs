//! Topic aliases that the broker sets (3.3.2.3.4), and messages within the client's Maximum Packet Size all the same.

use rmqtt_codec::v5::Connect;

use crate::desk::{Desk, Q0, Q1, five, lasting, puback};

fn seen(desk: &mut Desk, conn: baton_broker_sim::broker::ConnId) -> Vec<(String, Option<u16>)> {
    let alias = |m: &rmqtt_codec::types::Publish| m.properties.as_ref().and_then(|p| p.topic_alias).map(Into::into);
    desk.messages(conn).iter().map(|m| (m.topic.to_string(), alias(m))).collect()
}

/// 3.1.2-26, 3.1.2-27, 3.3.2-11: as many as the client allows, and none if it allows none.
#[test]
fn as_many_as_the_client_allows() {
    for (most, expected) in [
        (0, [("topic/1", None), ("topic/1", None), ("topic/2", None), ("topic/2", None)]),
        (1, [("topic/1", Some(1)), ("", Some(1)), ("topic/2", None), ("topic/2", None)]),
        (2, [("topic/1", Some(1)), ("", Some(1)), ("topic/2", Some(2)), ("", Some(2))]),
    ] {
        let mut desk = Desk::new();
        let conn = desk.join_with(Connect { topic_alias_max: most, ..five("c") }).0;
        desk.subscribe(conn, &["topic/+"], Q0);
        let publisher = desk.join("p");
        for topic in ["topic/1", "topic/1", "topic/2", "topic/2"] {
            desk.publish(publisher, topic, "x", Q0);
        }
        assert_eq!(seen(&mut desk, conn), expected.map(|(topic, alias)| (topic.to_owned(), alias)), "{most}");
    }
}

/// 3.3.2-7: an alias ends with its connection, and what is sent again has its topic.
#[test]
fn an_alias_ends_with_its_connection() {
    let mut desk = Desk::new();
    let connect = Connect { topic_alias_max: 5, ..lasting("c") };
    let conn = desk.join_with(connect.clone()).0;
    desk.subscribe(conn, &["topic/1"], Q1);
    let publisher = desk.join("p");
    desk.publish(publisher, "topic/1", "a", Q1);
    desk.publish(publisher, "topic/1", "b", Q1);
    assert_eq!(seen(&mut desk, conn), [("topic/1".to_owned(), Some(1)), (String::new(), Some(1))]);
    desk.cut(conn);
    let conn = desk.join_with(connect).0;
    let again: Vec<_> = seen(&mut desk, conn);
    assert_eq!(again, [("topic/1".to_owned(), Some(1)), (String::new(), Some(1))], "set anew before it is used");
    desk.send(conn, puback(1));
    assert_eq!(desk.broker.backlog("c"), Some(1));
}

/// 3.1.2-24: the alias may not be what makes a message too large.
#[test]
fn within_the_maximum_packet_size() {
    let mut desk = Desk::new();
    let connect = Connect { topic_alias_max: 5, max_packet_size: 64.try_into().ok(), ..five("c") };
    let conn = desk.join_with(connect).0;
    desk.subscribe(conn, &["topic/1"], Q0);
    let publisher = desk.join("p");
    // 2 of header, 9 of topic, 1 of properties: with 52 bytes it is 64.
    for (bytes, expected) in [(52, Some(("topic/1", None))), (53, None), (49, Some(("topic/1", Some(1))))] {
        desk.publish(publisher, "topic/1", &"x".repeat(bytes), Q0);
        let expected = expected.map(|(topic, alias)| (topic.to_owned(), alias));
        assert_eq!(seen(&mut desk, conn), Vec::from_iter(expected), "{bytes}");
    }
    assert_eq!(desk.broker.counts().dropped, 1);
}
