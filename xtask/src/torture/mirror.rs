//! A project's mirror as it stands on disk, and how one differs from another.
//!
//! Read without any code of the product: an entry is known by the comment under its header.

use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;

use camino::Utf8Path;
use serde_json::Value;

use super::names::{MIRROR_FILES, OUTBOX, STATE};
use super::tally::Tally;
use super::trouble::Trouble;

const MARK: &[u8] = b"<!-- ctx {";
const MARK_END: &[u8] = b" -->";

/// The sequences under which the hub acknowledged entries, by their ids.
pub(crate) type Ledger = BTreeMap<String, u64>;

/// One entry of a mirror file.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Mark {
    file: &'static str,
    sequence: u64,
    id: String,
}

/// Everything in a mirror directory.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Mirror {
    files: BTreeMap<&'static str, Vec<u8>>,
    /// The state without what may differ: the times at which files were changed.
    state: Option<Value>,
    /// Names that have no business there once nobody is at work.
    left: Vec<String>,
    marks: Vec<Mark>,
}

/// How a mirror differs from what it should be.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Difference {
    pub(crate) lost: Vec<String>,
    pub(crate) duplicated: Vec<String>,
    pub(crate) left: Vec<String>,
    pub(crate) other: Vec<String>,
}

impl Mirror {
    /// Reads the mirror in `dir`; one that is not there is empty.
    pub(crate) fn read(dir: &Utf8Path) -> Result<Self, Trouble> {
        let mut mirror = Self::default();
        let listing = match fs_err::read_dir(dir) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(mirror),
            other => other?,
        };
        for found in listing {
            let name = found?.file_name().to_string_lossy().into_owned();
            if let Some(file) = MIRROR_FILES.into_iter().find(|file| *file == name) {
                mirror.add(file, fs_err::read(dir.join(file))?)?;
            } else if name == STATE {
                mirror.state = Some(state(&fs_err::read(dir.join(STATE))?)?);
            } else if name == OUTBOX {
                // The folder stays once it was made; an entry in it was not delivered.
                for waiting in fs_err::read_dir(dir.join(OUTBOX))? {
                    let file = waiting?.file_name();
                    mirror
                        .left
                        .push(format!("{OUTBOX}/{}", file.to_string_lossy()));
                }
            } else {
                mirror.left.push(name);
            }
        }
        Ok(mirror)
    }

    fn add(&mut self, file: &'static str, content: Vec<u8>) -> Result<(), Trouble> {
        for line in content.split(|&byte| byte == b'\n') {
            if line.starts_with(MARK) && line.ends_with(MARK_END) {
                self.marks.push(mark(file, line)?);
            }
        }
        self.files.insert(file, content);
        Ok(())
    }

    /// The whole text of one file.
    pub(crate) fn file(&self, name: &str) -> &[u8] {
        self.files.get(name).map_or(&[], Vec::as_slice)
    }

    /// Under which sequence an entry stands in it.
    pub(crate) fn sequence_of(&self, id: &str) -> Option<u64> {
        let mark = self.marks.iter().find(|mark| mark.id == id);
        mark.map(|mark| mark.sequence)
    }

    /// Names in the directory that are neither mirror files nor the state.
    pub(crate) fn left(&self) -> &[String] {
        &self.left
    }

    /// Leaves out what `expected` says may stay beside the mirror.
    pub(crate) fn forgive(&mut self, expected: impl Fn(&str) -> bool) {
        self.left.retain(|name| !expected(name));
    }

    /// How this mirror differs from `control`, which nobody disturbed.
    pub(crate) fn compare(&self, control: &Self) -> Difference {
        let mut difference = self.own_faults();
        let here: BTreeSet<&str> = self.marks.iter().map(|mark| mark.id.as_str()).collect();
        let there: BTreeSet<&str> = control.marks.iter().map(|mark| mark.id.as_str()).collect();
        difference.lost = there.difference(&here).map(|id| (*id).to_owned()).collect();
        let foreign = here.difference(&there);
        difference
            .other
            .extend(foreign.map(|id| format!("{id} is not in the control's mirror")));
        for file in MIRROR_FILES {
            if let Some(offset) = first_difference(self.file(file), control.file(file)) {
                difference.other.push(format!(
                    "{file} differs from the control's from byte {offset} on"
                ));
            }
        }
        if self.state != control.state {
            let show = |state: &Option<Value>| match state {
                Some(state) => state.to_string(),
                None => "none".to_owned(),
            };
            difference.other.push(format!(
                "the state is {}, the control's is {}",
                show(&self.state),
                show(&control.state)
            ));
        }
        difference
    }

    /// How this mirror differs from what the hub acknowledged: every entry of `ledger` is in it
    /// once under its sequence, and with `all` the sequences are 1, 2, 3 … without a hole.
    pub(crate) fn audit(&self, ledger: &Ledger, all: bool) -> Difference {
        let mut difference = self.own_faults();
        let by_id: BTreeMap<&str, u64> = self
            .marks
            .iter()
            .map(|mark| (mark.id.as_str(), mark.sequence))
            .collect();
        for (id, sequence) in ledger {
            match by_id.get(id.as_str()) {
                None => difference.lost.push(id.clone()),
                Some(found) if found != sequence => difference.other.push(format!(
                    "{id} was acknowledged as {sequence} and is stored as {found}"
                )),
                Some(_) => {}
            }
        }
        let sequences: BTreeSet<u64> = self.marks.iter().map(|mark| mark.sequence).collect();
        if all && !sequences.iter().copied().eq(1..=size(sequences.len())) {
            difference
                .other
                .push("the hub's sequences are not 1, 2, 3 … without a hole".to_owned());
        }
        difference
    }

    /// What is wrong with this mirror whatever it should hold.
    fn own_faults(&self) -> Difference {
        let mut difference = Difference {
            left: self.left.clone(),
            ..Difference::default()
        };
        let (mut ids, mut sequences) = (BTreeSet::new(), BTreeSet::new());
        let mut last: BTreeMap<&str, u64> = BTreeMap::new();
        for mark in &self.marks {
            let Mark { file, sequence, id } = mark;
            if !ids.insert(id) {
                difference.duplicated.push(id.clone());
            } else if !sequences.insert(sequence) {
                difference
                    .other
                    .push(format!("two entries have the sequence {sequence}"));
            }
            let before = last.insert(file, *sequence).unwrap_or(0);
            if *sequence <= before {
                difference
                    .other
                    .push(format!("{file}: {sequence} stands behind {before}"));
            }
        }
        difference
    }
}

impl Difference {
    /// Whether there is none.
    pub(crate) fn is_none(&self) -> bool {
        *self == Self::default()
    }

    /// Counts it, and gives a line for each kind of it.
    pub(crate) fn count(&self, tally: &mut Tally) -> Vec<String> {
        tally.lost += size(self.lost.len());
        tally.duplicated += size(self.duplicated.len());
        tally.left += size(self.left.len());
        tally.other += size(self.other.len());
        let kinds = [
            ("lost", &self.lost),
            ("duplicated", &self.duplicated),
            ("left behind", &self.left),
            ("other", &self.other),
        ];
        let found = kinds.iter().filter(|(_, what)| !what.is_empty());
        found
            .map(|(kind, what)| format!("{kind}: {}", what.join("; ")))
            .collect()
    }
}

/// A length as a count.
pub(crate) fn size(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

fn first_difference(one: &[u8], other: &[u8]) -> Option<usize> {
    let same = one.iter().zip(other).take_while(|(a, b)| a == b).count();
    (same < one.len().max(other.len())).then_some(same)
}

fn mark(file: &'static str, line: &[u8]) -> Result<Mark, Trouble> {
    let json = line
        .strip_suffix(MARK_END)
        .and_then(|line| line.get(MARK.len() - 1..))
        .unwrap_or_default();
    let value: Value = serde_json::from_slice(json)
        .map_err(|error| Trouble::Broken(format!("{file}: a comment of ours: {error}")))?;
    match (value["seq"].as_u64(), value["id"].as_str()) {
        (Some(sequence), Some(id)) => Ok(Mark {
            file,
            sequence,
            id: id.to_owned(),
        }),
        _ => Err(Trouble::Broken(format!(
            "{file}: a comment without seq and id: {value}"
        ))),
    }
}

fn state(bytes: &[u8]) -> Result<Value, Trouble> {
    let mut state: Value = serde_json::from_slice(bytes)
        .map_err(|error| Trouble::Broken(format!("{STATE} is not JSON: {error}")))?;
    if let Some(types) = state.get_mut("types").and_then(Value::as_object_mut) {
        for of_type in types.values_mut().filter_map(Value::as_object_mut) {
            of_type.remove("modified_ns");
        }
    }
    Ok(state)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = MIRROR_FILES[0];

    fn entry(sequence: u64, id: &str) -> String {
        format!(
            "## [2026-06-11] x\n<!-- ctx {{\"seq\":{sequence},\"id\":\"{id}\"}} -->\n\n\
            **Origin**: p\n\nx\n\n---\n\n"
        )
    }

    fn mirror(entries: &[(u64, &str)]) -> Mirror {
        let text: String = entries.iter().map(|(seq, id)| entry(*seq, id)).collect();
        let mut mirror = Mirror::default();
        mirror.add(FILE, text.into_bytes()).unwrap();
        mirror
    }

    fn found(entries: &[(u64, &str)]) -> Difference {
        mirror(entries).compare(&mirror(&[(1, "a"), (2, "b"), (4, "c")]))
    }

    #[test]
    fn a_mirror_is_the_same_as_itself() {
        assert!(found(&[(1, "a"), (2, "b"), (4, "c")]).is_none());
    }

    #[test]
    fn a_lost_entry_is_found() {
        let found = found(&[(1, "a"), (4, "c")]);
        assert_eq!(found.lost, ["b"]);
        assert_eq!(found.duplicated, [""; 0]);
        assert_eq!(found.other.len(), 1, "the bytes differ: {found:?}");
    }

    #[test]
    fn a_duplicated_entry_is_found_wherever_the_copy_stands() {
        for copy in [
            [(1, "a"), (2, "b"), (2, "b"), (4, "c")],
            [(1, "a"), (2, "b"), (4, "c"), (1, "a")],
        ] {
            let found = found(&copy);
            assert_eq!((found.duplicated.len(), found.lost.len()), (1, 0));
        }
    }

    #[test]
    fn reordered_and_foreign_entries_are_found() {
        let reordered = found(&[(2, "b"), (1, "a"), (4, "c")]);
        assert!(reordered.other[0].contains("1 stands behind 2"));
        let foreign = found(&[(1, "a"), (2, "b"), (3, "x"), (4, "c")]);
        assert!(foreign.other[0].contains("x is not in the control's mirror"));
        assert!(reordered.lost.is_empty() && foreign.lost.is_empty());
    }

    #[test]
    fn one_changed_byte_a_leftover_and_another_cursor_are_found() {
        let control = mirror(&[(1, "a")]);
        let mut changed = mirror(&[(1, "a")]);
        changed.files.get_mut(FILE).unwrap()[3] = b'?';
        changed.left.push("x.tmp".to_owned());
        let with = |cursor: u64| {
            let text = format!(
                "{{\"types\":{{\"task\":{{\"cursor\":{cursor},\"modified_ns\":{cursor}}}}}}}"
            );
            Some(state(text.as_bytes()).unwrap())
        };
        changed.state = with(1);
        let found = changed.compare(&control);
        assert_eq!(found.left, ["x.tmp"]);
        assert!(found.other[0].contains("from byte 3 on"), "{found:?}");
        assert!(
            found.other[1].contains("the control's is none"),
            "{found:?}"
        );
        assert_ne!(with(1), with(2));
    }

    #[test]
    fn an_entry_that_still_waits_for_the_hub_is_left_and_an_empty_outbox_is_not() {
        let temp = tempfile::tempdir().unwrap();
        let dir = Utf8Path::from_path(temp.path()).unwrap();
        fs_err::create_dir(dir.join(OUTBOX)).unwrap();
        assert_eq!(Mirror::read(dir).unwrap().left(), [""; 0]);
        fs_err::File::create_new(dir.join(OUTBOX).join("x.json")).unwrap();
        assert_eq!(Mirror::read(dir).unwrap().left(), ["outbox/x.json"]);
    }

    #[test]
    fn times_of_files_are_no_difference() {
        let at = |time: u64| {
            let text =
                format!("{{\"types\":{{\"task\":{{\"cursor\":1,\"modified_ns\":{time}}}}}}}");
            state(text.as_bytes()).unwrap()
        };
        assert_eq!(at(1), at(2));
    }

    #[test]
    fn an_acknowledgement_that_does_not_hold_is_found() {
        let ledger = |pairs: &[(&str, u64)]| -> Ledger {
            pairs
                .iter()
                .map(|(id, seq)| ((*id).to_owned(), *seq))
                .collect()
        };
        let stored = mirror(&[(1, "a"), (2, "b")]);
        assert!(stored.audit(&ledger(&[("a", 1), ("b", 2)]), true).is_none());
        assert_eq!(stored.audit(&ledger(&[("c", 3)]), true).lost, ["c"]);
        let moved = stored.audit(&ledger(&[("a", 2)]), true);
        assert!(moved.other[0].contains("acknowledged as 2 and is stored as 1"));
        let hole = mirror(&[(1, "a"), (3, "b")]);
        assert_eq!(hole.audit(&Ledger::new(), true).other.len(), 1);
        assert!(hole.audit(&Ledger::new(), false).is_none());
        let twice = mirror(&[(1, "a"), (2, "a")]);
        assert_eq!(twice.audit(&ledger(&[("a", 1)]), false).duplicated, ["a"]);
    }

    #[test]
    fn a_difference_is_counted_under_its_kind() {
        let mut tally = Tally::new("x");
        let lines = found(&[(1, "a"), (1, "a"), (4, "c")]).count(&mut tally);
        assert_eq!((tally.lost, tally.duplicated), (1, 1));
        assert!(tally.other >= 1 && lines.len() == 3, "{lines:?}");
    }
}
