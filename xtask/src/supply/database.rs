//! A copy of the RustSec Advisory Database, as git gives it: `crates/<name>/RUSTSEC-….md`, each with
//! its facts in a block of TOML in front.

use std::collections::BTreeSet;

use camino::{Utf8Path, Utf8PathBuf};
use serde::Deserialize;

use super::advisories::{Advisory, Digest};
use crate::error::CheckError;
use crate::{markdown, run};

/// Where cargo-audit keeps its copy, in cargo's own directory.
const KEPT: &str = "advisory-db";

#[derive(Deserialize)]
struct Facts {
    advisory: About,
    versions: Versions,
}

#[derive(Deserialize)]
struct About {
    id: String,
    package: String,
    date: String,
    informational: Option<String>,
    withdrawn: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Versions {
    patched: Vec<String>,
    unaffected: Vec<String>,
}

/// What the copy in `db` says of the packages `names`.
pub(super) fn read(db: Option<&Utf8Path>, names: BTreeSet<String>) -> Result<Digest, CheckError> {
    let db = match db {
        Some(db) => db.to_owned(),
        None => kept(),
    };
    if !db.join("crates").is_dir() {
        return Err(CheckError::Missing {
            what: format!("{db} is no copy of the advisory database"),
            hint: "clone https://github.com/rustsec/advisory-db and say where with --db DIR"
                .to_owned(),
        });
    }
    let date = run::capture(run::git(&db).args(["log", "-1", "--format=%cs"]))?;
    let mut advisory = Vec::new();
    for name in &names {
        advisory.extend(of_package(&db.join("crates").join(name))?);
    }
    advisory.sort();
    Ok(Digest {
        date: date.trim().to_owned(),
        looked_up: names,
        advisory,
    })
}

fn kept() -> Utf8PathBuf {
    let home = std::env::var("CARGO_HOME").map(Utf8PathBuf::from);
    let home = home.or_else(|_| std::env::var("HOME").map(|home| format!("{home}/.cargo").into()));
    home.unwrap_or_default().join(KEPT)
}

/// The advisories of one package; most have no directory.
fn of_package(dir: &Utf8Path) -> Result<Vec<Advisory>, CheckError> {
    if !dir.is_dir() {
        return Ok(Vec::new());
    }
    let mut advisories = Vec::new();
    for entry in dir.read_dir_utf8()? {
        let path = entry?.into_path();
        if path.extension() == Some("md") {
            advisories.extend(parse(&path, &fs_err::read_to_string(&path)?)?);
        }
    }
    Ok(advisories)
}

/// One advisory; `None` when it was withdrawn.
fn parse(path: &Utf8Path, text: &str) -> Result<Option<Advisory>, CheckError> {
    let fences = markdown::fences(text);
    let block = fences.into_iter().find(|fence| fence.info == "toml");
    let lines = block.map(|block| block.lines).unwrap_or_default();
    let lines: Vec<&str> = lines.into_iter().map(|(_, line)| line).collect();
    let facts: Facts = toml::from_str(&lines.join("\n")).map_err(|source| CheckError::Toml {
        path: path.to_owned(),
        source: Box::new(source),
    })?;
    if facts.advisory.withdrawn.is_some() {
        return Ok(None);
    }
    let mut prose = markdown::prose(text).into_iter();
    let title = prose.find_map(|(_, line)| line.strip_prefix("# "));
    Ok(Some(Advisory {
        package: facts.advisory.package,
        id: facts.advisory.id,
        date: facts.advisory.date,
        title: title.unwrap_or_default().trim().to_owned(),
        informational: facts.advisory.informational,
        patched: facts.versions.patched,
        unaffected: facts.versions.unaffected,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Sandbox;

    const ADVISORY: &str = "```toml\n[advisory]\nid = \"RUSTSEC-2020-0001\"\npackage = \"a\"\n\
        date = \"2020-01-01\"\ninformational = \"unsound\"\n\n[affected.functions]\n\
        \"a::f\" = [\"< 1.0.0\"]\n\n[versions]\npatched = [\">= 1.0.0\"]\n```\n\n# It breaks\n\nWords.\n\n\
        ```toml\nnot = \"this\"\n```\n";

    #[test]
    fn advisories_of_the_packages_asked_for_are_read_and_withdrawn_ones_are_not() {
        let sandbox = Sandbox::new();
        let withdrawn =
            ADVISORY.replace("informational", "withdrawn = \"2020-02-02\"\ninformational");
        sandbox.write("crates/a/RUSTSEC-2020-0001.md", ADVISORY);
        sandbox.write("crates/b/RUSTSEC-2020-0002.md", &withdrawn);
        sandbox.write("crates/c/RUSTSEC-2020-0003.md", "of no interest");
        sandbox.commit("all");
        let names: BTreeSet<String> = ["a", "b", "d"].map(str::to_owned).into();
        let digest = read(Some(sandbox.root()), names.clone()).unwrap();
        let want = Advisory {
            package: "a".to_owned(),
            id: "RUSTSEC-2020-0001".to_owned(),
            date: "2020-01-01".to_owned(),
            title: "It breaks".to_owned(),
            informational: Some("unsound".to_owned()),
            patched: vec![">= 1.0.0".to_owned()],
            unaffected: Vec::new(),
        };
        assert_eq!(digest.advisory, [want]);
        assert_eq!(digest.looked_up, names);
        assert_eq!(digest.date.len(), "2026-01-01".len());
    }

    #[test]
    fn a_directory_that_is_no_copy_is_refused_with_what_to_do() {
        let sandbox = Sandbox::new();
        let error = read(Some(sandbox.root()), BTreeSet::new()).unwrap_err();
        assert!(error.explain().contains("--db DIR"), "{}", error.explain());
    }
}
