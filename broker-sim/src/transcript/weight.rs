//! About how much a packet holds in memory: what is as long as its sender likes.

use rmqtt_codec::v5::{Connect, LastWill, Packet};

use crate::broker::publish_bytes;

type Pairs = [(bytestring::ByteString, bytestring::ByteString)];

/// Bytes beyond those of its own type.
pub(super) fn weight(packet: &Packet) -> usize {
    match packet {
        Packet::Connect(connect) => of_connect(connect),
        Packet::Publish(publish) => publish_bytes(publish),
        Packet::Subscribe(subscribe) => {
            let filters: usize = subscribe.topic_filters.iter().map(|entry| size_of_val(entry) + entry.0.len()).sum();
            filters + pairs(&subscribe.user_properties)
        }
        Packet::Unsubscribe(unsubscribe) => {
            let filters: usize =
                unsubscribe.topic_filters.iter().map(|filter| size_of_val(filter) + filter.len()).sum();
            filters + pairs(&unsubscribe.user_properties)
        }
        Packet::SubscribeAck(ack) => ack.status.len(),
        Packet::UnsubscribeAck(ack) => ack.status.len(),
        Packet::PublishAck(ack) | Packet::PublishReceived(ack) => of_reason(&ack.reason_string, &ack.properties),
        Packet::PublishRelease(ack) | Packet::PublishComplete(ack) => of_reason(&ack.reason_string, &ack.properties),
        Packet::Disconnect(disconnect) => of_reason(&disconnect.reason_string, &disconnect.user_properties),
        Packet::Auth(auth) => {
            auth.auth_data.as_ref().map_or(0, |data| data.len()) + of_reason(&auth.reason_string, &auth.user_properties)
        }
        Packet::ConnectAck(_) | Packet::PingRequest | Packet::PingResponse => 0,
    }
}

fn of_connect(connect: &Connect) -> usize {
    let data = [&connect.auth_data, &connect.password].into_iter().flatten().map(|data| data.len()).sum::<usize>();
    let names = connect.client_id.len() + connect.username.as_ref().map_or(0, |name| name.len());
    data + names + pairs(&connect.user_properties) + connect.last_will.as_ref().map_or(0, of_will)
}

fn of_will(will: &LastWill) -> usize {
    will.topic.len() + will.message.len() + pairs(&will.user_properties)
}

fn of_reason(reason: &Option<bytestring::ByteString>, properties: &Pairs) -> usize {
    reason.as_ref().map_or(0, |reason| reason.len()) + pairs(properties)
}

fn pairs(properties: &Pairs) -> usize {
    properties.iter().map(|pair| size_of_val(pair) + pair.0.len() + pair.1.len()).sum()
}
