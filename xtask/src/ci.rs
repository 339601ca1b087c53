//! `cargo xtask ci`: the whole gate, cheap steps first, everything that fails in one run.

use std::time::{Duration, Instant};

use camino::Utf8Path;

use crate::error::CheckError;
use crate::finding::{self, Finding};
use crate::{cargo, codegen, count, deps, drift, peer, specs, test, tidy, torture};

/// One step: a check under its name.
type Step = (
    &'static str,
    fn(&Utf8Path) -> Result<Vec<Finding>, CheckError>,
);

/// The steps before the tests.
const BEFORE: [Step; 6] = [
    ("fmt", cargo::fmt),
    ("codegen", codegen::check),
    ("tidy", tidy::check),
    ("specs", specs::check),
    ("clippy", cargo::clippy),
    ("deps", deps::check),
];

/// The steps after the tests.
const AFTER: [Step; 4] = [
    ("count", count::check),
    ("doc", cargo::doc),
    ("drift", drift::check),
    ("peer", peer::check),
];

/// How a step ended.
#[derive(Debug)]
struct Row {
    name: &'static str,
    /// How many findings; none when the step could not run.
    findings: Option<usize>,
    took: Duration,
}

/// Runs every step, whatever the others found; true when nothing was found.
pub(crate) fn run(root: &Utf8Path) -> Result<bool, CheckError> {
    let mut rows = Vec::new();
    for (name, step) in BEFORE {
        rows.push(timed(name, || step(root)));
    }
    let mut tested = test::Report::default();
    rows.push(timed("test", || {
        tested = test::run(root)?;
        Ok(tested.findings.clone())
    }));
    let mut remarks = Vec::new();
    rows.push(timed("torture", || {
        let (findings, not_tried) = torture::check(root)?;
        remarks = not_tried;
        Ok(findings)
    }));
    for (name, step) in AFTER {
        rows.push(timed(name, || step(root)));
    }
    println!("\n== summary");
    print!("{}", summary(&rows));
    remarks.iter().for_each(|line| println!("torture: {line}"));
    tested.print_closing();
    Ok(rows.iter().all(|row| row.findings == Some(0)))
}

/// Runs one step under a heading, and prints what it found.
fn timed(name: &'static str, step: impl FnOnce() -> Result<Vec<Finding>, CheckError>) -> Row {
    println!("\n== {name}");
    let started = Instant::now();
    let findings = match step() {
        Ok(findings) => Some(finding::print(findings)),
        Err(error) => {
            println!("{}", error.explain());
            None
        }
    };
    let took = started.elapsed();
    println!(
        "-- {name}: {} in {:.1} s",
        verdict(findings),
        took.as_secs_f64()
    );
    Row {
        name,
        findings,
        took,
    }
}

fn verdict(findings: Option<usize>) -> String {
    match findings {
        Some(0) => "ok".to_owned(),
        Some(1) => "1 finding".to_owned(),
        Some(many) => format!("{many} findings"),
        None => "could not run".to_owned(),
    }
}

/// One line a step.
fn summary(rows: &[Row]) -> String {
    let line = |row: &Row| {
        let seconds = row.took.as_secs_f64();
        format!(
            "{:<8} {seconds:>7.1} s  {}\n",
            row.name,
            verdict(row.findings)
        )
    };
    rows.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_with_findings_and_one_that_cannot_run_are_told_apart() {
        let clean = timed("a", || Ok(Vec::new()));
        let dirty = timed("b", || Ok(vec![Finding::new("x", 1, "r", "m")]));
        let missing = || CheckError::Missing {
            what: "w".to_owned(),
            hint: "h".to_owned(),
        };
        let broken = timed("c", || Err(missing()));
        assert_eq!(
            [clean.findings, dirty.findings, broken.findings],
            [Some(0), Some(1), None]
        );
    }

    #[test]
    fn the_summary_has_a_line_for_each_step() {
        let took = Duration::from_millis(1500);
        let rows = [
            Row {
                name: "fmt",
                findings: Some(0),
                took,
            },
            Row {
                name: "tidy",
                findings: Some(2),
                took,
            },
            Row {
                name: "specs",
                findings: None,
                took,
            },
        ];
        let want = "fmt          1.5 s  ok\ntidy         1.5 s  2 findings\n\
            specs        1.5 s  could not run\n";
        assert_eq!(summary(&rows), want);
    }
}
