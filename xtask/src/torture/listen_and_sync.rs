//! A listener and syncs in one project, each killed and started again while entries arrive.

use std::time::{Duration, Instant};

use super::aim;
use super::episode::{Episode, SYNC, Stage};
use super::process::{BOUND, Process, until};
use super::trouble::Trouble;
use super::world::Project;

/// How long after its start a listener may be killed; it has dialled and listens by then.
const LISTENING: Duration = Duration::from_millis(150);

/// Rounds of killed listeners and syncs; in half of them the listener has to catch up alone.
pub(crate) fn run(episode: &mut Episode<'_>) -> Result<(), Trouble> {
    let mut stage = Stage::new(episode.world)?;
    stage.writer.fill(6, 1, &mut episode.prng)?;
    let mut span = stage.check(episode)?;
    while episode.begin_round() {
        let mut listener = start(&stage.subject)?;
        for _ in 0..episode.prng.between(3, 8) {
            listener = disturb(&mut stage, listener, span, episode)?;
        }
        if episode.prng.once_in(2) {
            stage.writer.settle()?;
            episode.tally.recovered(caught_up(&stage, &mut listener)?);
            listener.terminate()?.expect_codes(&[0])?;
        } else {
            listener.kill()?.killed_or(&[])?;
            episode.tally.faults += 1;
        }
        span = stage.check(episode)?;
    }
    Ok(())
}

/// Starts a listener.
pub(crate) fn start(project: &Project<'_>) -> Result<Process, Trouble> {
    project.start(&["connect", "listen"])
}

/// Entries, then a sync, then the end of the sync, of the listener, or of both.
fn disturb(
    stage: &mut Stage<'_>,
    listener: Process,
    span: Duration,
    episode: &mut Episode<'_>,
) -> Result<Process, Trouble> {
    let prng = &mut episode.prng;
    stage.writer.begin(prng.between(1, 3), prng)?;
    let sync = stage.subject.start(&SYNC)?;
    let ended = match prng.once_in(3) {
        true => sync.finish()?,
        false => aim::kill(sync, &stage.subject.mirror_dir(), span, prng)?,
    };
    episode.tally.faults += u64::from(ended.killed_or(&[0])?.was_killed());
    if episode.prng.once_in(2) {
        let dir = stage.subject.mirror_dir();
        stage.writer.begin(1, &mut episode.prng)?;
        let killed = aim::kill(listener, &dir, LISTENING, &mut episode.prng)?;
        killed.killed_or(&[])?;
        episode.tally.faults += 1;
        stage.writer.settle()?;
        return start(&stage.subject);
    }
    stage.writer.settle()?;
    Ok(listener)
}

/// Waits until the listener has dialled for the first time; from then on it dials by itself.
pub(crate) fn listening(listener: &mut Process) -> Result<(), Trouble> {
    let found = until(BOUND, || {
        let said = listener.said();
        if !listener.runs()? {
            return Err(Trouble::Broken(format!("the listener ended: {said}")));
        }
        Ok(said.contains("listening").then_some(()))
    })?;
    found.ok_or_else(|| Trouble::Wedged("the listener never listened".to_owned()))
}

/// Waits until the listener has mirrored everything that was acknowledged; how long it took.
pub(crate) fn caught_up(stage: &Stage<'_>, listener: &mut Process) -> Result<Duration, Trouble> {
    let started = Instant::now();
    let done = until(BOUND, || {
        if !listener.runs()? {
            let said = listener.said();
            return Err(Trouble::Broken(format!("the listener ended: {said}")));
        }
        let found = stage.subject.mirror()?.audit(&stage.writer.ledger, false);
        Ok(found.lost.is_empty().then_some(()))
    })?;
    match done {
        Some(()) => Ok(started.elapsed()),
        None => Err(Trouble::Wedged(format!(
            "the listener did not catch up: {}",
            listener.said()
        ))),
    }
}
