//! `[audit]`: how large the audit trail may become.

use ctx_config::limits;
use serde::{Deserialize, Serialize};

use super::{Invalid, Section};

/// How large the audit trail may become: `files` times `file_bytes`, and somewhat more for the lines
/// that are written together with the last one of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct AuditSettings {
    /// Bytes of a file after which the next one is begun.
    pub file_bytes: u64,
    /// Files that are kept, the one that is written to included.
    pub files: u32,
}

impl Default for AuditSettings {
    fn default() -> Self {
        Self {
            file_bytes: limits::AUDIT_FILE_BYTES,
            files: limits::AUDIT_FILES,
        }
    }
}

impl Section for AuditSettings {
    fn validate(&self) -> Result<(), Invalid> {
        let least = limits::AUDIT_FILE_MIN_BYTES;
        if !(least..=1 << 62).contains(&self.file_bytes) {
            let why = format!("is {}; it has to be at least {least}", self.file_bytes);
            return Err(Invalid::new("file_bytes", why));
        }
        if self.files < 2 {
            let why = format!("is {}; it has to be at least 2", self.files);
            return Err(Invalid::new("files", why));
        }
        Ok(())
    }
}
