//! No `unsafe` of our own: the lint that forbids it is on in every crate. What is forbidden cannot be
//! allowed again in the code, so the manifests say it all.

use camino::Utf8Path;
use cargo_metadata::Metadata;

use crate::error::CheckError;
use crate::files;
use crate::finding::Finding;

const RULE: &str = "unsafe";
const ROOT: &str = "Cargo.toml";

/// Looks at the lints of the workspace and of each crate in it.
pub(super) fn check(root: &Utf8Path, metadata: &Metadata) -> Result<Vec<Finding>, CheckError> {
    let workspace = read(root, ROOT)?;
    let shared = forbids(
        workspace
            .get("workspace")
            .and_then(|table| table.get("lints")),
    );
    let mut findings = Vec::new();
    for package in metadata.workspace_packages() {
        let path = package.manifest_path.strip_prefix(root);
        let path = path.unwrap_or(&package.manifest_path);
        let lints = read(root, path.as_str())?.get("lints").cloned();
        let inherits = lints.as_ref().and_then(|lints| lints.get("workspace"));
        let inherits = inherits.and_then(toml::Value::as_bool) == Some(true);
        if !(forbids(lints.as_ref()) || inherits && shared) {
            let message = format!("`{}` does not forbid `unsafe_code`", package.name);
            findings.push(Finding::new(path, 1, RULE, message));
        }
    }
    Ok(findings)
}

fn read(root: &Utf8Path, path: &str) -> Result<toml::Table, CheckError> {
    let text = files::read(root, path, "restore it from the repository")?;
    toml::from_str(&text).map_err(|source| CheckError::Toml {
        path: path.into(),
        source: Box::new(source),
    })
}

/// Whether a table of lints forbids it, so that nothing can allow it.
fn forbids(lints: Option<&toml::Value>) -> bool {
    let level = lints
        .and_then(|lints| lints.get("rust"))
        .and_then(|rust| rust.get("unsafe_code"));
    let level = level.map(|level| level.get("level").unwrap_or(level));
    level.and_then(toml::Value::as_str) == Some("forbid")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Sandbox, lines};

    fn found(shared: &str, own: &str) -> Vec<String> {
        let sandbox = Sandbox::new();
        let root = format!(
            "[workspace]\nmembers = [\"a\"]\nresolver = \"3\"\n[workspace.lints.rust]\n{shared}\n"
        );
        sandbox.write(ROOT, &root);
        let package = format!("[package]\nname = \"a\"\nedition = \"2024\"\n{own}\n");
        sandbox.write("a/Cargo.toml", &package);
        sandbox.write("a/src/lib.rs", "");
        let metadata = crate::deps::metadata(sandbox.root()).unwrap();
        lines(check(sandbox.root(), &metadata).unwrap())
    }

    #[test]
    fn a_crate_that_does_not_forbid_it_is_found() {
        let forbid = "unsafe_code = \"forbid\"";
        let inherits = "[lints]\nworkspace = true";
        assert_eq!(found(forbid, inherits), Vec::<String>::new());
        let own = format!("[lints.rust]\n{forbid}");
        assert_eq!(found("", &own), Vec::<String>::new());
        let want = ["a/Cargo.toml:1: unsafe: `a` does not forbid `unsafe_code`"];
        assert_eq!(found("unsafe_code = \"deny\"", inherits), want);
        assert_eq!(found(forbid, ""), want);
    }
}
