//! Files and directories that nobody but their owner may open.

use std::fs::Permissions;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use camino::Utf8Path;

use crate::contained::{PathError, refuse_symlink};
use crate::file_id::lstat;
use crate::open;

const OTHERS: u32 = 0o077;
const OWNER: u32 = 0o700;

/// Who may open something, as far as it is not its owner alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Exposure {
    /// A symbolic link stands in its place.
    Symlink,
    /// It belongs to another user.
    Foreign {
        /// The user id of its owner.
        owner: u32,
    },
    /// Others may open it.
    Open {
        /// Its permission bits.
        mode: u32,
    },
}

/// Who may open what is at `path`, which should be `owner`'s alone; `None` when it is, and when
/// nothing is there. Changes nothing.
///
/// # Errors
/// [`PathError::Io`] when the system does not say.
pub fn exposure(path: &Utf8Path, owner: u32) -> Result<Option<Exposure>, PathError> {
    let Some(found) = lstat(path).map_err(failed(path, "look at"))? else {
        return Ok(None);
    };
    let mode = found.mode() & 0o7777;
    Ok(if found.is_symlink() {
        Some(Exposure::Symlink)
    } else if found.uid() != owner {
        Some(Exposure::Foreign { owner: found.uid() })
    } else if mode & OTHERS != 0 {
        Some(Exposure::Open { mode })
    } else {
        None
    })
}

/// Takes from everybody but its owner what they may do with the file or directory at `path`, and
/// answers the permission bits that it had; `None` when there was nothing to take, and when nothing
/// is there.
///
/// # Errors
/// [`PathError::Symlink`] for a symbolic link and [`PathError::Foreign`] for what belongs to another
/// user than this process runs as: what it is cannot be mended by its mode. [`PathError::Io`] when
/// the system refuses.
pub fn tighten(path: &Utf8Path) -> Result<Option<u32>, PathError> {
    let user = rustix::process::geteuid().as_raw();
    let mode = match exposure(path, user)? {
        None => return Ok(None),
        Some(Exposure::Open { mode }) => mode,
        Some(Exposure::Symlink) => {
            refuse_symlink(path)?;
            return Ok(None);
        }
        Some(Exposure::Foreign { owner }) => {
            return Err(PathError::Foreign {
                path: path.to_owned(),
                owner,
                user,
            });
        }
    };
    // Of what was opened, and not of what the path names by then. A link is not followed.
    let opened = open::options().read(true).open(path);
    opened
        .and_then(|file| file.set_permissions(Permissions::from_mode(mode & OWNER)))
        .map_err(failed(path, "set the mode of"))?;
    Ok(Some(mode))
}

fn failed(path: &Utf8Path, action: &'static str) -> impl FnOnce(std::io::Error) -> PathError {
    move |source| PathError::Io {
        path: path.to_owned(),
        action,
        source,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::atomic;

    fn mode(path: &Utf8Path) -> u32 {
        std::fs::symlink_metadata(path).unwrap().mode() & 0o7777
    }

    #[test]
    fn files_and_directories_are_taken_from_everybody_but_their_owner() {
        let temp = tempfile::tempdir().unwrap();
        let dir = Utf8Path::from_path(temp.path()).unwrap();
        let (file, folder) = (dir.join("file"), dir.join("folder"));
        atomic::write(&file, b"", atomic::Mode::Exactly(0o644)).unwrap();
        std::fs::create_dir(&folder).unwrap();
        for (path, before, after) in [(&file, 0o644, 0o600), (&folder, 0o755, 0o700)] {
            std::fs::set_permissions(path, Permissions::from_mode(before)).unwrap();
            assert_eq!(tighten(path).unwrap(), Some(before));
            assert_eq!(mode(path), after);
            assert_eq!(tighten(path).unwrap(), None);
        }
        assert_eq!(tighten(&dir.join("nothing")).unwrap(), None);
    }

    #[test]
    fn a_link_is_refused_and_what_it_leads_to_is_left_alone() {
        let temp = tempfile::tempdir().unwrap();
        let dir = Utf8Path::from_path(temp.path()).unwrap();
        let (file, link) = (dir.join("file"), dir.join("link"));
        atomic::write(&file, b"", atomic::Mode::Exactly(0o644)).unwrap();
        std::fs::set_permissions(&file, Permissions::from_mode(0o644)).unwrap();
        symlink(&file, &link).unwrap();
        assert!(matches!(tighten(&link), Err(PathError::Symlink { .. })));
        assert_eq!(mode(&file), 0o644);
    }

    #[test]
    fn what_belongs_to_another_user_is_told() {
        let temp = tempfile::tempdir().unwrap();
        let path = Utf8Path::from_path(temp.path()).unwrap();
        let owner = std::fs::symlink_metadata(path).unwrap().uid();
        assert_eq!(
            exposure(path, owner.wrapping_add(1)).unwrap(),
            Some(Exposure::Foreign { owner })
        );
    }
}
