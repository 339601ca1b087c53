//! Reading what may be absent.

use std::fs::Permissions;
use std::os::unix::fs::{PermissionsExt, symlink};

use ctx_io::{ReadError, read_optional, read_optional_limited, read_private};

use crate::harness::{Scratch, put};

#[test]
fn absence_is_none_and_everything_else_an_error() {
    let scratch = Scratch::new();
    assert_eq!(read_optional(&scratch.join("no")).unwrap(), None);
    assert_eq!(read_optional(&scratch.join("no/where")).unwrap(), None);
    put(&scratch.join("file"), b"content");
    assert_eq!(
        read_optional(&scratch.join("file")).unwrap(),
        Some(b"content".to_vec())
    );
    let error = read_optional(&scratch.join("file/below")).unwrap_err();
    assert!(matches!(error, ReadError::Io { .. }), "{error:?}");
}

#[test]
fn a_link_a_directory_and_a_pipe_are_refused() {
    let scratch = Scratch::new();
    put(&scratch.join("file"), b"content");
    symlink(scratch.join("file"), scratch.join("link")).unwrap();
    let pipe = scratch.join("pipe");
    assert!(
        std::process::Command::new("mkfifo")
            .arg(&pipe)
            .status()
            .unwrap()
            .success()
    );
    for (path, what) in [
        (scratch.join("link"), "a symbolic link"),
        (scratch.to_owned(), "a directory"),
        (pipe, "a special file"),
    ] {
        let error = read_optional(&path).unwrap_err();
        assert!(error.to_string().contains(what), "{error}");
    }
}

#[test]
fn a_limit_is_the_largest_size_that_passes() {
    let scratch = Scratch::new();
    let path = scratch.join("file");
    put(&path, b"12345");
    assert_eq!(
        read_optional_limited(&path, 5).unwrap(),
        Some(b"12345".to_vec())
    );
    let error = read_optional_limited(&path, 4).unwrap_err();
    assert!(
        matches!(error, ReadError::TooLarge { limit: 4, .. }),
        "{error:?}"
    );
}

#[test]
#[cfg(target_os = "linux")]
fn a_limit_holds_for_a_file_that_does_not_say_how_large_it_is() {
    let error = read_optional_limited("/proc/self/mountinfo".into(), 10).unwrap_err();
    assert!(matches!(error, ReadError::TooLarge { .. }), "{error:?}");
}

#[test]
fn a_private_file_that_others_may_open_is_refused() {
    let scratch = Scratch::new();
    let path = scratch.join("key");
    assert_eq!(read_private(&path, 10).unwrap(), None);
    put(&path, b"secret");
    for (mode, private) in [(0o600, true), (0o400, true), (0o640, false), (0o604, false)] {
        std::fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        match read_private(&path, 10) {
            Ok(bytes) => assert!(private && bytes == Some(b"secret".to_vec()), "{mode:o}"),
            Err(error) => {
                assert!(!private, "{mode:o}");
                assert!(matches!(error, ReadError::Exposed { mode: said, .. } if said == mode));
                assert!(error.hint().is_some_and(|hint| hint.contains("chmod 600")));
            }
        }
    }
}
