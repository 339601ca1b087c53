//! Unix sockets whose path is longer than the 107 bytes that the operating system takes.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd as _;

use camino::{Utf8Path, Utf8PathBuf};

/// Longest path of a socket, in bytes: `sun_path` holds 108, the last of them a NUL.
const PATH_MAX_BYTES: usize = 107;

/// A path by which the system can reach a socket while this value lives.
#[derive(Debug)]
#[must_use = "the path is good only while this value lives"]
pub(crate) struct SocketPath {
    path: Utf8PathBuf,
    /// What a short path goes through.
    _directory: Option<File>,
}

impl SocketPath {
    /// The path to bind or to connect to.
    pub(crate) fn path(&self) -> &Utf8Path {
        &self.path
    }
}

/// A path to the socket at `path` that the system takes. A long one goes through an open handle of
/// its directory (`/proc/self/fd/N/name`), which works for binding and for connecting.
///
/// # Errors
/// The directory cannot be opened; on systems other than Linux, the path is too long.
pub(crate) fn short_socket_path(path: &Utf8Path) -> io::Result<SocketPath> {
    if path.as_str().len() <= PATH_MAX_BYTES {
        return Ok(SocketPath {
            path: path.to_owned(),
            _directory: None,
        });
    }
    let too_long = || {
        let text = format!("the path is longer than {PATH_MAX_BYTES} bytes");
        io::Error::new(io::ErrorKind::InvalidFilename, text)
    };
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(too_long());
    };
    if !cfg!(target_os = "linux") {
        return Err(too_long());
    }
    let directory = File::open(if parent.as_str().is_empty() {
        ".".into()
    } else {
        parent
    })?;
    let short = Utf8PathBuf::from(format!("/proc/self/fd/{}/{name}", directory.as_raw_fd()));
    if short.as_str().len() > PATH_MAX_BYTES {
        return Err(too_long());
    }
    Ok(SocketPath {
        path: short,
        _directory: Some(directory),
    })
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::os::unix::net::{UnixListener, UnixStream};

    use super::*;

    #[test]
    fn a_short_path_is_taken_as_it_is() {
        let path = Utf8Path::new("/run/ctx/admin");
        assert_eq!(short_socket_path(path).unwrap().path(), path);
    }

    #[test]
    fn a_path_too_long_for_the_system_binds_and_connects() {
        let temp = tempfile::tempdir().unwrap();
        let deep = Utf8Path::from_path(temp.path())
            .unwrap()
            .join("d".repeat(120));
        std::fs::create_dir(&deep).unwrap();
        let path = deep.join("socket");
        UnixListener::bind(&path).unwrap_err();

        let listener = UnixListener::bind(short_socket_path(&path).unwrap().path()).unwrap();
        assert!(path.exists());
        UnixStream::connect(short_socket_path(&path).unwrap().path()).unwrap();
        drop(listener);
    }

    #[test]
    fn a_name_too_long_for_any_directory_is_refused() {
        let temp = tempfile::tempdir().unwrap();
        let path = Utf8Path::from_path(temp.path())
            .unwrap()
            .join("n".repeat(120));
        let error = short_socket_path(&path).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidFilename);
    }
}
