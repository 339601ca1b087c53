//! What can be wrong with a settings file.

use camino::Utf8PathBuf;
use ctx_io::ReadError;

/// Settings that cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SettingsError {
    /// The file cannot be read.
    #[error("cannot read the settings")]
    Read(#[source] ReadError),
    /// The file that was named is not there.
    #[error("there is no settings file {path}")]
    Missing {
        /// The file.
        path: Utf8PathBuf,
    },
    /// The file says something that cannot be.
    #[error("{path}:{line}:{column}: {fault}")]
    File {
        /// The file.
        path: Utf8PathBuf,
        /// The line, the first one being 1.
        line: usize,
        /// The column in characters, the first one being 1.
        column: usize,
        /// What it is.
        fault: SettingsFault,
    },
    /// A value that came from a flag, or from several places together, cannot be.
    #[error("{section}.{key} {why}")]
    Value {
        /// The section.
        section: &'static str,
        /// The key.
        key: &'static str,
        /// What would be right.
        why: String,
    },
}

/// What a settings file says that cannot be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SettingsFault {
    /// It is no TOML.
    #[error("{0}")]
    Syntax(String),
    /// A key or section that does not exist.
    #[error("{name} is not a setting{}", meant(nearest.as_deref()))]
    Unknown {
        /// Its name, with the section.
        name: String,
        /// The name that was meant, as far as that can be told.
        nearest: Option<String>,
    },
    /// A value of another type, or out of the range of its type.
    #[error("{name}: {what}")]
    Type {
        /// The key, with the section.
        name: String,
        /// What stands there, and what would be right.
        what: String,
    },
    /// A value that its section refuses.
    #[error("{name} {why}")]
    Value {
        /// The key, with the section.
        name: String,
        /// What would be right.
        why: String,
    },
}

impl SettingsError {
    /// The next step.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Read(source) => source.hint(),
            Self::Missing { .. } => {
                Some("name one that is there, or leave out --config".to_owned())
            }
            Self::File { .. } | Self::Value { .. } => Some(
                "`ctx hub start --check` says whether the settings are right, and which they are"
                    .to_owned(),
            ),
        }
    }
}

fn meant(nearest: Option<&str>) -> String {
    nearest.map_or_else(String::new, |name| format!("; did you mean {name}?"))
}
