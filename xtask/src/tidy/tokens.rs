//! Rules of tokens: read as the compiler reads them, so that comments do not count and what
//! stands inside a macro does.

use proc_macro2::{Delimiter, Group, Literal, TokenStream, TokenTree};
use syn::Lit;

use crate::consts;
use crate::files::Text;
use crate::finding::Finding;

/// The rule about names of files of ours.
pub(super) const PATH_RULE: &str = "path-literal";

const LEFTOVER_MACROS: [&str; 3] = ["dbg", "todo", "unimplemented"];

/// Applies the rules of tokens to one source file; `names` are the paths that are ours.
pub(super) fn check(text: &Text, names: &[String]) -> Vec<Finding> {
    // xtask uses no other crate of the workspace, so it has no constant to use instead.
    let judged = text.path.starts_with("crates") && !text.path.starts_with(consts::SOURCE);
    let mut scan = Scan {
        text,
        names: if judged { names } else { &[] },
        findings: Vec::new(),
    };
    match text.content.parse::<TokenStream>() {
        Ok(tokens) => scan.stream(tokens),
        Err(error) => scan.fault(error.span().start().line, "parse", error.to_string()),
    }
    scan.findings
}

struct Scan<'a> {
    text: &'a Text,
    names: &'a [String],
    findings: Vec<Finding>,
}

impl Scan<'_> {
    fn fault(&mut self, line: usize, rule: &'static str, message: String) {
        self.findings
            .push(Finding::new(self.text.path.as_path(), line, rule, message));
    }

    /// Reads tokens in order; an attribute is known by the `#` before its brackets.
    fn stream(&mut self, tokens: TokenStream) {
        let mut tokens = tokens.into_iter().peekable();
        let mut after_hash = false;
        while let Some(token) = tokens.next() {
            let is = |token: &TokenTree, wanted: char| matches!(token, TokenTree::Punct(punct) if punct.as_char() == wanted);
            match &token {
                TokenTree::Ident(ident) if tokens.peek().is_some_and(|next| is(next, '!')) => {
                    let name = ident.to_string();
                    if LEFTOVER_MACROS.contains(&name.as_str()) {
                        let line = ident.span().start().line;
                        self.fault(
                            line,
                            "leftover",
                            format!("`{name}!` is not for finished code"),
                        );
                    }
                }
                TokenTree::Group(group)
                    if after_hash && group.delimiter() == Delimiter::Bracket =>
                {
                    self.attribute(group);
                }
                TokenTree::Group(group) => self.stream(group.stream()),
                TokenTree::Literal(literal) => self.literal(literal),
                _ => {}
            }
            after_hash = is(&token, '#') || (after_hash && is(&token, '!'));
        }
    }

    /// Documentation is prose and not read; the other attributes are.
    fn attribute(&mut self, group: &Group) {
        let first = group.stream().into_iter().next();
        let name = first.map_or(String::new(), |token| token.to_string());
        let line = group.span_open().start().line;
        match name.as_str() {
            "doc" => return,
            "ignore" => {
                self.fault(
                    line,
                    "leftover",
                    "an ignored test catches nothing".to_owned(),
                );
            }
            _ => self.levels(group.stream()),
        }
        self.stream(group.stream());
    }

    /// Every `allow(…)` and `expect(…)` of an attribute, in `cfg_attr` too, says why.
    fn levels(&mut self, tokens: TokenStream) {
        let mut last = String::new();
        for token in tokens {
            if let TokenTree::Group(group) = &token {
                let inside = group.stream();
                if last == "allow" || last == "expect" {
                    let reason = inside
                        .into_iter()
                        .any(|token| token.to_string() == "reason");
                    if !reason {
                        let line = group.span_open().start().line;
                        self.fault(line, "lint-reason", format!("`{last}` without a `reason`"));
                    }
                } else {
                    self.levels(inside);
                }
            }
            last = token.to_string();
        }
    }

    /// A string without blanks, one of whose parts is a name of ours, is a path of ours.
    fn literal(&mut self, literal: &Literal) {
        let Some(value) = string(literal) else { return };
        if value.contains(char::is_whitespace) {
            return;
        }
        let is_ours = |name: &&String| {
            *name == &value
                || value.split('/').any(|part| part == name.as_str())
                || (name.contains('/') && value.ends_with(name.as_str()))
        };
        if let Some(name) = self.names.iter().find(is_ours) {
            let line = literal.span().start().line;
            let message = format!("`{name}` is a name of ctx-config: use its constant");
            self.fault(line, PATH_RULE, message);
        }
    }
}

/// The text of a string, byte string or C string.
fn string(literal: &Literal) -> Option<String> {
    match Lit::new(literal.clone()) {
        Lit::Str(text) => Some(text.value()),
        Lit::ByteStr(bytes) => String::from_utf8(bytes.value()).ok(),
        Lit::CStr(text) => text.value().into_string().ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::lines;

    fn found_in(path: &str, content: &str) -> Vec<String> {
        let names = ["x.lock", ".dir", "far-away"].map(str::to_owned);
        lines(check(
            &Text {
                path: path.into(),
                content: content.to_owned(),
            },
            &names,
        ))
    }

    fn found(content: &str) -> Vec<String> {
        found_in("crates/a/src/lib.rs", content)
    }

    #[test]
    fn a_path_of_ours_is_found_as_a_whole_or_a_part_in_code_macros_and_attributes() {
        for content in [
            "const A: &str = \"x.lock\";",
            "fn f() { g(\".dir/hub/y\") }",
            "fn f() { println!(\"{a}/.dir\") }",
            "struct A { #[arg(default_value = \".dir\")] a: u8 }",
            "const A: &[u8] = b\"x.lock\";",
            "const A: &str = r\"./far-away/\";",
        ] {
            let found = found(content);
            assert_eq!(found.len(), 1, "{content}: {found:?}");
            assert!(
                found[0].starts_with("crates/a/src/lib.rs:1: path-literal:"),
                "{found:?}"
            );
        }
    }

    #[test]
    fn comments_prose_longer_names_and_ctx_config_itself_may_name_it() {
        for content in [
            "//! x.lock\n/// x.lock\nfn f() {} // \"x.lock\"",
            "#[doc = \"x.lock\"]\nfn f() {}",
            "const A: &str = \"no x.lock here\";",
            "const A: &str = \"max.lock\";",
        ] {
            assert_eq!(found(content), Vec::<String>::new(), "{content}");
        }
        let own = found_in(
            "crates/ctx-config/src/paths.rs",
            "pub const A: &str = \"x.lock\";",
        );
        assert_eq!(own, Vec::<String>::new());
    }

    #[test]
    fn macros_for_unfinished_code_and_ignored_tests_are_found() {
        let content = "fn f() {\n    todo!();\n    dbg!(1);\n    unimplemented!()\n}\n\
            #[test]\n#[ignore = \"slow\"]\nfn t() {}\n";
        let found = found(content);
        let places: Vec<_> = found
            .iter()
            .filter_map(|line| line.split(':').nth(1))
            .collect();
        assert_eq!(places, ["2", "3", "4", "7"], "{found:?}");
    }

    #[test]
    fn an_exception_from_a_lint_without_a_reason_is_found() {
        let content = "#![allow(dead_code)]\n#[expect(unused)]\nfn f() { x.expect(\"y\") }\n\
            #[cfg_attr(test, allow(unused))]\nfn g() {}\n";
        assert_eq!(found(content).len(), 3, "{:?}", found(content));
        let content =
            "#![allow(dead_code, reason = \"why\")]\n#[expect(a, reason = \"b\")]\nfn f() {}";
        assert_eq!(found(content), Vec::<String>::new());
    }

    #[test]
    fn a_file_that_does_not_parse_is_found() {
        let found = found("fn f( {\n");
        assert_eq!(found.len(), 1);
        assert!(found[0].contains(": parse: "), "{found:?}");
    }
}
