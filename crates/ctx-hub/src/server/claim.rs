//! The data directory while a hub has it: the lock, the admin token, the files that say who
//! serves it.

use std::io;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};

use camino::{Utf8Path, Utf8PathBuf};
use ctx_config::paths::{self, DataDir};
use ctx_io::{
    FileLock, Holder, LockError, LockRecord, ReadError, Wait, atomic, ensure_private_dir,
    failpoint, read_private,
};
use tokio::net::UnixListener;
use zeroize::Zeroizing;

use super::error::HubError;
use crate::secret::{AdminToken, InvalidToken};
use crate::store;
use crate::wire::socket::short_socket_path;

/// Largest file that is read as an admin token, in bytes.
const TOKEN_FILE_MAX_BYTES: u64 = 1_024;

/// A data directory that this process alone may use. The files that say so go when this does.
#[derive(Debug)]
pub(super) struct Claim {
    dir: DataDir,
    lock: Option<FileLock>,
    files: Vec<Utf8PathBuf>,
    notices: Vec<String>,
}

/// What stands in the file of the admin token.
pub(super) enum TokenFile {
    Absent,
    Token(AdminToken),
    Other(InvalidToken),
}

impl Claim {
    /// Takes the data directory, creating it (mode 0700, and what leads to it) when missing.
    pub(super) fn take(dir: &DataDir, holder: &Holder<'_>) -> Result<Self, HubError> {
        create(dir.path())?;
        Self::take_existing(dir, holder)
    }

    /// Takes a data directory that is there.
    pub(super) fn take_existing(dir: &DataDir, holder: &Holder<'_>) -> Result<Self, HubError> {
        let unfit = |source| HubError::DataDir {
            path: dir.path().to_owned(),
            source,
        };
        // Before anything is put into it.
        let directory = store::tighten_directory(dir).map_err(unfit)?;
        let lock = FileLock::acquire(&dir.lock(), holder, Wait::No);
        let lock = lock.map_err(|error| refused(dir, error))?;
        let files = store::tighten_files(dir).map_err(unfit)?;
        let notices = directory.into_iter().chain(files);
        failpoint::reach("hub.claimed").map_err(HubError::io("take", dir.path()))?;
        Ok(Self {
            dir: dir.clone(),
            notices: death(dir, &lock)
                .into_iter()
                .chain(notices.map(|notice| notice.to_string()))
                .collect(),
            lock: Some(lock),
            files: Vec::new(),
        })
    }

    /// What was noticed when the directory was taken.
    pub(super) fn notices(&self) -> &[String] {
        &self.notices
    }

    /// The directory.
    pub(super) fn dir(&self) -> &DataDir {
        &self.dir
    }

    /// What stands in the file of the admin token.
    pub(super) fn token_file(&self) -> Result<TokenFile, HubError> {
        read_token(&self.dir)
    }

    /// Writes the admin token to its file, for its owner to read.
    pub(super) fn write_token(&self, token: &AdminToken) -> Result<(), HubError> {
        let line = Zeroizing::new(format!("{}\n", token.expose()));
        let mode = atomic::Mode::Exactly(paths::PRIVATE_FILE_MODE);
        let path = self.dir.admin_token();
        atomic::write(&path, line.as_bytes(), mode).map_err(HubError::Write)
    }

    /// Writes the process id, for people to read.
    pub(super) fn write_pid(&mut self) -> Result<(), HubError> {
        let path = self.dir.pid();
        let line = format!("{}\n", std::process::id());
        let mode = atomic::Mode::Exactly(paths::PRIVATE_FILE_MODE);
        atomic::write(&path, line.as_bytes(), mode).map_err(HubError::Write)?;
        self.files.push(path);
        Ok(())
    }

    /// Opens the admin socket in place of one that a dead hub left. At no instant may anybody but
    /// its owner connect, whatever the umask is: it is bound in a directory of its own, gets its
    /// mode, and is moved into place.
    pub(super) fn bind_socket(&mut self) -> Result<UnixListener, HubError> {
        let path = self.dir.admin_socket();
        let failed = HubError::io("open the admin socket", &path);
        let listener = bind_private(&path).map_err(failed)?;
        self.files.push(path);
        Ok(listener)
    }

    /// Removes the files and releases the directory.
    pub(super) fn release(mut self) -> Result<(), HubError> {
        let removed = self.remove_files();
        let reached = failpoint::reach("hub.files-removed");
        let removed = removed.and(reached.map_err(HubError::io("leave", self.dir.path())));
        let released = self.lock.take().map_or(Ok(()), FileLock::release);
        removed?;
        released.map_err(|source| HubError::Lock {
            data_dir: self.dir.path().to_owned(),
            source: Box::new(source),
        })
    }

    /// Removes every file, the failing ones apart, and answers the first failure.
    fn remove_files(&mut self) -> Result<(), HubError> {
        let mut result = Ok(());
        for path in self.files.drain(..) {
            let removed = absent_is_fine(fs_err::remove_file(&path));
            result = result.and(removed.map_err(HubError::io("remove", &path)));
        }
        result
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        // `release` has left nothing to do here. Files go first, then the lock, with its field.
        if let Err(error) = self.remove_files() {
            tracing::warn!(%error, "the data directory is not tidy");
        }
    }
}

/// Looks at a data directory that may be another hub's, or not made yet, and changes nothing. A file
/// without an admin token is refused where it would decide: where there is no store yet.
pub(super) fn check(dir: &DataDir) -> Result<(), HubError> {
    if dir.path().symlink_metadata().is_ok() {
        // It is there, so that nothing is made.
        create(dir.path())?;
    }
    if dir.store().exists() {
        return Ok(());
    }
    match read_token(dir) {
        Ok(TokenFile::Other(source)) => {
            let path = dir.admin_token();
            Err(HubError::NoToken { path, source })
        }
        // A start takes it from others.
        Ok(_) | Err(HubError::ReadToken(ReadError::Exposed { .. })) => Ok(()),
        Err(error) => Err(error),
    }
}

/// What stands in the file of the admin token.
fn read_token(dir: &DataDir) -> Result<TokenFile, HubError> {
    let found = read_private(&dir.admin_token(), TOKEN_FILE_MAX_BYTES);
    let found = found.map_err(HubError::ReadToken)?.map(Zeroizing::new);
    Ok(match found {
        None => TokenFile::Absent,
        Some(bytes) => match AdminToken::parse(&String::from_utf8_lossy(&bytes)) {
            Ok(token) => TokenFile::Token(token),
            Err(invalid) => TokenFile::Other(invalid),
        },
    })
}

fn death(dir: &DataDir, lock: &FileLock) -> Option<String> {
    let dir = dir.path();
    match lock.took_over() {
        Some(LockRecord { pid, .. }) => Some(format!(
            "the hub before this one, process {pid}, ended without closing {dir}"
        )),
        None => lock
            .took_over_unrecorded()
            .then(|| format!("the hub before this one ended without closing {dir}")),
    }
}

fn create(path: &Utf8Path) -> Result<(), HubError> {
    let missing: Vec<&Utf8Path> = path
        .ancestors()
        .take_while(|ancestor| !ancestor.as_str().is_empty() && !ancestor.exists())
        .collect();
    for ancestor in missing.into_iter().rev().chain([path]) {
        ensure_private_dir(ancestor, paths::PRIVATE_DIR_MODE).map_err(|source| {
            HubError::DataDir {
                path: path.to_owned(),
                source,
            }
        })?;
    }
    Ok(())
}

fn refused(dir: &DataDir, error: LockError) -> HubError {
    let data_dir = dir.path().to_owned();
    if error.io_kind() != io::ErrorKind::AlreadyExists {
        let source = Box::new(error);
        return HubError::Lock { data_dir, source };
    }
    let pid = match &error {
        LockError::Held { record, .. } => Some(record.pid),
        _ => None,
    };
    let source = Box::new(error);
    HubError::Busy {
        data_dir,
        pid,
        source,
    }
}

fn bind_private(path: &Utf8Path) -> io::Result<UnixListener> {
    if path
        .symlink_metadata()
        .is_ok_and(|found| !found.file_type().is_socket())
    {
        let text = "what is there is no socket: move it away";
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, text));
    }
    let private = Utf8PathBuf::from(format!("{path}.new"));
    let inside = private.join(paths::ADMIN_SOCKET_FILE);
    // What a hub left that died in here.
    absent_is_fine(fs_err::remove_file(&inside))?;
    absent_is_fine(fs_err::remove_dir(&private))?;
    ensure_private_dir(&private, paths::PRIVATE_DIR_MODE).map_err(io::Error::other)?;
    let listener = UnixListener::bind(short_socket_path(&inside)?.path())?;
    fs_err::set_permissions(
        &inside,
        std::fs::Permissions::from_mode(paths::PRIVATE_FILE_MODE),
    )?;
    // A socket needs no flush: after a power cut nobody listens on it anyway.
    failpoint::reach("hub.socket-bound")?;
    fs_err::rename(&inside, path)?;
    failpoint::reach("hub.socket-placed")?;
    fs_err::remove_dir(&private)?;
    Ok(listener)
}

pub(super) fn absent_is_fine(result: io::Result<()>) -> io::Result<()> {
    result.or_else(|error| match error.kind() {
        io::ErrorKind::NotFound => Ok(()),
        _ => Err(error),
    })
}
