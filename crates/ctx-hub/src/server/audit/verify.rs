//! Whether a trail is what was written: every line there, none changed, none put in.
//!
//! The rolling hash shows what was cut out, changed or put in by whoever did not compute it anew. It
//! has no key: whoever may write the files can write a whole new trail. The last lines of a trail
//! can be cut off unseen while no hub runs. Against both helps a copy elsewhere.

use std::os::unix::fs::PermissionsExt as _;

use camino::Utf8PathBuf;
use ctx_config::limits;
use ctx_config::paths::DataDir;

use super::error::AuditError;
use super::line::{self, AuditLine};
use super::read::{AuditDamage, AuditReader, Found, Place};
use crate::types::Chain;

/// Permission bits that let others in.
const OTHERS: u32 = 0o077;

/// What looking through a trail found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct AuditReport {
    /// What is wrong, at most [`limits::VERIFY_MAX_FINDINGS`].
    pub findings: Vec<AuditFinding>,
    /// How many further findings there are.
    pub more: u64,
    /// What is good to know and no damage, a sentence each.
    pub notes: Vec<String>,
    /// Lines that were read.
    pub lines: u64,
}

impl AuditReport {
    /// Whether nothing is wrong.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.findings.is_empty()
    }

    /// What can be done; `None` when nothing is wrong.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let hint = "keep a copy of the trail and ask who could write to the data directory; the hub \
                    goes on with the trail as it is, and the store is not concerned";
        (!self.is_clean()).then(|| hint.to_owned())
    }
}

/// One thing that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AuditFinding {
    /// The file.
    pub path: Utf8PathBuf,
    /// The line in it, from 1; `None` when no line is to blame.
    pub line: Option<u64>,
    /// What it is, in one line: no path, no full stop.
    pub detail: String,
}

/// Looks through the trail of `dir`. Reads all of it, and changes nothing.
///
/// # Errors
/// The files cannot be listed or read.
pub fn verify(dir: &DataDir) -> Result<AuditReport, AuditError> {
    let mut check = Check::default();
    let mut reader = AuditReader::new(dir);
    while let Some(found) = reader.read_next()? {
        match found {
            Found::Line { line, text, place } => check.line(&line, &text, place),
            Found::Damaged(damage) => check.damaged(damage),
        }
    }
    check.damage_is_damage();
    for path in reader.paths()? {
        let mode = fs_err::metadata(&path).map(|found| found.permissions().mode() & 0o7777);
        if let Ok(mode) = mode
            && mode & OTHERS != 0
        {
            let what = format!("can be opened by others (mode {mode:04o}): run chmod 600");
            check.found(path, None, what);
        }
    }
    Ok(check.report)
}

#[derive(Default)]
struct Check {
    report: AuditReport,
    /// The line before: its number and its hash.
    before: Option<(u64, Chain)>,
    /// What is no line, directly before the next one. A torn write is told of by what follows it.
    damaged: Vec<AuditDamage>,
}

impl Check {
    fn line(&mut self, line: &AuditLine, text: &str, place: Place) {
        self.report.lines += 1;
        let Ok(parsed) = line::parse(text.as_bytes()) else {
            return;
        };
        let record = &line.record;
        let begins = record.event == "begun";
        if begins && record.torn.is_some() && self.damaged.len() == 1 {
            let torn = self.damaged.drain(..);
            for AuditDamage { path, line, .. } in torn {
                let note = format!("{path}, line {line}: a write that was cut off");
                self.report.notes.push(note);
            }
        }
        self.damage_is_damage();
        let prev = record.prev.as_deref().and_then(|prev| prev.parse().ok());
        let before = match (self.before, prev) {
            // The oldest part that is kept goes on from one that is not.
            (None, prev) => prev.filter(|_| begins),
            (Some((_, chain)), _) => Some(chain),
        };
        let follows = |chain| line::follow(chain, parsed.body) == parsed.chain;
        let detail = match (before, self.before) {
            (Some(chain), _) if follows(chain) => None,
            (None, None) => {
                Some("the trail does not begin here: older lines are missing".to_owned())
            }
            (_, Some((n, _))) if line.n > n + 1 && prev.is_some_and(follows) => {
                Some(format!("{} before it are missing", lines(line.n - n - 1)))
            }
            _ => Some(
                "does not follow from the line before it: one was changed, cut out or put in"
                    .to_owned(),
            ),
        };
        if let Some(detail) = detail {
            self.found(place.path.clone(), Some(place.line), detail);
        }
        if let Some(damage) = &record.damage {
            let damage = line::bounded(damage);
            let detail = format!("a hub found that the file it wrote had been changed: {damage}");
            self.found(place.path, Some(place.line), detail);
        }
        self.before = Some((line.n, parsed.chain));
    }

    fn damaged(&mut self, damage: AuditDamage) {
        if self.damaged.len() > 1 {
            self.damage_is_damage();
        }
        self.damaged.push(damage);
    }

    /// What is no line and is not told of by the line behind it.
    fn damage_is_damage(&mut self) {
        for AuditDamage { path, line, why } in std::mem::take(&mut self.damaged) {
            self.found(path, Some(line), format!("is damaged: {why}"));
        }
    }

    fn found(&mut self, path: Utf8PathBuf, line: Option<u64>, detail: String) {
        if self.report.findings.len() < limits::VERIFY_MAX_FINDINGS {
            self.report
                .findings
                .push(AuditFinding { path, line, detail });
        } else {
            self.report.more = self.report.more.saturating_add(1);
        }
    }
}

fn lines(count: u64) -> String {
    match count {
        1 => "1 line".to_owned(),
        more => format!("{more} lines"),
    }
}
