//! Entries published while the hub is away, and the publisher or the sender killed at every named
//! step: each is at the hub once in the end.

use super::episode::{Episode, SYNC, Stage};
use super::publish::{self, Draft};
use super::steps::{self, MANY};
use super::trouble::Trouble;

/// The parts of the program that an entry goes through, by the names of their steps.
const PARTS: [&str; 7] = [
    "outbox.", "os-lock.", "fsync.", "temp.", "atomic.", "dir.", "lock.",
];
/// The steps of storing an entry; the others of an outbox are of sending it.
const STORING: &str = "outbox.queu";

/// Who is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Victim {
    /// Who stores the entry.
    Publisher,
    /// Who sends it.
    Sender,
}

/// A round for each victim, step, and time that the step is reached; the short version has the
/// steps of the outbox and the first time alone.
pub(crate) fn run(episode: &mut Episode<'_>) -> Result<(), Trouble> {
    let mut stage = Stage::new(episode.world)?;
    stage.writer.fill(3, 0, &mut episode.prng)?;
    stage.check(episode)?;
    let short = episode.limits.short;
    let parts = if short { &PARTS[..1] } else { &PARTS };
    let names = steps::of(episode.world, parts)?;
    for victim in [Victim::Publisher, Victim::Sender] {
        for step in &names {
            if short && (victim == Victim::Publisher) != step.starts_with(STORING) {
                continue;
            }
            for nth in 1..=if short { 1 } else { MANY } {
                if !episode.begin_round() {
                    return Ok(());
                }
                let name = format!("{victim:?} {step}#{nth}");
                let reached = round(&mut stage, victim, step, nth, episode);
                let reached = reached.map_err(|trouble| match trouble {
                    Trouble::Broken(what) => Trouble::Broken(format!("{name}: {what}")),
                    other => other,
                })?;
                episode.tally.faults += u64::from(reached);
                if !episode.tally.is_clean() {
                    episode.notes.push(name);
                }
                if !reached {
                    break;
                }
            }
        }
    }
    Ok(())
}

/// Two entries for a hub that is away, one of which meets the kill, or their sender does; false
/// when nobody came to the step.
fn round(
    stage: &mut Stage<'_>,
    victim: Victim,
    step: &str,
    nth: u64,
    episode: &mut Episode<'_>,
) -> Result<bool, Trouble> {
    stage.hub.terminate()?;
    let doomed = stage.subject.within(steps::at(step, nth, "kill"));
    let round = episode.tally.rounds;
    let drafts = ["a", "b"].map(|name| {
        let id = format!("q{round}{name}");
        Draft::random(id, &mut episode.prng)
    });
    let mut reached = false;
    for (number, draft) in drafts.iter().enumerate() {
        if victim == Victim::Publisher && number == 1 {
            let ended = publish::queue(&doomed, draft)?.finish()?;
            reached = ended.killed_or(&[0])?.was_killed();
        }
        // Whoever got no answer repeats it under its id; so does one who got it and forgot.
        publish::queue(&stage.subject, draft)?
            .finish()?
            .expect_codes(&[0])?;
    }
    episode.tally.recovered(stage.hub.start()?);
    if victim == Victim::Sender {
        reached = doomed.run(&SYNC)?.killed_or(&[0])?.was_killed();
    }
    episode.tally.recovered(stage.subject.ok(&SYNC)?.took);
    arrived(stage, &drafts, episode)?;
    stage.check(episode)?;
    Ok(reached)
}

/// Every entry is at the hub; under which sequence, only the hub can say.
fn arrived(
    stage: &mut Stage<'_>,
    drafts: &[Draft],
    episode: &mut Episode<'_>,
) -> Result<(), Trouble> {
    stage.control.ok(&SYNC)?;
    let mirror = stage.control.mirror()?;
    for Draft { id, .. } in drafts {
        match mirror.sequence_of(id) {
            Some(sequence) => publish::note(&mut stage.writer.ledger, id, sequence)?,
            None => {
                episode.tally.lost += 1;
                episode.notes.push(format!("{id} never arrived"));
            }
        }
    }
    Ok(())
}
