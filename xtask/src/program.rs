//! The program `ctx` as other steps run it: built, kept from later builds, and checked to be the
//! build that was asked for.
//!
//! Cargo puts every build of a program to the same path, whatever its features: a test run with all
//! features leaves one with failpoints there. So each kind is copied to a name of its own.

use std::process::Command;

use camino::{Utf8Path, Utf8PathBuf};

use crate::error::CheckError;
use crate::run;

/// With failpoints, `list` in this variable prints the names of the steps.
const VARIABLE: &str = "CTX_FAILPOINTS";
/// The program that measures, and that puts load on a hub.
const BENCH: &str = "ctx-bench";
/// The profile that paths are counted with.
const COUNT: &str = "count";
/// The folder of the copies in the target directory.
const COPIES: &str = "xtask";

/// How the program is built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Kind {
    /// With optimizations, as it is shipped.
    pub(crate) release: bool,
    /// With the named steps at which it can be stopped, as it is never shipped.
    pub(crate) failpoints: bool,
}

impl Kind {
    fn name(self) -> &'static str {
        match (self.release, self.failpoints) {
            (false, false) => "ctx-debug",
            (true, false) => "ctx-release",
            (false, true) => "ctx-debug-failpoints",
            (true, true) => "ctx-release-failpoints",
        }
    }
}

/// Builds the program and says where its copy is.
pub(crate) fn build(root: &Utf8Path, kind: Kind) -> Result<Utf8PathBuf, CheckError> {
    let mut what = vec!["--package", "ctx-cli", "--bin", "ctx"];
    if kind.failpoints {
        what.extend(["--features", "failpoints"]);
    }
    let built = compile(root, "ctx", &what, kind.release)?;
    let copy = keep(root, &built, kind.name())?;
    check(&copy, kind.failpoints)?;
    Ok(copy)
}

/// Builds the program that measures and puts load on a hub, and says where it is.
pub(crate) fn bench(root: &Utf8Path, release: bool) -> Result<Utf8PathBuf, CheckError> {
    compile(root, BENCH, &["--package", BENCH], release)
}

/// Builds the program whose hot paths are counted, optimized but quickly, and says where it is.
pub(crate) fn counted(root: &Utf8Path) -> Result<Utf8PathBuf, CheckError> {
    build_target(root, BENCH, &["--package", BENCH, "--profile", COUNT])
}

/// Builds `what`, as it is shipped or for tests, and says where the target `name` of it is.
fn compile(
    root: &Utf8Path,
    name: &str,
    what: &[&str],
    release: bool,
) -> Result<Utf8PathBuf, CheckError> {
    let mut what = what.to_vec();
    if release {
        what.push("--release");
    }
    build_target(root, name, &what)
}

/// Builds `what` and says where the target `name` of it is.
fn build_target(root: &Utf8Path, name: &str, what: &[&str]) -> Result<Utf8PathBuf, CheckError> {
    let mut command = run::cargo(root);
    command.args(["build", "--quiet"]).args(what);
    command.arg("--message-format=json-render-diagnostics");
    let output = run::capture(&mut command)?;
    let mut built = None;
    for message in cargo_metadata::Message::parse_stream(output.as_bytes()) {
        if let cargo_metadata::Message::CompilerArtifact(artifact) = message?
            && artifact.target.name == name
        {
            built = artifact.executable;
        }
    }
    let what = what.join(" ");
    built.ok_or_else(|| CheckError::Missing {
        what: format!("cargo built no program `{name}`"),
        hint: format!("run `cargo build {what}` and see what it says"),
    })
}

/// Copies the program to a name of its own. A copy that runs is not written over: it is replaced.
/// A process of its own writes it: a child that another thread starts meanwhile would hold a file
/// that this process writes open, and a file that is open for writing cannot be run.
fn keep(root: &Utf8Path, built: &Utf8Path, name: &str) -> Result<Utf8PathBuf, CheckError> {
    let folder = crate::deps::metadata(root)?.target_directory.join(COPIES);
    fs_err::create_dir_all(&folder)?;
    let copy = folder.join(name);
    let new = folder.join(format!("{name}.{}", std::process::id()));
    run::capture(Command::new("cp").arg(built).arg(&new))?;
    fs_err::rename(&new, &copy)?;
    Ok(copy)
}

/// Checks that `program` has failpoints, or that it has none.
pub(crate) fn check(program: &Utf8Path, failpoints: bool) -> Result<(), CheckError> {
    let found = !steps(program)?.is_empty();
    if found == failpoints {
        return Ok(());
    }
    let (has, wanted) = if found {
        ("has failpoints", "without the feature `failpoints`")
    } else {
        ("has no failpoints", "with `--features failpoints`")
    };
    Err(CheckError::Missing {
        what: format!("{program} {has}"),
        hint: format!("build it {wanted}"),
    })
}

/// The named steps at which `program` can be stopped; none of a normal build, to which the
/// variable means nothing.
pub(crate) fn steps(program: &Utf8Path) -> Result<Vec<String>, CheckError> {
    let mut command = Command::new(program);
    let answer = run::capture(command.arg("--version").env(VARIABLE, "list"))?;
    if answer.starts_with("ctx ") {
        return Ok(Vec::new());
    }
    Ok(answer.lines().map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Sandbox;

    fn script(sandbox: &Sandbox, name: &str, body: &str) -> Utf8PathBuf {
        let path = sandbox.root().join(name);
        // As in `keep`: this process must not have it open for writing.
        let write = "printf '#!/bin/sh\\n%s\\n' \"$1\" > \"$2\" && chmod 755 \"$2\"";
        let mut shell = Command::new("sh");
        shell.args(["-c", write, "sh", body, path.as_str()]);
        run::capture(&mut shell).unwrap();
        path
    }

    #[test]
    fn a_build_with_failpoints_is_told_from_one_without() {
        let sandbox = Sandbox::new();
        let normal = script(&sandbox, "normal", "echo ctx 1.2.3");
        let other = script(
            &sandbox,
            "other",
            "[ $CTX_FAILPOINTS = list ] && echo a.b && echo c.d",
        );
        assert_eq!(steps(&normal).unwrap(), Vec::<String>::new());
        assert_eq!(steps(&other).unwrap(), ["a.b", "c.d"]);
        assert!(check(&normal, false).is_ok() && check(&other, true).is_ok());
        for (program, wanted, said) in [
            (&normal, true, "has no failpoints"),
            (&other, false, "has failpoints"),
        ] {
            let error = check(program, wanted).unwrap_err();
            assert!(error.to_string().ends_with(said), "{error}");
        }
    }
}
