//! Sixteen syncs at once in one project, some of them killed, some of them full.

use std::time::{Duration, Instant};

use super::episode::{Episode, FULL, SYNC, Stage};
use super::process::Process;
use super::trouble::Trouble;

const CROWD: u64 = 16;

/// Rounds of one crowd each.
pub(crate) fn run(episode: &mut Episode<'_>) -> Result<(), Trouble> {
    let mut stage = Stage::new(episode.world)?;
    stage.writer.fill(10, 1, &mut episode.prng)?;
    let mut span = stage.check(episode)?;
    while episode.begin_round() {
        let prng = &mut episode.prng;
        stage.writer.begin(prng.between(1, 4), prng)?;
        let full = match prng.once_in(3) {
            true => prng.between(1, 3),
            false => 0,
        };
        let mut crowd = gather(&stage, full)?;
        let began = Instant::now();
        let mut last_kill = began;
        for at in instants(episode, span) {
            std::thread::sleep(at.saturating_sub(began.elapsed()));
            let count = u64::try_from(crowd.len()).unwrap_or(0);
            let victim = usize::try_from(episode.prng.below(count)).unwrap_or(0);
            let ended = crowd.swap_remove(victim).kill()?.killed_or(&[0])?;
            last_kill = Instant::now();
            episode.tally.faults += u64::from(ended.was_killed());
        }
        for process in crowd {
            process.finish()?.expect_codes(&[0])?;
        }
        let took = last_kill.elapsed();
        episode.tally.recovered(took);
        span = began.elapsed();
        stage.check(episode)?;
    }
    Ok(())
}

/// Starts all of them; the full ones stand among the others.
fn gather(stage: &Stage<'_>, full: u64) -> Result<Vec<Process>, Trouble> {
    let start = |number: u64| match number % 5 == 2 && number / 5 < full {
        true => stage.subject.start(&FULL),
        false => stage.subject.start(&SYNC),
    };
    (0..CROWD).map(start).collect()
}

/// When to kill one of them, in order.
fn instants(episode: &mut Episode<'_>, span: Duration) -> Vec<Duration> {
    let count = episode.prng.between(1, 6);
    let mut instants: Vec<_> = (0..count).map(|_| episode.prng.instant(span)).collect();
    instants.sort();
    instants
}
