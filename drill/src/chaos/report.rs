//! What came of it.

use std::{collections::BTreeMap, fmt, time::Duration};

use super::{
    Plan,
    cohort::Cohort,
    fault::Class,
    judge::{self, Findings, Played},
};
use crate::load;

/// One group of users.
#[derive(Debug)]
pub(super) struct Group {
    name: &'static str,
    report: load::Report,
    findings: Findings,
}

impl Group {
    pub(super) fn judged(cohort: &Cohort, report: load::Report, offset: u64, played: &[Played]) -> Self {
        Self { name: cohort.name, findings: judge::judge(cohort, &report, offset, played), report }
    }
}

/// One class of faults.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Tally {
    /// How often it was played.
    pub played: u32,
    /// How often it hit something.
    pub hits: u32,
    /// How much it hit altogether: tunnels, sessions, connections.
    pub hit: f64,
    /// The longest that a user who wasn't dropped went without a message after it, if that was half a second or more.
    pub longest: Duration,
}

/// The end of a run.
#[derive(Debug)]
pub struct Report {
    /// Each class.
    pub tallies: BTreeMap<Class, Tally>,
    /// What wasn't as it must be.
    pub violations: Vec<String>,
    /// Connections that were lost, as they had to be.
    pub explained: u64,
    /// Messages received.
    pub messages: u64,
    /// The most of a wait for a message that no fault accounts for.
    pub unexplained: Duration,
    /// Moves at the edges that are never killed: planned, broken.
    pub moves: (f64, f64),
    seed: u64,
    took: Duration,
    groups: Vec<String>,
}

impl Report {
    pub(super) fn new(
        plan: &Plan,
        took: Duration,
        played: &[Played],
        groups: Vec<Group>,
        moves: (f64, f64),
        wrong: Vec<String>,
    ) -> Self {
        let mut tallies: BTreeMap<_, _> = Class::ALL.map(|class| (class, Tally::default())).into();
        for fault in played {
            let tally = tallies.entry(fault.class).or_default();
            tally.played += 1;
            tally.hits += u32::from(fault.hit > 0.0);
            tally.hit += fault.hit;
        }
        for (class, longest) in groups.iter().flat_map(|group| &group.findings.longest) {
            let tally = tallies.entry(*class).or_default();
            tally.longest = tally.longest.max(Duration::from_millis(*longest));
        }
        let line = |Group { name, report, findings }: &Group| {
            let survivors = &report.survivors;
            let lost = report.ended.len();
            format!(
                "{name}: {lost} connections lost or refused, {} of them explained; a fault may explain a wait for {} % of the \
                 time; who is left: {survivors}",
                findings.explained, findings.covered
            )
        };
        let lines = groups.iter().map(line).collect();
        let explained = groups.iter().map(|group| group.findings.explained).sum();
        let unexplained = groups.iter().map(|group| group.findings.unexplained).max().unwrap_or(0);
        let unexplained = Duration::from_millis(unexplained);
        let messages = groups.iter().map(|group| group.report.verdict.total().received).sum();
        let violations =
            wrong.into_iter().chain(groups.into_iter().flat_map(|group| group.findings.violations)).collect();
        Self { tallies, violations, explained, messages, unexplained, moves, seed: plan.seed, took, groups: lines }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "class               played  with hits      hit  longest wait")?;
        for (class, Tally { played, hits, hit, longest }) in &self.tallies {
            let (class, longest) = (class.words(), longest.as_secs_f64());
            writeln!(f, "{class:18}  {played:6}  {hits:9}  {hit:7}  {longest:10.2} s")?;
        }
        self.groups.iter().try_for_each(|group| writeln!(f, "{group}"))?;
        let played: u32 = self.tallies.values().map(|tally| tally.played).sum();
        let (planned, broken) = self.moves;
        let Self { violations, explained, messages, unexplained, seed, took, .. } = self;
        writeln!(
            f,
            "seed {seed}: {played} faults in {:.0} s, {planned} planned and {broken} broken moves at two of the edges, \
             {messages} messages, {explained} connections lost or refused as they had to be, of no wait more than {:.2} s \
             unexplained, {} violations",
            took.as_secs_f64(),
            unexplained.as_secs_f64(),
            violations.len()
        )?;
        violations.iter().try_for_each(|violation| writeln!(f, "VIOLATION: {violation}"))
    }
}
