//! Files of the checkout: listing, reading and replacing them.

use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;

use camino::{Utf8Path, Utf8PathBuf};

use crate::error::CheckError;
use crate::run;

/// A text file of the checkout.
#[derive(Debug)]
pub(crate) struct Text {
    /// Path relative to the root.
    pub(crate) path: Utf8PathBuf,
    /// Its whole content.
    pub(crate) content: String,
}

impl Text {
    /// True when the file name ends in `.extension`.
    pub(crate) fn is(&self, extension: &str) -> bool {
        self.path.extension() == Some(extension)
    }
}

/// Every text file that git tracks or would track; ignored and binary files are left out.
pub(crate) fn texts(root: &Utf8Path) -> Result<Vec<Text>, CheckError> {
    let listing = run::capture(run::git(root).args([
        "ls-files",
        "-z",
        "--cached",
        "--others",
        "--exclude-standard",
    ]))?;
    let mut paths: Vec<&str> = listing.split_terminator('\0').collect();
    paths.sort_unstable();
    paths.dedup();
    let mut texts = Vec::new();
    for path in paths {
        let full = root.join(path);
        // A file that was deleted and not yet committed is still listed.
        if !full.is_file() {
            continue;
        }
        if let Ok(content) = String::from_utf8(fs_err::read(&full)?)
            && !content.contains('\0')
        {
            texts.push(Text {
                path: path.into(),
                content,
            });
        }
    }
    Ok(texts)
}

/// The content of a file that a check needs; a missing one is an error that says so.
pub(crate) fn read(root: &Utf8Path, path: &str, hint: &str) -> Result<String, CheckError> {
    match fs_err::read_to_string(root.join(path)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(CheckError::Missing {
            what: format!("{path} is missing"),
            hint: hint.to_owned(),
        }),
        other => Ok(other?),
    }
}

/// Replaces `target` by a file with `content`: old or new stands, never a part.
pub(crate) fn replace(target: &Utf8Path, content: &[u8]) -> io::Result<()> {
    let directory = target.parent().unwrap_or(Utf8Path::new("."));
    fs_err::create_dir_all(directory)?;
    let mut temporary = tempfile::Builder::new()
        .permissions(std::fs::Permissions::from_mode(0o644))
        .tempfile_in(directory)?;
    temporary.write_all(content)?;
    temporary.as_file().sync_all()?;
    temporary.persist(target)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Sandbox;

    #[test]
    fn untracked_files_are_listed_ignored_deleted_and_binary_ones_are_not() {
        let sandbox = Sandbox::new();
        sandbox.write(".gitignore", "/target\n");
        sandbox.write("target/x.rs", "");
        sandbox.write("gone.rs", "");
        sandbox.write("tracked.rs", "");
        sandbox.commit("files");
        sandbox.write("binary.rs", "a\0b");
        sandbox.write("new/ümlaut.rs", "");
        fs_err::remove_file(sandbox.root().join("gone.rs")).unwrap();
        let found: Vec<_> = texts(sandbox.root())
            .unwrap()
            .into_iter()
            .map(|text| text.path)
            .collect();
        assert_eq!(found, [".gitignore", "new/ümlaut.rs", "tracked.rs"]);
    }
}
