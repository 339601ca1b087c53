//! Names that stay in their directory, and directories that are what they seem.

use std::os::unix::fs::{PermissionsExt, symlink};

use camino::{Utf8Component, Utf8Path};
use ctx_io::{PathError, ensure_private_dir, join_contained, refuse_symlink};
use proptest::prelude::*;

use crate::harness::{Scratch, put};

#[test]
fn names_that_would_leave_are_refused_and_plain_ones_are_not() {
    let dir = Utf8Path::new("base");
    for bad in [
        "", ".", "..", "/", "a/", "/a", "a/b", "./a", "a/.", "../a", "a\\b", "a\0b",
    ] {
        let error = join_contained(dir, bad).unwrap_err();
        assert!(matches!(error, PathError::BadName { .. }), "{bad:?}");
        assert!(error.hint().is_some());
    }
    for good in ["a", "...", ".hidden", "a b", "notes.md", "ü"] {
        assert_eq!(join_contained(dir, good).unwrap(), dir.join(good));
    }
}

proptest! {
    #[test]
    fn whatever_the_name_the_result_is_one_step_below(
        name in r"[./\\a\x00-\x02é]{0,6}|\PC{0,8}",
    ) {
        let dir = Utf8Path::new("/base/dir");
        if let Ok(path) = join_contained(dir, &name) {
            prop_assert_eq!(path.parent(), Some(dir));
            prop_assert_eq!(path.file_name(), Some(name.as_str()));
            let steps: Vec<_> = path.components().collect();
            prop_assert_eq!(steps.len(), 4);
            prop_assert!(!steps.contains(&Utf8Component::ParentDir));
            prop_assert!(!path.as_str().contains('\0'));
        }
    }
}

#[test]
fn a_private_directory_is_created_once_with_its_mode() {
    let scratch = Scratch::new();
    let path = scratch.join("private");
    let mode = || std::fs::metadata(&path).unwrap().permissions().mode() & 0o7777;
    assert!(ensure_private_dir(&path, 0o700).unwrap());
    assert_eq!(mode(), 0o700);
    assert!(!ensure_private_dir(&path, 0o755).unwrap());
    assert_eq!(mode(), 0o700, "an existing one keeps its mode");
    let error = ensure_private_dir(&scratch.join("no/where"), 0o700).unwrap_err();
    assert_eq!(error.io_kind(), std::io::ErrorKind::NotFound);
}

#[test]
fn what_only_looks_like_a_directory_is_refused() {
    let scratch = Scratch::new();
    let (file, link) = (scratch.join("file"), scratch.join("link"));
    put(&file, b"");
    std::fs::create_dir(scratch.join("real")).unwrap();
    symlink(scratch.join("real"), &link).unwrap();
    let error = ensure_private_dir(&file, 0o700).unwrap_err();
    assert!(
        matches!(error, PathError::NotADirectory { .. }),
        "{error:?}"
    );
    let error = ensure_private_dir(&link, 0o700).unwrap_err();
    assert!(matches!(error, PathError::Symlink { .. }), "{error:?}");
    assert!(matches!(
        refuse_symlink(&link),
        Err(PathError::Symlink { .. })
    ));
    for fine in [file, scratch.join("real"), scratch.join("absent")] {
        refuse_symlink(&fine).unwrap();
    }
}
