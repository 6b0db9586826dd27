//! SUBSCRIBE, UNSUBSCRIBE, and the retained messages that a subscription brings.

use std::num::NonZeroU16;

use baton_protocol::limits::Millis;
use bytestring::ByteString;
use rmqtt_codec::{
    types::QoS,
    v5::{
        Packet, RetainHandling, Subscribe, SubscribeAck, SubscribeAckReason, SubscriptionOptions, Unsubscribe,
        UnsubscribeAck, UnsubscribeAckReason,
    },
};

use super::{Broker, ConnId, Fault, SessionId, size::wire_bytes, subscriptions::Subscription, topic::Filter};

const INVALID: &str = "a topic filter is not legal";
const IN_USE: &str = "the packet id is in use by a message of QoS 2";

impl Broker {
    pub(super) fn subscribe(
        &mut self,
        id: ConnId,
        session: SessionId,
        subscribe: Subscribe,
        now: Millis,
    ) -> Result<(), Fault> {
        let mut ack = SubscribeAck {
            packet_id: subscribe.packet_id,
            properties: Vec::new(),
            reason_string: None,
            status: vec![SubscribeAckReason::UnspecifiedError; subscribe.topic_filters.len()],
        };
        self.check_answer(id, &Packet::SubscribeAck(ack.clone()))?;
        for (filter, options) in &subscribe.topic_filters {
            if options.no_local && filter.starts_with("$share/") {
                return Err(Fault::SharedNoLocal);
            }
        }
        if self.is_in_use(id, session, subscribe.packet_id) {
            ack.status.fill(SubscribeAckReason::PacketIdentifierInUse);
            ack.reason_string = self.conns.get(&id).and_then(|conn| conn.reason(IN_USE));
            self.send(id, Packet::SubscribeAck(ack));
            return Ok(());
        }
        for (status, (filter, options)) in ack.status.iter_mut().zip(subscribe.topic_filters) {
            let subscription = Subscription { options, id: subscribe.id };
            *status = match self.add(session, &filter, subscription) {
                Ok(new) => {
                    self.want_retained(session, &filter, subscription, new);
                    granted(options.qos)
                }
                Err(refusal) => refusal,
            };
        }
        let refused = ack.status.iter().find_map(|status| refusal(*status));
        ack.reason_string = refused.and_then(|text| self.conns.get(&id)?.reason(text));
        self.send(id, Packet::SubscribeAck(ack));
        self.pump(session, now);
        Ok(())
    }

    fn check_answer(&self, id: ConnId, answer: &Packet) -> Result<(), Fault> {
        let fits = self.conns.get(&id).is_none_or(|conn| wire_bytes(answer) <= conn.packet_max);
        if fits { Ok(()) } else { Err(Fault::AnswerTooLarge) }
    }

    /// Adds one subscription; whether the session didn't have it before.
    fn add(
        &mut self,
        id: SessionId,
        text: &ByteString,
        subscription: Subscription,
    ) -> Result<bool, SubscribeAckReason> {
        let filter = Filter::parse(text).ok_or(SubscribeAckReason::TopicFilterInvalid)?;
        let session = self.sessions.get_mut(&id).expect("a connected session exists");
        if !session.filters.contains(text) {
            if session.filters.len() >= self.limits.subscriptions {
                return Err(SubscribeAckReason::QuotaExceeded);
            }
            // A copy of its own: a slice would keep the whole SUBSCRIBE for as long as the session.
            session.filters.insert((&**text).into());
        }
        Ok(self.subscriptions.add(id, filter, subscription))
    }

    fn want_retained(&mut self, id: SessionId, filter: &str, subscription: Subscription, new: bool) {
        let outgoing = &mut self.sessions.get_mut(&id).expect("a connected session exists").outgoing;
        if wants_retained(filter, subscription.options, new) {
            // A copy of its own, as above.
            outgoing.want(filter.into(), subscription, self.routed);
        } else {
            outgoing.wanted.replace(filter, subscription);
        }
    }

    /// Whether a message of QoS 2 that isn't released has this packet id, so that the client may not use it for
    /// anything else [MQTT-2.2.1-3]. What 3.1.1 could answer would not say so.
    fn is_in_use(&self, id: ConnId, session: SessionId, packet_id: NonZeroU16) -> bool {
        self.conns.get(&id).is_some_and(|conn| conn.mqtt5)
            && self.sessions.get(&session).is_some_and(|session| session.received.contains_key(&packet_id))
    }

    pub(super) fn unsubscribe(
        &mut self,
        id: ConnId,
        session: SessionId,
        unsubscribe: &Unsubscribe,
        now: Millis,
    ) -> Result<(), Fault> {
        let mut ack = UnsubscribeAck {
            packet_id: unsubscribe.packet_id,
            properties: Vec::new(),
            reason_string: None,
            status: vec![UnsubscribeAckReason::NoSubscriptionExisted; unsubscribe.topic_filters.len()],
        };
        self.check_answer(id, &Packet::UnsubscribeAck(ack.clone()))?;
        if self.is_in_use(id, session, unsubscribe.packet_id) {
            ack.status.fill(UnsubscribeAckReason::PacketIdentifierInUse);
            ack.reason_string = self.conns.get(&id).and_then(|conn| conn.reason(IN_USE));
            self.send(id, Packet::UnsubscribeAck(ack));
            return Ok(());
        }
        for (status, text) in ack.status.iter_mut().zip(&unsubscribe.topic_filters) {
            *status = self.drop_subscription(session, text);
        }
        if ack.status.contains(&UnsubscribeAckReason::TopicFilterInvalid) {
            ack.reason_string = self.conns.get(&id).and_then(|conn| conn.reason(INVALID));
        }
        self.send(id, Packet::UnsubscribeAck(ack));
        // What was behind retained messages that aren't wanted any more.
        self.pump(session, now);
        Ok(())
    }

    fn drop_subscription(&mut self, id: SessionId, text: &str) -> UnsubscribeAckReason {
        let Some(filter) = Filter::parse(text) else { return UnsubscribeAckReason::TopicFilterInvalid };
        let session = self.sessions.get_mut(&id).expect("a connected session exists");
        session.filters.remove(text);
        session.outgoing.wanted.forget(text);
        if self.subscriptions.remove(id, filter) {
            UnsubscribeAckReason::Success
        } else {
            UnsubscribeAckReason::NoSubscriptionExisted
        }
    }
}

/// Why a subscription was refused.
fn refusal(status: SubscribeAckReason) -> Option<&'static str> {
    match status {
        SubscribeAckReason::TopicFilterInvalid => Some(INVALID),
        SubscribeAckReason::QuotaExceeded => Some("too many subscriptions"),
        _ => None,
    }
}

/// Whether retained messages are sent for a subscription (3.3.1.3): never for a shared one.
fn wants_retained(filter: &str, options: SubscriptionOptions, new: bool) -> bool {
    let asked = match options.retain_handling {
        RetainHandling::AtSubscribe => true,
        RetainHandling::AtSubscribeNew => new,
        RetainHandling::NoAtSubscribe => false,
    };
    asked && !filter.starts_with("$share/")
}

fn granted(qos: QoS) -> SubscribeAckReason {
    match qos {
        QoS::AtMostOnce => SubscribeAckReason::GrantedQos0,
        QoS::AtLeastOnce => SubscribeAckReason::GrantedQos1,
        QoS::ExactlyOnce => SubscribeAckReason::GrantedQos2,
    }
}
