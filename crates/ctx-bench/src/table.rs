//! The table: measured row by row, printed, and written as JSON, as Markdown and as a plot.

use std::process::ExitCode;
use std::time::Instant;

use serde::Serialize;

use crate::args::Table;
use crate::bench::Bench;
use crate::document::Document;
use crate::plot::{self, Panel};
use crate::{Failure, rows};

/// A figure beside its limit. The ratio is the truth; the figure is for orientation.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Row {
    /// What was measured, with its size.
    name: String,
    /// What came out.
    figure: f64,
    /// The unit of figure and limit.
    unit: &'static str,
    /// What it is measured against, in the same run; none when it is only told.
    limit: Option<f64>,
    /// Figure by limit.
    ratio: Option<f64>,
    /// What the ratio should be.
    target: Option<String>,
    /// Whether it is.
    met: Option<bool>,
    /// What the limit is.
    #[serde(skip)]
    against: String,
}

impl Row {
    /// A figure that is only told, until a limit is named.
    pub(crate) fn new(name: &str, figure: f64, unit: &'static str) -> Self {
        Self {
            name: name.to_owned(),
            figure,
            unit,
            limit: None,
            ratio: None,
            target: None,
            met: None,
            against: String::new(),
        }
    }

    /// Names the limit: what it is, and how much, in the unit of the figure.
    pub(crate) fn against(mut self, against: &str, limit: f64) -> Self {
        self.against = against.to_owned();
        self.limit = Some(limit);
        self.ratio = Some(self.figure / limit);
        self
    }

    /// Says more of a figure that is only told, in the place of what it is measured against.
    pub(crate) fn described(mut self, description: &str) -> Self {
        self.against = description.to_owned();
        self
    }

    /// The figure should be at most so many times its limit.
    pub(crate) fn at_most(mut self, target: f64) -> Self {
        self.met = self.ratio.map(|ratio| ratio <= target);
        self.target = Some(format!("≤ {target}"));
        self
    }

    /// The figure should be at least so many times its limit.
    pub(crate) fn at_least(mut self, target: f64) -> Self {
        self.met = self.ratio.map(|ratio| ratio >= target);
        self.target = Some(format!("≥ {target}"));
        self
    }

    /// What is printed, one text a column.
    fn cells(&self) -> [String; 7] {
        let limit = self
            .limit
            .map(|limit| format!("{} {}", number(limit), self.unit));
        let met = self.met.map(|met| if met { "yes" } else { "**no**" });
        [
            self.name.clone(),
            format!("{} {}", number(self.figure), self.unit),
            self.against.clone(),
            limit.unwrap_or_default(),
            self.ratio
                .map(|ratio| format!("{ratio:.2}"))
                .unwrap_or_default(),
            self.target.clone().unwrap_or_default(),
            met.unwrap_or_default().to_owned(),
        ]
    }
}

const HEADINGS: [&str; 7] = [
    "what",
    "figure",
    "measured against",
    "limit",
    "ratio",
    "target",
    "met",
];

/// What has been measured so far.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Report {
    rows: Vec<Row>,
    #[serde(skip)]
    panels: Vec<Panel>,
    /// What could not be measured, and why.
    #[serde(skip)]
    faults: Vec<String>,
}

impl Report {
    /// Adds a row, and shows it.
    pub(crate) fn row(&mut self, row: Row) {
        eprintln!("  {}", row.cells().join(" | "));
        self.rows.push(row);
    }

    /// Adds a panel to the plot.
    pub(crate) fn panel(&mut self, panel: Panel) {
        self.panels.push(panel);
    }

    /// The table as Markdown, which is how it is printed too.
    fn markdown(&self) -> String {
        let mut lines = vec![HEADINGS.map(str::to_owned)];
        lines.push(["---", "--:", "---", "--:", "--:", "---", "---"].map(str::to_owned));
        lines.extend(self.rows.iter().map(Row::cells));
        let line = |cells: &[String; 7]| format!("| {} |\n", cells.join(" | "));
        lines.iter().map(line).collect()
    }
}

/// Measures what `options` ask for and prints it; a row that cannot be measured does not keep
/// others from it.
pub(crate) fn run(options: &Table) -> Result<ExitCode, Failure> {
    let chosen = chosen(&options.only)?;
    let [json, markdown, plot] = [&options.json, &options.markdown, &options.plot]
        .map(|path| path.as_deref().map(Document::at).transpose());
    let (json, markdown, plot) = (json?, markdown?, plot?);
    let mut bench = Bench::new(options)?;
    let mut report = Report::default();
    for (name, measure) in chosen {
        let since = Instant::now();
        eprintln!("{name}");
        if let Err(error) = measure(&mut bench, &mut report) {
            eprintln!("  could not be measured: {error}");
            report.faults.push(format!("{name}: {error}"));
        }
        eprintln!("  {:.1} s", since.elapsed().as_secs_f64());
    }
    print!("{}", report.markdown());
    if let Some(document) = json {
        document.put(&serde_json::to_string_pretty(&report)?)?;
    }
    if let Some(document) = markdown {
        document.put(&report.markdown())?;
    }
    if let Some(document) = plot {
        document.put(&plot::draw(&report.panels)?)?;
    }
    for fault in &report.faults {
        eprintln!("could not be measured: {fault}");
    }
    Ok(ExitCode::from(u8::from(!report.faults.is_empty())))
}

/// The measurements that `only` names; all of them when it names none.
fn chosen(only: &[String]) -> Result<Vec<(&'static str, rows::Measure)>, Failure> {
    let known = |name: &String| rows::ALL.iter().any(|(known, _)| known == name);
    if let Some(unknown) = only.iter().find(|name| !known(name)) {
        let names: Vec<&str> = rows::ALL.iter().map(|(name, _)| *name).collect();
        return Err(format!("there is no `{unknown}`; there are {}", names.join(", ")).into());
    }
    let wanted = |name: &str| only.is_empty() || only.iter().any(|only| only == name);
    Ok(rows::ALL
        .iter()
        .copied()
        .filter(|(name, _)| wanted(name))
        .collect())
}

/// A number with three digits that count.
fn number(value: f64) -> String {
    match value.abs() {
        0.0 => "0".to_owned(),
        size if size < 10.0 => format!("{value:.2}"),
        size if size < 100.0 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_met_by_the_ratio_and_not_by_the_figure() {
        let row = Row::new("x", 30.0, "ms").against("y", 10.0);
        assert_eq!(row.clone().at_most(3.0).met, Some(true));
        assert_eq!(row.clone().at_most(2.9).met, Some(false));
        assert_eq!(row.clone().at_least(3.0).met, Some(true));
        assert_eq!(row.at_least(3.1).met, Some(false));
        assert_eq!(Row::new("x", 1.0, "s").met, None);
    }

    #[test]
    fn the_document_has_the_seven_fields_of_a_row() {
        let mut report = Report::default();
        report.row(Row::new("x", 1.0, "ms").against("y", 2.0).at_most(1.0));
        let document = serde_json::to_value(&report).unwrap();
        let expected = serde_json::json!({"rows": [{
            "name": "x", "figure": 1.0, "unit": "ms", "limit": 2.0, "ratio": 0.5,
            "target": "≤ 1", "met": true,
        }]});
        assert_eq!(document, expected);
    }

    #[test]
    fn what_is_not_a_row_is_refused_with_the_names_of_those_that_are() {
        let error = chosen(&["nothing".to_owned()]).unwrap_err().to_string();
        assert!(
            error.contains("`nothing`") && error.contains("nothing-new"),
            "{error}"
        );
    }
}
