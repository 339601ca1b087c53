//! The connection file for any bytes; see [`crate::fuzzing`].

use camino::Utf8Path;
use ctx_config::limits::KEY_BYTES;
use zeroize::Zeroizing;

use super::{document, seal};
use crate::fuzzing::{damaged, seed};

/// The document inside: what is accepted is written so that it reads back the same.
pub fn connection_document(bytes: &[u8]) {
    let Ok(read) = document::read(bytes) else {
        return;
    };
    let Ok(written) = document::write(&read) else {
        panic!("cannot be written: {read:?}");
    };
    assert_eq!(document::read(&written).ok().as_ref(), Some(&read));
}

/// The sealed file: what was not sealed is refused; what was sealed opens, and not once it is
/// damaged.
pub fn connection_sealed(bytes: &[u8]) {
    // Another one each time: a fuzzer that watches would learn what is sealed with it.
    let mut key = Zeroizing::new([0; KEY_BYTES]);
    if getrandom::fill(&mut *key).is_err() {
        return;
    }
    let path = Utf8Path::new("sealed");
    assert!(seal::open(&key, bytes, path).is_err());
    let Ok(sealed) = seal::seal(&key, Zeroizing::new(bytes.to_vec())) else {
        panic!("cannot be sealed");
    };
    let opened = seal::open(&key, &sealed, path).ok();
    assert_eq!(opened.as_deref().map(Vec::as_slice), Some(bytes));
    let changed = damaged(&sealed, seed(bytes));
    if changed != sealed {
        assert!(seal::open(&key, &changed, path).is_err());
    }
}
