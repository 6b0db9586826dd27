//! The drawing, for `--plot`: what clients got, and how they came back, without DCR and with it.

use std::{
    fs::{self, File},
    path::Path,
};

use baton_bench::chart::{Chart, Colour, Line, Mark, Panel};
use baton_drill::ledger::TICK;

use super::{
    Failure,
    arm::Played,
    console::{grouped, span},
    verdict::{Event, Kind, Verdict},
};

const DELIVERED: Colour = Colour::Blue;
const CONNECTED: Colour = Colour::Vermilion;
const LEGEND: [(Colour, &str); 2] = [
    (DELIVERED, "publishes delivered per second"),
    (CONNECTED, "new connections per second (CONNACKs, as the clients count them)"),
];
const TIME: &str = "seconds since all were connected and began to publish; grey: from SIGTERM to the origin's end";
/// Rows of pixels of a panel.
const HEIGHT: u32 = 190;

/// Whether the file can be written: it had better turn out before everything else.
pub(super) fn try_out(file: &Path) -> Result<(), Failure> {
    let refused = |error| format!("--plot {}: expected a file that can be written: {error}", file.display());
    let there = file.exists();
    File::options().append(true).create(true).open(file).map_err(refused)?;
    if !there {
        fs::remove_file(file).map_err(refused)?;
    }
    Ok(())
}

/// Draws both, the one below the other, to the same scales.
pub(super) fn draw(file: &Path, without: &Played, with: &Played) -> Result<(), Failure> {
    let courses = [without, with].map(Course::of);
    let most = courses.iter().flat_map(|course| course.delivered.iter().chain(&course.connected)).copied().max();
    // Labels are above everything else.
    let top = most.unwrap_or(1) / 4 * 5 + 1;
    let ticks = courses.iter().map(|course| course.delivered.len()).max().unwrap_or(1);
    let seconds = f64::from(u32::try_from(ticks)?) / 10.0;
    let panels = courses.map(|course| course.panel(top));
    let chart = Chart { legend: &LEGEND, time: TIME, seconds, height: HEIGHT, panels: &panels };
    fs::write(file, chart.svg()?).map_err(|error| format!("--plot {}: {error}", file.display()).into())
}

/// What happened from the tick on in which the clients began to publish.
struct Course<'a> {
    verdict: &'a Verdict,
    /// Ticks before it.
    skipped: u64,
    delivered: Vec<u32>,
    connected: Vec<u32>,
}

impl<'a> Course<'a> {
    fn of(played: &'a Played) -> Self {
        let skipped = played.begun.div_ceil(TICK);
        let a_second = 1_000_000 / u32::try_from(TICK).unwrap_or(1);
        let rates = |ticks: &[u32]| {
            ticks.iter().skip(usize::try_from(skipped).unwrap_or(0)).map(|count| count * a_second).collect()
        };
        Self {
            verdict: &played.verdict,
            skipped,
            delivered: rates(&played.timeline.deliveries),
            connected: rates(&played.timeline.connects),
        }
    }

    fn panel(self, top: u32) -> Panel {
        let marks = self.verdict.events.iter().map(|event| self.mark(event)).collect();
        Panel {
            caption: caption(self.verdict),
            lines: vec![
                Line { colour: CONNECTED, values: self.connected },
                Line { colour: DELIVERED, values: self.delivered },
            ],
            marks,
            top,
        }
    }

    fn mark(&self, event: &Event) -> Mark {
        #[expect(clippy::cast_precision_loss, reason = "microseconds of a demo are far below 2^53")]
        let second = |at: u64| at.saturating_sub(self.skipped * TICK) as f64 / 1e6;
        let (what, until) = match event.kind {
            Kind::Deploy { .. } => ("deployed", event.until),
            Kind::Crash => ("kill -9", event.from),
        };
        Mark { from: second(event.from), until: second(until), label: format!("{}: {what}", event.origin) }
    }
}

fn caption(verdict: &Verdict) -> String {
    format!(
        "{}: {} clients dropped, {} messages lost, {} new CONNECTs, longest gap {}",
        if verdict.dcr { "Sessions resume, by Baton's DCR" } else { "Without DCR, as with any proxy" },
        grouped(verdict.dropped),
        grouped(verdict.ledger.total().lost),
        grouped(verdict.books.connects),
        span(verdict.gap()),
    )
}
