//! `cargo xtask deps`: what each crate pulls in.
//!
//! `--workspace` and `--all-features` builds cannot find a feature that leans on another, nor a
//! dependency that a feature should not have: so each set is built alone, and its packages are
//! read by name from `cargo tree`.

use std::collections::{BTreeMap, BTreeSet};

use camino::Utf8Path;
use cargo_metadata::{DependencyKind, Metadata, MetadataCommand};

use crate::cargo;
use crate::error::CheckError;
use crate::finding::Finding;
use crate::licence;
use crate::run;
use crate::supply::{self, Deny};

const LOCK: &str = "Cargo.lock";

/// The feature that no default may lead to.
const TEST_ONLY: &str = "failpoints";

/// Which crates of the workspace each crate may use.
const MAY_USE: [(&str, &[&str]); 6] = [
    ("ctx-bench", &["ctx-config", "ctx-hub", "ctx-io"]),
    ("ctx-config", &[]),
    ("ctx-io", &[]),
    ("ctx-hub", &["ctx-config", "ctx-io"]),
    ("ctx-cli", &["ctx-config", "ctx-hub", "ctx-io"]),
    ("xtask", &[]),
];

/// Packages that a set of features must not pull in.
struct Ban {
    /// Neither itself nor through another package.
    anywhere: &'static [&'static str],
    /// Not itself; another package may (`aes-gcm` uses `subtle`).
    directly: &'static [&'static str],
}

/// What the hub's own side brings in and a client must not.
const HUB_SIDE: Ban = Ban {
    anywhere: &[
        "axum",
        "libsqlite3-sys",
        "rcgen",
        "rusqlite",
        "tonic-health",
        "tonic-reflection",
        "x509-cert",
    ],
    directly: &["subtle"],
};

/// What only the service brings in.
const SERVICE: Ban = Ban {
    anywhere: &[
        "axum",
        "rcgen",
        "tonic-health",
        "tonic-reflection",
        "x509-cert",
    ],
    directly: &["subtle"],
};

const CONFIG_IS_A_LEAF: Ban = Ban {
    anywhere: &["ctx-cli", "ctx-hub", "ctx-io", "tokio"],
    directly: &[],
};
const IO_IS_A_LEAF: Ban = Ban {
    anywhere: &["ctx-cli", "ctx-config", "ctx-hub", "tokio"],
    directly: &[],
};
const NOTHING: Ban = Ban {
    anywhere: &[],
    directly: &[],
};

/// Builds that must stand alone: package, features, and what must not be among their packages.
const ALONE: [(&str, &[&str], Ban); 9] = [
    ("ctx-config", &[], CONFIG_IS_A_LEAF),
    ("ctx-io", &[], IO_IS_A_LEAF),
    ("ctx-hub", &[], HUB_SIDE),
    ("ctx-hub", &["--no-default-features"], HUB_SIDE),
    (
        "ctx-hub",
        &["--no-default-features", "--features=client"],
        HUB_SIDE,
    ),
    (
        "ctx-hub",
        &["--no-default-features", "--features=sync"],
        HUB_SIDE,
    ),
    (
        "ctx-hub",
        &["--no-default-features", "--features=store"],
        SERVICE,
    ),
    (
        "ctx-hub",
        &["--no-default-features", "--features=server"],
        NOTHING,
    ),
    ("ctx-cli", &[], NOTHING),
];

/// The crates of the workspace, each with those of them that it uses.
pub(crate) type Edges = BTreeMap<String, BTreeSet<String>>;

/// Checks edges, bans, licences and the supply chain, then builds each set alone.
pub(crate) fn check(root: &Utf8Path) -> Result<Vec<Finding>, CheckError> {
    let metadata = metadata(root)?;
    let mut findings = out_of_order(&edges(&metadata, None));
    let lock = crate::files::read(root, LOCK, "run `cargo generate-lockfile`")?;
    let deny = Deny::read(root)?;
    findings.extend(licences(&metadata, &lock, &deny.licenses.allow));
    findings.extend(supply::check(root, &metadata, &deny)?);
    for (package, features, banned) in ALONE {
        let set = format!("{package} {}", features.join(" "));
        println!("-- {}", set.trim_end());
        let tree = tree(root, package, features)?;
        findings.extend(among(&set, &banned, &tree));
        findings.extend(test_only(&set, &tree));
        let mut command = run::cargo(root);
        command
            .args(["clippy", "--quiet", "--keep-going", "--package", package])
            .args(features);
        findings.extend(cargo::build(root, command, &["--", "-D", "warnings"], "deps")?.findings);
    }
    Ok(findings)
}

/// The workspace as cargo sees it, every feature on.
pub(crate) fn metadata(root: &Utf8Path) -> Result<Metadata, CheckError> {
    let mut command = MetadataCommand::new();
    command
        .manifest_path(root.join("Cargo.toml"))
        .features(cargo_metadata::CargoOpt::AllFeatures);
    Ok(command.exec()?)
}

/// Edges between the crates of the workspace, of one kind or of every kind.
pub(crate) fn edges(metadata: &Metadata, kind: Option<DependencyKind>) -> Edges {
    let packages = metadata.workspace_packages();
    let ours: BTreeSet<&str> = packages
        .iter()
        .map(|package| package.name.as_str())
        .collect();
    let uses = |package: &cargo_metadata::Package| {
        let wanted = package
            .dependencies
            .iter()
            .filter(|used| kind.is_none_or(|k| used.kind == k));
        wanted
            .map(|used| used.name.clone())
            .filter(|name| ours.contains(name.as_str()))
            .collect()
    };
    packages
        .iter()
        .map(|package| (package.name.to_string(), uses(package)))
        .collect()
}

/// Edges that the order of the crates does not allow, and crates that have no place in it.
fn out_of_order(edges: &Edges) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (name, uses) in edges {
        let Some((_, allowed)) = MAY_USE.iter().find(|(known, _)| known == name) else {
            let message = format!("`{name}` has no place in the order of the crates: give it one");
            findings.push(Finding::new("Cargo.toml", 1, "crate-order", message));
            continue;
        };
        for used in uses.iter().filter(|used| !allowed.contains(&used.as_str())) {
            let message = format!("`{name}` must not use `{used}`");
            findings.push(Finding::new(manifest(name), 1, "crate-order", message));
        }
    }
    findings
}

/// The manifest of a crate of ours.
fn manifest(name: &str) -> String {
    if name == "xtask" {
        "xtask/Cargo.toml".to_owned()
    } else {
        format!("crates/{name}/Cargo.toml")
    }
}

/// What `cargo tree` prints for one set of features: a line a package, its depth before its name,
/// its features in brackets.
fn tree(root: &Utf8Path, package: &str, features: &[&str]) -> Result<String, CheckError> {
    let mut command = run::cargo(root);
    command.args([
        "tree",
        "--package",
        package,
        "--edges",
        "normal",
        "--prefix",
        "depth",
        "--format",
        "{p} [{f}]",
    ]);
    run::capture(command.args(features))
}

/// The banned packages among those that `cargo tree` printed.
fn among(set: &str, ban: &Ban, tree: &str) -> Vec<Finding> {
    let package = set.split(' ').next().unwrap_or(set);
    let lines = tree
        .lines()
        .filter_map(|line| line.split_whitespace().next());
    let names = |line: &'_ str| {
        line.trim_start_matches(|c: char| c.is_ascii_digit())
            .to_owned()
    };
    let is_banned = |line: &&str| {
        let name = names(line);
        let named = |list: &[&str]| list.contains(&name.as_str());
        named(ban.anywhere) || (named(ban.directly) && **line == format!("1{name}"))
    };
    let banned: BTreeSet<String> = lines.filter(is_banned).map(names).collect();
    let message = |name| format!("`{}` pulls in `{name}`", set.trim_end());
    let found = |name| Finding::new(manifest(package), 1, "banned", message(name));
    banned.into_iter().map(found).collect()
}

/// Features for tests that are on in what `cargo tree` printed: no set that is built alone asks for
/// one, so no default leads to it.
fn test_only(set: &str, tree: &str) -> Vec<Finding> {
    let package = set.split(' ').next().unwrap_or(set);
    let on = |line: &str| {
        let features = line.rsplit_once('[')?.1.split_once(']')?.0;
        let is_on = features.split(',').any(|feature| feature == TEST_ONLY);
        let name = line.split_whitespace().next()?;
        is_on.then(|| {
            name.trim_start_matches(|c: char| c.is_ascii_digit())
                .to_owned()
        })
    };
    let names: BTreeSet<String> = tree.lines().filter_map(on).collect();
    let message = |name| format!("`{}` turns on `{TEST_ONLY}` of `{name}`", set.trim_end());
    let found = |name| Finding::new(manifest(package), 1, "test-only", message(name));
    names.into_iter().map(found).collect()
}

/// Packages whose licence asks for more than a notice, or that state none.
fn licences(metadata: &Metadata, lock: &str, allowed: &[String]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for package in &metadata.packages {
        let name = package.name.as_str();
        let message = match package
            .license
            .as_deref()
            .map(|licence| licence::judge(licence, allowed))
        {
            Some(Ok(())) => continue,
            Some(Err(refused)) => format!("`{name}`: licence {refused}"),
            None => format!("`{name}` states no licence"),
        };
        let entry = format!("name = \"{name}\"");
        let line = lock
            .lines()
            .position(|line| line == entry)
            .map_or(1, |index| index + 1);
        findings.push(Finding::new(LOCK, line, "licence", message));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Sandbox, lines};

    fn with(edges: &[(&str, &[&str])]) -> Edges {
        let set = |used: &[&str]| used.iter().map(ToString::to_string).collect();
        edges
            .iter()
            .map(|(name, used)| ((*name).to_owned(), set(used)))
            .collect()
    }

    /// A workspace with two crates, of which `ctx-io` uses `ctx-config` in tests only.
    fn workspace() -> Sandbox {
        let sandbox = Sandbox::new();
        sandbox.write(
            "Cargo.toml",
            "[workspace]\nmembers = [\"crates/*\"]\nresolver = \"3\"\n",
        );
        sandbox.write(
            "crates/ctx-config/Cargo.toml",
            "[package]\nname = \"ctx-config\"\nedition = \"2024\"\nlicense = \"GPL-3.0-only\"\n",
        );
        sandbox.write("crates/ctx-config/src/lib.rs", "");
        sandbox.write(
            "crates/ctx-io/Cargo.toml",
            "[package]\nname = \"ctx-io\"\nedition = \"2024\"\n\
             [dev-dependencies]\nctx-config = { path = \"../ctx-config\" }\n",
        );
        sandbox.write("crates/ctx-io/src/lib.rs", "");
        sandbox
    }

    #[test]
    fn an_edge_against_the_order_is_found_even_among_test_dependencies() {
        let sandbox = workspace();
        let edges = edges(&metadata(sandbox.root()).unwrap(), None);
        let found = lines(out_of_order(&edges));
        let want = "crates/ctx-io/Cargo.toml:1: crate-order: `ctx-io` must not use `ctx-config`";
        assert_eq!(found, [want]);
    }

    #[test]
    fn normal_edges_leave_test_dependencies_out() {
        let sandbox = workspace();
        let edges = edges(
            &metadata(sandbox.root()).unwrap(),
            Some(DependencyKind::Normal),
        );
        assert_eq!(edges, with(&[("ctx-config", &[]), ("ctx-io", &[])]));
    }

    #[test]
    fn a_crate_without_a_place_in_the_order_is_found() {
        let edges = with(&[("ctx-hub", &["ctx-config", "ctx-io"]), ("ctx-new", &[])]);
        let found = lines(out_of_order(&edges));
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].contains("`ctx-new` has no place"), "{found:?}");
    }

    #[test]
    fn a_banned_package_is_found_by_its_whole_name() {
        let tree = "0ctx-hub v0.1.0 (/x)\n1axum v0.8.1\n2subtle-encoding v1.0.0\n\
            3rusqlite v0.41.0\n3rusqlite v0.41.0 (*)\n";
        let found = lines(among("ctx-hub ", &HUB_SIDE, tree));
        let want = [
            "crates/ctx-hub/Cargo.toml:1: banned: `ctx-hub` pulls in `axum`",
            "crates/ctx-hub/Cargo.toml:1: banned: `ctx-hub` pulls in `rusqlite`",
        ];
        assert_eq!(found, want);
    }

    #[test]
    fn a_package_that_others_may_use_is_found_only_as_a_dependency_of_ours() {
        let through_another = "0ctx-hub v0.1.0 (/x)\n1aes-gcm v0.10.0\n2subtle v2.0.0\n";
        assert_eq!(among("ctx-hub", &HUB_SIDE, through_another), []);
        let ours = "0ctx-hub v0.1.0 (/x)\n1subtle v2.0.0\n";
        assert_eq!(among("ctx-hub", &HUB_SIDE, ours).len(), 1);
    }

    #[test]
    fn a_default_that_leads_to_failpoints_is_found() {
        let tree = "0ctx-cli v0.1.0 (/failpoints) []\n1ctx-hub v0.1.0 (/x) [client,sync]\n\
            2ctx-io v0.1.0 (/x) [default,failpoints]\n2other v1.0.0 [no-failpoints]\n\
            2ctx-io v0.1.0 (/x) [default,failpoints] (*)\n";
        let want =
            "crates/ctx-cli/Cargo.toml:1: test-only: `ctx-cli` turns on `failpoints` of `ctx-io`";
        assert_eq!(lines(test_only("ctx-cli ", tree)), [want]);
    }

    #[test]
    fn a_copyleft_licence_and_a_missing_one_are_found() {
        let sandbox = workspace();
        let metadata = metadata(sandbox.root()).unwrap();
        let lock = "version = 4\n[[package]]\nname = \"ctx-config\"\n";
        let found = lines(licences(&metadata, lock, &["MIT".to_owned()]));
        let want = [
            "Cargo.lock:1: licence: `ctx-io` states no licence",
            "Cargo.lock:3: licence: `ctx-config`: licence `GPL-3.0-only` leaves no permissive choice",
        ];
        assert_eq!(found, want);
    }
}
