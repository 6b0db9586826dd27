//! What has to come of the demo, and whether it did.

use std::fmt;

use baton_drill::ledger::Verdict as Ledger;

use super::{
    books::Books,
    console::{grouped, span},
};

/// What was done to an origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// SIGTERM and a new process.
    Deploy {
        /// Whether it ended with status 0.
        clean: bool,
    },
    /// SIGKILL.
    Crash,
}

/// An event, and what it did to sessions.
#[derive(Clone, Debug)]
pub(super) struct Event {
    pub(super) kind: Kind,
    pub(super) origin: String,
    /// When it was sent the signal, in microseconds of the load.
    pub(super) from: u64,
    /// When its process was gone.
    pub(super) until: u64,
    /// Sessions that moved make-before-break.
    pub(super) planned: u64,
    /// Sessions that moved after their tunnel was lost.
    pub(super) broken: u64,
    /// Connections of clients that were lost.
    pub(super) dropped: u64,
    /// The longest time that a client got no message, until things were quiet again, in microseconds.
    pub(super) gap: u64,
}

/// Everything that was found.
#[derive(Clone, Debug)]
pub(super) struct Verdict {
    pub(super) dcr: bool,
    pub(super) clients: u32,
    /// Connections of clients that were lost, each time counted.
    pub(super) dropped: u64,
    /// The clients' own account.
    pub(super) ledger: Ledger,
    /// What edges and broker counted from before the first event until after the last.
    pub(super) books: Books,
    pub(super) events: Vec<Event>,
}

impl Verdict {
    /// Whether the exit status is 0.
    pub(super) fn is_as_it_must_be(&self) -> bool {
        self.faults().is_empty()
    }

    /// The longest time that a client got no message while something was done, in microseconds.
    pub(super) fn gap(&self) -> u64 {
        self.events.iter().map(|event| event.gap).max().unwrap_or(0)
    }

    /// What isn't as it must be, in words.
    pub(super) fn faults(&self) -> Vec<String> {
        let mut faults: Vec<_> = self.events.iter().flat_map(|event| self.faults_of(event)).collect();
        if self.dcr && !(self.ledger.is_clean() && self.dropped == 0) {
            faults.push(format!("the clients' account: {}", self.ledger));
        }
        if self.ledger.total().received == 0 {
            faults.push("no message arrived".into());
        }
        let Books { connects, wills, closes, .. } = self.books;
        if self.dcr && connects + wills + closes > 0 {
            faults.push(format!(
                "{connects} new CONNECTs and {wills} wills at the broker, {closes} clients closed by the edges"
            ));
        }
        if !self.dcr && (connects == 0 || closes == 0) {
            faults.push("nobody had to connect again, so this shows no contrast".into());
        }
        faults
    }

    fn faults_of(&self, event: &Event) -> Vec<String> {
        let Event { kind, origin, planned, broken, dropped, .. } = event;
        let mut faults = Vec::new();
        let mut unless = |holds: bool, what: &str| {
            if !holds {
                faults.push(format!("{origin}: {what}"));
            }
        };
        match kind {
            _ if !self.dcr => unless(*dropped > 0, "its loss cost no client its connection, so it shows no contrast"),
            Kind::Deploy { clean } => {
                unless(*planned > 0, "the deploy met no session");
                unless(*broken == 0, "sessions lost their tunnel before they had another");
                unless(*clean, "it left sessions behind");
            }
            Kind::Crash => unless(*broken > 0, "the crash met no session"),
        }
        faults
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let total = self.ledger.total();
        let crashes = self.events.iter().filter(|event| event.kind == Kind::Crash).count();
        let deploys = self.events.len() - crashes;
        let word = match (self.is_as_it_must_be(), self.dcr) {
            (true, true) => "PASSED",
            (true, false) => "WITHOUT DCR, AS EXPECTED",
            (false, _) => "FAILED",
        };
        write!(f, "{word}: {} clients, {} messages, ", self.clients, grouped(total.sent))?;
        write!(
            f,
            "{deploys} deploys, {crashes} kill:\n{} dropped, {} lost, ",
            grouped(self.dropped),
            grouped(total.lost)
        )?;
        write!(f, "{} duplicated, {} reordered, ", total.duplicated, total.reordered)?;
        write!(f, "{} new CONNECTs, {} wills", grouped(self.books.connects), grouped(self.books.wills))
    }
}

/// The same, played without DCR and with it.
pub(super) struct Contrast<'a> {
    pub(super) without: &'a Verdict,
    pub(super) with: &'a Verdict,
}

impl Contrast<'_> {
    /// Whether the exit status is 0.
    pub(super) fn is_as_it_must_be(&self) -> bool {
        self.without.is_as_it_must_be() && self.with.is_as_it_must_be()
    }

    /// A row for each, below a head.
    pub(super) fn table(&self) -> [String; 3] {
        let row = |name, verdict: &Verdict| {
            let (total, books) = (verdict.ledger.total(), verdict.books);
            let [dropped, lost, connects, wills] =
                [verdict.dropped, total.lost, books.connects, books.wills].map(grouped);
            let gap = span(verdict.gap());
            format!("{name:11}  {dropped:>8}  {lost:>8}  {connects:>12}  {wills:>8}  {gap:>11}")
        };
        [
            "              dropped      lost  new CONNECTs     wills  longest gap".to_owned(),
            row("without DCR", self.without),
            row("with DCR", self.with),
        ]
    }
}

impl fmt::Display for Contrast<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.without.is_as_it_must_be(), self.with.is_as_it_must_be()) {
            (true, true) => f.write_str("PASSED, BOTH ARMS: with DCR nobody noticed; without it there was the storm"),
            (false, true) => f.write_str("FAILED: the arm without DCR isn't as it must be"),
            (true, false) => f.write_str("FAILED: the arm with DCR isn't as it must be"),
            (false, false) => f.write_str("FAILED: neither arm is as it must be"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use baton_drill::ledger::{Spread, Tally};

    use super::*;

    fn good() -> Verdict {
        let tally = Tally { sent: 20_411, received: 20_411, ..Tally::default() };
        let ledger = Ledger {
            clients: 300,
            drops: BTreeMap::new(),
            tallies: [tally; 3],
            strays: 0,
            latency: Spread::default(),
            first_fault: None,
        };
        let event = |kind, planned, broken| Event {
            kind,
            origin: "origin-1".into(),
            from: 0,
            until: 0,
            planned,
            broken,
            dropped: 0,
            gap: 0,
        };
        let events = vec![event(Kind::Deploy { clean: true }, 98, 0), event(Kind::Crash, 0, 130)];
        Verdict { dcr: true, clients: 300, dropped: 0, ledger, books: Books::default(), events }
    }

    #[test]
    fn the_good_end_is_one_sentence() {
        let verdict = good();
        assert_eq!(verdict.faults(), Vec::<String>::new());
        assert_eq!(
            verdict.to_string(),
            "PASSED: 300 clients, 61,233 messages, 1 deploys, 1 kill:\n0 dropped, 0 lost, 0 duplicated, 0 reordered, \
             0 new CONNECTs, 0 wills"
        );
    }

    /// One change to the good end.
    type Change = fn(&mut Verdict);

    #[test]
    fn each_fault_fails_it() {
        let changes: [(Change, &str); 11] = [
            (|v| v.ledger.tallies[0].lost = 1, "clients' account"),
            (|v| v.ledger.strays = 1, "clients' account"),
            (|v| v.dropped = 1, "clients' account"),
            (|v| v.ledger.tallies = [Tally::default(); 3], "no message"),
            (|v| v.books.connects = 1, "1 new CONNECTs"),
            (|v| v.books.wills = 1, "1 wills"),
            (|v| v.books.closes = 1, "1 clients closed"),
            (|v| v.events[0].planned = 0, "met no session"),
            (|v| v.events[0].broken = 1, "before they had another"),
            (|v| v.events[0].kind = Kind::Deploy { clean: false }, "left sessions behind"),
            (|v| v.events[1].broken = 0, "the crash met no session"),
        ];
        for (change, words) in changes {
            let mut verdict = good();
            change(&mut verdict);
            assert!(!verdict.is_as_it_must_be(), "{words}");
            assert!(matches!(verdict.faults().as_slice(), [fault] if fault.contains(words)), "{:?}", verdict.faults());
            assert!(verdict.to_string().starts_with("FAILED"), "{verdict}");
        }
    }

    /// The good end of the other arm.
    fn storm() -> Verdict {
        let mut verdict = Verdict { dcr: false, ..good() };
        verdict.events.iter_mut().for_each(|event| (event.dropped, event.gap) = (90, 1_310_000));
        (verdict.dropped, verdict.books.connects, verdict.books.closes) = (1_180, 180, 180);
        verdict
    }

    #[test]
    fn both_arms_count() {
        let (with, without) = (good(), storm());
        let contrast = Contrast { without: &without, with: &with };
        assert!(contrast.is_as_it_must_be());
        assert!(contrast.to_string().starts_with("PASSED, BOTH ARMS"), "{contrast}");
        assert_eq!(
            contrast.table(),
            [
                "              dropped      lost  new CONNECTs     wills  longest gap",
                "without DCR     1,180         0           180         0        1.3 s",
                "with DCR            0         0             0         0         0 ms",
            ]
        );
        let none = Verdict { dcr: false, ..good() };
        for (without, with) in [(&none, &with), (&without, &Verdict { dropped: 1, ..good() })] {
            let contrast = Contrast { without, with };
            assert!(!contrast.is_as_it_must_be() && contrast.to_string().starts_with("FAILED: the arm"), "{contrast}");
        }
    }

    #[test]
    fn without_dcr_drops_are_what_must_come() {
        let verdict = Verdict { dcr: false, ..good() };
        assert_eq!(verdict.faults().len(), 3, "{:?}", verdict.faults());
        let verdict = storm();
        assert_eq!(verdict.faults(), Vec::<String>::new());
        assert!(verdict.to_string().starts_with("WITHOUT DCR, AS EXPECTED: 300 clients"), "{verdict}");
    }
}
