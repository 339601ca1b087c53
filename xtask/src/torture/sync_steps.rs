//! `sync` killed, and failed by its disk, at every named step in turn.

use super::episode::{Episode, FULL, SYNC, Stage};
use super::mirror::size;
use super::names::STATE;
use super::process::Ended;
use super::scratch::put;
use super::steps::{self, ERRORS, MANY};
use super::trouble::Trouble;

/// The parts of the program that a sync goes through, by the names of their steps.
pub(crate) const PARTS: [&str; 9] = [
    "os-lock.", "fsync.", "temp.", "atomic.", "append.", "dir.", "lock.", "sync.", "rebuild.",
];
const FAILED: i32 = 1;
/// Kills and failures between two comparisons in the short version.
const SHORT_CHECK: u64 = 6;

/// What kind of sync it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Of what is new.
    New,
    /// From nothing.
    Nothing,
    /// Onto the mirror of an older program.
    Older,
    /// From nothing, beside what is there.
    Full,
}

const KINDS: [Kind; 4] = [Kind::Older, Kind::Full, Kind::Nothing, Kind::New];

/// How a sync is stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Means {
    Kill,
    Fail,
}

/// Killed at every step.
pub(crate) fn killed(episode: &mut Episode<'_>) -> Result<(), Trouble> {
    run(episode, Means::Kill)
}

/// Failed by the disk at every step.
pub(crate) fn failed(episode: &mut Episode<'_>) -> Result<(), Trouble> {
    run(episode, Means::Fail)
}

/// A round for each kind of sync, step, and time that the step is reached; the short version has
/// the first time alone.
fn run(episode: &mut Episode<'_>, means: Means) -> Result<(), Trouble> {
    let mut scene = Scene {
        stage: Stage::new(episode.world)?,
        since_check: 0,
    };
    scene.stage.writer.fill(4, 1, &mut episode.prng)?;
    scene.stage.writer.keep_small();
    scene.stage.check(episode)?;
    let names = steps::of(episode.world, &PARTS)?;
    let times = if episode.limits.short { 1 } else { MANY };
    for kind in KINDS {
        for (number, step) in names.iter().enumerate() {
            if episode.limits.short && !is_short(kind, step, number, means) {
                continue;
            }
            for nth in 1..=times {
                if !episode.begin_round() {
                    return Ok(());
                }
                let name = format!("{kind:?} {step}#{nth} {means:?}");
                let reached = scene.round(kind, step, nth, means, episode);
                let reached = reached.map_err(|trouble| match trouble {
                    Trouble::Broken(what) => Trouble::Broken(format!("{name}: {what}")),
                    other => other,
                })?;
                if !episode.tally.is_clean() {
                    episode.notes.push(name);
                }
                if !reached {
                    break;
                }
            }
        }
    }
    scene.stage.check(episode)?;
    Ok(())
}

/// Whether the short version has this step in this kind of sync: each step in one that reaches it,
/// and of those that fail every fourth.
fn is_short(kind: Kind, step: &str, number: usize, means: Means) -> bool {
    let first = ["append.created", "dir.", "sync.start"];
    let in_kind = if step.starts_with("rebuild.") {
        Kind::Full
    } else if first.iter().any(|name| step.starts_with(name)) {
        Kind::Nothing
    } else {
        Kind::New
    };
    kind == in_kind && (means == Means::Kill || number % 4 == 1)
}

struct Scene<'a> {
    stage: Stage<'a>,
    /// Rounds since nothing differed.
    since_check: u64,
}

impl Scene<'_> {
    /// One sync stopped at one step, and what it leaves; false when it never reached the step.
    fn round(
        &mut self,
        kind: Kind,
        step: &str,
        nth: u64,
        means: Means,
        episode: &mut Episode<'_>,
    ) -> Result<bool, Trouble> {
        let reached = match means {
            Means::Kill => self.kills(kind, step, nth, episode)?,
            Means::Fail => {
                let (error, said) = episode.prng.pick(&ERRORS).copied().unwrap_or(ERRORS[0]);
                let ended = self.sync(kind, step, nth, error, episode)?;
                let told = self.tells(ended, said, episode)?;
                // What went well all the same did not need the step, or never came to it.
                told || self.kills(kind, step, nth, episode)?
            }
        };
        episode.tally.faults += u64::from(reached);
        self.since_check += u64::from(reached);
        if reached && (!episode.limits.short || self.since_check >= SHORT_CHECK) {
            self.check(episode)?;
        }
        Ok(reached)
    }

    /// True when the sync came to the step, which killed it.
    fn kills(
        &mut self,
        kind: Kind,
        step: &str,
        nth: u64,
        episode: &mut Episode<'_>,
    ) -> Result<bool, Trouble> {
        let ended = self.sync(kind, step, nth, "kill", episode)?;
        Ok(ended.killed_or(&[0])?.was_killed())
    }

    fn check(&mut self, episode: &mut Episode<'_>) -> Result<(), Trouble> {
        self.since_check = 0;
        self.stage.check(episode)?;
        Ok(())
    }

    /// A sync with something to do, in which `action` happens at one step.
    fn sync(
        &mut self,
        kind: Kind,
        step: &str,
        nth: u64,
        action: &str,
        episode: &mut Episode<'_>,
    ) -> Result<Ended, Trouble> {
        match kind {
            Kind::New | Kind::Full => {}
            Kind::Nothing => self.stage.forget_mirror()?,
            Kind::Older => {
                // What an older program wrote of this mirror, which has to be whole for that.
                self.stage.subject.ok(&SYNC)?;
                let head = self.stage.writer.ledger.len();
                let state = self.stage.subject.mirror_dir().join(STATE);
                put(&state, format!("{{\"last_sequence\": {head}}}").as_bytes())?;
            }
        }
        let writer = &mut self.stage.writer;
        writer.begin(episode.prng.between(1, 2), &mut episode.prng)?;
        writer.settle()?;
        let args = match kind {
            Kind::Full => FULL.as_slice(),
            _ => &SYNC,
        };
        let setting = steps::at(step, nth, action);
        self.stage.subject.within(setting).run(args)
    }

    /// A sync whose disk failed says so, or was done nevertheless; true when it failed.
    fn tells(&self, ended: Ended, said: &str, episode: &mut Episode<'_>) -> Result<bool, Trouble> {
        let ended = ended.expect_codes(&[0, FAILED])?;
        if ended.code == Some(FAILED) {
            return match ended.says(said) {
                true => Ok(true),
                false => Err(Trouble::Broken(ended.tell("a word about the disk"))),
            };
        }
        let mirrored = self.stage.subject.mirror()?;
        let lost = mirrored.audit(&self.stage.writer.ledger, false).lost;
        if !lost.is_empty() {
            episode.tally.lost += size(lost.len());
            let lost = lost.join(", ");
            episode.notes.push(format!("done, though without {lost}"));
        }
        Ok(false)
    }
}
