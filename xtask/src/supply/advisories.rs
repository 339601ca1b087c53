//! Known faults of the packages in `Cargo.lock`, from a digest of the RustSec Advisory Database.
//!
//! The digest is checked in, so that the gate needs no network. It holds every advisory of every
//! package that it was made for, also those that no version of ours is affected by: a version that
//! goes back is found.

use std::collections::BTreeSet;

use camino::Utf8Path;
use cargo_metadata::semver::VersionReq;
use serde::{Deserialize, Serialize};

use super::deny::{self, Deny};
use super::lock::{self, Locked};
use super::{database, ranges};
use crate::error::CheckError;
use crate::files;
use crate::finding::Finding;

/// Where the digest stands.
pub(crate) const FILE: &str = "xtask/advisories.toml";

const RULE: &str = "advisory";

/// What stands above it.
const HEAD: &str = "\
# What the RustSec Advisory Database (https://github.com/rustsec/advisory-db) says of the packages in
# Cargo.lock; withdrawn advisories are left out. Written by `cargo xtask advisories`, read by
# `cargo xtask deps`. The date is that of the database: what was published later is not known here,
# nor is anything of a package that is not among those looked up. Nobody can tell offline whether a
# version was yanked.

";

/// What is known of the packages that were looked up.
#[derive(Debug, Default, Serialize, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub(super) struct Digest {
    /// The database was as it stood on this day, or later.
    pub(super) date: String,
    /// Names of packages.
    pub(super) looked_up: BTreeSet<String>,
    #[serde(default)]
    pub(super) advisory: Vec<Advisory>,
}

/// One advisory.
#[derive(Debug, Serialize, Deserialize, PartialEq, Eq, PartialOrd, Ord)]
#[serde(deny_unknown_fields)]
pub(super) struct Advisory {
    pub(super) package: String,
    pub(super) id: String,
    pub(super) date: String,
    pub(super) title: String,
    /// What kind of advisory it is when it is not about a vulnerability.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) informational: Option<String>,
    pub(super) patched: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) unaffected: Vec<String>,
}

/// Compares the lock file with the digest.
pub(super) fn check(
    root: &Utf8Path,
    lock: &[Locked],
    deny: &Deny,
) -> Result<Vec<Finding>, CheckError> {
    let digest = read(root)?;
    let unknown: BTreeSet<&str> = lock
        .iter()
        .filter(|package| package.source.is_some() && !digest.looked_up.contains(&package.name))
        .map(|package| package.name.as_str())
        .collect();
    println!("-- advisories as of {}", digest.date);
    if !unknown.is_empty() {
        let names: Vec<&str> = unknown.into_iter().collect();
        println!("-- not looked up then: {}", names.join(" "));
    }
    let mut findings = affected(&digest, lock, deny)?;
    findings.extend(needless(&digest, lock, deny)?);
    Ok(findings)
}

/// Packages that an advisory speaks of and nobody has decided to live with.
fn affected(digest: &Digest, lock: &[Locked], deny: &Deny) -> Result<Vec<Finding>, CheckError> {
    let mut findings = Vec::new();
    for (advisory, package) in pairs(digest, lock)? {
        if deny.advisories.ignore.iter().any(|i| i.id == advisory.id) {
            continue;
        }
        let message = format!(
            "`{} {}`: {} ({}); mended in {}",
            package.name,
            package.version,
            advisory.title,
            advisory.id,
            mended(advisory)
        );
        findings.push(lock::finding(package, RULE, message));
    }
    Ok(findings)
}

fn mended(advisory: &Advisory) -> String {
    if advisory.patched.is_empty() {
        "no version".to_owned()
    } else {
        advisory.patched.join(" or ")
    }
}

/// Advisories that are ignored although no package of ours is affected.
fn needless(digest: &Digest, lock: &[Locked], deny: &Deny) -> Result<Vec<Finding>, CheckError> {
    let pairs = pairs(digest, lock)?;
    let mut findings = Vec::new();
    for ignored in &deny.advisories.ignore {
        if ignored.reason.trim().is_empty() {
            let message = format!("{} is ignored without a reason", ignored.id);
            findings.push(Finding::new(deny::FILE, 1, RULE, message));
        }
        if !pairs.iter().any(|(advisory, _)| advisory.id == ignored.id) {
            let message = format!("{} is ignored and concerns no package", ignored.id);
            findings.push(Finding::new(deny::FILE, 1, RULE, message));
        }
    }
    Ok(findings)
}

/// Every advisory with every package that it speaks of.
fn pairs<'a>(
    digest: &'a Digest,
    lock: &'a [Locked],
) -> Result<Vec<(&'a Advisory, &'a Locked)>, CheckError> {
    let mut pairs = Vec::new();
    for advisory in &digest.advisory {
        let fine = parsed(advisory, &advisory.patched)?;
        let untouched = parsed(advisory, &advisory.unaffected)?;
        let concerned = lock.iter().filter(|package| {
            package.source.is_some()
                && package.name == advisory.package
                && !ranges::any(&fine, &package.version)
                && !ranges::any(&untouched, &package.version)
        });
        pairs.extend(concerned.map(|package| (advisory, package)));
    }
    Ok(pairs)
}

fn parsed(advisory: &Advisory, ranges: &[String]) -> Result<Vec<VersionReq>, CheckError> {
    let parse = |range: &String| {
        range.parse().map_err(|_| CheckError::Missing {
            what: format!("{FILE}: `{range}` of {} is no range", advisory.id),
            hint: "write the digest anew with `cargo xtask advisories`".to_owned(),
        })
    };
    ranges.iter().map(parse).collect()
}

fn read(root: &Utf8Path) -> Result<Digest, CheckError> {
    let hint = "write it with `cargo xtask advisories --db DIR`";
    let text = files::read(root, FILE, hint)?;
    toml::from_str(&text).map_err(|source| CheckError::Toml {
        path: FILE.into(),
        source: Box::new(source),
    })
}

/// Writes the digest anew from a copy of the database: `db`, or the one that cargo-audit keeps.
pub(crate) fn write(root: &Utf8Path, db: Option<&Utf8Path>) -> Result<(), CheckError> {
    let lock = lock::read(root)?;
    let names = lock.iter().filter(|package| package.source.is_some());
    let names = names.map(|package| package.name.clone()).collect();
    let digest = database::read(db, names)?;
    let text = toml::to_string_pretty(&digest).map_err(|_| CheckError::Missing {
        what: "the digest cannot be written as TOML".to_owned(),
        hint: "report it".to_owned(),
    })?;
    files::replace(&root.join(FILE), format!("{HEAD}{text}").as_bytes())?;
    println!(
        "{FILE}: {} advisories of {} packages, as of {}",
        digest.advisory.len(),
        digest.looked_up.len(),
        digest.date
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Sandbox, lines};

    const LOCK: &str = "[[package]]\nname = \"a\"\nversion = \"1.2.3\"\nsource = \"registry+x\"\n\
        \n[[package]]\nname = \"a\"\nversion = \"1.4.0\"\nsource = \"registry+x\"\n\
        \n[[package]]\nname = \"b\"\nversion = \"0.1.0\"\n";

    const DIGEST: &str = "date = \"2026-01-01\"\nlooked_up = [\"a\", \"b\"]\n\
        [[advisory]]\npackage = \"a\"\nid = \"RUSTSEC-1\"\ndate = \"2025-01-01\"\ntitle = \"It breaks\"\n\
        patched = [\">= 1.3.0\"]\nunaffected = [\"< 1.1.0\"]\n\
        [[advisory]]\npackage = \"b\"\nid = \"RUSTSEC-2\"\ndate = \"2025-01-01\"\ntitle = \"Ours\"\n\
        patched = []\n";

    fn found(ignored: &[(&str, &str)]) -> Vec<String> {
        let sandbox = Sandbox::new();
        sandbox.write(lock::FILE, LOCK);
        sandbox.write(FILE, DIGEST);
        let mut deny = Deny::default();
        deny.advisories.ignore = ignored
            .iter()
            .map(|(id, reason)| deny::Ignored {
                id: (*id).to_owned(),
                reason: (*reason).to_owned(),
            })
            .collect();
        let lock = lock::read(sandbox.root()).unwrap();
        lines(check(sandbox.root(), &lock, &deny).unwrap())
    }

    #[test]
    fn a_version_that_an_advisory_speaks_of_is_found_and_no_other() {
        let want = "Cargo.lock:2: advisory: `a 1.2.3`: It breaks (RUSTSEC-1); mended in >= 1.3.0";
        assert_eq!(found(&[]), [want]);
    }

    #[test]
    fn the_checked_in_digest_knows_an_older_http_2_and_not_ours() {
        let root = Utf8Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let digest = read(root).unwrap();
        let h2 = |version: &str| {
            let sandbox = Sandbox::new();
            let lock = format!(
                "[[package]]\nname = \"h2\"\nversion = \"{version}\"\nsource = \"registry+x\"\n"
            );
            sandbox.write(lock::FILE, &lock);
            lines(
                affected(
                    &digest,
                    &lock::read(sandbox.root()).unwrap(),
                    &Deny::default(),
                )
                .unwrap(),
            )
        };
        let found = h2("0.4.15");
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].contains("RUSTSEC-2026-0258"), "{found:?}");
        assert_eq!(h2("0.4.20"), Vec::<String>::new());
    }

    #[test]
    fn an_advisory_can_be_ignored_for_a_reason_and_only_while_it_concerns_something() {
        assert_eq!(found(&[("RUSTSEC-1", "not reached")]), Vec::<String>::new());
        let found = found(&[("RUSTSEC-1", " "), ("RUSTSEC-2", "it is ours")]);
        let want = [
            "deny.toml:1: advisory: RUSTSEC-1 is ignored without a reason",
            "deny.toml:1: advisory: RUSTSEC-2 is ignored and concerns no package",
        ];
        assert_eq!(found, want);
    }
}
