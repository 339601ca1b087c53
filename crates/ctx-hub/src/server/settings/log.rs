//! How a hub logs.

use serde::{Deserialize, Serialize};

use super::{Invalid, Section};

/// How a hub logs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Log {
    /// How a line is written.
    pub format: LogFormat,
}

/// How a line of a log is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

impl Section for Log {
    fn validate(&self) -> Result<(), Invalid> {
        Ok(())
    }
}
