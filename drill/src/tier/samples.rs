//! Metrics as a scrape shows them (Prometheus and OpenMetrics text).

/// One scrape.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Samples(Vec<Sample>);

#[derive(Clone, Debug, PartialEq)]
struct Sample {
    name: String,
    labels: Vec<(String, String)>,
    value: f64,
}

impl Samples {
    /// Reads the text of a scrape; `Err` has the first line that can't be read.
    ///
    /// # Errors
    /// A line that is neither a comment nor a sample.
    pub fn parse(text: &str) -> Result<Self, String> {
        let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
        lines.map(|line| sample(line).ok_or_else(|| line.to_owned())).collect::<Result<_, _>>().map(Self)
    }

    /// The sum of all series of this name that have all these labels; `None` if there is no such series.
    pub fn value(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let has =
            |sample: &Sample, label: &str, value: &str| sample.labels.iter().any(|(l, v)| l == label && v == value);
        let matches = self.0.iter().filter(|s| s.name == name && labels.iter().all(|(l, v)| has(s, l, v)));
        matches.map(|sample| sample.value).reduce(|sum, value| sum + value)
    }

    /// As [`Self::value`], and 0 if there is no such series: a counter that nothing has counted yet.
    pub fn total(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        self.value(name, labels).unwrap_or(0.0)
    }
}

fn sample(line: &str) -> Option<Sample> {
    let (name, mut rest) = line.split_at(line.find(['{', ' '])?);
    let mut labels = Vec::new();
    if let Some(mut list) = rest.strip_prefix('{') {
        rest = loop {
            if let Some(rest) = list.strip_prefix('}') {
                break rest;
            }
            let (label, after) = list.split_once("=\"")?;
            let (value, after) = quoted(after)?;
            labels.push((label.to_owned(), value));
            list = after.strip_prefix(',').unwrap_or(after);
        };
    }
    let value = rest.split_whitespace().next()?.parse().ok()?;
    Some(Sample { name: name.to_owned(), labels, value })
}

/// The text up to an unescaped quote, and what follows the quote.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, char)) = chars.next() {
        match char {
            '"' => return Some((value, &text[at + 1..])),
            '\\' => value.push(match chars.next()?.1 {
                'n' => '\n',
                other => other,
            }),
            other => value.push(other),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCRAPE: &str = r#"# HELP baton_moves Moves.
# TYPE baton_moves counter
baton_moves_total{kind="planned",reason="solicited"} 3
baton_moves_total{kind="planned",reason="black \"hole\",\\"} 4 1700000000
baton_moves_total{kind="broken",reason="lost"} 0.5
plain 7
bare{} +Inf
# EOF
"#;

    #[test]
    fn series_are_summed_over_the_labels_that_arent_named() {
        let samples = Samples::parse(SCRAPE).unwrap();
        assert_eq!(samples.value("baton_moves_total", &[("kind", "planned")]), Some(7.0));
        assert_eq!(samples.value("baton_moves_total", &[]), Some(7.5));
        assert_eq!(samples.value("baton_moves_total", &[("reason", "black \"hole\",\\")]), Some(4.0));
        assert_eq!(samples.value("plain", &[]), Some(7.0));
        assert_eq!(samples.value("bare", &[]), Some(f64::INFINITY));
        assert_eq!(samples.value("plain", &[("kind", "planned")]), None);
        assert_eq!(samples.total("absent", &[]), 0.0);
    }

    #[test]
    fn a_line_that_isnt_a_sample_is_named() {
        for bad in ["name", "name x", "name{a=\"b} 1", "name{a} 1", "name{a=\"b\"}"] {
            assert_eq!(Samples::parse(bad), Err(bad.to_owned()));
        }
    }
}
