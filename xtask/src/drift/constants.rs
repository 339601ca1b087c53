//! A constant that a document names exists, and has the value that the document gives.
//!
//! Two forms count, and CONTRIBUTING.md defines them: `` `NAME` = `value` `` in prose, and a row
//! of a table whose columns are titled `constant` and `value`.

use std::time::Duration;

use camino::Utf8Path;

use crate::consts::{self, Const, Value};
use crate::error::CheckError;
use crate::files::Text;
use crate::finding::Finding;
use crate::markdown::{self, Span, bare};

const RULE: &str = "constant";

/// A constant and its value as a document gives them.
#[derive(Debug, PartialEq, Eq)]
struct Claim<'a> {
    line: usize,
    name: &'a str,
    value: &'a str,
}

/// Compares every claim of every document with the constants of `ctx-config`.
pub(super) fn check(root: &Utf8Path, documents: &[Text]) -> Result<Vec<Finding>, CheckError> {
    let known = consts::load(root)?;
    let mut findings = Vec::new();
    for document in documents {
        for claim in claims(&document.content) {
            if let Some(fault) = judge(&claim, &known) {
                findings.push(Finding::new(
                    document.path.as_path(),
                    claim.line,
                    RULE,
                    fault,
                ));
            }
        }
    }
    Ok(findings)
}

/// Every constant that a document gives a value.
fn claims(text: &str) -> Vec<Claim<'_>> {
    let mut claims = Vec::new();
    for (line, prose) in markdown::prose(text) {
        for window in markdown::spans(prose).windows(3) {
            if let [Span::Code(name), Span::Plain(between), Span::Code(value)] = window
                && is_constant(name)
                && between.trim() == "="
            {
                claims.push(Claim { line, name, value });
            }
        }
    }
    for table in markdown::tables(text) {
        let (Some(name), Some(value)) = (table.column("constant"), table.column("value")) else {
            continue;
        };
        for (line, cells) in &table.rows {
            if let (Some(name), Some(value)) = (cells.get(name), cells.get(value)) {
                claims.push(Claim {
                    line: *line,
                    name: bare(name),
                    value: bare(value),
                });
            }
        }
    }
    claims
}

/// True for SCREAMING_SNAKE.
fn is_constant(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_uppercase())
        && name
            .chars()
            .all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_')
}

/// What is wrong with a claim.
fn judge(claim: &Claim<'_>, known: &[Const]) -> Option<String> {
    let Claim {
        name, value: given, ..
    } = claim;
    let mut same_name = known.iter().filter(|known| known.name == *name);
    let Some(first) = same_name.next() else {
        return Some(format!("`{name}` is no public constant of ctx-config"));
    };
    if let Some(second) = same_name.next() {
        let places = format!(
            "{}:{} and {}:{}",
            first.file, first.line, second.file, second.line
        );
        return Some(format!("`{name}` is ambiguous: it is defined at {places}"));
    }
    let Some(value) = &first.value else {
        return Some(format!(
            "`{name}` has a value that cannot be evaluated: leave it out"
        ));
    };
    let read = match value {
        Value::Text(_) => Some(Value::Text((*given).to_owned())),
        Value::Int(_) => integer(given).map(Value::Int),
        Value::Time(_) => duration(given).map(Value::Time),
    };
    match read {
        None => Some(format!(
            "`{name}` = `{given}` is not written as CONTRIBUTING.md says"
        )),
        Some(read) if read == *value => None,
        Some(_) => Some(format!("`{name}` is {}, not `{given}`", show(value))),
    }
}

/// `1_048_576`, `1,048,576`, `1 MiB`, `0o600`, `0600`, `0xff`.
fn integer(text: &str) -> Option<u128> {
    let (number, unit) = text.split_once(' ').unwrap_or((text, ""));
    let factor: u128 = match unit.trim() {
        "" | "B" | "byte" | "bytes" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return None,
    };
    let digits: String = number.chars().filter(|c| !matches!(c, '_' | ',')).collect();
    let (digits, radix) = match (digits.get(..2), digits.len()) {
        (Some("0o"), _) => (&digits[2..], 8),
        (Some("0x"), _) => (&digits[2..], 16),
        (Some(start), 2..) if start.starts_with('0') => (&digits[1..], 8),
        _ => (digits.as_str(), 10),
    };
    u128::from_str_radix(digits, radix)
        .ok()?
        .checked_mul(factor)
}

/// `250 ms`, `30 s`, `5 min`, `24 h`, `7 d`.
fn duration(text: &str) -> Option<Duration> {
    let (number, unit) = text.split_once(' ')?;
    let number: u64 = number.parse().ok()?;
    let seconds: u64 = match unit.trim() {
        "ms" => return Some(Duration::from_millis(number)),
        "s" => 1,
        "min" => 60,
        "h" => 3600,
        "d" => 86_400,
        _ => return None,
    };
    number.checked_mul(seconds).map(Duration::from_secs)
}

/// A value as a document would give it.
fn show(value: &Value) -> String {
    match value {
        Value::Int(number) => format!("`{number}`"),
        Value::Text(text) => format!("`{text}`"),
        Value::Time(time) if time.subsec_nanos() == 0 => format!("`{} s`", time.as_secs()),
        Value::Time(time) => format!("`{} ms`", time.as_millis()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Sandbox, lines};

    const SOURCE: &str = "pub const SIZE: usize = 1 << 20;\npub const MODE: u32 = 0o600;\n\
        pub const WAIT: Duration = Duration::from_secs(30);\n\
        pub const PAUSE: Duration = Duration::from_millis(250);\n\
        pub const NAME: &str = \"hub.sock\";\npub const ODD: X = X::new();\n\
        pub mod a { pub const TWICE: u8 = 1; }\npub mod b { pub const TWICE: u8 = 1; }\n";

    fn found(content: &str) -> Vec<String> {
        let sandbox = Sandbox::new();
        sandbox.write("crates/ctx-config/src/lib.rs", SOURCE);
        let document = Text {
            path: "docs/a.md".into(),
            content: content.to_owned(),
        };
        lines(check(sandbox.root(), &[document]).unwrap())
    }

    #[test]
    fn values_that_agree_pass_in_every_way_to_write_them() {
        let text = "`SIZE` = `1 MiB`, `SIZE` = `1,048,576` and `SIZE` = `1048576 bytes`\n\
            `MODE` = `0o600` and `MODE` = `0600`; `PAUSE` = `250 ms`\n\n\
            | constant | meaning | value |\n|---|---|---|\n| `WAIT` | x | 30 s |\n\
            | `NAME` | x | `hub.sock` |\n";
        assert_eq!(found(text), Vec::<String>::new());
    }

    #[test]
    fn every_value_that_disagrees_is_found() {
        let text = "`SIZE` = `2 MiB`\n`MODE` = `600`\n`PAUSE` = `250 s`\n\n\
            | constant | value |\n|---|---|\n| `WAIT` | 31 s |\n| `NAME` | `hub.pid` |\n";
        let want = [
            "docs/a.md:1: constant: `SIZE` is `1048576`, not `2 MiB`",
            "docs/a.md:2: constant: `MODE` is `384`, not `600`",
            "docs/a.md:3: constant: `PAUSE` is `250 ms`, not `250 s`",
            "docs/a.md:7: constant: `WAIT` is `30 s`, not `31 s`",
            "docs/a.md:8: constant: `NAME` is `hub.sock`, not `hub.pid`",
        ];
        assert_eq!(found(text), want);
    }

    #[test]
    fn constants_that_are_unknown_ambiguous_or_unreadable_are_found() {
        let text = "`GONE` = `1`\n`TWICE` = `1`\n`ODD` = `1`\n`WAIT` = `30`\n`SIZE` = `big`\n";
        let found = found(text);
        let want = [
            "no public",
            "ambiguous",
            "cannot be",
            "not written",
            "not written",
        ];
        assert_eq!(found.len(), want.len(), "{found:?}");
        for (line, want) in found.iter().zip(want) {
            assert!(line.contains(want), "{line} lacks {want}");
        }
    }

    #[test]
    fn other_tables_other_words_and_code_blocks_claim_nothing() {
        let text = "| variable | value |\n|---|---|\n| `CTX_TOKEN` | x |\n\n`a` = `1`\n\
            ```sh\n`SIZE` = `3`\n```\nwrite `` `SIZE` = `value` ``\nthe `SIZE` of `1` or `x` = `SIZE`\n";
        assert_eq!(found(text), Vec::<String>::new());
    }
}
