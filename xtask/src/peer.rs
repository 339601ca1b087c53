//! `cargo xtask peer`: a client that shares no code with ours, against our hub.
//!
//! A Python program with stubs that `grpcio-tools` generates from `hub.proto` registers,
//! publishes, syncs, listens and reads status over protobuf. Everything it needs is made below
//! the target directory; a machine without Python or without packages fails, it does not skip.

use std::process::Command;
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};

use crate::cargo;
use crate::deps;
use crate::error::CheckError;
use crate::finding::Finding;
use crate::run;

const RULE: &str = "peer";
const INCLUDE: &str = "crates/ctx-hub/proto";
const PROTO: &str = "ctx/hub/v1/hub.proto";
const PROGRAM: &str = "crates/ctx-cli/tests/peers/python/peer.py";

/// Exact versions, so that a new release of theirs never changes our gate.
const PACKAGES: [(&str, &str); 3] = [
    ("grpcio", "1.85.1"),
    ("grpcio-tools", "1.85.1"),
    ("protobuf", "7.36.2"),
];

/// Longer than any run takes; a peer that hangs is a failed one.
const DEADLINE: Duration = Duration::from_secs(300);

/// Sets everything up, then runs the peer.
pub(crate) fn check(root: &Utf8Path) -> Result<Vec<Finding>, CheckError> {
    if !root.join(PROGRAM).is_file() {
        return Ok(vec![Finding::new(PROGRAM, 1, RULE, "is missing")]);
    }
    let target = deps::metadata(root)?.target_directory;
    let python = environment(&target.join("peer-venv"), "python3")?;
    let stubs = stubs(root, &python, &target.join("peer-stubs"))?;

    let mut command = run::cargo(root);
    command.args(["build", "--package", "ctx-cli", "--bin", "ctx"]);
    let built = cargo::build(root, command, &[], RULE)?;
    let Some(ctx) = built
        .executables
        .into_iter()
        .find(|path| path.file_name() == Some("ctx"))
    else {
        return Ok(built.findings);
    };

    let mut peer = Command::new(&python);
    peer.current_dir(root)
        .arg(PROGRAM)
        .args(["--ctx", ctx.as_str(), "--stubs", stubs.as_str()]);
    if run::show(&mut peer, DEADLINE)? {
        return Ok(Vec::new());
    }
    let message = format!("`{}` failed: see its output", run::line(&peer));
    Ok(vec![Finding::new(PROGRAM, 1, RULE, message)])
}

/// The Python of a virtual environment that has our packages; made or completed when needed.
fn environment(venv: &Utf8Path, python: &str) -> Result<Utf8PathBuf, CheckError> {
    let inside = venv.join("bin/python");
    if has_packages(&inside) {
        return Ok(inside);
    }
    println!("setting up {venv}");
    let mut make = Command::new(python);
    make.args(["-m", "venv", "--clear", venv.as_str()]);
    run::capture(&mut make).map_err(|error| {
        let hint = "install Python 3 with its venv module (Debian: `apt-get install python3-venv`)";
        missing(
            "a Python virtual environment cannot be made",
            &make,
            &error,
            hint,
        )
    })?;
    let mut install = Command::new(&inside);
    install.args([
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
    ]);
    install.args(["--only-binary=:all:"]).args(requirements());
    run::capture(&mut install).map_err(|error| {
        let hint = "it needs a Python package index: check the network, or pip's configuration";
        missing(
            "the peer's Python packages cannot be installed",
            &install,
            &error,
            hint,
        )
    })?;
    Ok(inside)
}

fn requirements() -> Vec<String> {
    PACKAGES
        .iter()
        .map(|(name, version)| format!("{name}=={version}"))
        .collect()
}

/// True when an interpreter runs and has exactly our versions.
fn has_packages(python: &Utf8Path) -> bool {
    let names: Vec<String> = PACKAGES
        .iter()
        .map(|(name, _)| format!("'{name}'"))
        .collect();
    let script = format!(
        "from importlib.metadata import version\nfor n in [{}]: print(n + '==' + version(n))",
        names.join(", ")
    );
    let listed = run::capture(Command::new(python).args(["-c", &script]));
    listed.is_ok_and(|listed| listed.lines().eq(requirements()))
}

/// What failed, the command to repeat by hand, and what it said.
fn missing(what: &str, command: &Command, error: &CheckError, hint: &str) -> CheckError {
    CheckError::Missing {
        what: format!(
            "{what}\n  command: {} {}",
            run::program(command),
            arguments(command)
        ),
        hint: format!("{hint}\n{}", error.explain()),
    }
}

fn arguments(command: &Command) -> String {
    let words: Vec<_> = command
        .get_args()
        .map(|word| word.to_string_lossy())
        .collect();
    words.join(" ")
}

/// Generates the Python stubs afresh.
fn stubs(root: &Utf8Path, python: &Utf8Path, into: &Utf8Path) -> Result<Utf8PathBuf, CheckError> {
    if into.exists() {
        fs_err::remove_dir_all(into)?;
    }
    fs_err::create_dir_all(into)?;
    let mut protoc = Command::new(python);
    protoc
        .current_dir(root)
        .args(["-m", "grpc_tools.protoc", "-I", INCLUDE]);
    protoc
        .arg(format!("--python_out={into}"))
        .arg(format!("--grpc_python_out={into}"))
        .arg(PROTO);
    run::capture(&mut protoc)?;
    Ok(into.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Sandbox, lines};

    #[test]
    fn a_checkout_without_the_peer_is_found() {
        let found = lines(check(Sandbox::new().root()).unwrap());
        assert_eq!(found, [format!("{PROGRAM}:1: peer: is missing")]);
    }

    #[test]
    fn a_machine_without_python_is_told_what_to_run_and_to_install() {
        let sandbox = Sandbox::new();
        let venv = sandbox.root().join("venv");
        let error = environment(&venv, "no-such-python").unwrap_err().explain();
        assert!(error.contains("no-such-python -m venv"), "{error}");
        assert!(error.contains("apt-get install python3-venv"), "{error}");
    }

    #[test]
    fn an_interpreter_without_the_packages_is_not_taken() {
        let sandbox = Sandbox::new();
        assert!(!has_packages(&sandbox.root().join("bin/python")));
        sandbox.write("python", "#!/bin/sh\necho grpcio==0.0.1\n");
        let python = sandbox.root().join("python");
        let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        fs_err::set_permissions(&python, executable).unwrap();
        assert!(!has_packages(&python));
    }
}
