//! Why a check could not run at all: unlike a finding, this says nothing about the project.

use std::io;
use std::process::ExitStatus;

use camino::Utf8PathBuf;

/// A check that could not give an answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum CheckError {
    /// A file could not be read or written; the source names it.
    #[error("a file could not be read or written")]
    Io(#[from] io::Error),
    /// A program could not be started.
    #[error("cannot start `{program}`")]
    Spawn {
        /// The program, as it was called.
        program: String,
        /// Why the operating system refused.
        source: io::Error,
    },
    /// A program ran and failed, and its output says why.
    #[error("`{command}` failed ({status}): {output}")]
    Failed {
        /// The command line.
        command: String,
        /// How it ended.
        status: ExitStatus,
        /// What it wrote to standard error, trimmed.
        output: String,
    },
    /// Something the check needs is not there.
    #[error("{what}")]
    Missing {
        /// What is missing.
        what: String,
        /// How to get it.
        hint: String,
    },
    /// `cargo metadata` failed.
    #[error("cannot read the workspace's metadata")]
    Metadata(#[from] cargo_metadata::Error),
    /// The `.proto` file does not compile.
    #[error("cannot compile {path}")]
    Proto {
        /// The file.
        path: Utf8PathBuf,
        /// The compiler's message, with its place in the file.
        source: protox::Error,
    },
    /// A TOML file does not parse.
    #[error("cannot read {path}")]
    Toml {
        /// The file.
        path: Utf8PathBuf,
        /// The parser's message, with its place in the file.
        source: Box<toml::de::Error>,
    },
    /// A Rust source file does not parse.
    #[error("cannot parse {path}")]
    Rust {
        /// The file.
        path: Utf8PathBuf,
        /// The parser's message.
        source: syn::Error,
    },
}

impl CheckError {
    /// The next step for the person who reads the error, where there is one.
    pub(crate) fn hint(&self) -> Option<String> {
        match self {
            Self::Missing { hint, .. } => Some(hint.clone()),
            Self::Spawn { program, .. } => Some(format!("install `{program}` and put it on PATH")),
            _ => None,
        }
    }

    /// The error, its causes and its hint, one a line.
    pub(crate) fn explain(&self) -> String {
        let mut text = format!("error: {self}");
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            text.push_str(&format!("\n  caused by: {error}"));
            cause = error.source();
        }
        if let Some(hint) = self.hint() {
            text.push_str(&format!("\nhint: {hint}"));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_explained_error_carries_cause_and_hint() {
        let error = CheckError::Spawn {
            program: "python3".to_owned(),
            source: io::Error::from(io::ErrorKind::NotFound),
        };
        let text = error.explain();
        assert!(text.contains("cannot start `python3`"), "{text}");
        assert!(text.contains("caused by: entity not found"), "{text}");
        assert!(text.contains("hint: install `python3`"), "{text}");
    }
}
