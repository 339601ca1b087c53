//! Named steps at which the build with failpoints can be killed or made to fail.

use super::trouble::Trouble;
use super::world::{Setting, World};

/// What the build with failpoints reads.
const VARIABLE: &str = "CTX_FAILPOINTS";
/// More often than this no step is reached by what a scenario does.
pub(crate) const MANY: u64 = 200;
/// Failing disks, as the system calls them and as it says it.
pub(crate) const ERRORS: [(&str, &str); 3] = [
    ("EIO", "Input/output error"),
    ("ENOSPC", "No space left on device"),
    ("EROFS", "Read-only file system"),
];

/// The steps whose names begin with one of `parts`.
pub(crate) fn of<'a>(world: &'a World, parts: &[&str]) -> Result<Vec<&'a str>, Trouble> {
    let steps = world.steps.iter().map(String::as_str);
    let chosen: Vec<_> = steps
        .filter(|step| parts.iter().any(|part| step.starts_with(part)))
        .collect();
    match chosen.is_empty() {
        true => Err(Trouble::Broken(format!("no step is called {parts:?}"))),
        false => Ok(chosen),
    }
}

/// Surroundings in which `action` happens the `nth` time that `step` is reached.
pub(crate) fn at(step: &str, nth: u64, action: &str) -> Setting {
    rule(format!("{step}#{nth}={action}"))
}

/// Surroundings in which `action` happens whenever `step` is reached.
pub(crate) fn always(step: &str, action: &str) -> Setting {
    rule(format!("{step}={action}"))
}

fn rule(rule: String) -> Setting {
    Setting::with_variable(VARIABLE, rule)
}
