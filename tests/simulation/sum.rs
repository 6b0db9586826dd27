//! What many runs came to, all together.

use std::{collections::BTreeMap, fmt};

use crate::{
    fault::{Fault, Hits},
    net::Frames,
    run::Outcome,
    tier::Cast,
    totals::Totals,
};

/// Many runs.
#[derive(Default)]
pub(crate) struct Sum {
    runs: u64,
    virtual_ms: u64,
    bytes: u64,
    messages: u64,
    refused: u64,
    frames: Frames,
    quiet: u64,
    resent: u64,
    totals: Totals,
    hits: Hits,
    counts: BTreeMap<String, u64>,
    violated: BTreeMap<u64, Vec<String>>,
}

impl Sum {
    pub(crate) fn add(&mut self, outcome: Outcome) {
        self.runs += 1;
        self.virtual_ms += outcome.virtual_ms;
        *(if outcome.cast == Cast::Recorders { &mut self.bytes } else { &mut self.messages }) += outcome.received;
        self.refused += outcome.refused;
        self.frames.data += outcome.frames.data;
        self.frames.resets += outcome.frames.resets;
        self.quiet += outcome.quiet;
        self.resent += outcome.journal.resent;
        self.totals += &outcome.totals;
        for (fault, (applied, hit)) in outcome.hits {
            let sum = self.hits.entry(fault).or_default();
            *sum = (sum.0 + applied, sum.1 + hit);
        }
        for (event, count) in outcome.journal.counts {
            *self.counts.entry(event).or_default() += count;
        }
        if !outcome.violations.is_empty() {
            self.violated.insert(outcome.seed, outcome.violations);
        }
    }

    /// The runs in which something was wrong, each with the command that plays it again.
    pub(crate) fn violations(&self) -> Vec<String> {
        let again = |seed| format!("SEEDS={seed} JOURNAL=1 cargo test --test simulation seeds -- --nocapture");
        self.violated
            .iter()
            .map(|(seed, what)| format!("{}\n    again: {}", what.join("\n    "), again(seed)))
            .collect()
    }

    pub(crate) fn hit(&self, fault: Fault) -> u64 {
        self.hits.get(&fault).map_or(0, |(_, hit)| *hit)
    }

    /// What must not be near zero, or the runs have proved nothing: sessions opened, moved in order and otherwise, refused
    /// for good, bytes sent again, bytes and messages received, DATA and RST_STREAM seen on trunks,
    /// clients that were quiet.
    pub(crate) fn work(&self) -> [u64; 10] {
        let Totals { opened, planned, broken, failed, .. } = &self.totals;
        let gone = failed.get("gone").copied().unwrap_or_default();
        let Frames { data, resets, .. } = self.frames;
        [*opened, *planned, *broken, gone, self.resent, self.bytes, self.messages, data, resets, self.quiet]
    }
}

impl fmt::Display for Sum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [opened, planned, broken, gone, resent, bytes, messages, data, resets, quiet] = self.work();
        writeln!(
            f,
            "{} runs, {} virtual hours, {} violated",
            self.runs,
            self.virtual_ms / 3_600_000,
            self.violated.len()
        )?;
        writeln!(f, "  {opened} sessions; {planned} moves in order, {broken} otherwise; {resent} bytes sent again")?;
        writeln!(f, "  {bytes} bytes received of recorders and their clients, {messages} MQTT messages")?;
        writeln!(f, "  {data} DATA frames on trunks, {resets} RST_STREAM; nothing held for {quiet} quiet clients")?;
        writeln!(f, "  {gone} resumes refused for good, {} clients told that no server is available", self.refused)?;
        writeln!(f, "  attaches that failed: {}", words(&self.totals.failed))?;
        writeln!(f, "  clients closed: {}", words(&self.totals.closed))?;
        writeln!(f, "  trunks ended: {}", words(&self.totals.links))?;
        write!(f, "  faults that hit (of so many):")?;
        self.hits.iter().try_for_each(|(fault, (applied, hit))| write!(f, " {fault:?} {hit} ({applied})"))?;
        writeln!(f)
    }
}

fn words(sums: &BTreeMap<String, u64>) -> String {
    sums.iter().map(|(word, sum)| format!("{word} {sum}")).collect::<Vec<_>>().join(", ")
}
