//! What a verification found, in rows: for programs, and grouped by file for people.

use std::io::{self, Write};

use camino::Utf8PathBuf;
use serde::Serialize;

use crate::ui::{count, printable};

/// One finding.
#[derive(Debug, Serialize)]
pub(super) struct Row {
    pub(super) path: Utf8PathBuf,
    pub(super) line: Option<u64>,
    pub(super) sequence: Option<u64>,
    pub(super) id: Option<String>,
    pub(super) kind: &'static str,
    pub(super) detail: String,
}

/// Writes `rows`, which stand together by file.
pub(super) fn write(out: &mut dyn Write, rows: &[Row], more: u64) -> io::Result<()> {
    let mut last = None;
    for row in rows {
        if last != Some(&row.path) {
            writeln!(out, "{}", row.path)?;
            last = Some(&row.path);
        }
        let mut place = Vec::new();
        place.extend(row.line.map(|line| format!("line {line}")));
        place.extend(row.sequence.map(|sequence| format!("entry {sequence}")));
        place.extend(row.id.as_deref().map(|id| format!("id {}", shortened(id))));
        let colon = if place.is_empty() { "" } else { ": " };
        let (kind, detail) = (row.kind, printable(&row.detail));
        writeln!(out, "  {kind}: {}{colon}{detail}", place.join(", "))?;
    }
    if more > 0 {
        writeln!(out, "and {more} more, which are not listed")?;
    }
    Ok(())
}

/// `3 findings in 2 files`.
pub(super) fn summary(rows: &[Row], more: u64) -> String {
    let found = more.saturating_add(u64::try_from(rows.len()).unwrap_or(u64::MAX));
    let mut files: Vec<_> = rows.iter().map(|row| &row.path).collect();
    files.dedup();
    let files = u64::try_from(files.len()).unwrap_or(u64::MAX);
    format!(
        "{} in {}",
        count(found, "finding", "findings"),
        count(files, "file", "files")
    )
}

/// An id on one line, and not a long one.
fn shortened(id: &str) -> String {
    const MOST: usize = 40;
    let text = printable(id);
    match text.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text,
    }
}
