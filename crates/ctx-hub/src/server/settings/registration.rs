//! `[registration]`: who may register which projects.

use serde::{Deserialize, Serialize};

use super::{Invalid, Section};
use crate::types::ProjectName;

/// Who may register which projects.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Registration {
    /// Whether the admin token registers projects, and administers the hub from elsewhere. When it
    /// does not, none is made, what is kept of one is not accepted, and projects register with
    /// invitations alone.
    pub admin_token: bool,
    /// The names that projects may register under: each exact, or a pattern in which `*` stands for
    /// any text, an empty one too.
    pub projects: Vec<String>,
}

impl Default for Registration {
    fn default() -> Self {
        Self {
            admin_token: true,
            projects: vec!["*".to_owned()],
        }
    }
}

impl Section for Registration {
    fn validate(&self) -> Result<(), Invalid> {
        let invalid = |why: String| Invalid::new("projects", why);
        if self.projects.is_empty() {
            let why = "has to name a project: leave it out to let projects of every name register";
            return Err(invalid(why.to_owned()));
        }
        for pattern in &self.projects {
            pattern.parse::<ProjectName>().map_err(|error| {
                invalid(format!(
                    "has {pattern:?}, which no project can be called: {error}"
                ))
            })?;
        }
        Ok(())
    }
}

impl Registration {
    /// Whether a project may be called `name`.
    #[must_use]
    pub fn allows(&self, name: &ProjectName) -> bool {
        let name = name.as_str();
        self.projects.iter().any(|pattern| matches(pattern, name))
    }
}

/// Whether `name` is what `pattern` says, where `*` stands for any text. Letters are compared as they
/// are: another case is another name.
fn matches(pattern: &str, name: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else {
        return pattern == name;
    };
    let Some(mut left) = name.strip_prefix(first) else {
        return false;
    };
    let mut parts: Vec<&str> = rest.split('*').collect();
    let last = parts.pop().unwrap_or_default();
    // The leftmost place for each part leaves the most for those behind it.
    for part in parts {
        let Some((_, behind)) = left.split_once(part) else {
            return false;
        };
        left = behind;
    }
    left.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(patterns: &[&str]) -> Registration {
        Registration {
            projects: patterns.iter().map(|text| (*text).to_owned()).collect(),
            ..Registration::default()
        }
    }

    #[test]
    fn a_name_is_exact_or_fits_a_pattern() {
        let rows = [
            ("billing", "billing", true),
            ("billing", "Billing", false),
            ("billing", "billing2", false),
            ("web-*", "web-", true),
            ("web-*", "web-shop", true),
            ("web-*", "my-web-shop", false),
            ("*-api", "shop-api", true),
            ("*-api", "shop-api2", false),
            ("a*b*c", "abc", true),
            ("a*b*c", "a-bb-cc", true),
            ("a*b*c", "acb", false),
            ("ab*ba", "aba", false),
            ("*", "anything", true),
            ("**", "anything", true),
            ("a?c", "abc", false),
        ];
        for (pattern, name, expected) in rows {
            let name = name.parse().unwrap();
            assert_eq!(list(&[pattern]).allows(&name), expected, "{pattern} {name}");
        }
        assert!(Registration::default().allows(&"any".parse().unwrap()));
        assert!(list(&["a", "b-*"]).allows(&"b-1".parse().unwrap()));
    }

    #[test]
    fn a_list_that_lets_nobody_in_or_names_nothing_is_refused() {
        for (patterns, why) in [
            (&[][..], "has to name a project"),
            (&["a", " "], "has \" \", which no project can be called"),
        ] {
            let invalid = list(patterns).validate().unwrap_err();
            assert_eq!(invalid.key, "projects");
            assert!(invalid.why.starts_with(why), "{}", invalid.why);
        }
        list(&["a", "web-*"]).validate().unwrap();
        Registration::default().validate().unwrap();
    }
}
