//! What was right and what wasn't: pure, over what was done and what the users' ledgers say.

use std::collections::BTreeMap;

use super::{
    cohort::{Cohort, RETURN},
    fault::{Class, Fault, Thing},
};
use crate::{
    client::End,
    ledger::{Dropped, Gap},
    load::Report,
};

/// Milliseconds for an attach and the queue before it, on a machine that is full with processes.
const ATTACH: u64 = 2_000;
/// Milliseconds until silence is taken for death.
const DETECTION: u64 = 5_000;
/// Milliseconds of the longest pause before another attempt.
const BACKOFF: u64 = 5_000;
/// Milliseconds after a fault within which a client hears that its session is over: by silence, through a refusal that
/// comes with the next attempt.
const NEWS: u64 = DETECTION + BACKOFF + ATTACH;
/// Milliseconds after which a client is refused that no home has taken (`limits.open_wait`).
const OPEN_WAIT: u64 = 15_000;
/// Milliseconds after a process's start within which it may turn clients away.
const STARTING: u64 = 2_000;

/// Milliseconds that a client may go without a message at all: two of the dearest faults (a home that hangs, all origins
/// down, 5 s each), one right after the other. With half a dozen faults at work something explains nearly any moment, so
/// that a client that is stuck for good would be explained as well.
const LONGEST: u64 = 2 * (5_000 + BACKOFF + ATTACH);

/// A fault as it was played, in milliseconds of the run's clock.
#[derive(Clone, Debug)]
pub(super) struct Played {
    pub(super) class: Class,
    pub(super) things: Vec<Thing>,
    pub(super) began: u64,
    pub(super) ended: u64,
    /// How much it hit.
    pub(super) hit: f64,
}

impl Played {
    pub(super) fn new(fault: &Fault, began: u64, ended: u64, hit: f64) -> Self {
        Self { class: fault.class, things: fault.things.clone(), began, ended, hit }
    }

    fn is_over(&self) -> u64 {
        self.ended + self.class.settles()
    }

    /// From when until when it may hold messages up.
    fn span(&self) -> (u64, u64) {
        (self.began, self.began + self.costs())
    }

    /// Milliseconds for which it alone may hold messages up: design's budget of its row.
    fn costs(&self) -> u64 {
        let lasted = self.ended - self.began;
        match self.class {
            Class::OriginDrained
            | Class::OriginKilled
            | Class::TwoOriginsKilled
            | Class::EdgeLinkCut
            | Class::HomeLinkCut
            | Class::EdgeLinkSlowed
            | Class::HomeLinkSlowed => ATTACH,
            Class::OriginStopped | Class::EdgeLinkStalled | Class::HomeLinkStalled => lasted.min(DETECTION) + ATTACH,
            Class::EdgeStopped => lasted + ATTACH,
            // The last four end what comes by there; it is those who connect anew that may be held up.
            Class::AllOriginsDown
            | Class::HomeStopped
            | Class::EdgeKilled
            | Class::EdgeLeft
            | Class::HomeKilled
            | Class::BrokerKilled => lasted + BACKOFF + ATTACH,
        }
    }
}

/// What came of one group of users.
#[derive(Debug, Default)]
pub(super) struct Findings {
    /// What shouldn't be.
    pub(super) violations: Vec<String>,
    /// Connections lost that a fault explains.
    pub(super) explained: u64,
    /// The longest time without a message, in milliseconds, by what began when it did.
    pub(super) longest: BTreeMap<Class, u64>,
    /// The most of such a time that no fault accounts for, in milliseconds.
    pub(super) unexplained: u64,
    /// The part of the run, in hundredths, in which some fault may explain one.
    pub(super) covered: u64,
}

/// `offset` is when the ledger's clock began, in microseconds of the run's.
pub(super) fn judge(cohort: &Cohort, report: &Report, offset: u64, played: &[Played]) -> Findings {
    let mut findings = Findings::default();
    let name = cohort.name;
    let whole = report.verdict.total();
    // A connection that is lost excuses what is lost with it, and nothing else.
    if !report.survivors.is_clean() || whole.duplicated + whole.reordered + report.verdict.strays > 0 {
        findings.violations.push(format!("{name}: of those that weren't cut off: {}; all: {report}", report.survivors));
    }
    if report.gaps_beyond > 0 {
        findings.violations.push(format!("{name}: {} waits for a message weren't looked at", report.gaps_beyond));
    }
    let lost: BTreeMap<u32, Dropped> = report.ended.iter().copied().collect();
    let run = |micros: u64| (offset + micros) / 1_000;
    for (number, dropped) in &lost {
        let former = number.checked_sub(cohort.clients).and_then(|former| lost.get(&former));
        let (born, at) = (former.map_or(0, |former| run(former.at) + millis(RETURN)), run(dropped.at));
        let turned_away = dropped.how == End::Refused(0).label() && waited_in_vain(cohort, (born, at), played);
        if turned_away || played.iter().any(|fault| explains(fault, cohort, born, at)) {
            findings.explained += 1;
        } else {
            let (client, how) = (number % cohort.clients, dropped.how);
            findings.violations.push(format!("{name}: client {client}, there from {born} ms to {at} ms: {how}"));
        }
    }
    let run_from = played.iter().map(|fault| fault.began).min().unwrap_or_default();
    let run_to = played.iter().map(|fault| fault.ended).max().unwrap_or_default();
    let whole_run = (run_from, run_to);
    let uncovered = unexplained(whole_run, &blamed(cohort, whole_run, played));
    findings.covered = 100 - uncovered * 100 / (run_to - run_from).max(1);
    for gap in &report.gaps {
        weigh(&mut findings, cohort, gap, (run(gap.from), run(gap.to)), played);
    }
    findings
}

/// Whether this fault may end a connection that was begun at `born`, at `at`.
fn explains(fault: &Played, cohort: &Cohort, born: u64, at: u64) -> bool {
    let its = cohort.ends_by.is_some_and(|(class, thing)| fault.class == class && fault.things.contains(&thing));
    its && fault.began <= at && at <= fault.ended + NEWS && born <= fault.ended + STARTING
}

/// Whether a client that wanted to connect was made to wait so long, by what happened meanwhile, that it had to be
/// refused: a new session isn't a session that is held.
fn waited_in_vain(cohort: &Cohort, (from, to): (u64, u64), played: &[Played]) -> bool {
    (OPEN_WAIT..=LONGEST).contains(&(to - from))
        && unexplained((from, to), &blamed(cohort, (from, to), played)) <= ATTACH
}

/// What may hold this group up in this span.
fn blamed<'a>(cohort: &Cohort, (from, to): (u64, u64), played: &'a [Played]) -> Vec<&'a Played> {
    let passes = |fault: &&Played| fault.things.iter().any(|thing| cohort.passes(*thing));
    let meanwhile = |fault: &&Played| fault.began <= to && from <= fault.is_over();
    played.iter().filter(passes).filter(meanwhile).collect()
}

/// Milliseconds between these two in which none of these may hold anything up. A fault counts from its own begin: where
/// one hits the way to which the one before has driven a session, its time goes on from there, and where they overlap
/// they share it.
fn unexplained((from, to): (u64, u64), blamed: &[&Played]) -> u64 {
    let mut spans: Vec<_> = blamed.iter().map(|fault| fault.span()).collect();
    spans.sort_unstable();
    let (mut at, mut uncovered) = (from, 0);
    for (began, until) in spans {
        uncovered += began.min(to).saturating_sub(at);
        at = at.max(until);
    }
    uncovered + to.saturating_sub(at)
}

/// Of a time without a message no more than one attach may be left unexplained, and it has an end.
fn weigh(findings: &mut Findings, cohort: &Cohort, gap: &Gap, (from, to): (u64, u64), played: &[Played]) {
    let blamed = blamed(cohort, (from, to), played);
    let lasted = to - from;
    if let Some(first) = blamed.iter().min_by_key(|fault| fault.began.abs_diff(from)) {
        let longest = findings.longest.entry(first.class).or_default();
        *longest = lasted.max(*longest);
    }
    let unexplained = unexplained((from, to), &blamed);
    findings.unexplained = findings.unexplained.max(unexplained);
    if unexplained > ATTACH || lasted > LONGEST {
        let (name, client) = (cohort.name, gap.receiver % cohort.clients);
        findings.violations.push(format!(
            "{name}: client {client} got nothing for {lasted} ms from {from} ms on, of which no fault explains \
             {unexplained} ms; {LONGEST} ms and {ATTACH} ms are allowed"
        ));
    }
}

fn millis(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{chaos::cohort::COHORTS, ledger::Ledger};

    const SHELTERED: &Cohort = &COHORTS[0];
    const HOME_KILLED: &Cohort = &COHORTS[3];

    fn played(class: Class, thing: Thing, began: u64, ended: u64) -> Played {
        Played { class, things: vec![thing], began, ended, hit: 1.0 }
    }

    /// A report with nothing in it but drops and gaps, at milliseconds.
    fn report(drops: &[(u32, u64)], gaps: &[(u64, u64)]) -> Report {
        let ledger = Ledger::default();
        let gap = |(from, to): &(u64, u64)| Gap { receiver: 0, from: from * 1_000, to: to * 1_000 };
        Report {
            verdict: ledger.verdict(1),
            survivors: ledger.verdict_of_survivors(1),
            ended: drops.iter().map(|(number, at)| (*number, Dropped { how: "reset", at: at * 1_000 })).collect(),
            gaps: gaps.iter().map(gap).collect(),
            gaps_beyond: 0,
        }
    }

    fn drops(cohort: &Cohort, drops: &[(u32, u64)], played: &[Played]) -> (u64, usize) {
        let findings = judge(cohort, &report(drops, &[]), 0, played);
        (findings.explained, findings.violations.len())
    }

    #[test]
    fn a_drop_is_explained_by_the_fault_that_it_is_there_for_and_by_no_other() {
        let kill = [played(Class::HomeKilled, Thing::Home(2), 1_000, 2_000)];
        assert_eq!(drops(HOME_KILLED, &[(0, 1_500), (1, 2_000 + NEWS)], &kill), (2, 0));
        assert_eq!(drops(HOME_KILLED, &[(0, 999), (1, 2_001 + NEWS)], &kill), (0, 2));
        assert_eq!(drops(SHELTERED, &[(0, 1_500)], &kill), (0, 1));
        let others = [
            played(Class::HomeStopped, Thing::Home(2), 1_000, 2_000),
            played(Class::OriginKilled, Thing::Origin(1), 1_000, 2_000),
            played(Class::BrokerKilled, Thing::Broker(3), 1_000, 2_000),
        ];
        assert_eq!(drops(HOME_KILLED, &[(0, 1_500)], &others), (0, 1));
    }

    #[test]
    fn who_came_after_a_fault_isnt_dropped_by_it() {
        let kill = [played(Class::HomeKilled, Thing::Home(2), 1_000, 2_000)];
        let next = HOME_KILLED.clients;
        assert_eq!(drops(HOME_KILLED, &[(0, 1_100), (next, 3_500)], &kill), (2, 0));
        assert_eq!(drops(HOME_KILLED, &[(0, 4_500), (next, 5_000)], &kill), (1, 1));
    }

    #[test]
    fn who_waited_for_as_long_as_anybody_may_is_refused_if_faults_were_the_reason() {
        let kill = played(Class::HomeKilled, Thing::Home(2), 9_000, 10_000);
        let refused = |at, further: &[Played]| {
            let mut report = report(&[(0, 10_000), (HOME_KILLED.clients, at)], &[]);
            report.ended[1].1.how = End::Refused(3).label();
            judge(HOME_KILLED, &report, 0, &[std::slice::from_ref(&kill), further].concat()).violations.len()
        };
        let (waited, after_news) = (10_100 + OPEN_WAIT, 10_000 + NEWS + 1);
        assert!(waited > after_news);
        let dark = played(Class::AllOriginsDown, Thing::Origin(1), 12_000, 17_000);
        assert_eq!(refused(waited, std::slice::from_ref(&dark)), 0);
        assert_eq!(refused(waited - 1, &[dark]), 1);
        assert_eq!(refused(waited, &[]), 1);
    }

    #[test]
    fn a_gap_is_explained_by_what_happened_meanwhile() {
        let gap = |lasted, played: &[Played]| {
            let findings = judge(SHELTERED, &report(&[], &[(10_000, 10_000 + lasted)]), 0, played);
            (findings.violations.len(), findings.longest)
        };
        assert_eq!(gap(ATTACH, &[]).0, 0);
        assert_eq!(gap(ATTACH + 1, &[]).0, 1);
        let stop = played(Class::OriginStopped, Thing::Origin(2), 10_000, 18_000);
        let within = gap(2 * ATTACH + DETECTION, std::slice::from_ref(&stop));
        assert_eq!(within, (0, BTreeMap::from([(Class::OriginStopped, 2 * ATTACH + DETECTION)])));
        assert_eq!(gap(2 * ATTACH + DETECTION + 1, std::slice::from_ref(&stop)).0, 1);
        for elsewhere in [Thing::Edge(3), Thing::Home(2), Thing::EdgeLink(4, 1), Thing::HomeLink(1, 3)] {
            assert_eq!(gap(ATTACH + 1, &[played(Class::HomeStopped, elsewhere, 10_100, 18_100)]).0, 1);
        }
        // However much goes on.
        let dark = |began| played(Class::AllOriginsDown, Thing::Origin(1), began, began + 5_000);
        let many: Vec<_> = (0..20).map(|nth| dark(10_000 + nth * 3_000)).collect();
        assert_eq!((gap(LONGEST, &many).0, gap(LONGEST + 1, &many).0), (0, 1));
        let long_ago = played(Class::OriginKilled, Thing::Origin(2), 1_000, 2_000);
        assert_eq!(gap(ATTACH + 1, &[long_ago]).0, 1);
        // Two at once explain no more than one does; one after the other they do, but for the time between.
        let another = played(Class::OriginStopped, Thing::Origin(3), 10_000, 18_000);
        assert_eq!(gap(2 * ATTACH + DETECTION + 1, &[stop.clone(), another]).0, 1);
        let both = [played(Class::OriginKilled, Thing::Origin(3), 17_500, 18_000), stop];
        assert_eq!(both.each_ref().map(Played::span), [(17_500, 19_500), (10_000, 17_000)]);
        assert_eq!((gap(11_000, &both).0, gap(11_001, &both).0), (0, 1));
    }

    #[test]
    fn what_is_lost_without_a_drop_is_a_violation() {
        let mut ledger = Ledger::default();
        let stream = crate::stamp::Stream { publisher: 0, topic: 0, qos: crate::mqtt::Qos::AtMostOnce };
        ledger.expect(0, 0);
        ledger.sent(stream);
        let survivors = ledger.verdict_of_survivors(1);
        let report = Report { survivors, ..report(&[], &[]) };
        assert_eq!(judge(HOME_KILLED, &report, 0, &[]).violations.len(), 1);
    }
}
