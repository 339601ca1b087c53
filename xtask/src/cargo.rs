//! The steps that cargo does: format, clippy and documentation, with diagnostics as findings.

use std::io::{BufReader, IsTerminal};
use std::process::{Command, Stdio};

use camino::{Utf8Path, Utf8PathBuf};
use cargo_metadata::Message;
use cargo_metadata::diagnostic::{Diagnostic, DiagnosticLevel};

use crate::error::CheckError;
use crate::finding::Finding;
use crate::run;

/// What a build said and made.
#[derive(Debug, Default)]
pub(crate) struct Build {
    /// One for each warning and error.
    pub(crate) findings: Vec<Finding>,
    /// The programs that it built.
    pub(crate) executables: Vec<Utf8PathBuf>,
}

/// Every place that `cargo fmt` would change.
pub(crate) fn fmt(root: &Utf8Path) -> Result<Vec<Finding>, CheckError> {
    let mut command = run::cargo(root);
    command.args(["fmt", "--all", "--check"]);
    let output = command
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .map_err(|source| CheckError::Spawn {
            program: "cargo fmt".to_owned(),
            source,
        })?;
    let text = String::from_utf8_lossy(&output.stdout);
    print!("{text}");
    let mut findings = unformatted(root, &text);
    if !output.status.success() && findings.is_empty() {
        findings.push(Finding::new(
            "Cargo.toml",
            1,
            "fmt",
            "`cargo fmt --all --check` failed",
        ));
    }
    Ok(findings)
}

/// The places that rustfmt's output names.
fn unformatted(root: &Utf8Path, output: &str) -> Vec<Finding> {
    let place = |line: &str| {
        let (file, number) = line
            .strip_prefix("Diff in ")?
            .trim_end_matches(':')
            .rsplit_once(':')?;
        let file = Utf8Path::new(file);
        let file = file.strip_prefix(root).unwrap_or(file);
        Some(Finding::new(
            file,
            number.parse().ok()?,
            "fmt",
            "not formatted: run `cargo fmt --all`",
        ))
    };
    output.lines().filter_map(place).collect()
}

/// Every warning of clippy, all targets and features.
pub(crate) fn clippy(root: &Utf8Path) -> Result<Vec<Finding>, CheckError> {
    let mut command = run::cargo(root);
    command.args([
        "clippy",
        "--keep-going",
        "--workspace",
        "--all-targets",
        "--all-features",
    ]);
    Ok(build(root, command, &["--", "-D", "warnings"], "clippy")?.findings)
}

/// Every warning of rustdoc, all features.
pub(crate) fn doc(root: &Utf8Path) -> Result<Vec<Finding>, CheckError> {
    let mut command = run::cargo(root);
    command.env("RUSTDOCFLAGS", "-D warnings");
    command.args([
        "doc",
        "--keep-going",
        "--workspace",
        "--no-deps",
        "--all-features",
    ]);
    Ok(build(root, command, &[], "doc")?.findings)
}

/// Runs a cargo command that compiles; shows its diagnostics and gives them as findings.
pub(crate) fn build(
    root: &Utf8Path,
    mut command: Command,
    last_args: &[&str],
    rule: &'static str,
) -> Result<Build, CheckError> {
    let format = if std::io::stderr().is_terminal() {
        "--message-format=json-diagnostic-rendered-ansi"
    } else {
        "--message-format=json"
    };
    command.arg(format).args(last_args);
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|source| CheckError::Spawn {
            program: run::program(&command),
            source,
        })?;
    let mut build = Build::default();
    if let Some(stdout) = child.stdout.take() {
        for message in Message::parse_stream(BufReader::new(stdout)) {
            build.take(root, message?, rule);
        }
    }
    if !child.wait()?.success() && build.findings.is_empty() {
        let message = format!("`{}` failed", run::line(&command));
        build
            .findings
            .push(Finding::new("Cargo.toml", 1, rule, message));
    }
    Ok(build)
}

impl Build {
    fn take(&mut self, root: &Utf8Path, message: Message, rule: &'static str) {
        match message {
            Message::CompilerMessage(message) => {
                if let Some(finding) = from_diagnostic(root, &message.message, rule) {
                    eprint!("{}", message.message.rendered.unwrap_or_default());
                    self.findings.push(finding);
                }
            }
            Message::CompilerArtifact(artifact) => self.executables.extend(artifact.executable),
            _ => {}
        }
    }
}

/// A warning or error with a place in a file; closing words such as "2 errors emitted" have none.
fn from_diagnostic(root: &Utf8Path, said: &Diagnostic, rule: &'static str) -> Option<Finding> {
    if !matches!(
        said.level,
        DiagnosticLevel::Error | DiagnosticLevel::Warning
    ) {
        return None;
    }
    let code = said
        .code
        .as_ref()
        .map_or(String::new(), |code| format!(" [{}]", code.code));
    let message = format!("{}{code}", said.message);
    match said.spans.iter().find(|span| span.is_primary) {
        Some(span) => {
            let file = Utf8Path::new(&span.file_name);
            let file = file.strip_prefix(root).unwrap_or(file);
            Some(Finding::new(file, span.line_start, rule, message))
        }
        None if said.message.contains("emitted") || said.message.starts_with("aborting due") => {
            None
        }
        None => Some(Finding::new("Cargo.toml", 1, rule, message)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Sandbox, lines};

    fn crate_with(main: &str) -> Sandbox {
        let sandbox = Sandbox::new();
        let manifest = "[package]\nname = \"small\"\nedition = \"2024\"\n[workspace]\n";
        sandbox.write("Cargo.toml", manifest);
        sandbox.write("src/main.rs", main);
        sandbox
    }

    fn in_own_target(mut command: Command, sandbox: &Sandbox) -> Command {
        command.env("CARGO_TARGET_DIR", sandbox.root().join("target"));
        command
    }

    #[test]
    fn an_unformatted_line_is_found_at_its_place() {
        let sandbox = crate_with("fn main() {\n    let x=1;\n    drop(x);\n}\n");
        let found = lines(fmt(sandbox.root()).unwrap());
        assert_eq!(
            found,
            ["src/main.rs:1: fmt: not formatted: run `cargo fmt --all`"]
        );
    }

    #[test]
    fn a_formatted_crate_has_no_finding() {
        assert_eq!(fmt(crate_with("fn main() {}\n").root()).unwrap(), []);
    }

    #[test]
    fn every_compiler_warning_and_error_becomes_a_finding() {
        let sandbox = crate_with("fn main() {\n    let x = 1;\n    nothing();\n}\n");
        let mut command = in_own_target(run::cargo(sandbox.root()), &sandbox);
        command.args(["check", "--offline"]);
        let found = lines(
            build(sandbox.root(), command, &[], "clippy")
                .unwrap()
                .findings,
        );
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(
            found[0].starts_with("src/main.rs:3: clippy: cannot find"),
            "{found:?}"
        );
    }

    #[test]
    fn a_build_that_cannot_start_is_a_finding() {
        let sandbox = crate_with("fn main() {}\n");
        let mut command = in_own_target(run::cargo(sandbox.root()), &sandbox);
        command.args(["check", "--offline", "--package", "other"]);
        let found = lines(
            build(sandbox.root(), command, &[], "clippy")
                .unwrap()
                .findings,
        );
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].contains("failed"), "{found:?}");
    }

    #[test]
    fn a_build_tells_the_programs_that_it_made() {
        let sandbox = crate_with("fn main() {}\n");
        let mut command = in_own_target(run::cargo(sandbox.root()), &sandbox);
        command.args(["build", "--offline"]);
        let built = build(sandbox.root(), command, &[], "build").unwrap();
        assert_eq!(built.findings, []);
        assert_eq!(built.executables.len(), 1);
        assert!(
            built.executables[0].ends_with("debug/small"),
            "{:?}",
            built.executables
        );
    }
}
