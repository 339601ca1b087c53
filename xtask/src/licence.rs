//! Licences of dependencies: an SPDX expression is fine when some reading of it is permissive.

use std::iter::Peekable;
use std::str::SplitWhitespace;

/// Why an expression is refused.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum Refused {
    /// No choice among its alternatives is permissive.
    #[error("`{0}` leaves no permissive choice")]
    NotPermissive(String),
    /// It is not an SPDX expression.
    #[error("`{0}` is not an SPDX expression")]
    Malformed(String),
}

/// Judges an expression; `AND` binds tighter than `OR`, and the old `/` means `OR`.
pub(crate) fn judge(expression: &str, allowed: &[String]) -> Result<(), Refused> {
    let spaced = expression
        .replace('(', " ( ")
        .replace(')', " ) ")
        .replace('/', " OR ");
    let mut words = spaced.split_whitespace().peekable();
    match alternatives(&mut words, allowed) {
        Some(_) if words.peek().is_some() => Err(Refused::Malformed(expression.to_owned())),
        Some(true) => Ok(()),
        Some(false) => Err(Refused::NotPermissive(expression.to_owned())),
        None => Err(Refused::Malformed(expression.to_owned())),
    }
}

type Words<'a> = Peekable<SplitWhitespace<'a>>;

/// `A OR B OR …`: permissive when one of them is. Every part is read, whatever the first says.
fn alternatives(words: &mut Words<'_>, allowed: &[String]) -> Option<bool> {
    let mut any = conditions(words, allowed)?;
    while words.next_if_eq(&"OR").is_some() {
        any |= conditions(words, allowed)?;
    }
    Some(any)
}

/// `A AND B AND …`: permissive when all of them are.
fn conditions(words: &mut Words<'_>, allowed: &[String]) -> Option<bool> {
    let mut all = licence(words, allowed)?;
    while words.next_if_eq(&"AND").is_some() {
        all &= licence(words, allowed)?;
    }
    Some(all)
}

/// One licence, with its exception, or an expression in parentheses.
fn licence(words: &mut Words<'_>, allowed: &[String]) -> Option<bool> {
    match words.next()? {
        "(" => {
            let inner = alternatives(words, allowed)?;
            words.next_if_eq(&")").map(|_| inner)
        }
        ")" | "OR" | "AND" | "WITH" => None,
        name => {
            let full = match words.next_if_eq(&"WITH") {
                Some(_) => format!("{name} WITH {}", words.next()?),
                None => name.to_owned(),
            };
            Some(allowed.contains(&full))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use camino::Utf8Path;

    fn allowed() -> Vec<String> {
        let root = Utf8Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        crate::supply::Deny::read(root).unwrap().licenses.allow
    }

    #[test]
    fn permissive_expressions_pass() {
        for expression in [
            "MIT",
            "MIT OR Apache-2.0",
            "MIT/Apache-2.0",
            "Apache-2.0 WITH LLVM-exception OR Apache-2.0 OR MIT",
            "(MIT OR Apache-2.0) AND Unicode-3.0",
            "MIT OR GPL-3.0-only",
            "MIT OR GPL-3.0-only AND ISC",
            "((0BSD))",
        ] {
            assert_eq!(judge(expression, &allowed()), Ok(()), "{expression}");
        }
    }

    #[test]
    fn copyleft_is_refused_where_it_cannot_be_chosen_away() {
        for expression in [
            "GPL-3.0-only",
            "MIT AND LGPL-2.1-or-later",
            "(MIT OR ISC) AND MPL-2.0",
            "Apache-2.0 WITH Classpath-exception-2.0",
            "GPL-2.0-only OR AGPL-3.0-only",
        ] {
            let want = Err(Refused::NotPermissive(expression.to_owned()));
            assert_eq!(judge(expression, &allowed()), want, "{expression}");
        }
    }

    #[test]
    fn what_is_not_an_expression_is_refused() {
        for expression in [
            "", "MIT OR", "(MIT", "MIT)", "MIT ISC", "AND MIT", "MIT WITH",
        ] {
            let want = Err(Refused::Malformed(expression.to_owned()));
            assert_eq!(judge(expression, &allowed()), want, "{expression}");
        }
    }
}
