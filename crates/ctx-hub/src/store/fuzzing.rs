//! The files of an older hub for any bytes; see [`crate::fuzzing`].

use std::io::Cursor;

use camino::Utf8Path;

use super::import::{Entries, MetaFile, parse, read_clients};
use crate::types::Sequence;

const PATH: &str = "imported";

/// The entries: what is read has rising sequences, and the file is read to its end or to an error.
pub fn import_entries(bytes: &[u8]) {
    let mut entries = Entries::new(PATH.into(), Some(Box::new(Cursor::new(bytes.to_vec()))));
    let (mut last, mut count) = (Sequence::START, 0_usize);
    while let Ok(Some(entry)) = entries.next() {
        assert!(entry.sequence > last);
        assert!(!entry.id.as_str().is_empty());
        last = entry.sequence;
        count += 1;
    }
    let lines = bytes.split(|byte| *byte == b'\n');
    assert!(count <= lines.filter(|line| !line.trim_ascii().is_empty()).count());
    drop(entries.into_notice());
}

/// The clients: each that is read has a name that a project may have.
pub fn import_clients(bytes: &[u8]) {
    for client in read_clients(Utf8Path::new(PATH), bytes).unwrap_or_default() {
        assert_eq!(client.project.as_str().parse(), Ok(client.project.clone()));
        assert_eq!(client.id.as_str().parse(), Ok(client.id.clone()));
    }
}

/// What it knew of its log: its counter can be stored.
pub fn import_meta(bytes: &[u8]) {
    let path = Utf8Path::new(PATH);
    if let Ok(Ok(meta)) = parse::<MetaFile>(path, bytes).map(|file| file.check(path)) {
        assert!(i64::try_from(meta.sequence_counter.get()).is_ok());
    }
}
