//! PUBLISH from a client, PUBREL after it, and the way of a message to its subscribers.

use std::num::NonZeroU16;

use baton_protocol::limits::Millis;
use bytestring::ByteString;
use rmqtt_codec::{
    types::{Publish, QoS},
    v5::{Packet, PublishAck, PublishAck2, PublishAck2Reason, PublishAckReason},
};

use super::{
    Broker, ConnId, Fault, SessionId, limits::TOPIC_ALIASES, message::Message, session::Conn, subscriptions::Hit, topic,
};

impl Broker {
    pub(super) fn publish(
        &mut self,
        id: ConnId,
        session: SessionId,
        mut publish: Box<Publish>,
        now: Millis,
    ) -> Result<(), Fault> {
        self.counts.publishes[usize::from(publish.qos.value())] += 1;
        let conn = self.conns.get_mut(&id).expect("only a live connection has packets");
        publish.topic = resolve(conn, &publish)?;
        check(&publish)?;

        let (qos, packet_id) = (publish.qos, publish.packet_id);
        let first = match (qos, packet_id) {
            (QoS::ExactlyOnce, Some(packet_id)) => {
                let at = self.sessions.get_mut(&session).expect("a connected session exists");
                at.received.insert(packet_id)
            }
            _ => true,
        };
        let heard = !first || self.route(Message::new(publish, now), Some(session), now);
        let Some(packet_id) = packet_id else { return Ok(()) };
        let reason_code = if heard { PublishAckReason::Success } else { PublishAckReason::NoMatchingSubscribers };
        let ack = PublishAck { packet_id, reason_code, ..PublishAck::default() };
        let exactly_once = qos == QoS::ExactlyOnce;
        self.send(id, if exactly_once { Packet::PublishReceived(ack) } else { Packet::PublishAck(ack) });
        Ok(())
    }

    /// PUBREL: the packet id is free again [MQTT-4.3.3-11].
    pub(super) fn release(&mut self, id: ConnId, session: SessionId, packet_id: NonZeroU16) {
        let at = self.sessions.get_mut(&session).expect("a connected session exists");
        let known = at.received.remove(&packet_id);
        let reason_code = if known { PublishAck2Reason::Success } else { PublishAck2Reason::PacketIdNotFound };
        let ack = PublishAck2 { packet_id, reason_code, ..PublishAck2::default() };
        self.send(id, Packet::PublishComplete(ack));
    }

    /// Keeps a message if it is to be retained, and gives it to each session that wants it, once; whether any does.
    pub(super) fn route(&mut self, message: Message, from: Option<SessionId>, now: Millis) -> bool {
        if message.publish.retain {
            self.retain(&message);
        }
        let mut hits = std::mem::take(&mut self.hits);
        let sessions = &self.sessions;
        let present = |id: SessionId| sessions.get(&id).is_some_and(|session| session.conn.is_some());
        self.subscriptions.matching(&message.publish.topic, from, present, &mut hits);
        // Stable: a share's member that also subscribed alone has its hits side by side.
        hits.sort_by_key(|hit| hit.session);
        for same in hits.chunk_by(|a, b| a.session == b.session) {
            let copy = address(&message, same);
            self.deliver(same[0].session, copy, now);
        }
        let heard = !hits.is_empty();
        hits.clear();
        self.hits = hits;
        heard
    }

    /// An empty message clears what is retained [MQTT-3.3.1-6]; any other replaces it [MQTT-3.3.1-5].
    fn retain(&mut self, message: &Message) {
        let topic = &*message.publish.topic;
        if message.publish.payload.is_empty() {
            if self.retained.change(topic, Option::take).flatten().is_some() {
                self.retained_count -= 1;
            }
            return;
        }
        let known = self.retained.change(topic, |slot| slot.is_some()) == Some(true);
        if !known && self.retained_count >= self.limits.retained {
            self.counts.dropped += 1;
            return;
        }
        if self.retained.slot(topic).replace(message.clone()).is_none() {
            self.retained_count += 1;
        }
    }
}

/// One session's copy, with the most that its matching subscriptions ask for [MQTT-3.3.4-2] and all of their ids.
fn address(message: &Message, hits: &[Hit]) -> Message {
    let mut copy = message.clone();
    let asked = hits.iter().map(|hit| hit.qos).max().unwrap_or(QoS::AtMostOnce);
    copy.publish.qos = copy.publish.qos.min(asked);
    copy.publish.retain &= hits.iter().any(|hit| hit.retain_as_published);
    let ids: Vec<_> = hits.iter().filter_map(|hit| hit.id).collect();
    if !ids.is_empty() {
        copy.publish.properties.get_or_insert_default().subscription_ids = ids;
    }
    copy
}

/// The topic, with the client's alias set or looked up (3.3.2.3.4).
fn resolve(conn: &mut Conn, publish: &Publish) -> Result<ByteString, Fault> {
    let alias = publish.properties.as_ref().and_then(|properties| properties.topic_alias);
    let Some(alias) = alias.map(NonZeroU16::get) else { return Ok(publish.topic.clone()) };
    if alias > TOPIC_ALIASES {
        return Err(Fault::TopicAlias);
    }
    if publish.topic.is_empty() {
        return conn.aliases.get(&alias).cloned().ok_or(Fault::NoTopic);
    }
    conn.aliases.insert(alias, publish.topic.clone());
    Ok(publish.topic.clone())
}

fn check(publish: &Publish) -> Result<(), Fault> {
    if publish.topic.is_empty() {
        return Err(Fault::NoTopic);
    }
    if !topic::is_name(&publish.topic) {
        return Err(Fault::TopicName);
    }
    let Some(properties) = &publish.properties else { return Ok(()) };
    if !properties.subscription_ids.is_empty() {
        return Err(Fault::ServerOnly);
    }
    match &properties.response_topic {
        Some(response) if !topic::is_name(response) => Err(Fault::TopicName),
        _ => Ok(()),
    }
}
