//! The command-line reference is what `ctx` says of itself.

use camino::Utf8Path;

use crate::error::CheckError;
use crate::files;
use crate::finding::Finding;
use crate::run;

/// The page that is generated.
pub(crate) const PAGE: &str = "docs/reference/cli.md";
const FIX: &str = "run `cargo xtask drift --fix`";

/// Compares the page with what the program prints now.
pub(super) fn check(root: &Utf8Path) -> Result<Vec<Finding>, CheckError> {
    Ok(compare(&files::read(root, PAGE, FIX)?, &generate(root)?))
}

/// Writes the page.
pub(crate) fn fix(root: &Utf8Path) -> Result<(), CheckError> {
    let page = generate(root)?;
    files::replace(&root.join(PAGE), page.as_bytes())?;
    println!("wrote {PAGE}");
    Ok(())
}

fn generate(root: &Utf8Path) -> Result<String, CheckError> {
    let mut command = run::cargo(root);
    command.args([
        "run",
        "--quiet",
        "--package",
        "ctx-cli",
        "--bin",
        "ctx",
        "--",
        "reference",
    ]);
    run::capture(&mut command)
}

/// The first line that differs.
fn compare(page: &str, program: &str) -> Vec<Finding> {
    if page == program {
        return Vec::new();
    }
    let same = page
        .lines()
        .zip(program.lines())
        .take_while(|(page, program)| page == program);
    let line = same.count() + 1;
    vec![Finding::new(
        PAGE,
        line,
        "cli-reference",
        format!("differs from `ctx reference`: {FIX}"),
    )]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::lines;

    #[test]
    fn a_page_that_differs_is_found_at_its_first_differing_line() {
        assert_eq!(compare("# a\n\nb\n", "# a\n\nb\n"), []);
        for (page, line) in [("# a\n\nc\n", 3), ("# a\n", 2), ("# a\n\nb\nc\n", 4)] {
            let found = lines(compare(page, "# a\n\nb\n"));
            assert_eq!(found.len(), 1);
            assert!(
                found[0].starts_with(&format!("{PAGE}:{line}: cli-reference:")),
                "{found:?}"
            );
        }
    }
}
