//! A tree of topic levels, searched from either side: stored filters by a topic, or stored topics by a filter.

use std::{
    collections::BTreeMap,
    ops::{Bound, ControlFlow},
};

/// Values by path. Recursion is bounded by `TOPIC_LEVELS`, which paths have been checked against.
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

    /// Walks over the nodes that lead to the stored topics that `filter` matches, in their order, and shows each, with
    /// its value where that is such a topic's, to `see`, which may end the walk. A walk that was ended returns how far it
    /// came, and goes on from there as the next one's `after`, whatever has changed in between.
    pub(super) fn walk(&self, filter: &str, after: Option<&str>, see: &mut See<'_, V>) -> Option<String> {
        let begin = match after {
            None => Begin::Here,
            after => Begin::After(after),
        };
        let mut walk = Walk { at: String::new(), see };
        self.root.walk(Some(filter), true, begin, &mut walk).is_break().then_some(walk.at)
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

    /// The children from a name on. Of the root not those that begin with `$`, which no wildcard of the first level matches
    /// [MQTT-4.7.2-1]: they stand side by side.
    fn from(&self, from: Option<&str>, top: bool) -> impl Iterator<Item = (&str, &Self)> {
        const HIDDEN: (&str, &str) = ("$", "%");
        let begin = |least| from.filter(|from| *from > least).map_or(Bound::Included(least), Bound::Included);
        let before = if !top {
            (begin(""), Bound::Unbounded)
        } else if from.is_none_or(|from| from < HIDDEN.0) {
            (begin(""), Bound::Excluded(HIDDEN.0))
        } else {
            (Bound::Included(""), Bound::Excluded(""))
        };
        let after = if top { (begin(HIDDEN.1), Bound::Unbounded) } else { (Bound::Included(""), Bound::Excluded("")) };
        let names = move |range| self.children.range::<str, _>(range).map(|(name, child)| (&**name, child));
        names(before).chain(names(after))
    }

    /// `filter`: what of it is to be matched below this node; `top`: this is the root.
    fn walk(&self, filter: Option<&str>, top: bool, begin: Begin<'_>, walk: &mut Walk<'_, '_, V>) -> ControlFlow<()> {
        let (level, rest) = filter.map_or(("", None), step);
        let wild = filter.is_some() && level == "#";
        let (from, below) = match begin {
            Begin::Here => {
                (walk.see)(self.value.as_ref().filter(|_| wild || filter.is_none()))?;
                (None, None)
            }
            Begin::After(after) => after.map(step).map_or((None, None), |(level, rest)| (Some(level), rest)),
        };
        let Some(filter) = filter else { return ControlFlow::Continue(()) };
        let rest = if wild { Some(filter) } else { rest };
        if wild || level == "+" {
            for (name, child) in self.from(from, top) {
                let begin = if from == Some(name) { Begin::After(below) } else { Begin::Here };
                walk.into(name, top, |walk| child.walk(rest, false, begin, walk))?;
            }
        } else if let Some(child) = self.children.get(level).filter(|_| from.is_none_or(|from| from <= level)) {
            let begin = if from == Some(level) { Begin::After(below) } else { Begin::Here };
            walk.into(level, top, |walk| child.walk(rest, false, begin, walk))?;
        }
        ControlFlow::Continue(())
    }
}

/// What a walk shows its nodes to.
type See<'a, V> = dyn FnMut(Option<&V>) -> ControlFlow<()> + 'a;

/// Where a walk begins: at a node, or after it and, as far as this path leads, after what is below it.
#[derive(Clone, Copy)]
enum Begin<'a> {
    Here,
    After(Option<&'a str>),
}

/// A walk, and where it is.
struct Walk<'a, 'b, V> {
    at: String,
    see: &'a mut See<'b, V>,
}

impl<V> Walk<'_, '_, V> {
    /// Goes into a child and back, unless the walk ends there.
    fn into(&mut self, name: &str, top: bool, go: impl FnOnce(&mut Self) -> ControlFlow<()>) -> ControlFlow<()> {
        let length = self.at.len();
        if !top {
            self.at.push('/');
        }
        self.at.push_str(name);
        go(self)?;
        self.at.truncate(length);
        ControlFlow::Continue(())
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
            assert_eq!(found(&trie, filter, usize::MAX), vec![(); usize::from(*matches)], "{filter} {topic}");
        }
    }

    /// What a filter finds, by walks of so many nodes each.
    fn found<V: Clone>(trie: &Trie<V>, filter: &str, nodes: usize) -> Vec<V> {
        let mut found = Vec::new();
        let mut after = None;
        loop {
            let mut left = nodes;
            let mut see = |value: Option<&V>| {
                found.extend(value.cloned());
                left -= 1;
                if left > 0 { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
            };
            after = trie.walk(filter, after.as_deref(), &mut see);
            if after.is_none() {
                return found;
            }
        }
    }

    #[test]
    fn a_walk_that_was_ended_goes_on_where_it_was() {
        let mut trie = Trie::default();
        // No topic is empty.
        let topics = ["/", "/a", "a", "a/", "a/b", "a/b/c", "a/c", "a!", "b/x/y", "b/x/z", "b/y", "c", "$S/a"];
        for topic in topics {
            *trie.slot(topic) = Some(topic);
        }
        for filter in ["#", "+", "+/+", "a/#", "a", "b/+/+", "/#", "+/b/#", "$S/#", "b/x/y", "+/x/z"] {
            let whole = found(&trie, filter, usize::MAX);
            assert!(!whole.is_empty(), "{filter}");
            for nodes in 1..8 {
                assert_eq!(found(&trie, filter, nodes), whole, "{filter} {nodes}");
            }
        }
    }

    #[test]
    fn a_walk_goes_on_though_where_it_was_is_gone() {
        let mut trie = Trie::default();
        for topic in ["a/b", "a/c", "d"] {
            *trie.slot(topic) = Some(topic);
        }
        let mut seen = Vec::new();
        let after = trie.walk("#", None, &mut |value| {
            seen.extend(value.copied());
            if value.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        assert_eq!((after.as_deref(), seen.as_slice()), (Some("a/b"), ["a/b"].as_slice()));
        trie.change("a/b", Option::take);
        trie.change("a/c", Option::take);
        *trie.slot("c") = Some("c");
        assert_eq!(
            trie.walk("#", after.as_deref(), &mut |value| {
                seen.extend(value.copied());
                ControlFlow::Continue(())
            }),
            None
        );
        assert_eq!(seen, ["a/b", "c", "d"]);
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
