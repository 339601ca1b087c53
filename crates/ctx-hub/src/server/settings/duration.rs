//! Durations as people write them: `30s`, `2m`, `1h 30m`.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A duration that is text in the settings, with its unit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct HumanDuration(Duration);

impl HumanDuration {
    /// The duration itself.
    #[must_use]
    pub const fn get(self) -> Duration {
        self.0
    }

    /// A duration, for a default.
    #[must_use]
    pub const fn new(duration: Duration) -> Self {
        Self(duration)
    }
}

impl fmt::Display for HumanDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        humantime::format_duration(self.0).fmt(f)
    }
}

impl From<HumanDuration> for String {
    fn from(duration: HumanDuration) -> Self {
        duration.to_string()
    }
}

impl TryFrom<String> for HumanDuration {
    type Error = NotADuration;

    fn try_from(text: String) -> Result<Self, NotADuration> {
        match humantime::parse_duration(&text) {
            Ok(duration) => Ok(Self(duration)),
            Err(_) => Err(NotADuration(text)),
        }
    }
}

/// Text that is no duration.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is not a duration: write it with its unit, as \"30s\" or \"2m\"")]
pub struct NotADuration(String);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_reads_back_as_it_was_written() {
        for text in ["0s", "30s", "2m", "1h 30m", "250ms"] {
            let read = HumanDuration::try_from(text.to_owned()).unwrap();
            assert_eq!(read.to_string(), text);
        }
    }

    #[test]
    fn a_number_without_a_unit_is_refused_with_what_would_be_right() {
        let error = HumanDuration::try_from("30".to_owned()).unwrap_err();
        let said = error.to_string();
        assert!(said.contains("\"30s\""), "{said}");
    }
}
