//! One table of deadlines, at most one for each thing that waits.

use std::collections::{BTreeMap, BTreeSet};

use baton_protocol::limits::Millis;

/// Deadlines in order of time.
#[derive(Clone, Debug)]
pub(super) struct Timers<K> {
    order: BTreeSet<(Millis, K)>,
    due: BTreeMap<K, Millis>,
}

impl<K> Default for Timers<K> {
    fn default() -> Self {
        Self { order: BTreeSet::new(), due: BTreeMap::new() }
    }
}

impl<K: Ord + Clone> Timers<K> {
    /// Sets, moves or (`None`) clears the deadline of `key`.
    pub(super) fn set(&mut self, key: K, at: Option<Millis>) {
        let before = match at {
            Some(at) => self.due.insert(key.clone(), at),
            None => self.due.remove(&key),
        };
        if let Some(before) = before {
            self.order.remove(&(before, key.clone()));
        }
        if let Some(at) = at {
            self.order.insert((at, key));
        }
    }

    /// The earliest deadline.
    pub(super) fn next(&self) -> Option<Millis> {
        self.order.first().map(|(at, _)| *at)
    }

    /// Takes one deadline that has been reached.
    pub(super) fn pop(&mut self, now: Millis) -> Option<K> {
        let (_, key) = self.order.first().filter(|(at, _)| *at <= now)?;
        let key = key.clone();
        self.set(key.clone(), None);
        Some(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deadlines_move_clear_and_come_in_order() {
        let mut timers = Timers::default();
        for (key, at) in [('a', 30), ('b', 10), ('c', 20), ('a', 5)] {
            timers.set(key, Some(at));
        }
        timers.set('c', None);
        assert_eq!(timers.next(), Some(5));
        assert_eq!(timers.pop(4), None);
        assert_eq!((timers.pop(10), timers.pop(10), timers.pop(10)), (Some('a'), Some('b'), None));
        assert_eq!(timers.next(), None);
    }
}
