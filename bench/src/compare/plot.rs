//! Plots, as SVG.

use std::{fs, path::Path};

use plotters::{
    prelude::*,
    style::text_anchor::{HPos, Pos, VPos},
};

use super::{
    loads::{Loads, MANY},
    rest::{HERD, Rest},
};
use crate::{
    chart::{Chart, Colour, FONT, Failure, Line, Mark, Panel, WIDTH, failed},
    measure::{Turn, count},
    restart::Disruption,
    stack::Kind,
};

/// A colour for each hop, from the clients on.
const HOPS: [Colour; 3] = [Colour::Blue, Colour::Orange, Colour::Green];

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
            let mut bar = Rectangle::new(bar, colour.rgb().filled());
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
    let seconds = 2.0 * f64::from(u32::try_from(HERD.seconds)?);
    let panel = |(kind, how, disruption): &(Kind, &str, &Disruption)| {
        let values = [&disruption.control, &disruption.restart].map(|window| window.deliveries.as_slice()).concat();
        let most = values.iter().copied().max().unwrap_or(1);
        let at = count(u64::try_from(disruption.control.deliveries.len()).unwrap_or(0)) / 10.0;
        let colour = if *kind == Kind::Baton { Colour::Blue } else { Colour::Orange };
        Panel {
            caption: format!("{kind}, {how}: {} dropped", disruption.verdict.dropped()),
            lines: vec![Line { colour, values }],
            marks: vec![Mark { from: at, until: at, label: String::new() }],
            top: most + most / 10 + 1,
        }
    };
    let panels: Vec<_> = shown.iter().map(panel).collect();
    let chart = Chart { legend: &[], time: "", seconds, height: 110, panels: &panels };
    Ok(fs::write(path, chart.svg()?)?)
}
