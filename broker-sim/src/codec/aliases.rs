//! Topic aliases that we set towards a client (MQTT 5, 3.3.2.3.4).

use std::{
    collections::HashMap,
    hash::{BuildHasherDefault, DefaultHasher},
};

use bytestring::ByteString;
use rmqtt_codec::{types::Publish, v5::Connect};

use crate::broker::publish_bytes;

/// Bytes of a topic that its alias doesn't make shorter.
const SHORT: usize = 3;
/// Aliases that one client is told, if it allows as many: each keeps a topic for the connection's life.
const ALIASES_USED: u16 = 64;

/// The aliases of one connection, given to the first topics that it is sent. They are never given to another topic:
/// which topic comes next isn't known, and a client that wants more of them can ask for more. They are given as packets
/// are written, so that one that never is teaches the client nothing.
#[derive(Debug, Default)]
pub(super) struct Aliases {
    /// The client's Topic Alias Maximum [MQTT-3.1.2-26], or ours if that is lower; 0 for none [MQTT-3.1.2-27].
    most: u16,
    /// The client's Maximum Packet Size.
    packet_max: usize,
    known: HashMap<ByteString, u16, BuildHasherDefault<DefaultHasher>>,
}

impl Aliases {
    /// As many as the client takes.
    pub(super) fn of(connect: &Connect) -> Self {
        let packet_max = connect.max_packet_size.map_or(usize::MAX, |max| max.get() as usize);
        Self { most: connect.topic_alias_max.min(ALIASES_USED), packet_max, known: HashMap::default() }
    }

    /// Shortens the PUBLISH by the alias of its topic, or gives the topic one if the client takes the packet with it.
    pub(super) fn apply(&mut self, publish: &mut Publish) {
        if self.most == 0 || publish.topic.len() <= SHORT {
            return;
        }
        if let Some(alias) = self.known.get(&publish.topic) {
            publish.properties.get_or_insert_default().topic_alias = (*alias).try_into().ok();
            publish.topic = ByteString::new();
            return;
        }
        let next = u16::try_from(self.known.len() + 1).unwrap_or(u16::MAX);
        if next > self.most {
            return;
        }
        publish.properties.get_or_insert_default().topic_alias = next.try_into().ok();
        if publish_bytes(publish) > self.packet_max {
            publish.properties.get_or_insert_default().topic_alias = None;
            return;
        }
        // A copy of its own: a slice would keep the whole packet for as long as the connection.
        self.known.insert((&*publish.topic).into(), next);
    }
}

#[cfg(test)]
mod tests {
    use rmqtt_codec::types::QoS;

    use super::*;

    fn aliases(most: u16, packet_max: u32) -> Aliases {
        let max_packet_size = packet_max.try_into().ok();
        Aliases::of(&Connect { topic_alias_max: most, max_packet_size, ..Connect::default() })
    }

    fn sent(aliases: &mut Aliases, topic: &str) -> (String, Option<u16>) {
        let mut publish = Publish {
            dup: false,
            retain: false,
            qos: QoS::AtMostOnce,
            topic: topic.into(),
            packet_id: None,
            payload: "x".into(),
            properties: None,
        };
        aliases.apply(&mut publish);
        let alias = publish.properties.and_then(|properties| properties.topic_alias);
        (publish.topic.to_string(), alias.map(Into::into))
    }

    #[test]
    fn the_first_topics_have_one() {
        let mut two = aliases(2, 100);
        for (topic, expected) in [
            ("long/1", ("long/1", Some(1))),
            ("long/1", ("", Some(1))),
            ("abc", ("abc", None)),
            ("long/2", ("long/2", Some(2))),
            ("long/3", ("long/3", None)),
            ("long/2", ("", Some(2))),
        ] {
            assert_eq!(sent(&mut two, topic), (expected.0.to_owned(), expected.1), "{topic}");
        }
        assert_eq!(sent(&mut aliases(0, 100), "long/1").1, None);
    }

    #[test]
    fn a_packet_is_not_made_too_large() {
        // Header 2, topic 2 + 6, property length 1, payload 1; the alias would be 3 more.
        assert_eq!(sent(&mut aliases(9, 14), "long/1").1, None);
        assert_eq!(sent(&mut aliases(9, 15), "long/1").1, Some(1));
    }
}
