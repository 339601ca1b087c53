//! Damaging a file, and putting a project back as it was.

use std::fs::Permissions;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::time::SystemTime;

use camino::{Utf8Path, Utf8PathBuf};

use super::episode::Episode;
use super::mirror::size;
use super::scratch::{create, put, remove};
use super::trouble::Trouble;

const PRIVATE_DIR: u32 = 0o700;
/// Text that a person wrote.
const NOTE: &[u8] = b"A note by hand: ask Ada before this is changed.\n";

/// A file of so many bytes is cut at each of them, where `EVERY` places or more are asked for.
const SMALL: usize = 1024;
const EVERY: u64 = 40;
/// One of so many damages is in the short version.
const SHORT: usize = 3;

/// What is done to a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Damage {
    /// Cut to so many bytes.
    Truncate(usize),
    /// One byte has another value.
    Flip(usize),
    /// A person's note stands at its end.
    Append,
    /// It is gone.
    Delete,
    /// A directory stands in its place.
    Directory,
    /// A symbolic link to the same content elsewhere stands in its place.
    Link,
}

/// Every damage to a file of `length` bytes, at no more than `places` places of it.
pub(crate) fn kinds(length: usize, places: u64) -> Vec<Damage> {
    let all = spread(length, places);
    let cuts = match length <= SMALL && places >= EVERY {
        true => (0..length).collect(),
        false => all.clone(),
    };
    let mut kinds: Vec<_> = cuts.iter().map(|&at| Damage::Truncate(at)).collect();
    kinds.extend(all.iter().map(|&at| Damage::Flip(at)));
    kinds.extend([
        Damage::Append,
        Damage::Delete,
        Damage::Directory,
        Damage::Link,
    ]);
    kinds
}

/// All of them, or of the short version every third; `number` counts through every file, so that
/// each kind has its turn.
pub(crate) fn some(kinds: Vec<Damage>, number: &mut usize, episode: &Episode<'_>) -> Vec<Damage> {
    let mut chosen = Vec::new();
    for kind in kinds {
        *number += 1;
        if !episode.limits.short || (*number).is_multiple_of(SHORT) {
            chosen.push(kind);
        }
    }
    chosen
}

/// Places in a file: all of them, or the first, the last and some at equal distances.
fn spread(length: usize, places: u64) -> Vec<usize> {
    let places = usize::try_from(places).unwrap_or(usize::MAX).max(2);
    if length <= places {
        return (0..length).collect();
    }
    let at = |number: usize| number * (length - 1) / (places - 1);
    (0..places).map(at).collect()
}

impl Damage {
    /// What the file holds afterwards; none when it is no file any more.
    pub(crate) fn content(self, whole: &[u8]) -> Option<Vec<u8>> {
        match self {
            Self::Truncate(length) => Some(whole.get(..length).unwrap_or(whole).to_vec()),
            Self::Flip(at) => {
                let flip = |(place, &byte): (usize, &u8)| match place == at {
                    true => byte ^ 0x05,
                    false => byte,
                };
                Some(whole.iter().enumerate().map(flip).collect())
            }
            Self::Append => Some([whole, NOTE].concat()),
            Self::Delete | Self::Directory | Self::Link => None,
        }
    }

    /// Does it to the file at `path`, which holds `whole`; a link leads to `elsewhere`.
    pub(crate) fn apply(
        self,
        path: &Utf8Path,
        whole: &[u8],
        elsewhere: &Utf8Path,
    ) -> Result<(), Trouble> {
        if let Some(content) = self.content(whole) {
            return put(path, &content);
        }
        remove(path)?;
        match self {
            Self::Directory => fs_err::create_dir(path)?,
            Self::Link => {
                put(elsewhere, whole)?;
                fs_err::os::unix::fs::symlink(elsewhere, path)?;
            }
            _ => {}
        }
        Ok(())
    }
}

/// Files with their content, mode and time of change, which the state records.
#[derive(Debug, Default)]
pub(crate) struct Saved {
    files: Vec<(Utf8PathBuf, Vec<u8>, Permissions, SystemTime)>,
}

impl Saved {
    /// Every file in `dir`.
    pub(crate) fn of(dir: &Utf8Path) -> Result<Self, Trouble> {
        let mut saved = Self::default();
        for found in fs_err::read_dir(dir)? {
            let name = found?.file_name().to_string_lossy().into_owned();
            saved.add(&dir.join(name))?;
        }
        if saved.files.is_empty() {
            return Err(Trouble::Broken(format!("{dir} holds nothing to damage")));
        }
        Ok(saved)
    }

    /// One more file.
    pub(crate) fn add(&mut self, path: &Utf8Path) -> Result<(), Trouble> {
        let metadata = fs_err::metadata(path)?;
        let content = fs_err::read(path)?;
        if size(content.len()) != metadata.len() {
            return Err(Trouble::Broken(format!("{path} changes meanwhile")));
        }
        let changed = metadata.modified()?;
        self.files
            .push((path.to_owned(), content, metadata.permissions(), changed));
        Ok(())
    }

    /// Makes `dir` anew and puts every file back.
    pub(crate) fn restore(&self, dir: &Utf8Path) -> Result<(), Trouble> {
        remove(dir)?;
        fs_err::create_dir(dir)?;
        fs_err::set_permissions(dir, Permissions::from_mode(PRIVATE_DIR))?;
        for (path, content, permissions, changed) in &self.files {
            remove(path)?;
            let mut file = create(path)?;
            file.write_all(content)?;
            file.set_permissions(permissions.clone())?;
            file.set_modified(*changed)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_all_of_a_short_file_and_both_ends_of_a_long_one() {
        assert_eq!(spread(4, 6), [0, 1, 2, 3]);
        assert_eq!(spread(1001, 5), [0, 250, 500, 750, 1000]);
        assert_eq!(kinds(3, 9).len(), 3 + 3 + 4);
    }

    #[test]
    fn a_damage_changes_what_it_says_and_restoring_undoes_it() {
        let directory = tempfile::tempdir().unwrap();
        let root = Utf8Path::from_path(directory.path()).unwrap();
        let (dir, elsewhere) = (root.join("d"), root.join("e"));
        fs_err::create_dir(&dir).unwrap();
        let path = dir.join("f");
        put(&path, b"abc").unwrap();
        let saved = Saved::of(&dir).unwrap();
        let before = fs_err::metadata(&path).unwrap().modified().unwrap();
        let mut seen = Vec::new();
        for damage in kinds(3, 3) {
            damage.apply(&path, b"abc", &elsewhere).unwrap();
            seen.push(fs_err::read(&path).ok());
            saved.restore(&dir).unwrap();
            assert_eq!(fs_err::read(&path).unwrap(), b"abc");
            assert_eq!(fs_err::metadata(&path).unwrap().modified().unwrap(), before);
        }
        let text = |bytes: &[u8]| Some(bytes.to_vec());
        assert_eq!(seen[..3], [text(b""), text(b"a"), text(b"ab")]);
        assert_eq!(seen[3..6], [text(b"dbc"), text(b"agc"), text(b"abf")]);
        assert!(seen[6].as_ref().unwrap().ends_with(NOTE));
        assert_eq!(seen[7..], [None, None, text(b"abc")]);
    }
}
