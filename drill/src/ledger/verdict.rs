//! The end of the account.

use std::{collections::BTreeMap, fmt};

use super::Spread;

/// One quality of service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Messages published.
    pub sent: u64,
    /// Messages that arrived, each counted once per receiver.
    pub received: u64,
    /// Messages that did not arrive, per receiver.
    pub lost: u64,
    /// Further arrivals of a message.
    pub duplicated: u64,
    /// Messages that arrived after a later one.
    pub reordered: u64,
    /// Published messages whose handshake didn't finish; none at QoS 0.
    pub unacknowledged: u64,
}

/// The judgement of a load.
#[derive(Clone, Debug)]
pub struct Verdict {
    /// Clients that took part.
    pub clients: u32,
    /// Clients that lost their connection, by how.
    pub drops: BTreeMap<&'static str, u64>,
    /// Per quality of service, 0 to 2.
    pub tallies: [Tally; 3],
    /// Things that came and were for nobody.
    pub strays: u64,
    /// Of every arrival.
    pub latency: Spread,
    /// The first thing that went wrong, in words.
    pub first_fault: Option<String>,
}

impl Verdict {
    /// Whether no client was dropped and every message arrived exactly once, in order, and was acknowledged. A load
    /// that published nothing is clean too: ask [`Self::total`].
    pub fn is_clean(&self) -> bool {
        let Tally { lost, duplicated, reordered, unacknowledged, .. } = self.total();
        self.drops.is_empty() && self.strays == 0 && lost + duplicated + reordered + unacknowledged == 0
    }

    /// The three qualities of service together.
    pub fn total(&self) -> Tally {
        self.tallies.iter().fold(Tally::default(), |sum, t| Tally {
            sent: sum.sent + t.sent,
            received: sum.received + t.received,
            lost: sum.lost + t.lost,
            duplicated: sum.duplicated + t.duplicated,
            reordered: sum.reordered + t.reordered,
            unacknowledged: sum.unacknowledged + t.unacknowledged,
        })
    }

    /// Clients that lost their connection.
    pub fn dropped(&self) -> u64 {
        self.drops.values().sum()
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = if self.is_clean() { "CLEAN" } else { "NOT CLEAN" };
        write!(f, "{word}: {} clients, {} dropped", self.clients, self.dropped())?;
        for (separator, (label, count)) in std::iter::once(" (").chain(std::iter::repeat(", ")).zip(&self.drops) {
            write!(f, "{separator}{count} {label}")?;
        }
        f.write_str(if self.drops.is_empty() { "" } else { ")" })?;
        let total = self.total();
        let [q0, q1, q2] = self.tallies.map(|t| t.received);
        write!(f, "; {} sent, {} received (QoS 0/1/2: {q0}/{q1}/{q2})", total.sent, total.received)?;
        write!(f, ", {} lost, {} duplicated, {} reordered", total.lost, total.duplicated, total.reordered)?;
        write!(f, ", {} unacknowledged, {} strays; {}", total.unacknowledged, self.strays, self.latency)?;
        match &self.first_fault {
            Some(fault) => write!(f, "; first fault: {fault}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verdict_is_one_line() {
        let tally = Tally { sent: 4, received: 3, lost: 1, ..Tally::default() };
        let verdict = Verdict {
            clients: 7,
            drops: BTreeMap::from([("closed", 2), ("reset", 1)]),
            tallies: [tally, Tally::default(), tally],
            strays: 0,
            latency: Spread { count: 6, p50: 1_234, p99: 20_000, p999: 20_000, max: 1_000_050 },
            first_fault: Some("client 3 was dropped: reset".into()),
        };
        assert_eq!(
            verdict.to_string(),
            "NOT CLEAN: 7 clients, 3 dropped (2 closed, 1 reset); 8 sent, 6 received (QoS 0/1/2: 3/0/3), 2 lost, \
             0 duplicated, 0 reordered, 0 unacknowledged, 0 strays; p50 1.23 p99 20.00 max 1000.05 ms; \
             first fault: client 3 was dropped: reset"
        );
    }
}
