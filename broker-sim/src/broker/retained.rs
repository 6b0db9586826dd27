//! Retained messages (3.3.1.3), and how many of them come to a client that subscribes: a page at a time, so that
//! neither what waits nor the time that is spent on one client grows with what matches.

use std::{collections::BTreeMap, ops::ControlFlow};

use baton_protocol::limits::Millis;
use bytestring::ByteString;

use super::{
    Broker, SessionId, Waiting,
    limits::{Limits, RETAINED_NODES},
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
}

impl Retained {
    /// An empty message clears what is retained [MQTT-3.3.1-6]; any other replaces it [MQTT-3.3.1-5]. Whether there was
    /// room.
    pub(super) fn keep(&mut self, message: &Message, from: ByteString, limits: &Limits, now: Millis) -> bool {
        while let Some(topic) = self.expiring.pop(now) {
            self.clear(&topic);
        }
        let topic = &message.publish.topic;
        // A copy of its own: a slice would keep the whole packet for as long as the message.
        let topic = ByteString::from(&**topic);
        self.clear(&topic);
        if message.publish.payload.is_empty() {
            return true;
        }
        let bytes = message.bytes();
        if self.count >= limits.retained || self.bytes + bytes > limits.retained_bytes {
            return false;
        }
        self.count += 1;
        self.bytes += bytes;
        *self.topics.slot(&topic) = Some(Kept { message: message.clone(), from });
        if message.expires.is_some() {
            self.expiring.set(topic, message.expires);
        }
        true
    }

    fn clear(&mut self, topic: &ByteString) {
        if let Some(gone) = self.topics.change(topic, Option::take).flatten() {
            self.count -= 1;
            self.bytes -= gone.message.bytes();
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
    by_filter: BTreeMap<ByteString, Subscription>,
    /// Which of them has begun, and the topic that it has come to.
    current: Option<(ByteString, Option<String>)>,
}

impl Wanted {
    /// A subscription wants them. One that is there already begins again.
    pub(super) fn ask(&mut self, filter: ByteString, subscription: Subscription) {
        self.forget(&filter);
        self.by_filter.insert(filter, subscription);
    }

    /// A subscription is gone.
    pub(super) fn forget(&mut self, filter: &str) {
        self.by_filter.remove(filter);
        self.current.take_if(|(current, _)| *current == filter);
    }

    /// The next to go on with: its filter, what it asks for, and where it is.
    fn take(&mut self) -> Option<(ByteString, Subscription, Option<String>)> {
        let (filter, after) = match self.current.take() {
            Some(current) => current,
            None => (self.by_filter.keys().next()?.clone(), None),
        };
        let subscription = self.by_filter.get(&filter).copied()?;
        Some((filter, subscription, after))
    }

    /// Whether no subscription wants any more.
    pub(super) fn is_empty(&self) -> bool {
        self.by_filter.is_empty()
    }
}

impl Broker {
    /// Fills the page of retained messages that the session sends next. Whether there are any to send now: what is found
    /// after a long search goes a moment later, so that the others have their turn.
    pub(super) fn turn_page(&mut self, id: SessionId, now: Millis) -> bool {
        let Some(session) = self.sessions.get_mut(&id) else { return false };
        if session.conn.is_none() || session.outgoing.wanted.is_empty() {
            return false;
        }
        let (client, outgoing) = (&session.client, &mut session.outgoing);
        let mut nodes = RETAINED_NODES;
        let mut found = false;
        while outgoing.has_page()
            && nodes > 0
            && let Some((filter, subscription, after)) = outgoing.wanted.take()
        {
            let mut see = |kept: Option<&Kept>| {
                nodes -= 1;
                let kept = kept.filter(|kept| !(subscription.options.no_local && kept.from == *client));
                if let Some(message) = kept.and_then(|kept| copy(&kept.message, &subscription, now)) {
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
        if nodes == 0 {
            self.timers.set(Waiting::Retained(id), Some(now + 1));
        }
        found && nodes > 0
    }
}

/// A subscriber's copy, unless the message is too old.
fn copy(message: &Message, subscription: &Subscription, now: Millis) -> Option<Message> {
    if message.expires.is_some_and(|at| at <= now) {
        return None;
    }
    let mut copy = message.clone();
    copy.publish.retain = true;
    copy.publish.qos = copy.publish.qos.min(subscription.options.qos);
    if let Some(id) = subscription.id {
        copy.publish.properties.get_or_insert_default().subscription_ids = vec![id];
    }
    Some(copy)
}
