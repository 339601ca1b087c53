//! The hub killed, and failed by its disk, at every named step of its start, its work and its end.

use super::episode::{Episode, SYNC, Stage};
use super::hub::Start;
use super::names::ADMIN_TOKEN;
use super::publish::{self, Draft};
use super::steps::{self, ERRORS, MANY};
use super::trouble::Trouble;
use super::world::Setting;

/// The parts of the program that a hub goes through, by the names of their steps.
const PARTS: [&str; 9] = [
    "os-lock.", "fsync.", "temp.", "atomic.", "dir.", "lock.", "store.", "hub.", "audit.",
];
const FAILED: i32 = 1;
const UNREACHABLE: i32 = 4;
const PATIENCE: [&str; 2] = ["--timeout", "2s"];
const ENTRIES: u64 = 2;

/// What the hub starts on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ground {
    /// A data directory that has been served before.
    Used,
    /// None yet.
    Fresh,
}

/// A round for each ground, step, and time that the step is reached; the short version has the
/// first time alone.
pub(crate) fn run(episode: &mut Episode<'_>) -> Result<(), Trouble> {
    let mut stage = Stage::new(episode.world)?;
    stage.writer.fill(4, 0, &mut episode.prng)?;
    stage.check(episode)?;
    let names = steps::of(episode.world, &PARTS)?;
    let times = if episode.limits.short { 1 } else { MANY };
    for ground in [Ground::Used, Ground::Fresh] {
        for (number, step) in names.iter().enumerate() {
            // What a first start reaches alone, and every fifth of what both reach.
            let first = step.starts_with("store.") && *step != "store.committed";
            let in_short = match ground {
                Ground::Used => number % 5 == 0 || step.starts_with("store.comm"),
                Ground::Fresh => first,
            };
            if episode.limits.short && !in_short {
                continue;
            }
            for nth in 1..=times {
                let mut reached = true;
                for action in ["kill", ERRORS[0].0] {
                    if !reached || !episode.begin_round() {
                        continue;
                    }
                    reached = round(&mut stage, ground, (step, nth, action), episode)?;
                }
                if !reached || !episode.tally.is_clean() {
                    break;
                }
            }
        }
    }
    Ok(())
}

/// One hub that meets `action` the n-th time that it comes to a step; false when it never did.
fn round(
    stage: &mut Stage<'_>,
    ground: Ground,
    (step, nth, action): (&str, u64, &str),
    episode: &mut Episode<'_>,
) -> Result<bool, Trouble> {
    let name = format!("{ground:?} {step}#{nth}={action}");
    let done = match ground {
        Ground::Used => used(stage, step, nth, action, episode),
        Ground::Fresh => fresh(stage, step, nth, action, episode),
    };
    let reached = done.map_err(|trouble| match trouble {
        Trouble::Broken(what) => Trouble::Broken(format!("{name}: {what}")),
        other => other,
    })?;
    episode.tally.faults += u64::from(reached);
    if !episode.tally.is_clean() {
        episode.notes.push(name);
    }
    // An error may be outlived; that the step is reached is known by then.
    Ok(reached || action != "kill")
}

/// The hub dies at one step of its start, under publishers, or at its end; what was acknowledged
/// stands, and what was not is published again.
fn used(
    stage: &mut Stage<'_>,
    step: &str,
    nth: u64,
    action: &str,
    episode: &mut Episode<'_>,
) -> Result<bool, Trouble> {
    stage.hub.terminate()?;
    stage.hub.setting = steps::at(step, nth, action);
    let began = stage.hub.try_start()?;
    stage.hub.setting = Setting::default();
    let draft = |number| {
        let id = format!("{step}-{nth}-{action}-{number}-{}", episode.tally.rounds);
        Draft::random(id, &mut episode.prng)
    };
    let drafts: Vec<_> = (0..ENTRIES).map(draft).collect();
    let reached = match began {
        Start::Ended(ended) => {
            ended.killed_or(&[FAILED])?;
            true
        }
        Start::Listens(..) => {
            for draft in &drafts {
                let sent = publish::start(stage.writer.project(), draft, &PATIENCE)?.finish()?;
                let sent = sent.expect_codes(&[0, FAILED, UNREACHABLE])?;
                if let Some(sequence) = publish::acknowledged(&sent)? {
                    publish::note(&mut stage.writer.ledger, &draft.id, sequence)?;
                }
            }
            let ended = match stage.hub.runs()? {
                true => stage.hub.stop()?,
                false => stage.hub.finish()?,
            };
            // An error while it works is told to the publisher; one while it ends, at the end.
            let ended = ended
                .map(|ended| ended.killed_or(&[0, FAILED]))
                .transpose()?;
            ended.is_some_and(|ended| ended.code != Some(0))
        }
    };
    episode.tally.recovered(stage.hub.start()?);
    for draft in &drafts {
        let sent = publish::start(stage.writer.project(), draft, &[])?.finish()?;
        if let Some(sequence) = publish::acknowledged(&sent.expect_codes(&[0])?)? {
            publish::note(&mut stage.writer.ledger, &draft.id, sequence)?;
        }
    }
    if reached {
        stage.check(episode)?;
    }
    Ok(reached)
}

/// A first start that dies at one step; the next one makes a hub that works.
fn fresh(
    stage: &Stage<'_>,
    step: &str,
    nth: u64,
    action: &str,
    episode: &mut Episode<'_>,
) -> Result<bool, Trouble> {
    let name = format!("fresh{}", episode.tally.rounds);
    let mut hub = stage.hub.another(&name, steps::at(step, nth, action))?;
    let reached = match hub.try_start()? {
        Start::Ended(ended) => ended.killed_or(&[FAILED]).map(|_| true)?,
        Start::Listens(..) => {
            let ended = hub.stop()?;
            let ended = ended
                .map(|ended| ended.killed_or(&[0, FAILED]))
                .transpose()?;
            ended.is_some_and(|ended| ended.code != Some(0))
        }
    };
    if reached {
        hub.setting = Setting::default();
        episode.tally.recovered(hub.start()?);
        hub.read_token()?;
        let project = episode
            .world
            .project(&format!("{name}-p"), &hub.address, &hub.token)?;
        let draft = Draft::random(name, &mut episode.prng);
        publish::start(&project, &draft, &[])?
            .finish()?
            .expect_codes(&[0])?;
        project.ok(&SYNC)?;
        let ledger = [(draft.id, 1)].into_iter().collect();
        let found = project.mirror()?.audit(&ledger, true);
        episode.judge("the mirror of a fresh hub", &found);
        hub.terminate()?;
        if !hub.data.join(ADMIN_TOKEN).exists() {
            return Err(Trouble::Broken("no admin token".to_owned()));
        }
    }
    Ok(reached)
}
