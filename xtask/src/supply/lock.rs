//! `Cargo.lock`: every package of every build.

use std::collections::BTreeMap;

use camino::Utf8Path;
use cargo_metadata::semver::Version;
use serde::Deserialize;

use super::deny::Deny;
use crate::error::CheckError;
use crate::files;
use crate::finding::Finding;

/// Where it stands.
pub(crate) const FILE: &str = "Cargo.lock";

/// A package of the lock file.
#[derive(Debug, Deserialize)]
pub(crate) struct Locked {
    pub(crate) name: String,
    pub(crate) version: Version,
    /// Ours have none.
    pub(crate) source: Option<String>,
    checksum: Option<String>,
    /// Where its entry begins.
    #[serde(skip)]
    pub(crate) line: usize,
}

#[derive(Deserialize)]
struct Lock {
    package: Vec<Locked>,
}

/// Reads the lock file.
pub(crate) fn read(root: &Utf8Path) -> Result<Vec<Locked>, CheckError> {
    let text = files::read(root, FILE, "run `cargo generate-lockfile`")?;
    let lock: Lock = toml::from_str(&text).map_err(|source| CheckError::Toml {
        path: FILE.into(),
        source: Box::new(source),
    })?;
    // The entries stand in the order in which they were read.
    let starts = text.lines().enumerate();
    let starts = starts.filter(|(_, line)| *line == "[[package]]");
    let placed = lock.package.into_iter().zip(starts);
    Ok(placed
        .map(|(package, (at, _))| Locked {
            line: at + 2,
            ..package
        })
        .collect())
}

/// Packages from elsewhere than a registry that is allowed, or without a checksum.
pub(crate) fn sources(lock: &[Locked], deny: &Deny) -> Vec<Finding> {
    let allowed = |source: &str| {
        let registry = source.strip_prefix("registry+");
        registry.is_some_and(|url| deny.sources.allow_registry.iter().any(|known| known == url))
    };
    let message = |package: &Locked| {
        let name = &package.name;
        match &package.source {
            None => None,
            Some(source) if !allowed(source) => Some(format!("`{name}` comes from {source}")),
            Some(_) if package.checksum.is_none() => Some(format!("`{name}` has no checksum")),
            Some(_) => None,
        }
    };
    let found = |package: &Locked| Some(finding(package, "source", message(package)?));
    lock.iter().filter_map(found).collect()
}

/// A finding at the entry of a package.
pub(crate) fn finding(package: &Locked, rule: &'static str, message: String) -> Finding {
    Finding::new(FILE, package.line, rule, message)
}

/// Packages that come in more than one version.
pub(crate) fn duplicates(lock: &[Locked]) -> BTreeMap<&str, Vec<String>> {
    let mut versions: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for package in lock {
        let known = versions.entry(&package.name).or_default();
        known.push(package.version.to_string());
    }
    versions.retain(|_, versions| versions.len() > 1);
    versions
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Sandbox, lines};

    const LOCK: &str = r#"version = 4

[[package]]
name = "ours"
version = "0.1.0"

[[package]]
name = "a"
version = "1.0.0"
source = "registry+https://example.org/index"
checksum = "00"

[[package]]
name = "a"
version = "2.0.0"
source = "registry+https://example.org/index"

[[package]]
name = "b"
version = "1.0.0"
source = "git+https://example.org/b#00"
"#;

    fn locked() -> Vec<Locked> {
        let sandbox = Sandbox::new();
        sandbox.write(FILE, LOCK);
        read(sandbox.root()).unwrap()
    }

    #[test]
    fn a_source_that_is_not_allowed_and_a_missing_checksum_are_found() {
        let mut deny = Deny::default();
        deny.sources.allow_registry = vec!["https://example.org/index".to_owned()];
        let want = [
            "Cargo.lock:14: source: `a` has no checksum",
            "Cargo.lock:19: source: `b` comes from git+https://example.org/b#00",
        ];
        assert_eq!(lines(sources(&locked(), &deny)), want);
        assert_eq!(sources(&locked(), &Deny::default()).len(), 3);
    }

    #[test]
    fn two_versions_of_a_package_are_listed() {
        let lock = locked();
        let want = BTreeMap::from([("a", vec!["1.0.0".to_owned(), "2.0.0".to_owned()])]);
        assert_eq!(duplicates(&lock), want);
    }
}
