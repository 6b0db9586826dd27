//! PUBLISH from a client, PUBREL after it, and the way of a message to its subscribers.

use std::num::NonZeroU16;

use baton_protocol::limits::Millis;
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
        resolve(conn, &mut publish)?;
        check(&publish)?;

        let Some(packet_id) = publish.packet_id else {
            if !is_as_told(&publish) {
                return Err(Fault::PayloadFormat);
            }
            self.route(Message::new(publish, now), session, now);
            return Ok(());
        };
        // 4.9: what a client has sent and not seen finished. A message of QoS 1 is finished as soon as it is here.
        let unreleased = conn.unreleased;
        let exactly_once = publish.qos == QoS::ExactlyOnce;
        let at = self.sessions.get_mut(&session).expect("a connected session exists");
        let known = at.received.get(&packet_id).copied();
        // One that comes again on its connection has its place already.
        let again = exactly_once && known == Some(id);
        if conn.mqtt5 && !again && unreleased >= usize::from(self.limits.receive.get()) {
            return Err(Fault::ReceiveMaximum);
        }
        let reason_code = if !exactly_once && conn.mqtt5 && known.is_some() {
            PublishAckReason::PacketIdentifierInUse
        } else if known.is_none() && !is_as_told(&publish) {
            PublishAckReason::PayloadFormatInvalid
        } else {
            if exactly_once {
                at.received.insert(packet_id, id);
                conn.unreleased += usize::from(!again);
            }
            // A message of QoS 2 is passed on once, until it is released [MQTT-4.3.3-10].
            let first = !exactly_once || known.is_none();
            let heard = !first || self.route(Message::new(publish, now), session, now);
            if heard { PublishAckReason::Success } else { PublishAckReason::NoMatchingSubscribers }
        };
        self.answer(id, packet_id, exactly_once, reason_code);
        Ok(())
    }

    /// PUBACK or PUBREC.
    fn answer(&mut self, id: ConnId, packet_id: NonZeroU16, exactly_once: bool, reason_code: PublishAckReason) {
        let text = match reason_code {
            PublishAckReason::PacketIdentifierInUse => Some("the packet id is in use by a message of QoS 2"),
            PublishAckReason::PayloadFormatInvalid => Some(Fault::PayloadFormat.reason()),
            _ => None,
        };
        let reason_string = text.and_then(|text| self.conns.get(&id)?.reason(text));
        let ack = PublishAck { packet_id, reason_code, reason_string, ..PublishAck::default() };
        self.send(id, if exactly_once { Packet::PublishReceived(ack) } else { Packet::PublishAck(ack) });
    }

    /// PUBREL: the packet id is free again [MQTT-4.3.3-11, MQTT-4.3.3-12].
    pub(super) fn release(&mut self, id: ConnId, session: SessionId, packet_id: NonZeroU16) {
        let at = self.sessions.get_mut(&session).expect("a connected session exists");
        let known = at.received.remove(&packet_id);
        let conn = self.conns.get_mut(&id).expect("only a live connection has packets");
        conn.unreleased -= usize::from(known == Some(id));
        let ack = match known {
            Some(_) => PublishAck2 { packet_id, ..PublishAck2::default() },
            None => PublishAck2 {
                packet_id,
                reason_code: PublishAck2Reason::PacketIdNotFound,
                reason_string: conn.reason("no message of QoS 2 has this packet id"),
                ..PublishAck2::default()
            },
        };
        self.send(id, Packet::PublishComplete(ack));
    }

    /// Keeps a message if it is to be retained, and gives it to each session that wants it; whether any does.
    pub(super) fn route(&mut self, message: Message, from: SessionId, now: Millis) -> bool {
        self.routed += 1;
        if message.publish.retain {
            self.retain(&message, from, now);
        }
        let mut hits = std::mem::take(&mut self.hits);
        let sessions = &self.sessions;
        let present = |id: SessionId| sessions.get(&id).is_some_and(|session| session.conn.is_some());
        self.subscriptions.matching(&message.publish.topic, from, present, &mut hits);
        // What a session subscribed to alone is side by side, and is one copy; each of its shares is another (4.8.2).
        hits.sort_unstable_by_key(|hit| (hit.session, hit.shared));
        let heard = !hits.is_empty();
        let mut receivers = hits.chunk_by(|a, b| a.session == b.session && !a.shared && !b.shared);
        if let Some(last) = receivers.next_back() {
            for same in receivers {
                self.deliver(same[0].session, address(message.clone(), same), now);
            }
            // The last one needs no copy: most messages have one receiver.
            self.deliver(last[0].session, address(message, last), now);
        }
        hits.clear();
        self.hits = hits;
        heard
    }

    fn retain(&mut self, message: &Message, from: SessionId, now: Millis) {
        let client = &self.sessions.get(&from).expect("a session that publishes is there").client;
        if !self.retained.keep(message, (client.clone(), self.routed), &self.limits, now) {
            self.counts.dropped += 1;
        }
    }
}

/// A copy for one session, with the most that these matching subscriptions ask for [MQTT-3.3.4-2] and all of their ids.
fn address(mut copy: Message, hits: &[Hit]) -> Message {
    let asked = hits.iter().map(|hit| hit.qos).max().unwrap_or(QoS::AtMostOnce);
    copy.publish.qos = copy.publish.qos.min(asked);
    copy.publish.retain &= hits.iter().any(|hit| hit.retain_as_published);
    let ids: Vec<_> = hits.iter().filter_map(|hit| hit.id).collect();
    if !ids.is_empty() {
        copy.publish.properties.get_or_insert_default().subscription_ids = ids;
    }
    copy
}

/// Sets the client's alias, or finds the topic that it stands for (3.3.2.3.4).
fn resolve(conn: &mut Conn, publish: &mut Publish) -> Result<(), Fault> {
    let alias = publish.properties.as_ref().and_then(|properties| properties.topic_alias);
    let Some(alias) = alias.map(NonZeroU16::get) else { return Ok(()) };
    if alias > TOPIC_ALIASES {
        return Err(Fault::TopicAlias);
    }
    if publish.topic.is_empty() {
        publish.topic = conn.aliases.get(&alias).cloned().ok_or(Fault::NoTopic)?;
        return Ok(());
    }
    // A copy of its own: a slice would keep the whole packet for as long as the alias.
    conn.aliases.insert(alias, (&*publish.topic).into());
    Ok(())
}

/// Whether the payload is UTF-8 if the publisher says so (3.3.2.3.2). No topic or size depends on it, so a message that
/// is not as told is refused by itself, where its QoS has an answer.
fn is_as_told(publish: &Publish) -> bool {
    let told = publish.properties.as_ref().is_some_and(|properties| properties.is_utf8_payload);
    !told || std::str::from_utf8(&publish.payload).is_ok()
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
