//! When to kill a sync: at an instant, or right behind something that it did.
//!
//! What matters happens in a few milliseconds near the end of a run, most of which is starting and
//! dialling. Instants alone seldom hit it; watching the directory does.

use std::os::unix::fs::MetadataExt as _;
use std::time::{Duration, Instant};

use camino::{Utf8Path, Utf8PathBuf};

use super::names::{LOCK, MIRROR_FILES, REBUILD, STATE};
use super::prng::Prng;
use super::process::{Ended, Process};
use super::trouble::Trouble;

/// A little longer than a flush takes.
const CLOSE: f64 = 0.005;
const CLOSEST: f64 = 0.000_01;

/// How many times its span a process is watched; a listener may do nothing at all.
const PATIENCE: u32 = 4;

/// Something that a sync changes, to be seen from outside.
const SIGNS: [Sign; 5] = [
    Sign::Lock,
    Sign::Mirror,
    Sign::Mirror,
    Sign::State,
    Sign::Rebuild,
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sign {
    Lock,
    Mirror,
    State,
    Rebuild,
}

/// Kills `process`, which works in the mirror directory `dir` and takes about `span`.
pub(crate) fn kill(
    mut process: Process,
    dir: &Utf8Path,
    span: Duration,
    prng: &mut Prng,
) -> Result<Ended, Trouble> {
    let sign = match prng.pick(&SIGNS) {
        Some(&sign) if !prng.once_in(3) => sign,
        _ => return process.kill_after(prng.instant(span)),
    };
    let behind = Duration::from_secs_f64(prng.magnitude(CLOSEST, CLOSE));
    let paths = sign.paths(dir);
    let before = look(&paths);
    let began = Instant::now();
    while look(&paths) == before && process.runs()? && began.elapsed() < span * PATIENCE {
        std::thread::yield_now();
    }
    // A sleep is not this exact.
    let seen = Instant::now();
    while seen.elapsed() < behind {
        std::hint::spin_loop();
    }
    process.kill()
}

impl Sign {
    fn paths(self, dir: &Utf8Path) -> Vec<Utf8PathBuf> {
        let rebuild = dir.join(REBUILD);
        match self {
            Self::Lock => vec![dir.join(LOCK)],
            Self::State => vec![dir.join(STATE)],
            Self::Mirror => MIRROR_FILES.map(|name| dir.join(name)).to_vec(),
            Self::Rebuild => vec![rebuild.join(STATE), rebuild.join(MIRROR_FILES[0]), rebuild],
        }
    }
}

/// What tells a change: which file it is, and how long.
fn look(paths: &[Utf8PathBuf]) -> Vec<Option<(u64, u64)>> {
    let one = |path: &Utf8PathBuf| {
        let metadata = fs_err::symlink_metadata(path).ok()?;
        Some((metadata.ino(), metadata.len()))
    };
    paths.iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::super::scratch::put;
    use super::*;

    #[test]
    fn a_new_a_longer_and_a_replaced_file_are_seen() {
        let directory = tempfile::tempdir().unwrap();
        let dir = Utf8Path::from_path(directory.path()).unwrap();
        let paths = Sign::State.paths(dir);
        let mut seen = vec![look(&paths)];
        put(&paths[0], b"1").unwrap();
        seen.push(look(&paths));
        put(&paths[0], b"12").unwrap();
        seen.push(look(&paths));
        let new = dir.join("new");
        put(&new, b"34").unwrap();
        assert_eq!(look(&paths), seen[2]);
        fs_err::rename(&new, &paths[0]).unwrap();
        seen.push(look(&paths));
        assert!(seen.windows(2).all(|pair| pair[0] != pair[1]), "{seen:?}");
    }
}
