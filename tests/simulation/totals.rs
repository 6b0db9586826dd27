//! What the processes of a run have counted, read off the numbers that they publish.

use std::{collections::BTreeMap, ops::AddAssign};

use baton_process::metrics::Metrics;

use crate::tier::Kind;

/// Sums over processes, those included that are over.
#[derive(Clone, Debug, Default)]
pub(crate) struct Totals {
    /// Sessions opened, at edges.
    pub(crate) opened: u64,
    /// Sessions that changed their tunnel with the next one there first, and otherwise.
    pub(crate) planned: u64,
    pub(crate) broken: u64,
    /// Attaches that weren't accepted, by what became of them, at edges.
    pub(crate) failed: BTreeMap<String, u64>,
    /// Clients closed, by cause, at edges.
    pub(crate) closed: BTreeMap<String, u64>,
    /// Sessions ended, by cause, at anchors.
    pub(crate) ended: BTreeMap<String, u64>,
    /// Trunks that ended, by how.
    pub(crate) links: BTreeMap<String, u64>,
    /// Wills that brokers published.
    pub(crate) wills: u64,
}

impl Totals {
    /// Adds what one process has counted.
    pub(crate) fn add(&mut self, kind: Kind, metrics: &Metrics) {
        for (name, labels, value) in lines(&metrics.encode()) {
            match (name.as_str(), kind) {
                ("baton_attaches_total", Kind::Edge) => match (label(&labels, "kind"), label(&labels, "outcome")) {
                    ("open", "accepted") => self.opened += value,
                    (_, "accepted") => {}
                    (_, outcome) => add(&mut self.failed, outcome, value),
                },
                ("baton_moves_total", Kind::Edge) if label(&labels, "outcome") == "accepted" => {
                    *(if label(&labels, "kind") == "planned" { &mut self.planned } else { &mut self.broken }) += value;
                }
                ("baton_client_closes_total", Kind::Edge) => add(&mut self.closed, label(&labels, "cause"), value),
                ("baton_client_closes_total", Kind::Sidecar | Kind::Broker) => {
                    add(&mut self.ended, label(&labels, "cause"), value);
                }
                ("baton_broker_wills_total", _) => self.wills += value,
                ("baton_link_closes_total", _) => add(&mut self.links, label(&labels, "reason"), value),
                _ => {}
            }
        }
    }
}

impl AddAssign<&Self> for Totals {
    fn add_assign(&mut self, other: &Self) {
        self.opened += other.opened;
        self.planned += other.planned;
        self.broken += other.broken;
        self.wills += other.wills;
        for (ours, theirs) in [
            (&mut self.failed, &other.failed),
            (&mut self.closed, &other.closed),
            (&mut self.ended, &other.ended),
            (&mut self.links, &other.links),
        ] {
            theirs.iter().for_each(|(word, value)| add(ours, word, *value));
        }
    }
}

fn add(sums: &mut BTreeMap<String, u64>, word: &str, value: u64) {
    if value > 0 {
        *sums.entry(word.to_owned()).or_default() += value;
    }
}

/// A gauge of a process, all its series together.
pub(crate) fn gauge(metrics: &Metrics, name: &str) -> u64 {
    lines(&metrics.encode()).filter(|(found, _, _)| found == name).map(|(_, _, value)| value).sum()
}

fn lines(text: &str) -> impl Iterator<Item = (String, String, u64)> + '_ {
    text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| {
        let (series, value) = line.rsplit_once(' ')?;
        let (name, labels) = series.split_once('{').unwrap_or((series, ""));
        Some((name.to_owned(), labels.to_owned(), value.parse().ok()?))
    })
}

fn label<'a>(labels: &'a str, name: &str) -> &'a str {
    let after = labels.split(&format!("{name}=\"")).nth(1).unwrap_or_default();
    after.split('"').next().unwrap_or_default()
}
