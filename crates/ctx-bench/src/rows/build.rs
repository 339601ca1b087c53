//! The release program: how large it is, how long a clean build of it takes, and what of it most is
//! due to. These are only told.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::process::{Command, Stdio};

use camino::{Utf8Path, Utf8PathBuf};
use serde::Deserialize;

use crate::Failure;
use crate::bench::{Bench, utf8};
use crate::samples::timed;
use crate::table::{Report, Row};

/// How many of the heaviest packages are named.
const NAMED: usize = 6;
const MIB: f64 = 1024.0 * 1024.0;
/// What cargo's report of a build has its figures after, and what ends them.
const UNITS: (&str, &str) = ("const UNIT_DATA = ", "];");

/// A compilation, as cargo reports it.
#[derive(Deserialize)]
struct Unit {
    name: String,
    /// In seconds, on one of the processors.
    duration: f64,
}

/// Seconds or bytes of each package.
type Weights = BTreeMap<String, f64>;

/// Size of the program; with a workspace and time for it, a clean build.
pub(crate) fn measure(bench: &mut Bench, report: &mut Report) -> Result<(), Failure> {
    let size = u32::try_from(fs_err::metadata(bench.ctx())?.len())?;
    let size = Row::new("release program, stripped", f64::from(size) / MIB, "MiB");
    let Some(workspace) = bench.workspace_to_build() else {
        report.row(size);
        return Ok(());
    };
    let folder = bench.folder()?;
    let target = utf8(&folder)?;
    let mut build = clean_build(workspace, target);
    let took = timed(|| crate::project::finish(&mut build))?;
    let code = heaviest(&code(&target.join("release").join("ctx"))?, MIB);
    report.row(size.described(&format!("machine code, MiB: {code}")));
    let seconds = heaviest(&seconds(&target.join("cargo-timings"))?, 1.0);
    report.row(
        Row::new(
            "clean release build, two processors",
            took.as_secs_f64(),
            "s",
        )
        .described(&format!("processor seconds: {seconds}")),
    );
    Ok(())
}

/// A build from nothing, which keeps the names of functions.
fn clean_build(workspace: &Utf8Path, target: &Utf8Path) -> Command {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command
        .current_dir(workspace)
        .args(["build", "--release", "--locked", "--package", "ctx-cli"])
        .args(["--bin", "ctx", "--timings"])
        .args(["--config", "profile.release.strip=\"none\""])
        .env("CARGO_TARGET_DIR", target);
    command
}

/// What each package took to compile, from cargo's report in `folder`.
fn seconds(folder: &Utf8Path) -> Result<Weights, Failure> {
    let report = folder.join("cargo-timing.html");
    let text = fs_err::read_to_string(&report)?;
    let units = text.split_once(UNITS.0).and_then(|(_, rest)| {
        let (units, _) = rest.split_once(UNITS.1)?;
        Some(format!("{units}]"))
    });
    let units = units.ok_or_else(|| format!("{report} holds no figures"))?;
    let units: Vec<Unit> = serde_json::from_str(&units)?;
    let mut weights = Weights::new();
    for unit in units {
        *weights.entry(unit.name).or_default() += unit.duration;
    }
    Ok(weights)
}

/// The bytes of machine code of each package in the program at `path`, by the names of its
/// functions. What is inlined counts for whoever it is inlined into.
fn code(path: &Utf8PathBuf) -> Result<Weights, Failure> {
    let mut nm = Command::new("nm");
    nm.args(["--print-size", "--radix=d", "--demangle", path.as_str()]);
    let output = nm.stdin(Stdio::null()).output().map_err(|error| {
        format!("nm, which names what a program is made of: {error}; it comes with binutils")
    })?;
    if !output.status.success() {
        return Err(format!("{nm:?} ended with {}", output.status).into());
    }
    let mut weights = Weights::new();
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        if let Some((package, bytes)) = function(line) {
            *weights.entry(package.to_owned()).or_default() += f64::from(bytes);
        }
    }
    Ok(weights)
}

/// The package and the size of a function, from a line of nm: address, size, kind, name.
fn function(line: &str) -> Option<(&str, u32)> {
    let mut words = line.splitn(4, ' ');
    let (_address, size) = (words.next()?, words.next()?);
    let is_code = matches!(words.next()?, "t" | "T");
    let size = size.parse().ok().filter(|_| is_code)?;
    let name = words.next()?;
    if !name.contains("::") {
        let package = if name.starts_with("sqlite3") {
            "sqlite3"
        } else {
            "other C"
        };
        return Some((package, size));
    }
    // `<impl of a trait for a type>::f` counts for the type's package.
    let start = name.trim_start_matches(['<', '&', '(', '[', '*']);
    let start = start.strip_prefix("dyn ").unwrap_or(start);
    let start = start.strip_prefix("mut ").unwrap_or(start);
    start.split("::").next().map(|package| (package, size))
}

/// The heaviest packages, each with its weight in `unit`s.
fn heaviest(weights: &Weights, unit: f64) -> String {
    let mut sorted: Vec<_> = weights.iter().collect();
    sorted.sort_by(|a, b| b.1.total_cmp(a.1));
    let mut text = String::new();
    for (name, weight) in sorted.into_iter().take(NAMED) {
        let comma = if text.is_empty() { "" } else { ", " };
        // Writing to a string does not fail.
        write!(text, "{comma}{name} {:.1}", weight / unit).ok();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_function_counts_for_the_package_that_its_name_begins_with() {
        let line = |name: &str| format!("0000000000000042 0000000000000100 t {name}");
        for (name, package) in [
            ("tokio::runtime::Runtime::block_on", "tokio"),
            ("<h2::Codec as core::fmt::Debug>::fmt", "h2"),
            ("<&mut serde_json::de::Deserializer<R>>::next", "serde_json"),
            ("sqlite3VdbeExec", "sqlite3"),
            ("memcpy", "other C"),
        ] {
            assert_eq!(function(&line(name)), Some((package, 100)), "{name}");
        }
        assert_eq!(function("0000000000000042 t no_size"), None);
        assert_eq!(function("0000000000000042 0000000000000100 r table"), None);
    }

    #[test]
    fn the_heaviest_come_first() {
        let weights = Weights::from([("a".to_owned(), 1.0), ("b".to_owned(), 20.0)]);
        assert_eq!(heaviest(&weights, 10.0), "b 2.0, a 0.1");
    }
}
