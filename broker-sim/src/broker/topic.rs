//! Topic names and topic filters (MQTT 5, 4.7 and 4.8.2).

use super::limits::TOPIC_LEVELS;

/// Whether `topic` can be published to [MQTT-4.7.1-1, MQTT-4.7.3-1, MQTT-4.7.3-2].
pub(super) fn is_name(topic: &str) -> bool {
    !topic.is_empty() && !topic.contains(['+', '#', '\0']) && within_levels(topic)
}

/// A topic filter, split into the share that it names, if any, and what it matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Filter<'a> {
    /// The ShareName of a shared subscription.
    pub(super) share: Option<&'a str>,
    /// The filter that topics are matched with.
    pub(super) path: &'a str,
}

impl<'a> Filter<'a> {
    /// Reads a filter; none if it isn't legal.
    pub(super) fn parse(text: &'a str) -> Option<Self> {
        let Some(shared) = text.strip_prefix("$share/") else {
            return is_path(text).then_some(Self { share: None, path: text });
        };
        let (share, path) = shared.split_once('/')?;
        let legal = !share.is_empty() && !share.contains(['+', '#']) && is_path(path);
        legal.then_some(Self { share: Some(share), path })
    }
}

/// `#` only as the last level and alone in it, `+` only alone in its level [MQTT-4.7.1-2, MQTT-4.7.1-3].
fn is_path(path: &str) -> bool {
    if path.is_empty() || path.contains('\0') || !within_levels(path) {
        return false;
    }
    let mut levels = path.split('/').peekable();
    while let Some(level) = levels.next() {
        let wild = level.contains(['+', '#']);
        if wild && (level.len() > 1 || (level == "#" && levels.peek().is_some())) {
            return false;
        }
    }
    true
}

fn within_levels(path: &str) -> bool {
    path.bytes().filter(|b| *b == b'/').count() < TOPIC_LEVELS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_no_wildcards() {
        for good in ["a", "/", "a/b", "/a", "a/", "a//b", "$SYS/x", " "] {
            assert!(is_name(good), "{good:?}");
        }
        for bad in ["", "a/+", "#", "a+", "a\0b"] {
            assert!(!is_name(bad), "{bad:?}");
        }
    }

    #[test]
    fn filters_have_wildcards_in_their_places() {
        for good in ["#", "+", "a/#", "+/+", "/+", "a/+/b/#", "$SYS/#", "a b"] {
            assert_eq!(Filter::parse(good), Some(Filter { share: None, path: good }), "{good:?}");
        }
        for bad in ["", "a#", "a/#/b", "#/a", "a+/b", "++", "a\0"] {
            assert_eq!(Filter::parse(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn shares_are_named_and_filtered() {
        assert_eq!(Filter::parse("$share/g/a/#"), Some(Filter { share: Some("g"), path: "a/#" }));
        assert_eq!(Filter::parse("$share/g//a"), Some(Filter { share: Some("g"), path: "/a" }));
        for bad in ["$share/", "$share/g", "$share/g/", "$share//a", "$share/+/a", "$share/g#/a"] {
            assert_eq!(Filter::parse(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn levels_are_bounded() {
        assert!(is_name(&"/".repeat(TOPIC_LEVELS - 1)));
        assert!(!is_name(&"/".repeat(TOPIC_LEVELS)));
        assert_eq!(Filter::parse(&"/".repeat(TOPIC_LEVELS)), None);
    }
}
