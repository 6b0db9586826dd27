//! Topic aliases that the broker sets (3.3.2.3.4), and messages within the client's Maximum Packet Size all the same. They
//! are the codec's, which writes what the broker says.

use baton_broker_sim::codec::Codec;
use bytes::BytesMut;
use rmqtt_codec::{
    types::Publish,
    v5::{self, Connect, Packet},
};
use tokio_util::codec::{Decoder, Encoder};

use crate::desk::{Desk, Q0, Q1, five, lasting, puback};

/// Who reads what is written to a client.
struct Reader {
    ours: Codec,
    theirs: v5::Codec,
}

impl Reader {
    fn of(connect: &Connect) -> Self {
        let mut bytes = BytesMut::new();
        let mut theirs = v5::Codec::default();
        theirs.encode(Packet::Connect(Box::new(connect.clone())), &mut bytes).unwrap();
        let mut ours = Codec::default();
        ours.decode(&bytes).unwrap();
        Self { ours, theirs }
    }

    /// What is read of messages: topics and aliases; each may have so many bytes.
    fn read(&mut self, messages: Vec<Publish>, most: usize) -> Vec<(String, Option<u16>)> {
        let mut seen = Vec::new();
        for message in messages {
            let mut packet = Packet::Publish(Box::new(message));
            self.ours.shorten(&mut packet);
            let mut bytes = BytesMut::new();
            self.ours.encode(packet, &mut bytes).unwrap();
            assert!(bytes.len() <= most, "{} bytes", bytes.len());
            let Some((Packet::Publish(read), _)) = self.theirs.decode(&mut bytes).unwrap() else { panic!() };
            let alias = read.properties.and_then(|properties| properties.topic_alias);
            seen.push((read.topic.to_string(), alias.map(Into::into)));
        }
        seen
    }
}

fn expected<const N: usize>(seen: [(&str, Option<u16>); N]) -> Vec<(String, Option<u16>)> {
    seen.map(|(topic, alias)| (topic.to_owned(), alias)).into()
}

/// 3.1.2-26, 3.1.2-27, 3.3.2-11: as many as the client allows, and none if it allows none.
#[test]
fn as_many_as_the_client_allows() {
    for (most, seen) in [
        (0, [("topic/1", None), ("topic/1", None), ("topic/2", None), ("topic/2", None)]),
        (1, [("topic/1", Some(1)), ("", Some(1)), ("topic/2", None), ("topic/2", None)]),
        (2, [("topic/1", Some(1)), ("", Some(1)), ("topic/2", Some(2)), ("", Some(2))]),
    ] {
        let mut desk = Desk::new();
        let connect = Connect { topic_alias_max: most, ..five("c") };
        let mut reader = Reader::of(&connect);
        let conn = desk.join_with(connect).0;
        desk.subscribe(conn, &["topic/+"], Q0);
        let publisher = desk.join("p");
        for topic in ["topic/1", "topic/1", "topic/2", "topic/2"] {
            desk.publish(publisher, topic, "x", Q0);
        }
        assert_eq!(reader.read(desk.messages(conn), usize::MAX), expected(seen), "{most}");
    }
}

/// 64 of them, however many the client allows.
#[test]
fn no_more_than_the_broker_keeps() {
    let mut desk = Desk::new();
    let connect = Connect { topic_alias_max: 1000, ..five("c") };
    let mut reader = Reader::of(&connect);
    let conn = desk.join_with(connect).0;
    desk.subscribe(conn, &["topic/+"], Q0);
    let publisher = desk.join("p");
    for n in 1..=70 {
        desk.publish(publisher, &format!("topic/{n}"), "x", Q0);
    }
    let expected: Vec<_> = (1..=70).map(|n| (format!("topic/{n}"), (n <= 64).then_some(n))).collect();
    assert_eq!(reader.read(desk.messages(conn), usize::MAX), expected);
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
    let both = expected([("topic/1", Some(1)), ("", Some(1))]);
    assert_eq!(Reader::of(&connect).read(desk.messages(conn), usize::MAX), both);
    desk.cut(conn);
    let conn = desk.join_with(connect.clone()).0;
    let again = Reader::of(&connect).read(desk.messages(conn), usize::MAX);
    assert_eq!(again, both, "set anew before it is used");
    desk.send(conn, puback(1));
    assert_eq!(desk.broker.backlog("c"), Some(1));
}

/// 3.1.2-24: the alias may not be what makes a message too large.
#[test]
fn within_the_maximum_packet_size() {
    let mut desk = Desk::new();
    let connect = Connect { topic_alias_max: 5, max_packet_size: 64.try_into().ok(), ..five("c") };
    let mut reader = Reader::of(&connect);
    let conn = desk.join_with(connect).0;
    desk.subscribe(conn, &["topic/1"], Q0);
    let publisher = desk.join("p");
    // 2 of header, 9 of topic, 1 of properties: with 52 bytes it is 64.
    for (bytes, seen) in [(52, Some(("topic/1", None))), (53, None), (49, Some(("topic/1", Some(1))))] {
        desk.publish(publisher, "topic/1", &"x".repeat(bytes), Q0);
        let seen = seen.map(|(topic, alias): (&str, _)| (topic.to_owned(), alias));
        assert_eq!(reader.read(desk.messages(conn), 64), Vec::from_iter(seen), "{bytes}");
    }
    assert_eq!(desk.broker.counts().dropped, 1);
}
