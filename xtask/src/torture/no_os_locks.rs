//! A mirror on a file system without locks of the operating system: one holder at a time, by the
//! existence of its file alone, and a dead one's is freed by whoever is told how.

use super::episode::{Episode, SYNC, Stage};
use super::held::{AT_ONCE, Held, is_held_for};
use super::steps;
use super::trouble::Trouble;

/// What file systems without locks answer.
const ANSWERS: [&str; 2] = ["ENOLCK", "EOPNOTSUPP"];
const STEP: &str = "os-lock.try";
const BUSY: i32 = 3;
const CROWD: u64 = 8;

/// Rounds of a crowd, of a holder that goes on, and of one that is killed.
pub(crate) fn run(episode: &mut Episode<'_>) -> Result<(), Trouble> {
    let mut stage = Stage::new(episode.world)?;
    stage.writer.fill(4, 0, &mut episode.prng)?;
    stage.check(episode)?;
    while episode.begin_round() {
        let answer = episode.prng.pick(&ANSWERS).copied().unwrap_or(ANSWERS[0]);
        let none = steps::always(STEP, answer);
        stage.subject = stage.subject.within(none.clone());
        let prng = &mut episode.prng;
        stage.writer.fill(prng.between(1, 3), 0, prng)?;
        let crowd = (0..CROWD).map(|_| stage.subject.start(&SYNC));
        for process in crowd.collect::<Result<Vec<_>, _>>()? {
            process.finish()?.expect_codes(&[0])?;
        }
        stage.check(episode)?;

        stage.writer.fill(1, 0, &mut episode.prng)?;
        let held = Held::start(&stage.subject, none.clone())?;
        is_held_for(&[&stage.subject, &stage.subject])?;
        held.go_on()?;
        stage.check(episode)?;

        stage.writer.fill(1, 0, &mut episode.prng)?;
        Held::start(&stage.subject, none)?.kill()?;
        episode.tally.faults += 1;
        freed(&stage)?;
        stage.check(episode)?;
    }
    Ok(())
}

/// A dead holder's lock is not taken over by itself; the message says what frees it, and that does.
fn freed(stage: &Stage<'_>) -> Result<(), Trouble> {
    let ended = stage.subject.run(&AT_ONCE)?.expect_codes(&[BUSY])?;
    let id = id_in(&ended.stderr)?;
    stage.subject.ok(&["connect", "unlock", "--id", &id])?;
    Ok(())
}

/// The id in "… run `ctx connect unlock --id ID`", or `ctx hub unlock`.
pub(crate) fn id_in(message: &str) -> Result<String, Trouble> {
    let behind = message.split(" --id ").nth(1);
    let id = behind.and_then(|text| text.split(['`', '\n']).next());
    id.map(str::to_owned)
        .ok_or_else(|| Trouble::Broken(format!("no id to unlock by in: {message}")))
}
