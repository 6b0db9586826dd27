//! Plots, as SVG.

use std::{error::Error, path::Path};

use plotters::{
    prelude::*,
    style::text_anchor::{HPos, Pos, VPos},
};

use super::{
    loads::{Loads, MANY},
    rest::{HERD, Rest},
};
use crate::{measure::Turn, restart::Disruption, stack::Kind};

const WIDTH: u32 = 900;
const FONT: (&str, u32) = ("sans-serif", 14);
/// A colour for each hop, from the clients on; told apart by those who don't see all colours too (Okabe and Ito).
const HOPS: [RGBColor; 3] = [RGBColor(0, 114, 178), RGBColor(230, 159, 0), RGBColor(0, 158, 115)];

type Failure = Box<dyn Error>;

fn failed(error: impl std::fmt::Display) -> Failure {
    error.to_string().into()
}

/// Bars of processor time per message, hop by hop; whether there is anything to show.
pub(super) fn cost(path: &Path, loads: &Loads) -> Result<bool, Failure> {
    let kinds: Vec<_> = loads.kinds(MANY).into_iter().filter(|kind| *kind != Kind::Direct).collect();
    if kinds.is_empty() {
        return Ok(false);
    }
    let cost = |kind: Kind, hop| loads.middle(MANY, kind, |turn| turn.cost(hop)).median;
    let sum = |kind: Kind| (0..kind.hops()).map(|hop| cost(kind, hop)).sum::<f64>();
    let most = kinds.iter().map(|kind| sum(*kind)).fold(1.0, f64::max);
    let rows = i32::try_from(kinds.len())?;

    let area = SVGBackend::new(path, (WIDTH, 60 + 34 * u32::try_from(rows)?)).into_drawing_area();
    area.fill(&WHITE).map_err(failed)?;
    let mut chart = ChartBuilder::on(&area)
        .margin(10)
        .x_label_area_size(40)
        .y_label_area_size(110)
        .build_cartesian_2d(0.0..most * 1.1, (0..rows).into_segmented())
        .map_err(failed)?;
    chart
        .configure_mesh()
        .disable_y_mesh()
        .x_desc("us of processor time per message, 1,000 pairs, QoS 1; hop by hop, from the clients on")
        .y_labels(kinds.len())
        .y_label_formatter(&|row| match row {
            SegmentValue::CenterOf(row) => {
                usize::try_from(*row).ok().and_then(|row| kinds.get(row)).map_or_else(String::new, ToString::to_string)
            }
            _ => String::new(),
        })
        .label_style(FONT)
        .draw()
        .map_err(failed)?;
    for (row, kind) in (0..).zip(&kinds) {
        let mut from = 0.0;
        for (hop, colour) in HOPS.iter().enumerate().take(kind.hops()) {
            let to = from + cost(*kind, hop);
            let bar = [(from, SegmentValue::Exact(row)), (to, SegmentValue::Exact(row + 1))];
            let mut bar = Rectangle::new(bar, colour.filled());
            bar.set_margin(4, 4, 0, 0);
            chart.draw_series([bar]).map_err(failed)?;
            from = to;
        }
        let label = TextStyle::from(FONT).pos(Pos::new(HPos::Left, VPos::Center));
        // The median of sums, as in the table; not quite the sum of the medians that are drawn.
        let all = loads.middle(MANY, *kind, Turn::hops).median;
        let text = Text::new(format!(" {all:.1}"), (from, SegmentValue::CenterOf(row)), label);
        chart.draw_series([text]).map_err(failed)?;
    }
    area.present().map_err(failed)?;
    Ok(true)
}

/// Lines of what was delivered around the first restart of each product, one below the other.
pub(super) fn restart(path: &Path, rest: &Rest) -> Result<(), Failure> {
    let mut shown: Vec<(Kind, &str, &Disruption)> = Vec::new();
    for (kind, how) in rest.ways() {
        if !shown.iter().any(|(other, way, _)| other.product() == kind.product() && *way == how) {
            shown.extend(rest.restarts_of(kind, how).next().map(|disruption| (kind, how, disruption)));
        }
    }
    let area = SVGBackend::new(path, (WIDTH, 110 * u32::try_from(shown.len().max(1))?)).into_drawing_area();
    area.fill(&WHITE).map_err(failed)?;
    let seconds = 2.0 * f64::from(u32::try_from(HERD.seconds)?);
    for ((kind, how, disruption), part) in shown.iter().zip(area.split_evenly((shown.len().max(1), 1))) {
        let ticks = disruption.control.deliveries.iter().chain(&disruption.restart.deliveries);
        let points: Vec<_> = (0u32..).zip(ticks).map(|(at, n)| (f64::from(at) / 10.0, *n)).collect();
        let most = points.iter().map(|(_, n)| *n).max().unwrap_or(1);
        let mut chart = ChartBuilder::on(&part)
            .margin(6)
            .caption(format!("{kind}, {how}: {} dropped", disruption.verdict.dropped()), FONT)
            .x_label_area_size(18)
            .y_label_area_size(50)
            .build_cartesian_2d(0.0..seconds, 0..most + most / 10 + 1)
            .map_err(failed)?;
        chart.configure_mesh().y_labels(3).x_labels(13).label_style(("sans-serif", 11)).draw().map_err(failed)?;
        let colour = if *kind == Kind::Baton { HOPS[0] } else { HOPS[1] };
        chart.draw_series(LineSeries::new(points, colour.stroke_width(2))).map_err(failed)?;
        let at = seconds / 2.0;
        chart.draw_series([PathElement::new([(at, 0), (at, most)], BLACK)]).map_err(failed)?;
    }
    area.present().map_err(failed)
}
