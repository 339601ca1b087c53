//! `cargo xtask torture`: the real binary as processes, killed, cut off and damaged, and what is
//! left compared with what nobody disturbed.
//!
//! A scenario is a function over an [`Episode`]: one world with one hub, rounds of choices drawn
//! from one seed. Episodes follow one another, each in a new world, until the time is over.

mod aim;
mod binary;
mod clocks;
mod crowd_steps;
mod damage;
mod damage_files;
mod disk;
mod disk_hub;
mod episode;
mod faketime;
mod held;
mod hosts;
mod hub;
mod hub_changed;
mod hub_killed;
mod hub_steps;
mod listen_and_sync;
mod load;
mod mirror;
mod names;
mod network;
mod no_os_locks;
mod outbox_steps;
mod permissions;
mod ports;
mod prng;
mod process;
mod publish;
mod relay;
mod scratch;
mod small_disk;
mod steps;
mod store_damage;
mod sync_crowd;
mod sync_killed;
mod sync_steps;
mod tally;
mod tools;
mod trouble;
mod world;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use camino::{Utf8Path, Utf8PathBuf};

use self::binary::{Build, Programs};
use self::episode::{Episode, Limits};
use self::prng::Prng;
use self::tally::Tally;
use self::trouble::Trouble;
use self::world::World;
use crate::error::CheckError;
use crate::finding::{self, Finding};

const RULE: &str = "torture";

/// The seed of the short version, and of a run that is given none.
const SEED: u64 = 1;

/// One way to torture.
struct Scenario {
    name: &'static str,
    run: fn(&mut Episode<'_>) -> Result<(), Trouble>,
    build: Build,
    /// Its share of the time; 0 for one that ends by itself, in one episode.
    share: u32,
    /// Rounds of the short version; 0 when it is not in it.
    short: u64,
}

const SCENARIOS: [Scenario; 21] = [
    scenario("sync-killed", sync_killed::run, 30, 3),
    with_failpoints(scenario("sync-steps", sync_steps::killed, 0, u64::MAX)),
    with_failpoints(scenario("crowd-steps", crowd_steps::run, 15, 2)),
    scenario("sync-crowd", sync_crowd::run, 20, 2),
    scenario("listen-and-sync", listen_and_sync::run, 15, 2),
    scenario("hub-killed", hub_killed::killed, 15, 1),
    scenario("hub-stopped", hub_killed::stopped, 10, 1),
    with_failpoints(scenario("hub-steps", hub_steps::run, 0, u64::MAX)),
    with_failpoints(scenario("outbox-steps", outbox_steps::run, 0, u64::MAX)),
    scenario("network", network::run, 10, 2),
    scenario("damage", damage::run, 0, u64::MAX),
    scenario("permissions", permissions::run, 0, u64::MAX),
    scenario("store-damage", store_damage::run, 0, u64::MAX),
    scenario("hub-changed", hub_changed::run, 10, 5),
    scenario("disk", disk::run, 10, 2),
    scenario("disk-hub", disk_hub::run, 10, 2),
    with_failpoints(scenario("disk-steps", sync_steps::failed, 0, u64::MAX)),
    with_failpoints(scenario("clocks", clocks::run, 4, 1)),
    with_failpoints(scenario("hosts", hosts::run, 6, 1)),
    with_failpoints(scenario("no-os-locks", no_os_locks::run, 4, 1)),
    Scenario {
        build: Build::Load,
        ..scenario("load", load::run, 0, 0)
    },
];

/// One that runs what people run.
const fn scenario(
    name: &'static str,
    run: fn(&mut Episode<'_>) -> Result<(), Trouble>,
    share: u32,
    short: u64,
) -> Scenario {
    Scenario {
        name,
        run,
        build: Build::Plain,
        share,
        short,
    }
}

/// One that runs the build with failpoints.
const fn with_failpoints(scenario: Scenario) -> Scenario {
    Scenario {
        build: Build::Failpoints,
        ..scenario
    }
}

/// Rounds after which an episode gives way to a new world.
const ROUNDS: u64 = 20;
/// Places of a file that are damaged, in a long run and in a short one.
const PLACES: u64 = 40;
const SHORT_PLACES: u64 = 2;
/// Scenarios of the short version that run at a time.
const SHORT_AT_ONCE: usize = 4;

/// What can be typed.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Options {
    /// How long the scenarios take together that do not end by themselves
    #[arg(long, value_name = "N", default_value_t = 60)]
    seconds: u32,
    /// What every choice is drawn from
    #[arg(long, value_name = "S", default_value_t = SEED)]
    seed: u64,
    /// Keep the directories of rounds that went well, too
    #[arg(long)]
    keep: bool,
    /// Use development builds instead of release builds
    #[arg(long)]
    debug: bool,
    /// Use this binary instead of building one, in the scenarios without failpoints
    #[arg(long, value_name = "FILE")]
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
    let chosen = |scenario: &&Scenario| {
        let only = options.only.as_deref();
        let is_wanted = only.is_none_or(|name| name == scenario.name);
        is_wanted && (scenario.short > 0 || !options.short)
    };
    let chosen: Vec<&Scenario> = SCENARIOS.iter().filter(chosen).collect();
    let release = !options.debug && !options.short;
    let programs = Programs::new(root, release, options.program.as_deref());
    if options.short {
        return Ok(finding::print(short(&chosen, &programs).0) == 0);
    }
    let shares: u32 = chosen.iter().map(|one| one.share).sum();
    for scenario in &chosen {
        // Before any time begins; what fails here the scenario says.
        programs.get(scenario.build).ok();
    }
    let mut tallies = Vec::new();
    for scenario in chosen {
        let seconds = f64::from(options.seconds * scenario.share) / f64::from(shares.max(1));
        let limits = match scenario.share {
            0 => Limits {
                rounds: u64::MAX,
                until: None,
                places: PLACES,
                short: false,
            },
            _ => Limits {
                rounds: ROUNDS,
                until: Some(Instant::now() + Duration::from_secs_f64(seconds)),
                places: PLACES,
                short: false,
            },
        };
        tallies.push(scenario.torture(&programs, options.seed, options.keep, limits));
    }
    println!("\nseed {}, {} s\n", options.seed, options.seconds);
    print!("{}", tally::table(&tallies));
    tally::remarks(&tallies)
        .iter()
        .for_each(|line| println!("{line}"));
    Ok(tallies.iter().all(Tally::is_clean))
}

/// The short version: the same rounds every time, with the development build. Gives what was found,
/// and what could not be tried on this machine.
pub(crate) fn check(root: &Utf8Path) -> Result<(Vec<Finding>, Vec<String>), CheckError> {
    let in_short = |scenario: &&Scenario| scenario.short > 0;
    let all: Vec<&Scenario> = SCENARIOS.iter().filter(in_short).collect();
    let programs = Programs::new(root, false, None);
    Ok(short(&all, &programs))
}

/// Several scenarios at a time: most of what they do is waiting for a process.
fn short(chosen: &[&Scenario], programs: &Programs) -> (Vec<Finding>, Vec<String>) {
    let limits = |scenario: &Scenario| Limits {
        rounds: scenario.short,
        until: None,
        places: SHORT_PLACES,
        short: true,
    };
    // Those of the build that is there first.
    let mut queue: Vec<_> = chosen.iter().enumerate().collect();
    queue.sort_by_key(|(_, scenario)| scenario.build);
    let next = AtomicUsize::new(0);
    let tallies = Mutex::new(Vec::new());
    let worker = || {
        while let Some(&(place, scenario)) = queue.get(next.fetch_add(1, Ordering::Relaxed)) {
            let tally = scenario.torture(programs, SEED, false, limits(scenario));
            let mut tallies = tallies.lock().unwrap_or_else(PoisonError::into_inner);
            tallies.push((place, tally));
        }
    };
    std::thread::scope(|scope| {
        // The other build while scenarios of the first one run; what failed they say.
        scope.spawn(|| {
            for (_, scenario) in &queue {
                programs.get(scenario.build).ok();
            }
        });
        for _ in 0..SHORT_AT_ONCE {
            scope.spawn(worker);
        }
    });
    let mut tallies = tallies.into_inner().unwrap_or_else(PoisonError::into_inner);
    tallies.sort_by_key(|(place, _)| *place);
    let tallies: Vec<Tally> = tallies.into_iter().map(|(_, tally)| tally).collect();
    print!("\n{}", tally::table(&tallies));
    let remarks = tally::remarks(&tallies);
    remarks.iter().for_each(|line| println!("{line}"));
    let bad = tallies.iter().filter(|tally| !tally.is_clean());
    let finding = |tally: &Tally| {
        let message = format!("{}: see above", tally.faults_found());
        Finding::new(tally.scenario, 0, RULE, message)
    };
    (bad.map(finding).collect(), remarks)
}

impl Scenario {
    /// Runs episodes until the time is over or a fault was found.
    fn torture(&self, programs: &Programs, seed: u64, keep: bool, limits: Limits) -> Tally {
        let started = Instant::now();
        let mut tally = Tally::new(self.name);
        let mut seeds = Prng::new(seed);
        let mut next = seed;
        loop {
            self.episode(programs, next, keep, limits, &mut tally);
            next = seeds.next();
            let more = limits.until.is_some_and(|until| Instant::now() < until);
            if !more || !tally.is_clean() || tally.impossible.is_some() {
                let seconds = started.elapsed().as_secs_f64();
                println!(
                    "-- {}: {} rounds, {} kills or faults, {} in {seconds:.1} s",
                    self.name,
                    tally.rounds,
                    tally.faults,
                    tally.faults_found(),
                );
                return tally;
            }
        }
    }

    /// One episode in a world of its own, which is kept when something was found.
    fn episode(
        &self,
        programs: &Programs,
        seed: u64,
        keep: bool,
        limits: Limits,
        tally: &mut Tally,
    ) {
        let mut world = match programs
            .get(self.build)
            .and_then(|program| World::new(program, keep))
        {
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
        match outcome {
            Ok(()) => {}
            Err(Trouble::Impossible(why)) => tally.impossible = Some(why),
            Err(trouble) => {
                match trouble {
                    Trouble::Wedged(_) => tally.wedged += 1,
                    _ => tally.other += 1,
                }
                notes.push(trouble.explain());
            }
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
