//! A tree of topic levels, searched from either side: stored filters by a topic, or stored topics by a filter.

use std::collections::BTreeMap;

/// Values by path. Work and recursion are bounded by `TOPIC_LEVELS`, which paths have been checked against.
#[derive(Clone, Debug)]
pub(super) struct Trie<V> {
    root: Node<V>,
}

#[derive(Clone, Debug)]
struct Node<V> {
    value: Option<V>,
    children: BTreeMap<Box<str>, Node<V>>,
}

impl<V> Default for Node<V> {
    fn default() -> Self {
        Self { value: None, children: BTreeMap::new() }
    }
}

impl<V> Default for Trie<V> {
    fn default() -> Self {
        Self { root: Node::default() }
    }
}

impl<V> Trie<V> {
    /// The place for the value at `path`, made if it isn't there.
    pub(super) fn slot(&mut self, path: &str) -> &mut Option<V> {
        let mut node = &mut self.root;
        for level in path.split('/') {
            // Looked up twice, because most subscriptions and retained messages replace one that is there.
            if !node.children.contains_key(level) {
                node.children.insert(level.into(), Node::default());
            }
            node = node.children.get_mut(level).expect("inserted above");
        }
        &mut node.value
    }

    /// Changes the value at `path`; the path is removed if the change leaves none.
    pub(super) fn change<R>(&mut self, path: &str, change: impl FnOnce(&mut Option<V>) -> R) -> Option<R> {
        self.root.change(path, change)
    }

    /// Visits the value of each stored filter that matches `topic` [MQTT-4.7.1-2, MQTT-4.7.1-3, MQTT-4.7.2-1].
    pub(super) fn for_topic(&mut self, topic: &str, visit: &mut impl FnMut(&mut V)) {
        self.root.for_topic(Some(topic), topic.starts_with('$'), visit);
    }

    /// Visits the value of each stored topic that `filter` matches, in the order of the topics.
    pub(super) fn for_filter(&self, filter: &str, visit: &mut impl FnMut(&V)) {
        self.root.for_filter(Some(filter), true, visit);
    }

    #[cfg(test)]
    fn is_empty(&self) -> bool {
        self.root.is_empty()
    }
}

/// The first level, and what follows it.
fn step(path: &str) -> (&str, Option<&str>) {
    path.split_once('/').map_or((path, None), |(level, rest)| (level, Some(rest)))
}

impl<V> Node<V> {
    fn is_empty(&self) -> bool {
        self.value.is_none() && self.children.is_empty()
    }

    fn change<R>(&mut self, path: &str, change: impl FnOnce(&mut Option<V>) -> R) -> Option<R> {
        let (level, rest) = step(path);
        let child = self.children.get_mut(level)?;
        let result = match rest {
            Some(rest) => child.change(rest, change)?,
            None => change(&mut child.value),
        };
        if child.is_empty() {
            self.children.remove(level);
        }
        Some(result)
    }

    /// `hidden`: the topic's first level starts with `$`, so no wildcard of this level matches it.
    fn for_topic(&mut self, topic: Option<&str>, hidden: bool, visit: &mut impl FnMut(&mut V)) {
        // `a/#` matches `a` itself, so `#` is looked for when the topic has ended, too.
        if !hidden && let Some(value) = self.children.get_mut("#").and_then(|child| child.value.as_mut()) {
            visit(value);
        }
        let Some(topic) = topic else {
            if let Some(value) = &mut self.value {
                visit(value);
            }
            return;
        };
        let (level, rest) = step(topic);
        if let Some(child) = self.children.get_mut(level) {
            child.for_topic(rest, false, visit);
        }
        if !hidden && let Some(child) = self.children.get_mut("+") {
            child.for_topic(rest, false, visit);
        }
    }

    fn for_filter(&self, filter: Option<&str>, first: bool, visit: &mut impl FnMut(&V)) {
        let Some(filter) = filter else {
            if let Some(value) = &self.value {
                visit(value);
            }
            return;
        };
        let shown = |level: &str| !(first && level.starts_with('$'));
        match step(filter) {
            ("#", _) => {
                if let Some(value) = &self.value {
                    visit(value);
                }
                let children = self.children.iter().filter(|(level, _)| shown(level));
                children.for_each(|(_, child)| child.for_filter(Some("#"), false, visit));
            }
            ("+", rest) => {
                let children = self.children.iter().filter(|(level, _)| shown(level));
                children.for_each(|(_, child)| child.for_filter(rest, false, visit));
            }
            (level, rest) => {
                if let Some(child) = self.children.get(level) {
                    child.for_filter(rest, false, visit);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Filter, topic, whether they match (MQTT 5, 4.7.1 and 4.7.2).
    const MATCHES: &[(&str, &str, bool)] = &[
        ("a/b", "a/b", true),
        ("a/b", "a", false),
        ("a/b", "a/b/c", false),
        ("sport/tennis/player1/#", "sport/tennis/player1", true),
        ("sport/tennis/player1/#", "sport/tennis/player1/ranking", true),
        ("sport/tennis/player1/#", "sport/tennis/player1/score/wimbledon", true),
        ("sport/#", "sport", true),
        ("#", "a/b/c", true),
        ("sport/tennis/+", "sport/tennis/player1", true),
        ("sport/tennis/+", "sport/tennis/player1/ranking", false),
        ("sport/+", "sport", false),
        ("sport/+", "sport/", true),
        ("+/+", "/finance", true),
        ("/+", "/finance", true),
        ("+", "/finance", false),
        ("+/#", "a", true),
        ("#", "$SYS/x", false),
        ("+/x", "$SYS/x", false),
        ("$SYS/#", "$SYS/x", true),
        ("$SYS/+", "$SYS/x", true),
        ("a/+", "a/$x", true),
        ("a/#", "a/$x", true),
        ("A", "a", false),
        ("a//b", "a//b", true),
        ("a/+/b", "a//b", true),
        // No two ways of writing a letter are the same (4.7.3-4).
        ("\u{e9}", "e\u{301}", false),
        (" a", "a", false),
    ];

    #[test]
    fn stored_filters_match_topics() {
        for (filter, topic, matches) in MATCHES {
            let mut trie = Trie::default();
            *trie.slot(filter) = Some(());
            let mut hits = 0;
            trie.for_topic(topic, &mut |()| hits += 1);
            assert_eq!(hits, usize::from(*matches), "{filter} {topic}");
        }
    }

    #[test]
    fn filters_find_stored_topics() {
        for (filter, topic, matches) in MATCHES {
            let mut trie = Trie::default();
            *trie.slot(topic) = Some(());
            let mut hits = 0;
            trie.for_filter(filter, &mut |()| hits += 1);
            assert_eq!(hits, usize::from(*matches), "{filter} {topic}");
        }
    }

    #[test]
    fn a_removed_path_leaves_nothing_behind() {
        let mut trie = Trie::default();
        *trie.slot("a/b/c") = Some(1);
        *trie.slot("a/b") = Some(2);
        assert_eq!(trie.change("a/b/x", Option::take), None);
        assert_eq!(trie.change("a/b/c", Option::take), Some(Some(1)));
        assert_eq!(trie.change("a/b", Option::take), Some(Some(2)));
        assert!(trie.is_empty());
    }
}
