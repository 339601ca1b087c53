//! One line of the trail: what it says, how it is written, and how it is read.
//!
//! `docs/reference/files.md` lists the fields. Texts of a peer are bounded, hold nothing that steers
//! a terminal, and no token; what an entry says is never in a line.

use std::borrow::Cow;
use std::io::Write as _;

use ctx_config::limits;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::types::Chain;

/// The format of the lines that this version writes.
pub const AUDIT_FORMAT: u32 = 1;

/// Stands between a line and its rolling hash.
const CHAIN_FIELD: &str = ",\"chain\":\"";

/// What begins a token of ours; hex digits follow.
const TOKEN_PREFIXES: [&str; 3] = ["ctx_adm_", "ctx_cli_", "ctx_inv_"];

/// A word of a fixed vocabulary when we write, whatever stands there when we read.
pub(in crate::server) type Word = Cow<'static, str>;

/// A line of an audit trail.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct AuditLine {
    /// The format.
    pub v: u32,
    /// Its number: one more than that of the line before it.
    pub n: u64,
    /// When it was written, in UTC (RFC 3339, microseconds).
    pub time: String,
    /// What happened.
    #[serde(flatten)]
    pub record: AuditRecord,
    /// The rolling hash over this line and all before it.
    pub chain: String,
}

/// What a line says. Whatever does not apply is absent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct AuditRecord {
    /// What happened: `call`, `opened`, `closed`, `intent`, `started`, `stopped`, `begun`, …
    pub event: Word,
    /// Which call of this run of the hub; the lines of one call have the same number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<u64>,
    /// Where it came in: `network`, `socket`, or `offline` for a command with no hub running.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub door: Option<Word>,
    /// The call, by its name on the wire.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub call: Option<Word>,
    /// The gRPC code that was answered, by its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<Word>,
    /// Why it was refused or ended, a word of a fixed vocabulary.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<Word>,
    /// The client that was authenticated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client: Option<String>,
    /// Its project.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub project: Option<String>,
    /// The address of whoever called, or its network where that is counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// Whether the hub itself encrypted the connection.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encrypted: Option<bool>,
    /// How long it took, in microseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub micros: Option<u64>,
    /// Entries that were published or sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entries: Option<u64>,
    /// Bytes of their content.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// The origin that a publish claimed and that is not its project.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub claimed_origin: Option<String>,
    /// What is about to be changed, or was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub change: Option<Word>,
    /// The client or the name that is changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// The version of the program.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The identity of the hub's log.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hub_id: Option<String>,
    /// The process.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pid: Option<u32>,
    /// A hash of the settings in force.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub settings: Option<String>,
    /// Failures of strangers that have no line of their own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub suppressed: Option<u64>,
    /// Calls that were refused because the trail could not be written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refused: Option<u64>,
    /// Lines that could not be written and were not kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lost: Option<u64>,
    /// Since when (RFC 3339).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    /// The rolling hash of the line before this one, where a part of the trail begins.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prev: Option<String>,
    /// Bytes before this line that are no line: a write that was cut off.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub torn: Option<u64>,
    /// What the hub found its file to be: `missing`, `replaced` or `cut`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub damage: Option<Word>,
}

impl AuditLine {
    /// When it was written; `None` when that cannot be read.
    #[must_use]
    pub fn moment(&self) -> Option<Timestamp> {
        self.time.parse().ok()
    }

    /// Whether it tells of something that was refused or that failed.
    #[must_use]
    pub fn is_failure(&self) -> bool {
        let record = &self.record;
        match (&*record.event, &record.code) {
            // Streams end in these ways every day.
            ("closed", Some(code)) => {
                let usual = ["gone", "revoked", "stopping"];
                code != "OK" && !usual.map(Some).contains(&record.reason.as_deref())
            }
            (_, Some(code)) => code != "OK",
            ("begun", None) => record.damage.is_some(),
            (event, None) => !matches!(event, "started" | "stopped" | "intent"),
        }
    }
}

impl AuditRecord {
    pub(in crate::server) fn new(event: &'static str) -> Self {
        Self {
            event: Cow::Borrowed(event),
            ..Self::default()
        }
    }
}

/// Where a trail ends: what the next line is numbered, and what its hash goes on from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tip {
    pub(super) next: u64,
    pub(super) chain: Chain,
}

impl Tip {
    /// Before the first line.
    pub(super) const fn genesis() -> Self {
        Self {
            next: 1,
            chain: Chain::from_bytes([0; 16]),
        }
    }

    /// Writes `record` as the next line behind what `out` holds.
    pub(super) fn write(&mut self, record: &AuditRecord, time: &str, out: &mut Vec<u8>) {
        let start = out.len();
        // Writing to memory does not fail.
        write!(
            out,
            "{{\"v\":{AUDIT_FORMAT},\"n\":{},\"time\":\"{time}\"",
            self.next
        )
        .ok();
        let brace = out.len();
        serde_json::to_writer(&mut *out, record).ok();
        // The record is an object with at least one field: it goes on where the head ended.
        if let Some(first) = out.get_mut(brace) {
            *first = b',';
        }
        out.pop();
        self.chain = follow(self.chain, out.get(start..).unwrap_or_default());
        self.next = self.next.saturating_add(1);
        writeln!(out, "{CHAIN_FIELD}{}\"}}", self.chain).ok();
    }
}

/// The hash behind a line, its own hash left out.
pub(super) fn follow(before: Chain, body: &[u8]) -> Chain {
    let hash = Sha256::new()
        .chain_update(before.to_bytes())
        .chain_update(body)
        .finalize();
    let mut first = [0; 16];
    first.copy_from_slice(hash.get(..16).unwrap_or(&[0; 16]));
    Chain::from_bytes(first)
}

/// A line that was read: what it says, what its hash covers, and the hash.
pub(super) struct Parsed<'a> {
    pub(super) line: AuditLine,
    pub(super) body: &'a [u8],
    pub(super) chain: Chain,
}

/// Reads a line, without its line break; or says why it is none.
pub(super) fn parse(bytes: &[u8]) -> Result<Parsed<'_>, String> {
    let text = std::str::from_utf8(bytes).map_err(|_| "it is not UTF-8".to_owned())?;
    let line: AuditLine = serde_json::from_str(text).map_err(|error| {
        // What stands there is not repeated.
        format!("it is no line of a trail (at column {})", error.column())
    })?;
    let split = text
        .strip_suffix("\"}")
        .and_then(|text| text.rsplit_once(CHAIN_FIELD));
    let (body, chain) = split.ok_or("it does not end with its hash")?;
    let chain = chain.parse().map_err(|_| "its hash is none".to_owned())?;
    Ok(Parsed {
        line,
        body: body.as_bytes(),
        chain,
    })
}

/// The moment of a line.
pub(super) fn time(moment: Timestamp) -> String {
    moment.strftime("%Y-%m-%dT%H:%M:%S%.6fZ").to_string()
}

/// A text of a peer as it stands in a line: bounded, with what steers a terminal written out, and
/// without the digits of anything that looks like a token.
pub(in crate::server) fn bounded(text: &str) -> String {
    let end = text.floor_char_boundary(limits::AUDIT_TEXT_MAX_BYTES);
    let (head, rest) = text.split_at(end);
    let mut out = String::with_capacity(head.len());
    for c in without_tokens(head).chars() {
        if steers(c) {
            out.extend(c.escape_unicode());
        } else {
            out.push(c);
        }
    }
    if !rest.is_empty() {
        out.push('…');
    }
    out
}

fn without_tokens(text: &str) -> Cow<'_, str> {
    let mut text = Cow::Borrowed(text);
    for prefix in TOKEN_PREFIXES {
        if !text.contains(prefix) {
            continue;
        }
        let mut parts = text.split(prefix);
        let mut clean = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            clean.push_str(prefix);
            clean.push('…');
            clean.push_str(part.trim_start_matches(|c: char| c.is_ascii_hexdigit()));
        }
        text = Cow::Owned(clean);
    }
    text
}

/// Control characters, and those that turn the direction of what follows.
fn steers(c: char) -> bool {
    c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_reads_back_and_its_hash_covers_all_of_it() {
        let mut tip = Tip::genesis();
        let mut out = Vec::new();
        let record = AuditRecord {
            project: Some("größe \"x\"\n,\"chain\":\"".to_owned()),
            entries: Some(3),
            ..AuditRecord::new("call")
        };
        tip.write(&record, &time(Timestamp::UNIX_EPOCH), &mut out);
        let line = out.strip_suffix(b"\n").unwrap();
        assert!(!line.contains(&b'\n'));
        let parsed = parse(line).unwrap();
        assert_eq!(parsed.line.record, record);
        assert_eq!((parsed.line.n, parsed.line.v), (1, AUDIT_FORMAT));
        assert_eq!(parsed.line.time, "1970-01-01T00:00:00.000000Z");
        assert_eq!(parsed.chain, tip.chain);
        assert_eq!(follow(Tip::genesis().chain, parsed.body), tip.chain);
        assert_eq!(parsed.line.chain, tip.chain.to_string());
    }

    #[test]
    fn what_is_no_line_is_told_and_not_repeated() {
        for wrong in [
            &b""[..],
            b"{}",
            b"{\"v\":1}",
            b"secret",
            b"\xff\xfe",
            b"{\"v\":1,\"n\":2,\"time\":\"\",\"event\":\"call\",\"chain\":\"x\"}",
            b"{\"v\":1,\"n\":2,\"time\":\"\",\"chain\":\"x\",\"event\":\"call\"}",
        ] {
            let why = parse(wrong).err().unwrap();
            assert!(!why.contains("secret"), "{why}");
        }
    }

    #[test]
    fn a_field_and_an_event_of_a_newer_version_do_not_keep_a_line_from_being_read() {
        let line = br#"{"v":1,"n":2,"time":"","event":"new","shiny":[1],"chain":"00000000000000000000000000000000"}"#;
        assert_eq!(parse(line).unwrap().line.record.event, "new");
    }

    #[test]
    fn a_text_of_a_peer_is_short_steers_nothing_and_holds_no_token() {
        assert_eq!(bounded("größe 🦀"), "größe 🦀");
        assert_eq!(
            bounded("a\x1b[31m\n\u{9b}\u{202e}b"),
            r"a\u{1b}[31m\u{a}\u{9b}\u{202e}b"
        );
        let long = bounded(&"ü".repeat(40_000));
        assert!(
            long.len() <= limits::AUDIT_TEXT_MAX_BYTES + 3,
            "{}",
            long.len()
        );
        let digits = "0123456789abcdef".repeat(4);
        for prefix in TOKEN_PREFIXES {
            let given = format!("x {prefix}{digits} y {prefix}{digits}");
            let shown = bounded(&given);
            assert!(!shown.contains("0123"), "{shown}");
            assert!(shown.starts_with(&format!("x {prefix}… y")), "{shown}");
        }
    }
}
