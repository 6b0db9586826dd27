//! Who wants which topics, with shared subscriptions (MQTT 5, 4.8.2).

use std::{collections::BTreeMap, num::NonZeroU32};

use rmqtt_codec::{types::QoS, v5::SubscriptionOptions};

use super::{SessionId, topic::Filter, trie::Trie};

/// What one subscription asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Subscription {
    pub(super) options: SubscriptionOptions,
    pub(super) id: Option<NonZeroU32>,
}

/// One session that a message goes to, by one of its subscriptions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Hit {
    pub(super) session: SessionId,
    /// Whether by a shared subscription.
    pub(super) shared: bool,
    pub(super) qos: QoS,
    pub(super) retain_as_published: bool,
    pub(super) id: Option<NonZeroU32>,
}

impl Hit {
    fn new(session: SessionId, shared: bool, subscription: &Subscription) -> Self {
        let Subscription { options, id } = *subscription;
        Self { session, shared, qos: options.qos, retain_as_published: options.retain_as_published, id }
    }
}

/// All subscriptions of all sessions.
#[derive(Clone, Debug, Default)]
pub(super) struct Subscriptions {
    tree: Trie<Leaf>,
}

/// The subscriptions with one filter.
#[derive(Clone, Debug, Default)]
struct Leaf {
    alone: BTreeMap<SessionId, Subscription>,
    shares: BTreeMap<Box<str>, Share>,
}

/// The members of one shared subscription, and whose turn it is.
#[derive(Clone, Debug, Default)]
struct Share {
    members: BTreeMap<SessionId, Subscription>,
    last: Option<SessionId>,
}

impl Subscriptions {
    /// Adds a subscription, or replaces the session's one with the same filter; whether it is a new one.
    pub(super) fn add(&mut self, session: SessionId, filter: Filter<'_>, subscription: Subscription) -> bool {
        let leaf = self.tree.slot(filter.path).get_or_insert_default();
        let members = match filter.share {
            Some(share) => &mut leaf.shares.entry(share.into()).or_default().members,
            None => &mut leaf.alone,
        };
        members.insert(session, subscription).is_none()
    }

    /// Removes a subscription; whether there was one.
    pub(super) fn remove(&mut self, session: SessionId, filter: Filter<'_>) -> bool {
        let removed = self.tree.change(filter.path, |slot| {
            let Some(leaf) = slot else { return false };
            let removed = leaf.remove(session, filter.share);
            if leaf.alone.is_empty() && leaf.shares.is_empty() {
                *slot = None;
            }
            removed
        });
        removed == Some(true)
    }

    /// Adds to `hits` who gets a message to `topic` that `from` published: each matching subscription, and of each
    /// share one member, in turn, `present` ones first.
    pub(super) fn matching(
        &mut self,
        topic: &str,
        from: SessionId,
        present: impl Fn(SessionId) -> bool,
        hits: &mut Vec<Hit>,
    ) {
        self.tree.for_topic(topic, &mut |leaf| {
            let heard = leaf.alone.iter().filter(|(id, s)| !(s.options.no_local && from == **id));
            hits.extend(heard.map(|(id, subscription)| Hit::new(*id, false, subscription)));
            hits.extend(leaf.shares.values_mut().filter_map(|share| share.turn(&present)));
        });
    }
}

impl Leaf {
    fn remove(&mut self, session: SessionId, share: Option<&str>) -> bool {
        let Some(name) = share else { return self.alone.remove(&session).is_some() };
        let Some(share) = self.shares.get_mut(name) else { return false };
        let removed = share.members.remove(&session).is_some();
        if share.members.is_empty() {
            self.shares.remove(name);
        }
        removed
    }
}

impl Share {
    /// The next member after the last one that is present, else simply the next.
    fn turn(&mut self, present: &impl Fn(SessionId) -> bool) -> Option<Hit> {
        let after = |id: &SessionId| self.last.is_none_or(|last| *id > last);
        let later = self.members.iter().filter(|(id, _)| after(id));
        let circle = || later.clone().chain(self.members.iter().filter(|(id, _)| !after(id)));
        let (id, subscription) = circle().find(|(id, _)| present(**id)).or_else(|| circle().next())?;
        let hit = Hit::new(*id, true, subscription);
        self.last = Some(hit.session);
        Some(hit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Subscription = Subscription {
        options: SubscriptionOptions {
            qos: QoS::AtLeastOnce,
            no_local: false,
            retain_as_published: false,
            retain_handling: rmqtt_codec::v5::RetainHandling::AtSubscribe,
        },
        id: None,
    };

    fn add(subscriptions: &mut Subscriptions, session: u64, filter: &str) -> bool {
        subscriptions.add(SessionId(session), Filter::parse(filter).unwrap(), PLAIN)
    }

    fn heard(subscriptions: &mut Subscriptions, topic: &str, absent: &[u64]) -> Vec<u64> {
        let mut hits = Vec::new();
        subscriptions.matching(topic, SessionId(0), |id| !absent.contains(&id.0), &mut hits);
        hits.iter().map(|hit| hit.session.0).collect()
    }

    #[test]
    fn the_same_filter_again_replaces() {
        let mut subscriptions = Subscriptions::default();
        assert!(add(&mut subscriptions, 1, "a/+"));
        assert!(!add(&mut subscriptions, 1, "a/+"));
        assert_eq!(heard(&mut subscriptions, "a/b", &[]), [1]);
        assert!(subscriptions.remove(SessionId(1), Filter::parse("a/+").unwrap()));
        assert!(!subscriptions.remove(SessionId(1), Filter::parse("a/+").unwrap()));
        assert_eq!(heard(&mut subscriptions, "a/b", &[]), [] as [u64; 0]);
    }

    #[test]
    fn members_of_a_share_take_turns_and_the_absent_are_passed_over() {
        let mut subscriptions = Subscriptions::default();
        for session in [1, 2, 3] {
            add(&mut subscriptions, session, "$share/g/a");
        }
        let turns: Vec<_> = (0..4).flat_map(|_| heard(&mut subscriptions, "a", &[])).collect();
        assert_eq!(turns, [1, 2, 3, 1]);
        assert_eq!(heard(&mut subscriptions, "a", &[2]), [3]);
        assert_eq!(heard(&mut subscriptions, "a", &[1, 2, 3]), [1]);
        assert_eq!(heard(&mut subscriptions, "a", &[2, 3]), [1]);
    }

    #[test]
    fn shares_and_single_subscriptions_are_apart() {
        let mut subscriptions = Subscriptions::default();
        add(&mut subscriptions, 1, "a");
        add(&mut subscriptions, 1, "$share/g/a");
        add(&mut subscriptions, 2, "$share/h/a");
        assert_eq!(heard(&mut subscriptions, "a", &[]), [1, 1, 2]);
        assert!(subscriptions.remove(SessionId(1), Filter::parse("$share/g/a").unwrap()));
        assert_eq!(heard(&mut subscriptions, "a", &[]), [1, 2]);
    }
}
