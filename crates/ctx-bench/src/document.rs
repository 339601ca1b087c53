//! A file that the outcome goes to, which is seen to be possible before anything is measured.

use std::io::Write as _;

use camino::Utf8Path;
use ctx_io::atomic::{AtomicFile, Mode};

use crate::Failure;

/// A file that is going to be written, whole or not at all.
#[derive(Debug)]
pub(crate) struct Document {
    new: AtomicFile,
}

impl Document {
    /// Gets ready to write `path`; nothing is there before [`Document::put`].
    ///
    /// # Errors
    ///
    /// Where no file can be made, with the path and why.
    pub(crate) fn at(path: &Utf8Path) -> Result<Self, Failure> {
        if path.is_dir() {
            return Err(format!("cannot write {path}: it is a directory; name a file").into());
        }
        let dir = path.parent().filter(|dir| !dir.as_str().is_empty());
        let dir = dir.unwrap_or(Utf8Path::new("."));
        if !dir.is_dir() {
            return Err(format!("cannot write {path}: there is no folder {dir}; make it").into());
        }
        let mode = Mode::Exactly(ctx_config::paths::SHARED_FILE_MODE);
        Ok(Self {
            new: AtomicFile::create(path, mode)?,
        })
    }

    /// Replaces the file by `text`.
    ///
    /// # Errors
    ///
    /// When it cannot be written, with the path and why.
    pub(crate) fn put(mut self, text: &str) -> Result<(), Failure> {
        self.new.write_all(text.as_bytes())?;
        Ok(self.new.commit()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_takes_the_place_of_the_one_before_only_when_it_is_put() {
        let dir = tempfile::tempdir().unwrap();
        let path = Utf8Path::from_path(dir.path()).unwrap().join("rows.json");
        Document::at(&path).unwrap().put("old").unwrap();
        let document = Document::at(&path).unwrap();
        assert_eq!(fs_err::read_to_string(&path).unwrap(), "old");
        document.put("new").unwrap();
        assert_eq!(fs_err::read_to_string(&path).unwrap(), "new");
        assert_eq!(fs_err::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_place_where_no_file_can_be_is_refused_by_its_own_name() {
        let dir = tempfile::tempdir().unwrap();
        let dir = Utf8Path::from_path(dir.path()).unwrap();
        let refused = |path: &Utf8Path| Document::at(path).unwrap_err().to_string();
        let missing = dir.join("none/rows.json");
        let said = refused(&missing);
        assert!(said.contains(missing.as_str()), "{said}");
        assert!(said.contains("no folder"), "{said}");
        assert!(refused(dir).contains("directory"));
    }
}
