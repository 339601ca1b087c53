//! The files of a trail: which there are, in which order, and what stands at the end of one.

use std::io::{Read as _, Seek as _, SeekFrom};

use camino::{Utf8Path, Utf8PathBuf};
use ctx_config::limits;
use ctx_config::paths::{AUDIT_NUMBER_DIGITS, AUDIT_OLDER_PREFIX, AUDIT_OLDER_SUFFIX, DataDir};

use super::error::AuditError;
use super::line::{self, AUDIT_FORMAT, Tip};

/// A part of the trail that is not written to any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Older {
    /// The number of its first line.
    pub(super) first: u64,
    pub(super) path: Utf8PathBuf,
}

/// The older parts, oldest first.
pub(super) fn older(dir: &DataDir) -> Result<Vec<Older>, AuditError> {
    let failed = || AuditError::io("list", dir.path());
    let mut found = Vec::new();
    let entries = match dir.path().read_dir_utf8() {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(found),
        Err(error) => return Err(failed()(error)),
    };
    for entry in entries {
        let entry = match entry {
            Ok(entry) => entry,
            // A name that is not UTF-8 is none of ours.
            Err(error) if error.kind() == std::io::ErrorKind::InvalidData => continue,
            Err(error) => return Err(failed()(error)),
        };
        if let Some(first) = number(entry.file_name()) {
            let path = entry.into_path();
            found.push(Older { first, path });
        }
    }
    found.sort_by_key(|older| older.first);
    Ok(found)
}

/// The number in the name of an older part.
fn number(name: &str) -> Option<u64> {
    let digits = name
        .strip_prefix(AUDIT_OLDER_PREFIX)?
        .strip_suffix(AUDIT_OLDER_SUFFIX)?;
    let plain = digits.len() >= AUDIT_NUMBER_DIGITS && digits.bytes().all(|b| b.is_ascii_digit());
    digits.parse().ok().filter(|_| plain)
}

/// What stands at the end of a file.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct End {
    /// Behind the last line that can be read.
    pub(super) tip: Option<Tip>,
    /// Bytes behind that line, which are none.
    pub(super) torn: u64,
}

/// Looks at the end of the file at `path`, of `length` bytes.
pub(super) fn end(path: &Utf8Path, length: u64) -> Result<End, AuditError> {
    let failed = || AuditError::io("read", path);
    // The longest line, and the line break before it.
    let most = u64::try_from(limits::AUDIT_LINE_MAX_BYTES).unwrap_or(u64::MAX);
    let most = most.saturating_mul(2);
    let start = length.saturating_sub(most);
    let mut file = fs_err::File::open(path).map_err(failed())?;
    file.seek(SeekFrom::Start(start)).map_err(failed())?;
    let mut bytes = Vec::new();
    file.take(length - start)
        .read_to_end(&mut bytes)
        .map_err(failed())?;
    let mut end = End::default();
    let mut rest = bytes.as_slice();
    while !rest.is_empty() {
        let (line, before) = match rest.strip_suffix(b"\n") {
            Some(whole) => {
                let from = whole
                    .iter()
                    .rposition(|b| *b == b'\n')
                    .map_or(0, |at| at + 1);
                (whole.get(from..), from)
            }
            // Behind the last line break: never a line.
            None => (
                None,
                rest.iter()
                    .rposition(|b| *b == b'\n')
                    .map_or(0, |at| at + 1),
            ),
        };
        if let Some(parsed) = line.and_then(|line| line::parse(line).ok()) {
            if parsed.line.v > AUDIT_FORMAT {
                return Err(AuditError::Newer {
                    path: path.to_owned(),
                    found: parsed.line.v,
                    known: AUDIT_FORMAT,
                });
            }
            end.tip = Some(Tip {
                next: parsed.line.n.saturating_add(1),
                chain: parsed.chain,
            });
            break;
        }
        end.torn += u64::try_from(rest.len() - before).unwrap_or(u64::MAX);
        rest = rest.get(..before).unwrap_or_default();
    }
    Ok(end)
}

/// The number of the first line of the file at `path`, if that can be read.
pub(super) fn first(path: &Utf8Path) -> Result<Option<u64>, AuditError> {
    let failed = || AuditError::io("read", path);
    let most = u64::try_from(limits::AUDIT_LINE_MAX_BYTES).unwrap_or(u64::MAX);
    let mut bytes = Vec::new();
    fs_err::File::open(path)
        .map_err(failed())?
        .take(most)
        .read_to_end(&mut bytes)
        .map_err(failed())?;
    let line = bytes.split(|b| *b == b'\n').find(|line| !line.is_empty());
    let parsed = line.and_then(|line| line::parse(line).ok());
    Ok(parsed.map(|parsed| parsed.line.n))
}

#[cfg(test)]
mod tests {
    use super::super::line::AuditRecord;
    use super::*;

    #[test]
    fn only_names_of_ours_count_as_older_parts() {
        let name = DataDir::new("/d").older_audit(12);
        assert_eq!(number(name.file_name().unwrap()), Some(12));
        for other in [
            "audit-1.jsonl",
            "audit-.jsonl",
            "audit-0000000000000x01.jsonl",
            "x",
        ] {
            assert_eq!(number(other), None, "{other}");
        }
    }

    #[test]
    fn the_end_is_behind_the_last_line_that_can_be_read() {
        let temp = tempfile::NamedTempFile::new().unwrap();
        let path = Utf8Path::from_path(temp.path()).unwrap();
        let length = |bytes: &[u8]| u64::try_from(bytes.len()).unwrap();
        let at_end = |bytes: &[u8]| {
            std::io::Write::write_all(&mut temp.reopen().unwrap(), bytes).unwrap();
            temp.as_file().set_len(length(bytes)).unwrap();
            end(path, length(bytes)).unwrap()
        };
        assert_eq!(at_end(b""), End::default());
        let mut tip = Tip::genesis();
        let mut lines = Vec::new();
        for _ in 0..1_000 {
            tip.write(&AuditRecord::new("call"), "", &mut lines);
        }
        let whole = End {
            tip: Some(tip),
            torn: 0,
        };
        assert_eq!(at_end(&lines), whole);
        for torn in [&b"{\"v\":1"[..], b"\n\n", b"garbage\nmore\n", b"\0\0\0\0"] {
            let mut bytes = lines.clone();
            bytes.extend_from_slice(torn);
            let end = at_end(&bytes);
            assert_eq!(end.tip, Some(tip));
            assert_eq!(end.torn, length(torn));
        }
        let garbage = vec![b'x'; 300_000];
        assert_eq!(at_end(&garbage).tip, None);
    }
}
