//! `ctx hub verify`: what is wrong with a data directory.

use std::io::{self, Write};

use ctx_hub::server::HubError;
use ctx_hub::server::audit::{self, AuditReport};
use ctx_hub::store::verify::{self, StoreProgress, StoreReport};
use ctx_hub::types::Sequence;
use serde::Serialize;

use crate::args::DataDirArgs;
use crate::commands::findings::{self, Row};
use crate::commands::{Cx, convert};
use crate::error::CliError;
use crate::exit::Exit;
use crate::ui::{Report, count};

/// What was found.
#[derive(Debug, Serialize)]
struct VerifyReport {
    data_dir: String,
    /// The hub that serves it.
    pid: Option<u32>,
    clean: bool,
    findings: Vec<Row>,
    /// Findings that are not listed.
    more: u64,
    /// What is good to know and no damage.
    notes: Vec<String>,
    hub_id: Option<String>,
    head: Option<u64>,
    entries: u64,
    clients: u64,
    /// Lines of the audit trail.
    audit_lines: u64,
    /// What can be done.
    hint: Option<String>,
}

impl Report for VerifyReport {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        findings::write(out, &self.findings, self.more)?;
        let read = format!(
            "{}, {}",
            count(self.entries, "entry", "entries"),
            count(self.clients, "client", "clients")
        );
        if self.clean {
            writeln!(out, "nothing is wrong: {read}")?;
        } else {
            let summary = findings::summary(&self.findings, self.more);
            writeln!(out, "{summary}; {read}")?;
        }
        for note in &self.notes {
            writeln!(out, "note: {note}")?;
        }
        match &self.hint {
            Some(hint) => writeln!(out, "next: {hint}"),
            None => Ok(()),
        }
    }
}

/// Looks through the data directory.
///
/// # Errors
/// There never was a hub, or the directory cannot be read. What is wrong with it is in the report,
/// and in the exit code.
pub(super) fn run(args: &DataDirArgs, cx: &Cx) -> Result<Exit, CliError> {
    let data = cx.env.data_dir(args.data_dir.as_deref())?;
    let traces = [data.store(), data.old_entries(), data.admin_token()];
    if traces
        .iter()
        .all(|path| fs_err::symlink_metadata(path).is_err())
    {
        let data_dir = data.path().to_owned();
        return Err(convert::hub(HubError::NoHub { data_dir }));
    }
    let mut tell = |progress: StoreProgress| cx.screen.progress(&in_words(progress));
    let found = verify::verify(&data, &mut tell);
    cx.screen.progress("");
    let found = found.map_err(|source| {
        let data_dir = data.path().to_owned();
        convert::hub(HubError::Store { data_dir, source })
    })?;
    let trail = audit::verify(&data).map_err(|source| {
        let data_dir = data.path().to_owned();
        convert::hub(HubError::Audit { data_dir, source })
    })?;
    let report = report(found, trail, data.path().to_string());
    cx.screen.show(&report)?;
    Ok(if report.clean {
        Exit::Done
    } else {
        Exit::Damaged
    })
}

fn report(found: StoreReport, trail: AuditReport, data_dir: String) -> VerifyReport {
    let hint = found.hint().or_else(|| trail.hint());
    let clean = found.is_clean() && trail.is_clean();
    let of_trail = |finding: audit::AuditFinding| Row {
        path: finding.path,
        line: finding.line,
        sequence: None,
        id: None,
        kind: "audit",
        detail: finding.detail,
    };
    let row = |finding: verify::StoreFinding| Row {
        path: finding.path,
        line: None,
        sequence: finding.sequence.map(Sequence::get),
        id: None,
        kind: finding.kind.as_str(),
        detail: finding.detail,
    };
    VerifyReport {
        data_dir,
        pid: found.running,
        clean,
        findings: (found.findings.into_iter().map(row))
            .chain(trail.findings.into_iter().map(of_trail))
            .collect(),
        more: found.more.saturating_add(trail.more),
        notes: [found.notes, trail.notes].concat(),
        hub_id: found.hub_id.map(|id| id.to_string()),
        head: found.head.map(Sequence::get),
        entries: found.entries,
        clients: found.clients,
        audit_lines: trail.lines,
        hint,
    }
}

/// How far looking through a store has come.
pub(super) fn in_words(progress: StoreProgress) -> String {
    match progress {
        StoreProgress::Pages => "checking the database".to_owned(),
        StoreProgress::Entries { read, head } => format!("reading entries: {read} of {head}"),
        _ => String::new(),
    }
}
