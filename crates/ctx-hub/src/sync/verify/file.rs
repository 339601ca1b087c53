//! One mirror file, entry by entry, against its record and against what the hub has.

use std::collections::HashSet;
use std::hash::{BuildHasher as _, RandomState};
use std::io::{self, BufReader, Read};

use camino::Utf8Path;

use super::expected::{Expected, Seen};
use super::pieces::{Piece, Pieces};
use super::report::{FileSummary, Finding, FindingKind as Kind, Findings};
use crate::entry::Entry;
use crate::sync::mirror::LAST_BYTES;
use crate::sync::parse::Segment;
use crate::types::{EntryType, Sequence};

/// What is known of a file before it is read.
#[derive(Debug)]
pub(super) struct Claim<'a> {
    pub(super) path: &'a Utf8Path,
    pub(super) entry_type: EntryType,
    /// Up to where the state says that it reaches; `None` when no state says.
    pub(super) cursor: Option<Sequence>,
    /// It has fewer bytes than recorded: what is cut off at its end has been told.
    pub(super) short: bool,
    /// What the hub has, if it was asked.
    pub(super) expected: Option<Expected>,
}

/// What reading a file told.
#[derive(Debug)]
pub(super) struct Checked {
    pub(super) summary: FileSummary,
    pub(super) findings: Findings,
    /// The line that what is appended next begins at.
    pub(super) end_line: u64,
}

/// Reads `recorded`, the part of the file that its record covers, and tells `on_bytes` how much of
/// it was read.
pub(super) fn check(
    claim: Claim<'_>,
    recorded: impl Read,
    on_bytes: &mut dyn FnMut(u64),
) -> io::Result<Checked> {
    let mut pieces = Pieces::new(BufReader::new(recorded), claim.entry_type);
    let mut check = Check::new(claim);
    let mut next = pieces.next()?;
    while let Some(piece) = next {
        next = pieces.next()?;
        let length = u64::try_from(piece.bytes.len()).unwrap_or(u64::MAX);
        check.summary.bytes += length;
        check.take(piece, next.is_none());
        on_bytes(length);
    }
    check.finish();
    Ok(Checked {
        summary: check.summary,
        findings: check.findings,
        end_line: pieces.line(),
    })
}

struct Check<'a> {
    claim: Claim<'a>,
    summary: FileSummary,
    findings: Findings,
    seen: Seen,
    /// Hashes of ids. Only without the hub: it vouches for each entry, and an older hub may have
    /// stored an id twice.
    ids: HashSet<u64>,
    hasher: RandomState,
    last: Sequence,
    /// The first line of an entry of an older `ctx`, while none of ours was seen.
    older_from: Option<u64>,
    ours_began: bool,
    first_seen: Option<Sequence>,
}

impl<'a> Check<'a> {
    fn new(claim: Claim<'a>) -> Self {
        Self {
            claim,
            summary: FileSummary::default(),
            findings: Findings::default(),
            seen: Seen::default(),
            ids: HashSet::new(),
            hasher: RandomState::new(),
            last: Sequence::START,
            older_from: None,
            ours_began: false,
            first_seen: None,
        }
    }

    fn take(&mut self, piece: Piece, is_last: bool) {
        let Piece { line, bytes, is } = piece;
        match is {
            Segment::Ours(entry) => self.entry(line, &entry),
            // Where a short file ends was told already.
            _ if self.claim.short && is_last && !bytes.ends_with(LAST_BYTES) => {}
            Segment::Edited(sequence) => {
                self.ours_began = true;
                self.note_seen(sequence);
                let what = "was changed since it was mirrored";
                self.tell(
                    Finding::new(self.claim.path, Kind::Edited, what)
                        .at(line)
                        .of(sequence),
                );
            }
            // An older ctx wrote before we did; a rule in its content cuts an entry in pieces.
            Segment::Older if !self.ours_began => {
                self.older_from.get_or_insert(line);
                self.summary.older += 1;
            }
            Segment::Foreign if !self.ours_began && self.older_from.is_some() => {}
            Segment::Older | Segment::Foreign => {
                self.ours_began |= !matches!(is, Segment::Foreign);
                let what = "text that was not mirrored";
                self.tell(Finding::new(self.claim.path, Kind::Foreign, what).at(line));
            }
        }
    }

    fn entry(&mut self, line: u64, entry: &Entry) {
        self.ours_began = true;
        self.summary.entries += 1;
        let sequence = entry.sequence;
        let (kind, detail) = match self.judge(entry) {
            None => return,
            Some(fault) => fault,
        };
        let finding = Finding::new(self.claim.path, kind, detail);
        self.tell(finding.at(line).of(sequence).named(entry.id.as_str()));
    }

    /// What is wrong with a well-formed entry.
    fn judge(&mut self, entry: &Entry) -> Option<(Kind, String)> {
        let sequence = entry.sequence;
        if let Some(cursor) = self.claim.cursor.filter(|cursor| sequence > *cursor) {
            let detail =
                format!("stands here, and the state says that the mirror reaches to {cursor}");
            return Some((Kind::Beyond, detail));
        }
        match self
            .claim
            .expected
            .as_ref()
            .map(|expected| expected.is(entry))
        {
            Some(None) => return Some((Kind::Forged, "is not at the hub".to_owned())),
            Some(Some(false)) => {
                self.note_seen(sequence);
                return Some((
                    Kind::Forged,
                    "the hub has another entry of this sequence".to_owned(),
                ));
            }
            Some(Some(true)) | None => {}
        }
        if !self.note_seen(sequence) {
            return Some((Kind::Duplicate, "comes twice".to_owned()));
        }
        let is_new = self.claim.expected.is_some()
            || self.ids.insert(self.hasher.hash_one(entry.id.as_str()));
        if !is_new {
            self.last = self.last.max(sequence);
            return Some((Kind::Duplicate, "its id comes twice".to_owned()));
        }
        if sequence < self.last {
            return Some((Kind::Order, format!("stands behind entry {}", self.last)));
        }
        self.last = sequence;
        None
    }

    fn note_seen(&mut self, sequence: Sequence) -> bool {
        let first = self
            .first_seen
            .map_or(sequence, |first| first.min(sequence));
        self.first_seen = Some(first);
        self.seen.insert(sequence)
    }

    /// What only the end tells: holes, and whether the hub knows of older entries.
    fn finish(&mut self) {
        let Some(expected) = &self.claim.expected else {
            return;
        };
        let reach = self.claim.cursor.unwrap_or(self.last);
        let mut runs = expected.unseen(&self.seen, reach);
        if let Some(line) = self.older_from {
            let before = |from: Sequence| self.first_seen.is_none_or(|first| from < first);
            let count = runs.len();
            runs.retain(|(from, ..)| !before(*from));
            if runs.len() == count {
                self.summary.older = 0;
                let what = "entries without a sequence, which were not mirrored";
                self.findings
                    .push(Finding::new(self.claim.path, Kind::Foreign, what).at(line));
            }
        }
        for (from, to, count) in runs {
            let what = match count {
                1 => "is missing".to_owned(),
                _ => format!("and those up to {to} are missing ({count} entries)"),
            };
            let finding = Finding::new(self.claim.path, Kind::Hole, what);
            self.findings.push(finding.of(from));
        }
    }

    fn tell(&mut self, finding: Finding) {
        self.findings.push(finding);
    }
}
