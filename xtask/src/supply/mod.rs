//! What comes into the build from outside: from where, with which known faults; and no `unsafe` of
//! our own.
//!
//! All of it is checked without a network: `Cargo.lock` against `deny.toml`, and against a digest of
//! the RustSec Advisory Database that is checked in. What cannot be known so, an advisory that is
//! younger than the digest and a version that was withdrawn, is for a tool with a network.

pub(crate) mod advisories;
mod database;
mod deny;
mod lock;
mod ranges;
mod unsafe_code;

use camino::Utf8Path;
use cargo_metadata::{Metadata, TargetKind};

use crate::error::CheckError;
use crate::finding::Finding;

pub(crate) use self::deny::Deny;

/// Checks sources, advisories and lints, and tells what is worth knowing and no fault.
pub(crate) fn check(
    root: &Utf8Path,
    metadata: &Metadata,
    deny: &Deny,
) -> Result<Vec<Finding>, CheckError> {
    let lock = lock::read(root)?;
    let mut findings = lock::sources(&lock, deny);
    findings.extend(advisories::check(root, &lock, deny)?);
    findings.extend(unsafe_code::check(root, metadata)?);
    for (name, versions) in lock::duplicates(&lock) {
        println!("-- {name} comes in {}", versions.join(" and "));
    }
    let at_build = runs_at_build_time(metadata);
    println!(
        "-- {} packages run code when they are built: {}",
        at_build.len(),
        at_build.join(" ")
    );
    Ok(findings)
}

/// Packages of others that run code on the machine that builds: build scripts and procedural macros.
fn runs_at_build_time(metadata: &Metadata) -> Vec<&str> {
    let runs = |kind: &TargetKind| matches!(kind, TargetKind::CustomBuild | TargetKind::ProcMacro);
    let mut names: Vec<&str> = metadata
        .packages
        .iter()
        .filter(|package| package.source.is_some())
        .filter(|package| {
            let mut kinds = package.targets.iter().flat_map(|target| &target.kind);
            kinds.any(runs)
        })
        .map(|package| package.name.as_str())
        .collect();
    names.dedup();
    names
}
