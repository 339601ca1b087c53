//! The rule of failpoints: the steps in the code and the steps in the list are the same, and each
//! is called by one name in one place.

use std::collections::BTreeMap;

use camino::{Utf8Path, Utf8PathBuf};
use proc_macro2::{Delimiter, TokenStream, TokenTree};
use syn::Lit;

use crate::files::Text;
use crate::finding::Finding;

const RULE: &str = "failpoint";
/// Where the list is.
const LIST: &str = "crates/ctx-io/src/failpoint/steps.rs";
/// Where the facility itself is, whose examples and tests are no steps.
const FACILITY: &str = "crates/ctx-io/src/failpoint";
/// The calls that a step is.
const CALLS: [&str; 2] = ["reach", "reach_at"];

/// A place in a file.
type Place = (Utf8PathBuf, usize);

/// The steps that the code reaches and the list names.
#[derive(Debug, Default)]
pub(super) struct Steps {
    reached: BTreeMap<String, Place>,
    listed: BTreeMap<String, usize>,
    findings: Vec<Finding>,
}

impl Steps {
    /// Reads one source file.
    pub(super) fn read(&mut self, text: &Text) {
        let Ok(tokens) = text.content.parse::<TokenStream>() else {
            return;
        };
        if text.path == LIST {
            self.list(tokens);
        } else if text.path.starts_with("crates") && !text.path.starts_with(FACILITY) {
            self.calls(&text.path, tokens);
        }
    }

    /// Finds strings; documentation is one too, in an attribute, and does not count.
    fn list(&mut self, tokens: TokenStream) {
        let mut is_attribute = false;
        for token in tokens {
            let after_hash = is_attribute;
            is_attribute = match &token {
                TokenTree::Punct(punct) => {
                    punct.as_char() == '#' || (after_hash && punct.as_char() == '!')
                }
                _ => false,
            };
            match token {
                TokenTree::Literal(literal) => {
                    let line = literal.span().start().line;
                    if let Lit::Str(name) = Lit::new(literal)
                        && self.listed.insert(name.value(), line).is_some()
                    {
                        let message = format!("the step `{}` is listed twice", name.value());
                        self.findings.push(Finding::new(LIST, line, RULE, message));
                    }
                }
                TokenTree::Group(group) if !after_hash => self.list(group.stream()),
                _ => {}
            }
        }
    }

    /// Finds `reach("…")` and `reach_at("…", …)`.
    fn calls(&mut self, path: &Utf8Path, tokens: TokenStream) {
        let mut is_call = false;
        for token in tokens {
            let after_call = std::mem::take(&mut is_call);
            match token {
                TokenTree::Ident(ident) => is_call = CALLS.iter().any(|call| ident == call),
                TokenTree::Group(group) => {
                    if after_call
                        && group.delimiter() == Delimiter::Parenthesis
                        && let Some(TokenTree::Literal(first)) = group.stream().into_iter().next()
                        && let Lit::Str(name) = Lit::new(first.clone())
                    {
                        let line = first.span().start().line;
                        self.call(name.value(), (path.to_owned(), line));
                    }
                    self.calls(path, group.stream());
                }
                _ => {}
            }
        }
    }

    fn call(&mut self, name: String, place: Place) {
        if let Some((path, line)) = self.reached.get(&name) {
            // An aim that means two places hits neither for sure.
            let message = format!("the step `{name}` is also at {path}:{line}");
            self.findings
                .push(Finding::new(place.0, place.1, RULE, message));
        } else {
            self.reached.insert(name, place);
        }
    }

    /// What does not agree.
    pub(super) fn findings(self) -> Vec<Finding> {
        let mut findings = self.findings;
        for (name, (path, line)) in &self.reached {
            if !self.listed.contains_key(name) {
                let message = format!("the step `{name}` is not in {LIST}");
                findings.push(Finding::new(path.clone(), *line, RULE, message));
            }
        }
        for (name, line) in &self.listed {
            if !self.reached.contains_key(name) {
                let message = format!("no code reaches the step `{name}`");
                findings.push(Finding::new(LIST, *line, RULE, message));
            }
        }
        findings
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::lines;

    fn found(files: &[(&str, &str)]) -> Vec<String> {
        let mut steps = Steps::default();
        for (path, content) in files {
            steps.read(&Text {
                path: (*path).into(),
                content: (*content).to_owned(),
            });
        }
        lines(steps.findings())
    }

    const LISTED: (&str, &str) = (
        LIST,
        "//! X.\n/// Y.\npub const STEPS: &[&str] = &[\n\"a.b\",\n\"c.d\",\n];",
    );

    #[test]
    fn a_list_that_agrees_with_the_code_is_clean() {
        let code = "fn f() { failpoint::reach(\"a.b\")?; g(|| x::reach_at(\"c.d\", p).ok()); }";
        let own = (
            "crates/ctx-io/src/failpoint/mod.rs",
            "fn f() { reach(\"x.y\") }",
        );
        let found = found(&[LISTED, ("crates/a/src/lib.rs", code), own]);
        assert_eq!(found, Vec::<String>::new());
    }

    #[test]
    fn steps_unlisted_unreached_and_reached_twice_are_found() {
        let code = "fn f() {\nreach(\"a.b\")?;\nreach(\"a.b\")?;\nreach(\"new\")?;\n}";
        let want = [
            "crates/a/src/lib.rs:3: failpoint: the step `a.b` is also at crates/a/src/lib.rs:2",
            "crates/a/src/lib.rs:4: failpoint: the step `new` is not in \
             crates/ctx-io/src/failpoint/steps.rs",
            "crates/ctx-io/src/failpoint/steps.rs:5: failpoint: no code reaches the step `c.d`",
        ];
        assert_eq!(found(&[LISTED, ("crates/a/src/lib.rs", code)]), want);
    }

    #[test]
    fn a_step_listed_twice_is_found() {
        let list = (LIST, "const S: &[&str] = &[\"a\",\n\"a\"];");
        let found = found(&[list, ("crates/a/src/lib.rs", "fn f() { reach(\"a\") }")]);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].ends_with("`a` is listed twice"), "{found:?}");
    }
}
