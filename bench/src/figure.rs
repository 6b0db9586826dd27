//! A figure with its target.

use std::fmt;

/// What was measured, and what it has to be.
#[derive(Clone, Debug)]
pub(super) struct Figure {
    name: String,
    value: f64,
    target: Target,
    unit: &'static str,
}

#[derive(Clone, Copy, Debug)]
enum Target {
    AtMost(f64),
    AtLeast(f64),
}

impl Figure {
    /// A figure that must not exceed `at_most`; `unit` is said behind both.
    pub(super) fn at_most(name: impl Into<String>, value: f64, at_most: f64, unit: &'static str) -> Self {
        Self { name: name.into(), value, target: Target::AtMost(at_most), unit }
    }

    /// A figure that must not fall short of `at_least`.
    pub(super) fn at_least(name: impl Into<String>, value: f64, at_least: f64, unit: &'static str) -> Self {
        Self { name: name.into(), value, target: Target::AtLeast(at_least), unit }
    }

    /// A number of things that must not have happened.
    pub(super) fn none(name: impl Into<String>, count: f64) -> Self {
        Self::at_most(name, count, 0.0, "")
    }

    /// Whether the target is met. What is no number meets nothing.
    pub(super) fn met(&self) -> bool {
        match self.target {
            Target::AtMost(most) => self.value <= most,
            Target::AtLeast(least) => self.value >= least,
        }
    }
}

impl Figure {
    /// Its name, its value, its target, and whether that is met.
    pub(super) fn cells(&self) -> [String; 4] {
        let text = self.to_string();
        let rest = text.strip_prefix(&format!("{}: ", self.name)).unwrap_or(&text);
        let mut parts = rest.splitn(3, ", ");
        let mut next = || parts.next().unwrap_or_default().to_owned();
        let (value, target, verdict) = (next(), next(), next());
        [self.name.clone(), value, target.trim_start_matches("target ").to_owned(), verdict]
    }
}

/// As few digits as tell it: counts have none behind the point.
fn number(value: f64) -> String {
    if value.is_nan() {
        // It was made of what wasn't measured.
        return "unknown".to_owned();
    }
    if value.fract() == 0.0 { format!("{value:.0}") } else { format!("{value:.2}") }
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, value, target, unit } = self;
        let space = if unit.is_empty() { "" } else { " " };
        let verdict = if self.met() { "met" } else { "missed" };
        let target = match target {
            Target::AtMost(0.0) => "0".to_owned(),
            Target::AtMost(most) => format!("at most {}{space}{unit}", number(*most)),
            Target::AtLeast(least) => format!("at least {}{space}{unit}", number(*least)),
        };
        write!(f, "{name}: {}{space}{unit}, target {target}, {verdict}", number(*value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_figure_target_and_verdict() {
        let edge = Figure::at_most("edge memory per idle session", 1.876, 4.0, "KiB");
        assert_eq!(edge.to_string(), "edge memory per idle session: 1.88 KiB, target at most 4 KiB, met");
        assert_eq!(Figure::none("lost", 0.0).to_string(), "lost: 0, target 0, met");
        assert_eq!(Figure::none("lost", 2.0).to_string(), "lost: 2, target 0, missed");
        let payload = Figure::at_least("payload, up", 4.5, 4.0, "MB/s");
        assert_eq!(payload.to_string(), "payload, up: 4.50 MB/s, target at least 4 MB/s, met");
        assert!(!Figure::at_least("payload, up", 3.99, 4.0, "MB/s").met());
        assert_eq!(Figure::at_most("ratio", f64::NAN, 1.0, "").to_string(), "ratio: unknown, target at most 1, missed");
        assert!(!Figure::at_least("x", f64::NAN, 1.0, "").met());
    }
}
