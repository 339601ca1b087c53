//! Paths that stay where they belong.

use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};

use camino::{Utf8Component, Utf8Path, Utf8PathBuf};

use crate::file_id::lstat;
use crate::open::FileKind;
use crate::{dir, failpoint, hint};

/// A path that is not what it should be.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PathError {
    /// The name is not a single, plain file name.
    #[error("{name:?} cannot be the name of a file in {dir}")]
    BadName {
        /// The directory that the name would have to stay in.
        dir: Utf8PathBuf,
        /// The name.
        name: String,
    },
    /// A symbolic link in place of a file or directory of ours.
    #[error("{path} is a symbolic link")]
    Symlink {
        /// The path.
        path: Utf8PathBuf,
    },
    /// Something else in place of a directory.
    #[error("{path} is not a directory")]
    NotADirectory {
        /// The path.
        path: Utf8PathBuf,
    },
    /// It belongs to another user.
    #[error("{path} belongs to user {owner}, and this process runs as user {user}")]
    Foreign {
        /// The path.
        path: Utf8PathBuf,
        /// The user id of its owner.
        owner: u32,
        /// The user id of this process.
        user: u32,
    },
    /// The system refused.
    #[error("cannot {action} {path}")]
    Io {
        /// The path.
        path: Utf8PathBuf,
        /// What was being done.
        action: &'static str,
        /// What the system said.
        source: io::Error,
    },
}

impl PathError {
    /// The kind of the underlying error.
    pub fn io_kind(&self) -> io::ErrorKind {
        match self {
            PathError::BadName { .. } | PathError::Symlink { .. } => io::ErrorKind::InvalidInput,
            PathError::NotADirectory { .. } => io::ErrorKind::NotADirectory,
            PathError::Foreign { .. } => io::ErrorKind::PermissionDenied,
            PathError::Io { source, .. } => source.kind(),
        }
    }

    /// What to do next.
    pub fn hint(&self) -> Option<String> {
        match self {
            PathError::BadName { .. } => Some("use one plain name without `/` or `..`".to_owned()),
            PathError::Symlink { .. } => {
                Some("replace the link by the file or directory itself".to_owned())
            }
            PathError::Foreign { owner, .. } => Some(format!(
                "run it as user {owner}, or give the file or directory to the user that runs it"
            )),
            PathError::NotADirectory { .. } => Some("move it away, then run it again".to_owned()),
            PathError::Io { source, .. } => hint::for_io(source),
        }
    }
}

/// `name` inside `dir`, and certainly inside: one plain component, no separator, not `.` or `..`,
/// no NUL, not empty. Looks at the words only, not at the disk.
///
/// # Errors
/// [`PathError::BadName`] for every other name.
pub fn join_contained(dir: &Utf8Path, name: &str) -> Result<Utf8PathBuf, PathError> {
    let mut components = Utf8Path::new(name).components();
    let plain = matches!(
        (components.next(), components.next()),
        (Some(Utf8Component::Normal(only)), None) if only == name
    );
    // A backslash separates on other systems, to which the same directory may be carried.
    if plain && !name.contains(['/', '\\', '\0']) {
        Ok(dir.join(name))
    } else {
        Err(PathError::BadName {
            dir: dir.to_owned(),
            name: name.to_owned(),
        })
    }
}

/// Makes sure that `path` is a directory of ours: creates it (one level, permission bits `mode`,
/// durably) or finds it, and says whether it created it. An existing directory keeps its mode:
/// it may be one that the user named.
///
/// # Errors
/// [`PathError::Symlink`] and [`PathError::NotADirectory`] for what is in its place,
/// [`PathError::Io`] when it cannot be created, for example because its parent is missing.
pub fn ensure_private_dir(path: &Utf8Path, mode: u32) -> Result<bool, PathError> {
    let failed = |action| {
        move |source| PathError::Io {
            path: path.to_owned(),
            action,
            source,
        }
    };
    let created = match DirBuilder::new().mode(mode).create(path) {
        Ok(()) => true,
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => false,
        Err(error) => return Err(failed("create the directory")(error)),
    };
    refuse_symlink(path)?;
    match lstat(path).map_err(failed("look at"))? {
        Some(metadata) if metadata.is_dir() => {}
        _ => {
            return Err(PathError::NotADirectory {
                path: path.to_owned(),
            });
        }
    }
    if created {
        std::fs::set_permissions(path, PermissionsExt::from_mode(mode))
            .and_then(|()| failpoint::reach_at("dir.created", path))
            .map_err(failed("set the mode of"))?;
        dir::sync_parent(path)
            .and_then(|()| failpoint::reach_at("dir.durable", path))
            .map_err(failed("flush the directory of"))?;
    }
    Ok(created)
}

/// Refuses `path` when it is itself a symbolic link; the directories above it may be. A path
/// where nothing is passes.
///
/// # Errors
/// [`PathError::Symlink`]; [`PathError::Io`] when the system does not say.
pub fn refuse_symlink(path: &Utf8Path) -> Result<(), PathError> {
    let found = lstat(path).map_err(|source| PathError::Io {
        path: path.to_owned(),
        action: "look at",
        source,
    })?;
    match found.as_ref().and_then(FileKind::of) {
        Some(FileKind::Symlink) => Err(PathError::Symlink {
            path: path.to_owned(),
        }),
        _ => Ok(()),
    }
}
