//! The plot of how each cost grows: a panel for each, drawn as SVG.

use plotters::prelude::*;

use crate::Failure;

/// Width and height of a panel, in points.
const PANEL: (u32, u32) = (480, 300);
const COLUMNS: usize = 2;

/// One panel: a cost over a size, from zero. Sizes are on a logarithmic scale.
#[derive(Clone, Debug)]
pub(crate) struct Panel {
    title: &'static str,
    x: &'static str,
    y: &'static str,
    lines: Vec<Line>,
}

#[derive(Clone, Debug)]
struct Line {
    name: &'static str,
    points: Vec<(f64, f64)>,
}

impl Panel {
    /// A panel without lines. `x` and `y` say what is on the axes, with the unit.
    pub(crate) const fn new(title: &'static str, x: &'static str, y: &'static str) -> Self {
        Self {
            title,
            x,
            y,
            lines: Vec::new(),
        }
    }

    /// Adds a line: sizes, and what each cost.
    pub(crate) fn line(mut self, name: &'static str, points: Vec<(u64, f64)>) -> Self {
        // Sizes here fit 32 bits by far; one that does not would stand at the edge.
        let size = |size| f64::from(u32::try_from(size).unwrap_or(u32::MAX));
        let points = points.into_iter().map(|(x, y)| (size(x), y)).collect();
        self.lines.push(Line { name, points });
        self
    }
}

/// Draws all panels into one document.
pub(crate) fn draw(panels: &[Panel]) -> Result<String, Failure> {
    let rows = panels.len().div_ceil(COLUMNS).max(1);
    let width = PANEL.0 * u32::try_from(COLUMNS)?;
    let height = PANEL.1 * u32::try_from(rows)?;
    let mut document = String::new();
    {
        let root = SVGBackend::with_string(&mut document, (width, height)).into_drawing_area();
        root.fill(&WHITE)?;
        for (panel, area) in panels.iter().zip(root.split_evenly((rows, COLUMNS))) {
            draw_panel(panel, &area)?;
        }
        root.present()?;
    }
    Ok(document)
}

fn draw_panel(
    panel: &Panel,
    area: &DrawingArea<SVGBackend<'_>, plotters::coord::Shift>,
) -> Result<(), Failure> {
    let points = || panel.lines.iter().flat_map(|line| &line.points);
    let least = points().map(|(x, _)| *x).fold(f64::INFINITY, f64::min);
    let most = points().map(|(x, _)| *x).fold(1.0, f64::max);
    let top = points().map(|(_, y)| *y).fold(f64::MIN_POSITIVE, f64::max);
    let mut chart = ChartBuilder::on(area)
        .caption(panel.title, ("sans-serif", 16))
        .margin(12)
        .x_label_area_size(36)
        .y_label_area_size(56)
        .build_cartesian_2d((least..most).log_scale(), 0.0..top * 1.1)?;
    chart
        .configure_mesh()
        .x_desc(panel.x)
        .y_desc(panel.y)
        .x_labels(5)
        .y_labels(5)
        .x_label_formatter(&|x| size(*x))
        .light_line_style(WHITE)
        .draw()?;
    for (number, line) in panel.lines.iter().enumerate() {
        let colour = Palette99::pick(number).to_rgba();
        chart
            .draw_series(
                LineSeries::new(line.points.iter().copied(), colour.stroke_width(2)).point_size(3),
            )?
            .label(line.name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 16, y)], colour.stroke_width(2)));
    }
    if panel.lines.len() < 2 {
        return Ok(());
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::LowerRight)
        .background_style(WHITE.mix(0.8))
        .draw()?;
    Ok(())
}

/// A size as people say it.
fn size(value: f64) -> String {
    if value >= 1e6 {
        format!("{} M", value / 1e6)
    } else if value >= 1e3 {
        format!("{} k", value / 1e3)
    } else {
        format!("{value}")
    }
}
