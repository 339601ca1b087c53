//! Sixteen syncs at once in one project, some of which are killed at a named step.

use std::time::Instant;

use super::episode::{Episode, FULL, SYNC, Stage};
use super::held::Held;
use super::mirror::size;
use super::process::Process;
use super::steps;
use super::sync_steps::PARTS;
use super::trouble::Trouble;
use super::world::Setting;

const CROWD: u64 = 16;
/// The lock is complete under another name, and nothing was seen in its place.
const CREATING: &str = "lock.written";
/// At most so many of them may be killed.
const DOOMED: u64 = 6;

/// Rounds of one crowd each; which steps kill goes round, beginning anywhere.
pub(crate) fn run(episode: &mut Episode<'_>) -> Result<(), Trouble> {
    let mut stage = Stage::new(episode.world)?;
    let steps = steps::of(episode.world, &PARTS)?;
    stage.writer.fill(8, 1, &mut episode.prng)?;
    stage.check(episode)?;
    let mut next = episode.prng.below(size(steps.len()));
    while episode.begin_round() {
        let prng = &mut episode.prng;
        stage.writer.begin(prng.between(1, 4), prng)?;
        stage.writer.settle()?;
        let mut crowd = Vec::new();
        for number in 0..CROWD {
            let doomed = number % 2 == 0 && number / 2 < DOOMED;
            // One that finds nothing to do comes to few steps; a full one always has something.
            let args = match episode.prng.once_in(if doomed { 2 } else { 6 }) {
                true => FULL.as_slice(),
                false => &SYNC,
            };
            let process = match doomed {
                true => {
                    next = (next + 1) % size(steps.len());
                    let step = usize::try_from(next).ok().and_then(|at| steps.get(at));
                    let nth = match episode.prng.once_in(3) {
                        true => 2,
                        false => 1,
                    };
                    let setting = steps::at(step.copied().unwrap_or_default(), nth, "kill");
                    stage.subject.within(setting).start(args)?
                }
                false => stage.subject.start(args)?,
            };
            crowd.push((doomed, process));
        }
        finish(crowd, episode)?;
        stage.check(episode)?;
        meet(&mut stage, episode)?;
    }
    Ok(())
}

/// Two that both saw no lock: one alone gets it.
fn meet(stage: &mut Stage<'_>, episode: &mut Episode<'_>) -> Result<(), Trouble> {
    stage.writer.fill(1, 0, &mut episode.prng)?;
    let late = Held::at(&stage.subject, Setting::default(), CREATING)?;
    let first = Held::start(&stage.subject, Setting::default())?;
    late.refused()?;
    first.go_on()?;
    stage.check(episode)?;
    Ok(())
}

/// Waits for all of them; those that nothing kills end well.
fn finish(crowd: Vec<(bool, Process)>, episode: &mut Episode<'_>) -> Result<(), Trouble> {
    let began = Instant::now();
    for (doomed, process) in crowd {
        let ended = process.finish()?;
        if doomed {
            episode.tally.faults += u64::from(ended.killed_or(&[0])?.was_killed());
        } else {
            ended.expect_codes(&[0])?;
        }
    }
    episode.tally.recovered(began.elapsed());
    Ok(())
}
