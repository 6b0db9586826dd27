//! Which clients a rule is about.

use std::fmt;

/// Bytes of a pattern: as long as a client id that anybody uses, and few enough to compare at each packet.
const PATTERN_BYTES: usize = 256;

/// A client id in which `*` stands for any characters and `?` for one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern(String);

impl Pattern {
    /// A pattern; none of no characters, or of too many bytes.
    pub fn new(text: &str) -> Option<Self> {
        (1..=PATTERN_BYTES).contains(&text.len()).then(|| Self(text.to_owned()))
    }

    /// Whether this is one of them.
    pub fn matches(&self, text: &str) -> bool {
        let (mut pattern, mut rest) = (self.0.chars(), text.chars());
        // Where to go on if what follows the last `*` doesn't fit: one character further.
        let mut again = None;
        loop {
            let left = rest.clone();
            let fits = match (pattern.next(), rest.next()) {
                (None, None) => return true,
                (Some('*'), _) => {
                    rest = left;
                    again = Some((pattern.clone(), rest.clone()));
                    continue;
                }
                (Some('?'), Some(_)) => true,
                (Some(wanted), Some(found)) => wanted == found,
                _ => false,
            };
            if !fits {
                let Some((after_star, from)) = &mut again else { return false };
                if from.next().is_none() {
                    return false;
                }
                (pattern, rest) = (after_star.clone(), from.clone());
            }
        }
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        for (pattern, text, fits) in [
            ("a", "a", true),
            ("a", "ab", false),
            ("ab", "a", false),
            ("*", "", true),
            ("*", "anything", true),
            ("a*", "a", true),
            ("a*c", "abbc", true),
            ("a*c", "abcb", false),
            ("a*bc*d", "abbcbcxd", true),
            ("*b", "aab", true),
            ("*b", "aba", false),
            ("?", "", false),
            ("?", "ü", true),
            ("a??d", "abcd", true),
            ("**", "x", true),
            ("*?", "", false),
        ] {
            assert_eq!(Pattern::new(pattern).unwrap().matches(text), fits, "{pattern} {text}");
        }
        assert_eq!((Pattern::new(""), Pattern::new(&"a".repeat(257))), (None, None));
    }

    #[test]
    fn many_stars_take_no_longer_than_the_text_times_the_pattern() {
        let pattern = Pattern::new(&"*a".repeat(128)).unwrap();
        assert!(!pattern.matches(&"a".repeat(127)));
        assert!(pattern.matches(&"a".repeat(60_000)));
    }
}
