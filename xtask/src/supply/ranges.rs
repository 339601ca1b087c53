//! Which versions an advisory speaks of.

use cargo_metadata::semver::{Comparator, Op, Version, VersionReq};

/// Whether `version` is in one of `ranges`, as the database means them: a pre-release is the version
/// that comes just before its release, whatever ranges do with it elsewhere.
pub(super) fn any(ranges: &[VersionReq], version: &Version) -> bool {
    ranges.iter().any(|range| {
        let plain = Version::new(version.major, version.minor, version.patch);
        range.matches(version)
            || (!version.pre.is_empty()
                && range.matches(&plain)
                && range.comparators.iter().all(|one| !is_at(one, &plain)))
    })
}

/// Whether `comparator` begins or ends at exactly this release: then a pre-release of it is outside.
fn is_at(comparator: &Comparator, plain: &Version) -> bool {
    let same = comparator.major == plain.major
        && comparator.minor == Some(plain.minor)
        && comparator.patch == Some(plain.patch);
    same && matches!(
        comparator.op,
        Op::GreaterEq | Op::Exact | Op::Caret | Op::Tilde
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(ranges: &[&str], version: &str) -> bool {
        let ranges: Vec<VersionReq> = ranges.iter().map(|r| r.parse().unwrap()).collect();
        any(&ranges, &version.parse().unwrap())
    }

    #[test]
    fn a_version_is_in_a_list_of_ranges_when_one_of_them_has_it() {
        let patched = [">= 1.18.4, < 1.19.0", ">= 1.20.3, < 1.21.0", ">= 1.23.1"];
        for inside in ["1.18.4", "1.20.9", "1.23.1", "2.0.0"] {
            assert!(matches(&patched, inside), "{inside}");
        }
        for outside in ["1.18.3", "1.19.0", "1.21.0", "1.23.0"] {
            assert!(!matches(&patched, outside), "{outside}");
        }
        assert!(matches(&["^0.3.24", ">= 0.4.2"], "0.3.26"));
        assert!(!matches(&["^0.3.24", ">= 0.4.2"], "0.4.1"));
    }

    #[test]
    fn a_pre_release_comes_before_its_release() {
        assert!(matches(&[">= 1.0.0"], "1.1.0-rc.1"));
        assert!(!matches(&[">= 1.1.0"], "1.1.0-rc.1"));
        assert!(matches(&[">= 1.1.0-rc.1"], "1.1.0-rc.2"));
    }
}
