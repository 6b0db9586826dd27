//! Retained messages (3.3.1.3), and how many of them come to a client that subscribes: a page at a time, so that
//! neither what waits nor the time that is spent on one client grows with what matches.

use std::{collections::BTreeMap, ops::ControlFlow};

use baton_protocol::limits::Millis;
use bytestring::ByteString;
use rmqtt_codec::types::QoS;

use super::{
    Broker, SessionId, Waiting,
    limits::{EXPIRED_AT_ONCE, LEVEL_BYTES, Limits, PAIR_BYTES, RETAINED_NODES},
    message::Message,
    subscriptions::Subscription,
    timers::Timers,
    trie::Trie,
};

/// The retained messages of all topics.
#[derive(Clone, Debug, Default)]
pub(super) struct Retained {
    topics: Trie<Kept>,
    count: usize,
    bytes: usize,
    /// Those that stop being of use.
    expiring: Timers<ByteString>,
}

#[derive(Clone, Debug)]
struct Kept {
    message: Message,
    /// The client id of its publisher.
    from: ByteString,
    /// Its number among all messages.
    number: u64,
}

impl Kept {
    /// Bytes that it takes, about, with its place in the tree.
    fn bytes(&self) -> usize {
        let publish = &self.message.publish;
        let levels = 1 + publish.topic.bytes().filter(|byte| *byte == b'/').count();
        let pairs = publish.properties.as_ref().map_or(0, |properties| properties.user_properties.len());
        self.message.bytes() + self.from.len() + levels * LEVEL_BYTES + pairs * PAIR_BYTES
    }
}

impl Retained {
    /// An empty message clears what is retained [MQTT-3.3.1-6]; any other replaces it [MQTT-3.3.1-5]. Whether there was
    /// room; if not, the topic has none from now on, rather than an old one.
    pub(super) fn keep(
        &mut self,
        message: &Message,
        (from, number): (ByteString, u64),
        limits: &Limits,
        now: Millis,
    ) -> bool {
        for _ in 0..EXPIRED_AT_ONCE {
            let Some(topic) = self.expiring.pop(now) else { break };
            self.clear(&topic);
        }
        // A copy of its own: a slice would keep the whole packet for as long as the message.
        let topic = ByteString::from(&*message.publish.topic);
        self.clear(&topic);
        if message.publish.payload.is_empty() {
            return true;
        }
        let kept = Kept { message: message.clone(), from, number };
        let bytes = kept.bytes();
        if self.count >= limits.retained || self.bytes + bytes > limits.retained_bytes {
            return false;
        }
        self.count += 1;
        self.bytes += bytes;
        *self.topics.slot(&topic) = Some(kept);
        if message.expires.is_some() {
            self.expiring.set(topic, message.expires);
        }
        true
    }

    fn clear(&mut self, topic: &ByteString) {
        if let Some(gone) = self.topics.change(topic, Option::take).flatten() {
            self.count -= 1;
            self.bytes -= gone.bytes();
            if gone.message.expires.is_some() {
                self.expiring.set(topic.clone(), None);
            }
        }
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.count
    }
}

/// What a session's subscriptions are still to bring it of what is retained; at most an entry for each of them.
#[derive(Clone, Debug, Default)]
pub(super) struct Wanted {
    by_filter: BTreeMap<ByteString, Want>,
    /// Which of them has begun, and the topic that it has come to.
    current: Option<(ByteString, Option<String>)>,
}

/// What one subscription is to bring.
#[derive(Clone, Copy, Debug)]
struct Want {
    subscription: Subscription,
    /// The number of the last message that it is about: later ones come by themselves.
    until: u64,
}

impl Wanted {
    /// A subscription wants them. One that is there already begins again.
    pub(super) fn ask(&mut self, filter: ByteString, subscription: Subscription, until: u64) {
        self.forget(&filter);
        self.by_filter.insert(filter, Want { subscription, until });
    }

    /// A subscription is replaced by one that wants none anew: what is still to come, comes as that one asks.
    pub(super) fn replace(&mut self, filter: &str, subscription: Subscription) {
        if let Some(want) = self.by_filter.get_mut(filter) {
            want.subscription = subscription;
        }
    }

    /// A subscription is gone.
    pub(super) fn forget(&mut self, filter: &str) {
        self.by_filter.remove(filter);
        self.current.take_if(|(current, _)| *current == filter);
    }

    /// The client is gone: what would come at QoS 0 is for one that is there.
    pub(super) fn drop_at_most_once(&mut self) {
        self.by_filter.retain(|_, want| want.subscription.options.qos != QoS::AtMostOnce);
        self.current.take_if(|(current, _)| !self.by_filter.contains_key(current));
    }

    /// The next to go on with: its filter, what it asks for, and where it is.
    fn take(&mut self) -> Option<(ByteString, Want, Option<String>)> {
        let (filter, after) = match self.current.take() {
            Some(current) => current,
            None => (self.by_filter.keys().next()?.clone(), None),
        };
        let want = self.by_filter.get(&filter).copied()?;
        Some((filter, want, after))
    }

    /// Whether no subscription wants any more.
    pub(super) fn is_empty(&self) -> bool {
        self.by_filter.is_empty()
    }
}

impl Broker {
    /// Fills the page of retained messages that the session sends next. Whether there is anything to send now: what is
    /// found after a long search goes when the session has its next turn.
    pub(super) fn turn_page(&mut self, id: SessionId, now: Millis) -> bool {
        let Some(session) = self.sessions.get_mut(&id) else { return false };
        if session.conn.is_none() || session.searches || session.outgoing.wanted.is_empty() {
            return false;
        }
        let (client, outgoing) = (&session.client, &mut session.outgoing);
        let mut nodes = RETAINED_NODES;
        let mut found = false;
        while outgoing.has_page()
            && nodes > 0
            && let Some((filter, want, after)) = outgoing.wanted.take()
        {
            let mut see = |kept: Option<&Kept>| {
                nodes -= 1;
                if let Some(message) = kept.and_then(|kept| copy(kept, client, want, now)) {
                    outgoing.push_retained(message);
                    found = true;
                }
                if nodes > 0 && outgoing.has_page() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
            };
            match self.retained.topics.walk(&filter, after.as_deref(), &mut see) {
                None => outgoing.wanted.forget(&filter),
                Some(reached) => outgoing.wanted.current = Some((filter, Some(reached))),
            }
        }
        if outgoing.wanted.is_empty() {
            // What has waited for this to end has its turn.
            return true;
        }
        if nodes == 0 {
            session.searches = true;
            self.searches.push_back(id);
            self.timers.set(Waiting::Search, Some(now + 1));
        }
        found && nodes > 0
    }

    /// The session that has waited longest goes on with its search.
    pub(super) fn search_on(&mut self, now: Millis) {
        let Some(id) = self.searches.pop_front() else { return };
        if !self.searches.is_empty() {
            self.timers.set(Waiting::Search, Some(now + 1));
        }
        if let Some(session) = self.sessions.get_mut(&id) {
            session.searches = false;
            self.pump(id, now);
        }
    }
}

/// A subscriber's copy, unless it isn't for this one, or too old.
fn copy(kept: &Kept, client: &ByteString, want: Want, now: Millis) -> Option<Message> {
    let Want { subscription, until } = want;
    let own = subscription.options.no_local && kept.from == *client;
    if own || kept.number > until || kept.message.expires.is_some_and(|at| at <= now) {
        return None;
    }
    let mut copy = kept.message.clone();
    copy.publish.retain = true;
    copy.publish.qos = copy.publish.qos.min(subscription.options.qos);
    if let Some(id) = subscription.id {
        copy.publish.properties.get_or_insert_default().subscription_ids = vec![id];
    }
    Some(copy)
}
