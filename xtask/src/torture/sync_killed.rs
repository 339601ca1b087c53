//! `sync` alone, killed at any instant, again and again.

use std::time::Duration;

use super::aim;
use super::episode::{Episode, FULL, SYNC, Stage};
use super::trouble::Trouble;

/// How long each kind of sync takes when nobody disturbs it.
#[derive(Debug, Clone, Copy)]
struct Spans {
    little: Duration,
    whole: Duration,
    full: Duration,
}

/// Rounds of several killed syncs and one that is not.
pub(crate) fn run(episode: &mut Episode<'_>) -> Result<(), Trouble> {
    let mut stage = Stage::new(episode.world)?;
    // Enough for several commits; the short version has two.
    let (small, large) = if episode.limits.short {
        (6, 3)
    } else {
        (20, 8)
    };
    stage.writer.fill(small, large, &mut episode.prng)?;
    let mut spans = Spans {
        whole: stage.subject.ok(&SYNC)?.took,
        full: stage.subject.ok(&FULL)?.took,
        little: stage.check(episode)?,
    };
    while episode.begin_round() {
        for _ in 0..episode.prng.between(3, 9) {
            disturb(&mut stage, spans, episode)?;
        }
        spans.little = stage.check(episode)?;
        if episode.prng.once_in(4) {
            spans.full = stage.subject.ok(&FULL)?.took;
            stage.check(episode)?;
        }
    }
    Ok(())
}

/// One sync that is killed while entries arrive: of what is new, from nothing, or a full one.
fn disturb(stage: &mut Stage<'_>, spans: Spans, episode: &mut Episode<'_>) -> Result<(), Trouble> {
    let prng = &mut episode.prng;
    stage.writer.begin(prng.below(4), prng)?;
    if prng.once_in(2) {
        // Half of the time the entries are there before the sync, and not only on their way.
        stage.writer.settle()?;
    }
    let (args, span) = match prng.below(6) {
        0 => (FULL.as_slice(), spans.full),
        1 => {
            stage.forget_mirror()?;
            (SYNC.as_slice(), spans.whole)
        }
        _ => (SYNC.as_slice(), spans.little),
    };
    let sync = stage.subject.start(args)?;
    let dir = stage.subject.mirror_dir();
    let ended = aim::kill(sync, &dir, span, prng)?.killed_or(&[0])?;
    episode.tally.faults += u64::from(ended.was_killed());
    stage.writer.settle()
}
