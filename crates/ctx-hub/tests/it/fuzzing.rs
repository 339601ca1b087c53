//! The fuzz targets, run over their seeds and over what is near them; and whether `fuzz/` has them.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use ctx_hub::fuzzing::TARGETS;
use proptest::prelude::*;
use proptest::sample::Index;

/// Of targets that touch the disk or speak over a connection fewer mutations are run.
const SLOW: [&str; 6] = [
    "hub_answer",
    "hub_bytes",
    "hub_frames",
    "hub_request",
    "hub_stream",
    "lock_record",
];

/// In those, so many bytes lie between one cut or flip and the next.
const STRIDE: usize = 9;

fn fuzz_dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz")
}

/// The names in a directory of `fuzz/`, without what follows a dot.
fn stems(dir: &str) -> BTreeSet<String> {
    let entries = fs::read_dir(fuzz_dir().join(dir)).unwrap();
    let stem = |entry: fs::DirEntry| {
        entry
            .path()
            .file_stem()
            .unwrap()
            .to_str()
            .unwrap()
            .to_owned()
    };
    entries.map(|entry| stem(entry.unwrap())).collect()
}

fn seeds(target: &str) -> Vec<Vec<u8>> {
    let entries = fs::read_dir(fuzz_dir().join("seeds").join(target)).unwrap();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.iter().map(|path| fs::read(path).unwrap()).collect()
}

#[test]
fn every_target_has_a_program_a_place_in_the_manifest_and_seeds() {
    let names: BTreeSet<String> = TARGETS.map(|(name, _)| name.to_owned()).into();
    assert_eq!(stems("fuzz_targets"), names);
    assert_eq!(stems("seeds"), names);
    let manifest = fs::read_to_string(fuzz_dir().join("Cargo.toml")).unwrap();
    for name in names {
        assert!(manifest.contains(&format!("path = \"fuzz_targets/{name}.rs\"")));
        let program = fs::read_to_string(fuzz_dir().join(format!("fuzz_targets/{name}.rs")));
        let call = format!("|bytes: &[u8]| ctx_hub::fuzzing::{name}(bytes)");
        assert!(program.unwrap().contains(&call), "{name}");
        assert!(!seeds(&name).is_empty());
    }
}

#[test]
fn every_seed_holds_cut_anywhere_and_with_any_bit_flipped() {
    for (name, target) in TARGETS {
        for seed in seeds(name) {
            target(&seed);
            let stride = if SLOW.contains(&name) { STRIDE } else { 1 };
            for at in (0..seed.len()).step_by(stride) {
                target(&seed[..at]);
                let mut flipped = seed.clone();
                flipped[at] ^= 1 << (at % 8);
                target(&flipped);
            }
        }
    }
}

/// One change to a seed.
#[derive(Clone, Debug)]
enum Change {
    Cut(Index),
    Flip(Index, u8),
    Twice(Index, Index),
    Without(Index, Index),
    Insert(Index, Vec<u8>),
}

fn change() -> impl Strategy<Value = Change> {
    let place = any::<Index>;
    prop_oneof![
        place().prop_map(Change::Cut),
        (place(), 0..8_u8).prop_map(|(at, bit)| Change::Flip(at, bit)),
        (place(), place()).prop_map(|(from, to)| Change::Twice(from, to)),
        (place(), place()).prop_map(|(from, to)| Change::Without(from, to)),
        (place(), any::<[u8; 3]>()).prop_map(|(at, bytes)| Change::Insert(at, bytes.to_vec())),
    ]
}

fn changed(mut bytes: Vec<u8>, change: &Change) -> Vec<u8> {
    let place = |index: &Index| index.index(bytes.len() + 1);
    let between = |from: &Index, to: &Index| {
        let (from, to) = (place(from), place(to));
        from.min(to)..from.max(to)
    };
    match change {
        Change::Cut(at) => {
            let at = place(at);
            bytes.truncate(at);
        }
        Change::Flip(at, bit) => {
            let at = place(at);
            bytes
                .get_mut(at)
                .into_iter()
                .for_each(|byte| *byte ^= 1 << bit);
        }
        Change::Twice(from, to) => {
            let range = between(from, to);
            let part = bytes[range.clone()].to_vec();
            bytes.splice(range.end..range.end, part);
        }
        Change::Without(from, to) => {
            let range = between(from, to);
            bytes.drain(range);
        }
        Change::Insert(at, what) => {
            let at = place(at);
            bytes.splice(at..at, what.iter().copied());
        }
    }
    bytes
}

proptest! {
    #[test]
    fn every_target_holds_near_its_seeds(
        choice in any::<Index>(),
        changes in proptest::collection::vec(change(), 0..4),
    ) {
        for (name, target) in TARGETS.iter().filter(|(name, _)| !SLOW.contains(name)) {
            let seeds = seeds(name);
            let seed = choice.get(&seeds).clone();
            target(&changes.iter().fold(seed, changed));
        }
    }

    #[test]
    fn every_target_holds_for_any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        for (_, target) in TARGETS.iter().filter(|(name, _)| !SLOW.contains(name)) {
            target(&bytes);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn every_slow_target_holds_near_its_seeds_and_for_any_bytes(
        choice in any::<Index>(),
        changes in proptest::collection::vec(change(), 0..4),
        bytes in proptest::collection::vec(any::<u8>(), 0..200),
    ) {
        for (name, target) in TARGETS.iter().filter(|(name, _)| SLOW.contains(name)) {
            let seeds = seeds(name);
            let seed = choice.get(&seeds).clone();
            target(&changes.iter().fold(seed, changed));
            target(&bytes);
        }
    }
}
