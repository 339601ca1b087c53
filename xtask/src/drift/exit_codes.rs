//! The exit codes of the reference are those of `enum Exit`.

use std::collections::BTreeMap;

use camino::Utf8Path;
use syn::{Expr, Item, ItemEnum, Lit};

use crate::error::CheckError;
use crate::files;
use crate::finding::Finding;
use crate::markdown::{self, bare};

/// The page with the table.
pub(super) const PAGE: &str = "docs/reference/exit-codes.md";
const SOURCE: &str = "crates/ctx-cli/src/exit.rs";
const RULE: &str = "exit-code";

/// An exit code: its name and the line where it stands.
type Codes = BTreeMap<u8, (String, usize)>;

/// Compares the table with the enum, in both directions.
pub(super) fn check(root: &Utf8Path) -> Result<Vec<Finding>, CheckError> {
    let page = files::read(root, PAGE, "write it: a table `| code | name | meaning |`")?;
    let source = files::read(root, SOURCE, "define `enum Exit` there")?;
    let parsed = syn::parse_file(&source).map_err(|source| CheckError::Rust {
        path: SOURCE.into(),
        source,
    })?;
    let (Some(documented), Some(defined)) = (table(&page), parsed.items.iter().find_map(exits))
    else {
        return Err(CheckError::Missing {
            what: format!("no table `| code | name |` in {PAGE}, or no `enum Exit` in {SOURCE}"),
            hint: "one of them is what the other is compared with".to_owned(),
        });
    };
    let defined = defined.map_err(|source| CheckError::Rust {
        path: SOURCE.into(),
        source,
    })?;
    let (documented, mut findings) = documented;
    findings.extend(compare(&documented, &defined));
    Ok(findings)
}

/// What stands in one of them and not, or otherwise, in the other.
fn compare(documented: &Codes, defined: &Codes) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (code, (name, line)) in defined {
        match documented.get(code) {
            Some((same, _)) if same == name => {}
            Some((other, line)) => {
                let message = format!("{code} is `{name}`, not `{other}`");
                findings.push(Finding::new(PAGE, *line, RULE, message));
            }
            None => {
                let message = format!("{code} (`{name}`) is not in {PAGE}");
                findings.push(Finding::new(SOURCE, *line, RULE, message));
            }
        }
    }
    for (code, (name, line)) in documented
        .iter()
        .filter(|(code, _)| !defined.contains_key(code))
    {
        let message = format!("{code} (`{name}`) is no exit code of ctx");
        findings.push(Finding::new(PAGE, *line, RULE, message));
    }
    findings
}

/// The codes of the page's table; a row that cannot be read is a finding.
fn table(page: &str) -> Option<(Codes, Vec<Finding>)> {
    let tables = markdown::tables(page);
    let columns =
        |table: &markdown::Table<'_>| Some((table.column("code")?, table.column("name")?));
    let (table, (code, name)) = tables
        .iter()
        .find_map(|table| Some((table, columns(table)?)))?;
    let mut codes = Codes::new();
    let mut findings = Vec::new();
    for (line, cells) in &table.rows {
        let number = cells.get(code).and_then(|cell| bare(cell).parse().ok());
        let (Some(number), Some(name)) = (number, cells.get(name)) else {
            findings.push(Finding::new(
                PAGE,
                *line,
                RULE,
                "a row without a code and a name",
            ));
            continue;
        };
        if codes
            .insert(number, (bare(name).to_owned(), *line))
            .is_some()
        {
            findings.push(Finding::new(
                PAGE,
                *line,
                RULE,
                format!("{number} stands there twice"),
            ));
        }
    }
    Some((codes, findings))
}

/// The variants of `enum Exit`, when the item is that enum.
fn exits(item: &Item) -> Option<Result<Codes, syn::Error>> {
    match item {
        Item::Enum(item) if item.ident == "Exit" => Some(variants(item)),
        _ => None,
    }
}

fn variants(item: &ItemEnum) -> Result<Codes, syn::Error> {
    let mut codes = Codes::new();
    for variant in &item.variants {
        let code = match &variant.discriminant {
            Some((_, Expr::Lit(literal))) => match &literal.lit {
                Lit::Int(number) => number.base10_parse().ok(),
                _ => None,
            },
            _ => None,
        };
        let Some(code) = code else {
            let message = "an exit code is written out: `Name = 3`";
            return Err(syn::Error::new(variant.ident.span(), message));
        };
        let line = variant.ident.span().start().line;
        codes.insert(code, (variant.ident.to_string(), line));
    }
    Ok(codes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Sandbox, lines};

    const ENUM: &str = "pub enum Exit {\n    Done = 0,\n    Failed = 1,\n    Busy = 3,\n}\n";
    const TABLE: &str = "# Codes\n\n| code | name | meaning |\n|---|---|---|\n| 0 | `Done` | a |\n\
        | 1 | `Failed` | b |\n| 3 | `Busy` | c |\n";

    fn found(page: &str, source: &str) -> Vec<String> {
        let sandbox = Sandbox::new();
        sandbox.write(PAGE, page);
        sandbox.write(SOURCE, source);
        check(sandbox.root()).map_or_else(|error| vec![error.explain()], lines)
    }

    #[test]
    fn a_table_that_equals_the_enum_passes() {
        assert_eq!(found(TABLE, ENUM), Vec::<String>::new());
    }

    #[test]
    fn codes_that_are_renamed_missing_and_invented_are_all_found() {
        let page = TABLE
            .replace("`Failed`", "`Broken`")
            .replace("| 3 |", "| 4 |");
        let want = [
            "crates/ctx-cli/src/exit.rs:4: exit-code: 3 (`Busy`) is not in docs/reference/exit-codes.md",
            "docs/reference/exit-codes.md:6: exit-code: 1 is `Failed`, not `Broken`",
            "docs/reference/exit-codes.md:7: exit-code: 4 (`Busy`) is no exit code of ctx",
        ];
        assert_eq!(found(&page, ENUM), want);
    }

    #[test]
    fn a_code_that_stands_twice_and_a_row_that_cannot_be_read_are_found() {
        let page = format!("{TABLE}| 3 | `Busy` | again |\n| three | `Busy` | c |\n");
        let found = found(&page, ENUM);
        assert_eq!(found.len(), 2, "{found:?}");
    }

    #[test]
    fn an_enum_without_written_codes_and_a_page_without_a_table_are_errors() {
        assert!(found(TABLE, "enum Exit { Done }")[0].contains("written out"));
        assert!(found("# Codes\n", ENUM)[0].contains("no table"));
    }
}
