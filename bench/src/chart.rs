//! Charts, as SVG: what they have in common, and lines over time, one panel below the other.

use std::error::Error;

use plotters::{
    coord::{
        Shift,
        types::{RangedCoordf64, RangedCoordu32},
    },
    prelude::*,
    style::text_anchor::{HPos, Pos, VPos},
};

/// Columns of pixels: as wide as a README.
pub(crate) const WIDTH: u32 = 900;
pub(crate) const FONT: (&str, u32) = ("sans-serif", 14);
const SMALL: (&str, u32) = ("sans-serif", 12);
/// Rows of pixels of a legend, and where its middle is.
const LEGEND: u32 = 26;
/// Columns of pixels of a letter in a legend, about: it is drawn by whoever looks at it, in a font of theirs.
const LETTER: i32 = 7;

/// Why there is no chart.
pub(crate) type Failure = Box<dyn Error>;

/// What the library says, in words that can be passed on.
pub(crate) fn failed(error: impl std::fmt::Display) -> Failure {
    error.to_string().into()
}

/// Colours that are told apart by those who don't see all of them too (Okabe and Ito).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Colour {
    /// Of what is as it should be.
    Blue,
    /// Of something else.
    Orange,
    /// Of a third thing.
    Green,
    /// Of what should not be.
    Vermilion,
}

impl Colour {
    pub(crate) fn rgb(self) -> RGBColor {
        match self {
            Self::Blue => RGBColor(0, 114, 178),
            Self::Orange => RGBColor(230, 159, 0),
            Self::Green => RGBColor(0, 158, 115),
            Self::Vermilion => RGBColor(213, 94, 0),
        }
    }
}

/// A line over time.
#[derive(Clone, Debug)]
pub struct Line {
    /// Its colour.
    pub colour: Colour,
    /// A value each tenth of a second.
    pub values: Vec<u32>,
}

/// Something that was done.
#[derive(Clone, Debug)]
pub struct Mark {
    /// Second at which it began.
    pub from: f64,
    /// Second at which it was over: a grey band. At `from`: a black line.
    pub until: f64,
    /// What it was, in a few words or none.
    pub label: String,
}

/// Lines over the same time.
#[derive(Clone, Debug)]
pub struct Panel {
    /// What it shows.
    pub caption: String,
    /// What is drawn, the uppermost last.
    pub lines: Vec<Line>,
    /// What was done meanwhile.
    pub marks: Vec<Mark>,
    /// The highest value that there is room for.
    pub top: u32,
}

/// Panels, one below the other.
#[derive(Clone, Debug)]
pub struct Chart<'a> {
    /// What colours stand for, above all of it; nothing: no legend.
    pub legend: &'a [(Colour, &'a str)],
    /// What the time counts from, below all of it; empty: it isn't said.
    pub time: &'a str,
    /// Seconds that all of them show.
    pub seconds: f64,
    /// Rows of pixels of each.
    pub height: u32,
    /// From the top.
    pub panels: &'a [Panel],
}

impl Chart<'_> {
    /// Draws it: the text of an SVG file.
    ///
    /// # Errors
    /// If the numbers can't be drawn.
    pub fn svg(&self) -> Result<String, Failure> {
        let legend = if self.legend.is_empty() { 0 } else { LEGEND };
        let rows = u32::try_from(self.panels.len().max(1))?;
        let size = (WIDTH, legend + self.height * rows + self.below());
        let mut svg = String::new();
        self.paint(&SVGBackend::with_string(&mut svg, size).into_drawing_area(), legend)?;
        Ok(svg)
    }

    fn paint(&self, area: &Area<'_>, legend: u32) -> Result<(), Failure> {
        area.fill(&WHITE).map_err(failed)?;
        let (head, mut rest) = area.split_vertically(legend);
        self.explain(&head)?;
        for (nth, panel) in self.panels.iter().enumerate() {
            let time = if nth + 1 == self.panels.len() { self.time } else { "" };
            let (place, others) =
                rest.split_vertically(if time.is_empty() { self.height } else { self.height + self.below() });
            self.draw(panel, &place, time)?;
            rest = others;
        }
        area.present().map_err(failed)
    }

    /// Rows of pixels for the words about time.
    fn below(&self) -> u32 {
        if self.time.is_empty() { 0 } else { 18 }
    }

    fn explain(&self, head: &Area<'_>) -> Result<(), Failure> {
        let middle = i32::try_from(LEGEND / 2)?;
        let style = TextStyle::from(FONT).pos(Pos::new(HPos::Left, VPos::Center));
        let mut at = 56;
        for (colour, words) in self.legend {
            let line = [(at, middle), (at + 24, middle)];
            head.draw(&PathElement::new(line, colour.rgb().stroke_width(3))).map_err(failed)?;
            head.draw(&Text::new(*words, (at + 30, middle), style.clone())).map_err(failed)?;
            at += 60 + LETTER * i32::try_from(words.len())?;
        }
        Ok(())
    }

    fn draw(&self, panel: &Panel, place: &Area<'_>, time: &str) -> Result<(), Failure> {
        let mut chart = ChartBuilder::on(place)
            .margin(6)
            .caption(&panel.caption, FONT)
            .x_label_area_size(if time.is_empty() { 18 } else { 18 + self.below() })
            .y_label_area_size(50)
            .build_cartesian_2d(0.0..self.seconds, 0..panel.top)
            .map_err(failed)?;
        let mut mesh = chart.configure_mesh();
        mesh.y_labels(3)
            .x_labels(13)
            .x_label_formatter(&|second| ((second * 10.0).round() / 10.0).to_string())
            .label_style(SMALL);
        // Lines where numbers are, and no finer ones, which would be all that one sees.
        mesh.max_light_lines(1).bold_line_style(BLACK.mix(0.15));
        if !time.is_empty() {
            mesh.x_desc(time);
        }
        mesh.draw().map_err(failed)?;
        for mark in panel.marks.iter().filter(|mark| mark.until > mark.from) {
            let band = [(mark.from, 0), (mark.until, panel.top)];
            chart.draw_series([Rectangle::new(band, BLACK.mix(0.08).filled())]).map_err(failed)?;
        }
        for line in &panel.lines {
            let points = (0u32..).zip(&line.values).map(|(at, value)| (f64::from(at) / 10.0, *value));
            chart.draw_series(LineSeries::new(points, line.colour.rgb().stroke_width(2))).map_err(failed)?;
        }
        panel.marks.iter().try_for_each(|mark| label(&mut chart, mark, panel.top))
    }
}

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Plane<'a, 'b> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<RangedCoordf64, RangedCoordu32>>;

fn label(chart: &mut Plane<'_, '_>, mark: &Mark, top: u32) -> Result<(), Failure> {
    if mark.until <= mark.from {
        let line = [(mark.from, 0), (mark.from, top)];
        chart.draw_series([PathElement::new(line, BLACK)]).map_err(failed)?;
    }
    if !mark.label.is_empty() {
        let style = TextStyle::from(SMALL).pos(Pos::new(HPos::Left, VPos::Top));
        let text = EmptyElement::at((mark.from, top)) + Text::new(mark.label.clone(), (4, 2), style);
        chart.draw_series([text]).map_err(failed)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_and_line_is_in_the_drawing() {
        let mark = |from, until, label: &str| Mark { from, until, label: label.into() };
        let panel = |caption: &str| Panel {
            caption: caption.into(),
            lines: vec![
                Line { colour: Colour::Blue, values: vec![10, 12, 0, 11] },
                Line { colour: Colour::Vermilion, values: vec![0, 0, 9, 0] },
            ],
            marks: vec![mark(0.1, 0.2, "a deploy"), mark(0.3, 0.3, "a kill")],
            top: 15,
        };
        let panels = [panel("above"), panel("below")];
        let legend = [(Colour::Blue, "delivered"), (Colour::Vermilion, "connected")];
        let chart = Chart { legend: &legend, time: "seconds", seconds: 0.4, height: 100, panels: &panels };
        let svg = chart.svg().unwrap();
        assert!(svg.starts_with("<svg width=\"900\" height=\"244\"") && svg.ends_with("</svg>\n"), "{svg}");
        let words = [("above", 1), ("below", 1), ("delivered", 1), ("seconds", 1), ("a deploy", 2), ("a kill", 2)];
        for (word, times) in words {
            assert_eq!(svg.lines().filter(|line| *line == word).count(), times, "{word}: {svg}");
        }
        for colour in ["#0072B2", "#D55E00"] {
            let lines = svg.lines().filter(|line| line.starts_with("<polyline") && line.contains(colour)).count();
            assert_eq!(lines, 3, "one in each panel, one in the legend: {svg}");
        }
        let bare = Chart { legend: &[], time: "", panels: &panels[..1], ..chart };
        assert!(bare.svg().unwrap().starts_with("<svg width=\"900\" height=\"100\""));
    }
}
