//! `cargo xtask drift`: the documents say what the code does.

mod attacks;
pub(crate) mod cli;
mod commands;
mod constants;
mod exit_codes;
mod links;
mod packaging;
mod workspace;

use camino::Utf8Path;

use crate::error::CheckError;
use crate::files::{self, Text};
use crate::finding::Finding;

/// A part of this check, and the file to look at when it cannot run.
type Part = (
    &'static str,
    fn(&Utf8Path, &[Text]) -> Result<Vec<Finding>, CheckError>,
);

const PARTS: [Part; 7] = [
    (cli::PAGE, |root, _| cli::check(root)),
    (crate::consts::SOURCE, constants::check),
    (cli::PAGE, commands::check),
    (exit_codes::PAGE, |root, _| exit_codes::check(root)),
    (workspace::PAGE, |root, _| workspace::check(root)),
    (attacks::PAGE, attacks::check),
    ("docs", |root, texts| Ok(links::check(root, texts))),
];

/// Compares every document with the code it speaks of.
pub(crate) fn check(root: &Utf8Path) -> Result<Vec<Finding>, CheckError> {
    let documents: Vec<Text> = files::texts(root)?
        .into_iter()
        .filter(|text| is_document(&text.path) || packaging::is_packaging(text))
        .collect();
    let mut findings = Vec::new();
    for (place, part) in PARTS {
        match part(root, &documents) {
            Ok(found) => findings.extend(found),
            // One part that cannot run does not silence the others.
            Err(error) => findings.push(Finding::new(place, 1, "drift", error.explain())),
        }
    }
    Ok(findings)
}

/// The Markdown that people read: at the top, in docs/ and in specs/.
fn is_document(path: &Utf8Path) -> bool {
    let top = path.components().count() == 1;
    path.extension() == Some("md") && (top || path.starts_with("docs") || path.starts_with("specs"))
}
