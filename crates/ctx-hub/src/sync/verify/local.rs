//! What is on disk, looked at together and then read.

use std::collections::BTreeMap;
use std::io::Read as _;

use camino::Utf8PathBuf;
use ctx_config::paths::{ContextDir, MirrorDir, UserDir};
use fs_err::File;
use tokio::sync::mpsc;

use super::file::{self, Checked, Claim};
use super::folder::{self, Folder};
use super::hub::{Answer, Question};
use super::report::{
    FileSummary, Finding, FindingKind as Kind, Findings, HubCheck, VerifyProgress, VerifyReport,
};
use super::snapshot::{self, Opened, Snapshot, unreadable};
use crate::sync::error::SyncError;
use crate::sync::mirror;
use crate::sync::state::{Recorded, TypeState};
use crate::sync::torn;
use crate::types::{EntryType, Sequence};

/// What the next sync would write behind a file, by type.
pub(super) type Next = BTreeMap<EntryType, String>;

/// Progress is told each time so many bytes were read.
const TELL_EVERY: u64 = 1_048_576;

/// The mirror and what belongs to it, as they were at one moment.
#[derive(Debug)]
pub(super) struct Looked {
    dir: MirrorDir,
    snapshot: Snapshot,
    folder: Folder,
    connection: Vec<Finding>,
    outbox: Vec<Finding>,
}

/// What is known of a type without reading its file.
struct Record {
    cursor: Option<Sequence>,
    length: u64,
}

/// What was found, but for the hub.
#[derive(Debug)]
pub(super) struct Parts {
    state: Utf8PathBuf,
    findings: Findings,
    files: BTreeMap<EntryType, FileSummary>,
    set_aside: Vec<Utf8PathBuf>,
    busy: bool,
}

/// Looks at everything once.
pub(super) fn look(context: &ContextDir, user: Option<&UserDir>) -> Result<Looked, SyncError> {
    if !context.path().is_dir() {
        let path = context.path().to_owned();
        return Err(SyncError::NoContext { path });
    }
    let dir = context.mirror();
    ctx_io::refuse_symlink(dir.path())?;
    if dir.path().exists() && !dir.path().is_dir() {
        let path = dir.path().to_owned();
        return Err(ctx_io::PathError::NotADirectory { path }.into());
    }
    Ok(Looked {
        snapshot: snapshot::take(&dir)?,
        folder: folder::look(&dir),
        connection: user.map_or_else(Vec::new, |user| folder::connection(context, user)),
        outbox: folder::outbox(context),
        dir,
    })
}

impl Looked {
    /// What to ask the hub; `None` when nothing is mirrored, or nothing that could be compared.
    pub(super) fn question(&self) -> Option<Question> {
        if self.snapshot.half_swapped {
            return None;
        }
        let of_type = |of| {
            let record = self.record(of);
            let mirrored =
                record.length > 0 || record.cursor.is_some_and(|at| at > Sequence::START);
            mirrored.then_some((of, record.cursor))
        };
        let cursors: BTreeMap<_, _> = EntryType::ALL.into_iter().filter_map(of_type).collect();
        let current = self.snapshot.current();
        (!cursors.is_empty()).then(|| Question {
            cursors,
            state: current.cloned().unwrap_or_default(),
        })
    }

    /// The files that have more than what is recorded: their cursor, and how much more.
    pub(super) fn tails(&self) -> Vec<(EntryType, Sequence, usize)> {
        if !self.snapshot.is_quiet() || self.snapshot.current().is_none() {
            return Vec::new();
        }
        let tail = |of: EntryType| {
            let Record { cursor, length } = self.record(of);
            let more = self
                .length(of)?
                .checked_sub(length)
                .filter(|more| *more > 0)?;
            let more = usize::try_from(more).unwrap_or(usize::MAX);
            Some((of, cursor?, more.min(torn::TAIL_MAX_BYTES)))
        };
        EntryType::ALL.into_iter().filter_map(tail).collect()
    }

    fn length(&self, of: EntryType) -> Option<u64> {
        match self.snapshot.files.get(&of) {
            Some(Opened::File { length, .. }) => Some(*length),
            _ => None,
        }
    }

    fn record(&self, of: EntryType) -> Record {
        let all = self.length(of).unwrap_or_default();
        match &self.snapshot.state {
            Ok(Recorded::Current(state)) => {
                let TypeState { cursor, length, .. } = state.of(of);
                Record {
                    cursor: Some(cursor),
                    length,
                }
            }
            Ok(Recorded::Older(cursor)) => Record {
                cursor: Some(*cursor).filter(|_| all > 0),
                length: all,
            },
            Ok(Recorded::Nothing) | Err(_) => Record {
                cursor: None,
                length: all,
            },
        }
    }

    /// Reads every file, and tells how far it has come.
    pub(super) fn check(
        mut self,
        answer: Option<(Answer, Next)>,
        tell: &mpsc::Sender<VerifyProgress>,
    ) -> Parts {
        let (mut answer, next) = answer.unwrap_or_default();
        let mut parts = Parts {
            state: self.dir.state(),
            findings: Findings::default(),
            files: BTreeMap::new(),
            set_aside: std::mem::take(&mut self.folder.set_aside),
            busy: false,
        };
        let mut passing = Vec::new();
        if !self.snapshot.half_swapped {
            let mut progress = Progress::new(self.total(), tell);
            for of in EntryType::ALL {
                let expected = answer.expected.remove(&of);
                let tail = self.file(of, expected, next.get(&of), &mut parts, &mut progress);
                passing.extend(tail);
            }
        }
        passing.append(&mut self.folder.passing);
        // The lock comes and goes with who is at work; a dead one stays.
        passing.extend(self.snapshot.lock.take());
        parts.busy = !self.snapshot.stands(&self.dir);
        if parts.busy {
            passing.retain(|finding| matches!(finding.kind, Kind::NotAFile | Kind::Unreadable));
        }
        // A process that makes a temporary file has it unlocked for an instant: once more.
        passing.retain(|finding| finding.kind != Kind::Leftover || folder::is_left(&finding.path));
        passing
            .into_iter()
            .for_each(|finding| parts.findings.push(finding));
        self.rest(&mut parts);
        parts
    }

    /// Findings that need no file to be read.
    fn rest(self, parts: &mut Parts) {
        for finding in self.folder.findings {
            parts.findings.push(finding);
        }
        let path = self.dir.state();
        match self.snapshot.state {
            Err(finding) => parts.findings.push(finding),
            Ok(Recorded::Nothing) if parts.files.values().any(|file| file.bytes > 0) => {
                let what = "is gone or empty, and there are mirror files";
                parts.findings.push(Finding::new(&path, Kind::State, what));
            }
            Ok(_) => {}
        }
        for finding in self.connection.into_iter().chain(self.outbox) {
            parts.findings.push(finding);
        }
    }

    fn total(&self) -> u64 {
        let recorded = EntryType::ALL.into_iter().map(|of| self.record(of).length);
        recorded.fold(0, u64::saturating_add)
    }

    /// Checks one file; answers what stands behind its recorded part.
    fn file(
        &mut self,
        of: EntryType,
        expected: Option<super::expected::Expected>,
        next: Option<&String>,
        parts: &mut Parts,
        progress: &mut Progress<'_>,
    ) -> Option<Finding> {
        let path = self.dir.path().join(of.mirror_file());
        let Record { cursor, length } = self.record(of);
        let quiet = self.snapshot.is_quiet();
        let recorded = self.snapshot.is_recorded();
        let (mut file, found) = match self.snapshot.files.remove(&of) {
            Some(Opened::File { file, length }) => (file, length),
            Some(Opened::Fault(finding)) => {
                parts.findings.push(finding);
                return None;
            }
            Some(Opened::Absent) | None if length > 0 => {
                let what = format!("is gone, and {length} bytes were mirrored to it");
                parts
                    .findings
                    .push(Finding::new(&path, Kind::Missing, what));
                return None;
            }
            Some(Opened::Absent) | None => return None,
        };
        let short = found < length;
        if short {
            let what = format!("has {found} bytes, and {length} were mirrored to it");
            parts.findings.push(Finding::new(&path, Kind::Short, what));
        }
        let claim = Claim {
            path: &path,
            entry_type: of,
            cursor,
            // Without a state, nothing tells an append that was killed from what is there.
            short: short || !recorded,
            expected,
        };
        let covered = (&mut file).take(length);
        let checked = file::check(claim, covered, &mut |bytes| progress.add(bytes));
        let Checked {
            summary,
            findings,
            end_line,
        } = match checked {
            Ok(checked) => checked,
            Err(error) => {
                parts.findings.push(unreadable(&path, &error));
                return None;
            }
        };
        parts.files.insert(of, summary);
        parts.findings.extend(findings);
        if !quiet || found <= length {
            return None;
        }
        let record = (length, cursor.unwrap_or_default());
        let (kind, what) = tail(&mut file, of, record, next)?;
        Some(Finding::new(&path, kind, what).at(end_line))
    }
}

/// What stands behind the recorded part of a file: whose it is, and in words.
fn tail(
    file: &mut File,
    of: EntryType,
    (length, cursor): (u64, Sequence),
    next: Option<&String>,
) -> Option<(Kind, String)> {
    let foreign = "text that was not mirrored stands behind what was";
    let read = match mirror::read_tail(file, length) {
        Ok(read) => read,
        Err(error) => return Some((Kind::Unreadable, error.to_string())),
    };
    let Some(tail) = read else {
        return Some((Kind::Foreign, foreign.to_owned()));
    };
    let written = torn::written(&tail);
    let torn = torn::is_whole(written, of, cursor)
        || match next {
            Some(text) => text.as_bytes().starts_with(written),
            None => torn::is_ours(&tail, of, cursor),
        };
    let bytes = tail.len();
    match torn {
        // A sync came, and cut it.
        _ if bytes == 0 => None,
        true => {
            let what = format!(
                "{bytes} bytes of an append that was killed stand behind what was mirrored"
            );
            Some((Kind::Torn, what))
        }
        false => Some((Kind::Foreign, foreign.to_owned())),
    }
}

impl Parts {
    /// The report, with what became of the hub.
    pub(super) fn into_report(mut self, hub: HubCheck) -> VerifyReport {
        if let HubCheck::Failed(error) = &hub
            && let SyncError::Diverged { how } = error.as_ref()
        {
            let what = format!("the hub's log is another one: {how}");
            self.findings
                .push(Finding::new(&self.state, Kind::Diverged, what));
        }
        let Findings { mut listed, more } = self.findings;
        // Of one file together, files in the order in which they were come upon.
        let mut order: Vec<Utf8PathBuf> = Vec::new();
        for finding in &listed {
            if !order.contains(&finding.path) {
                order.push(finding.path.clone());
            }
        }
        listed.sort_by_key(|finding| {
            let file = order.iter().position(|path| *path == finding.path);
            (file, finding.line.is_some(), finding.line)
        });
        VerifyReport {
            findings: listed,
            more,
            files: self.files,
            set_aside: self.set_aside,
            busy: self.busy,
            hub,
        }
    }
}

/// Tells how many bytes were read, now and then.
struct Progress<'a> {
    bytes: u64,
    told: u64,
    total: u64,
    tell: &'a mpsc::Sender<VerifyProgress>,
}

impl<'a> Progress<'a> {
    const fn new(total: u64, tell: &'a mpsc::Sender<VerifyProgress>) -> Self {
        Self {
            bytes: 0,
            told: 0,
            total,
            tell,
        }
    }

    fn add(&mut self, bytes: u64) {
        self.bytes = self.bytes.saturating_add(bytes);
        if self.bytes - self.told >= TELL_EVERY {
            self.told = self.bytes;
            let (bytes, total) = (self.bytes, self.total);
            // Whoever has not read the last one yet misses nothing.
            self.tell
                .try_send(VerifyProgress::Files { bytes, total })
                .ok();
        }
    }
}
