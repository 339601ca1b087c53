//! `deny.toml`, in the form that cargo-deny reads; what we read of it.

use camino::Utf8Path;
use serde::Deserialize;

use crate::error::CheckError;
use crate::files;

/// Where it stands.
pub(crate) const FILE: &str = "deny.toml";

/// What may come into the build.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Deny {
    #[serde(default)]
    pub(crate) advisories: Advisories,
    pub(crate) licenses: Licenses,
    pub(crate) sources: Sources,
}

/// Advisories that do not concern us.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Advisories {
    #[serde(default)]
    pub(crate) ignore: Vec<Ignored>,
}

/// One of them, and why.
#[derive(Debug, Deserialize)]
pub(crate) struct Ignored {
    pub(crate) id: String,
    pub(crate) reason: String,
}

/// Licences that ask for no more than a notice.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Licenses {
    pub(crate) allow: Vec<String>,
}

/// Where packages may come from.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Sources {
    pub(crate) allow_registry: Vec<String>,
}

impl Deny {
    /// Reads the file.
    pub(crate) fn read(root: &Utf8Path) -> Result<Self, CheckError> {
        let text = files::read(root, FILE, "restore it from the repository")?;
        toml::from_str(&text).map_err(|source| CheckError::Toml {
            path: FILE.into(),
            source: Box::new(source),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checked_in_file_can_be_read_and_allows_one_registry() {
        let root = Utf8Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let deny = Deny::read(root).unwrap();
        assert!(deny.licenses.allow.contains(&"MIT".to_owned()));
        assert_eq!(deny.sources.allow_registry.len(), 1);
        assert!(deny.advisories.ignore.iter().all(|i| !i.reason.is_empty()));
    }
}
