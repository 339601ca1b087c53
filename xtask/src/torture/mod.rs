//! `cargo xtask torture`: the real binary as processes, killed, cut off and damaged, and what is
//! left compared with what nobody disturbed.
//!
//! A scenario is a function over an [`Episode`]: one world with one hub, rounds of choices drawn
//! from one seed. Episodes follow one another, each in a new world, until the time is over.

mod aim;
mod damage;
mod damage_files;
mod episode;
mod hub_killed;
mod listen_and_sync;
mod mirror;
mod names;
mod network;
mod ports;
mod prng;
mod process;
mod publish;
mod relay;
mod scratch;
mod sync_crowd;
mod sync_killed;
mod tally;
mod trouble;
mod world;

use std::time::{Duration, Instant};

use camino::{Utf8Path, Utf8PathBuf};

use self::episode::{Episode, Limits};
use self::prng::Prng;
use self::tally::Tally;
use self::trouble::Trouble;
use self::world::World;
use crate::error::CheckError;
use crate::finding::{self, Finding};
use crate::program;

const RULE: &str = "torture";

/// The seed of the short version, and of a run that is given none.
const SEED: u64 = 1;

/// One way to torture.
struct Scenario {
    name: &'static str,
    run: fn(&mut Episode<'_>) -> Result<(), Trouble>,
    /// Its share of the time; 0 for one that ends by itself, in one episode.
    share: u32,
    /// Rounds of the short version.
    short: u64,
}

const SCENARIOS: [Scenario; 7] = [
    scenario("sync-killed", sync_killed::run, 30, 8),
    scenario("sync-crowd", sync_crowd::run, 20, 3),
    scenario("listen-and-sync", listen_and_sync::run, 15, 4),
    scenario("hub-killed", hub_killed::killed, 15, 2),
    scenario("hub-stopped", hub_killed::stopped, 10, 2),
    scenario("network", network::run, 10, 3),
    scenario("damage", damage::run, 0, u64::MAX),
];

const fn scenario(
    name: &'static str,
    run: fn(&mut Episode<'_>) -> Result<(), Trouble>,
    share: u32,
    short: u64,
) -> Scenario {
    Scenario {
        name,
        run,
        share,
        short,
    }
}

/// Rounds after which an episode gives way to a new world.
const ROUNDS: u64 = 20;
/// Places of a file that are damaged, in a long run and in a short one.
const PLACES: u64 = 40;
const SHORT_PLACES: u64 = 3;

/// What can be typed.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Options {
    /// How long the scenarios take together
    #[arg(long, value_name = "N", default_value_t = 60)]
    seconds: u32,
    /// What every choice is drawn from
    #[arg(long, value_name = "S", default_value_t = SEED)]
    seed: u64,
    /// Keep the directories of rounds that went well, too
    #[arg(long)]
    keep: bool,
    /// Use the development build instead of the release build
    #[arg(long)]
    debug: bool,
    /// Use this binary instead of building one
    #[arg(long, value_name = "FILE", conflicts_with = "debug")]
    program: Option<Utf8PathBuf>,
    /// Run the fixed rounds that `cargo xtask ci` runs, whatever the seed and the seconds
    #[arg(long)]
    short: bool,
    /// Run this scenario alone
    #[arg(long, value_name = "SCENARIO", value_parser = SCENARIOS.map(|scenario| scenario.name))]
    only: Option<String>,
}

/// Runs the scenarios and prints the table; true when nothing was found.
pub(crate) fn run(root: &Utf8Path, options: &Options) -> Result<bool, CheckError> {
    let program = match &options.program {
        Some(program) => given(program)?,
        None => build(root, !options.debug && !options.short)?,
    };
    if options.short {
        return Ok(finding::print(short(&program)) == 0);
    }
    let chosen = |scenario: &&Scenario| {
        let only = options.only.as_deref();
        only.is_none_or(|name| name == scenario.name)
    };
    let shares: u32 = SCENARIOS.iter().filter(chosen).map(|one| one.share).sum();
    let mut tallies = Vec::new();
    for scenario in SCENARIOS.iter().filter(chosen) {
        let seconds = f64::from(options.seconds * scenario.share) / f64::from(shares.max(1));
        let limits = Limits {
            rounds: ROUNDS,
            until: (scenario.share > 0).then(|| Instant::now() + Duration::from_secs_f64(seconds)),
            places: PLACES,
        };
        let limits = match scenario.share {
            0 => Limits {
                rounds: u64::MAX,
                ..limits
            },
            _ => limits,
        };
        tallies.push(scenario.torture(&program, options.seed, options.keep, limits));
    }
    println!("\nseed {}, {} s\n", options.seed, options.seconds);
    print!("{}", tally::table(&tallies));
    Ok(tallies.iter().all(Tally::is_clean))
}

/// The short version: the same rounds every time, with the development build.
pub(crate) fn check(root: &Utf8Path) -> Result<Vec<Finding>, CheckError> {
    Ok(short(&build(root, false)?))
}

/// The program as it is shipped, without failpoints.
fn build(root: &Utf8Path, release: bool) -> Result<Utf8PathBuf, CheckError> {
    let failpoints = false;
    program::build(
        root,
        program::Kind {
            release,
            failpoints,
        },
    )
}

fn given(path: &Utf8Path) -> Result<Utf8PathBuf, CheckError> {
    let path = path.canonicalize_utf8()?;
    program::check(&path, false)?;
    Ok(path)
}

fn short(program: &Utf8Path) -> Vec<Finding> {
    let torture = |scenario: &Scenario| {
        let limits = Limits {
            rounds: scenario.short,
            until: None,
            places: SHORT_PLACES,
        };
        scenario.torture(program, SEED, false, limits)
    };
    let tallies: Vec<Tally> = SCENARIOS.iter().map(torture).collect();
    print!("\n{}", tally::table(&tallies));
    let bad = tallies.iter().filter(|tally| !tally.is_clean());
    let finding = |tally: &Tally| {
        let message = format!("{}: see above", tally.faults_found());
        Finding::new(tally.scenario, 0, RULE, message)
    };
    bad.map(finding).collect()
}

impl Scenario {
    /// Runs episodes until the time is over or a fault was found.
    fn torture(&self, program: &Utf8Path, seed: u64, keep: bool, limits: Limits) -> Tally {
        println!("-- {}", self.name);
        let mut tally = Tally::new(self.name);
        let mut seeds = Prng::new(seed);
        let mut next = seed;
        loop {
            self.episode(program, next, keep, limits, &mut tally);
            next = seeds.next();
            let more = limits.until.is_some_and(|until| Instant::now() < until);
            if !more || !tally.is_clean() {
                return tally;
            }
        }
    }

    /// One episode in a world of its own, which is kept when something was found.
    fn episode(
        &self,
        program: &Utf8Path,
        seed: u64,
        keep: bool,
        limits: Limits,
        tally: &mut Tally,
    ) {
        let mut world = match World::new(program, keep) {
            Ok(world) => world,
            Err(trouble) => {
                tally.other += 1;
                println!("{}", trouble.explain());
                return;
            }
        };
        let mut episode = Episode::new(&world, seed, tally, limits);
        let outcome = (self.run)(&mut episode);
        let mut notes = std::mem::take(&mut episode.notes);
        if let Err(trouble) = outcome {
            match trouble {
                Trouble::Wedged(_) => tally.wedged += 1,
                _ => tally.other += 1,
            }
            notes.push(trouble.explain());
        }
        if !tally.is_clean() {
            world.keep();
            let name = self.name;
            println!("{name}: {} in round {}", tally.faults_found(), tally.rounds);
            println!("  again: cargo xtask torture --only {name} --seed {seed}");
            println!("  kept: {}", world.root());
            notes.iter().for_each(|note| println!("  {note}"));
        }
    }
}
