//! The files of queued entries for any bytes; see [`crate::fuzzing`].

use super::name::Name;
use super::record;

/// A queued entry: what is accepted is written so that it reads back the same, and cut off it is
/// refused. And a name of a file: what is ours is written so that it reads back the same.
pub fn outbox_record(bytes: &[u8]) {
    let file = String::from_utf8_lossy(bytes);
    if let Some(name) = Name::parse(&file) {
        assert_eq!(name.to_string(), file);
    }
    let Ok(draft) = record::read(bytes) else {
        return;
    };
    let Ok(written) = record::write(&draft) else {
        panic!("cannot be written: {draft:?}");
    };
    assert_eq!(record::read(&written).ok().as_ref(), Some(&draft));
    // Without the line break and the brace before it.
    for length in [written.len() / 2, written.len().saturating_sub(2)] {
        assert!(record::read(written.get(..length).unwrap_or_default()).is_err());
    }
}
