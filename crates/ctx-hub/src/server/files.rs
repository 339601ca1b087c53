//! How many connections the open files of this process leave room for.

use ctx_config::limits::RESERVED_FILES;
use rustix::process::{Resource, getrlimit};

/// As many of `wanted` connections as there is room for beside everything else that is open: a hub
/// that has no file left for its store or for its operator is worse than one that refuses a
/// connection.
pub(super) fn connections(wanted: usize) -> usize {
    // `None`: there is no limit.
    getrlimit(Resource::Nofile)
        .current
        .map_or(wanted, |files| wanted.min(room(files)))
}

fn room(files: u64) -> usize {
    let room = files.saturating_sub(RESERVED_FILES).max(files / 4).max(1);
    usize::try_from(room).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_hub_needs_itself_is_kept_and_a_small_limit_still_lets_somebody_in() {
        assert_eq!(room(1_024), 960);
        assert_eq!(room(RESERVED_FILES), 16);
        assert_eq!(room(0), 1);
        assert!(connections(10) <= 10);
    }
}
