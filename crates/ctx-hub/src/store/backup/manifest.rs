//! What a backup says of itself.

use serde::{Deserialize, Serialize};

use super::error::ManifestFault;
use crate::store::sqlite::copy::Copied;
use crate::store::verify::StoreReport;
use crate::types::{HubId, Sequence};

/// The newest manifest that is known.
const FORMAT: u32 = 1;

/// What a backup holds, and how to tell that it is whole. A JSON document beside the files.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Manifest {
    /// Of this document. A newer one is not read.
    pub format: u32,
    /// When the backup was made, in RFC 3339, UTC.
    pub created: String,
    /// The same in Unix seconds.
    pub created_at: i64,
    /// The version of the program that made it.
    pub version: String,
    /// The identity of the log.
    pub hub_id: String,
    /// The last sequence that had been handed out.
    pub head: u64,
    /// The rolling hash up to there, in hex; `None` of a store of an earlier version.
    pub chain: Option<String>,
    /// How many entries there are.
    pub entries: u64,
    /// How many clients there are, revoked ones included.
    pub clients: u64,
    /// The files.
    pub files: Vec<FileRecord>,
}

/// A file of a backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct FileRecord {
    /// Its name in the backup, and in a data directory.
    pub name: String,
    /// Its length in bytes.
    pub bytes: u64,
    /// SHA-256 of its content, in hex.
    pub sha256: String,
}

impl Manifest {
    pub(super) fn of(copied: &Copied, report: &StoreReport, files: Vec<FileRecord>) -> Self {
        let now = jiff::Timestamp::now();
        let now = jiff::Timestamp::from_second(now.as_second()).unwrap_or(now);
        Self {
            format: FORMAT,
            created: now.to_string(),
            created_at: now.as_second(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            hub_id: copied.hub_id.to_string(),
            head: copied.head.get(),
            chain: copied.chain.map(|chain| chain.to_string()),
            entries: report.entries,
            clients: report.clients,
            files,
        }
    }

    /// The document.
    pub(super) fn to_json(&self) -> Vec<u8> {
        // Numbers, texts and lists of them: nothing that JSON cannot say.
        let mut bytes = serde_json::to_vec_pretty(self).unwrap_or_default();
        bytes.push(b'\n');
        bytes
    }

    /// Reads one. Of a newer one only its number is looked at.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, ManifestFault> {
        #[derive(Deserialize)]
        struct Number {
            format: u32,
        }
        let Number { format } = serde_json::from_slice(bytes)?;
        if format > FORMAT {
            return Err(ManifestFault::Newer {
                found: format,
                known: FORMAT,
            });
        }
        Ok(serde_json::from_slice(bytes)?)
    }

    /// Whether the store that was read is the one that it speaks of.
    pub(super) fn speaks_of(&self, report: &StoreReport) -> bool {
        report.hub_id.as_ref().map(HubId::as_str) == Some(self.hub_id.as_str())
            && report.head.map(Sequence::get) == Some(self.head)
            && report.entries == self.entries
            && report.clients == self.clients
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_newer_manifest_is_told_by_its_number_whatever_else_it_holds() {
        let newer = Manifest::parse(br#"{"format":2,"files":"elsewhere"}"#).unwrap_err();
        assert!(
            matches!(newer, ManifestFault::Newer { found: 2, known: 1 }),
            "{newer:?}"
        );
        for bytes in [&b""[..], b"[]", b"{}", br#"{"format":1}"#] {
            let fault = Manifest::parse(bytes).unwrap_err();
            assert!(matches!(fault, ManifestFault::Json(_)), "{fault:?}");
        }
    }
}
