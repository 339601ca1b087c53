//! A hub that is not the one it was: set back to an older copy of its data, grown again past what
//! was mirrored, wiped, or another one at the same address.

use super::episode::{Episode, FULL, SYNC, Stage};
use super::hub::Hub;
use super::names::SET_ASIDE;
use super::process::Ended;
use super::publish::{self, Draft};
use super::scratch::{copy_files, remove};
use super::trouble::Trouble;
use super::world::Project;

/// What the error of a mirror from another log tells a person to run.
const NEXT_STEP: &str = "connect sync --full";
const FAILED: i32 = 1;
const REFUSED: i32 = 5;

/// What happens to the hub, each in turn.
const CHANGES: [Change; 5] = [
    Change::SetBack,
    Change::Grown,
    Change::GrownWithSameIds,
    Change::Wiped,
    Change::Another,
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Change {
    /// Its data are an older copy.
    SetBack,
    /// The same, and it has more entries since than were mirrored.
    Grown,
    /// The same, with ids among them that the newer log had, too.
    GrownWithSameIds,
    /// Its data are gone.
    Wiped,
    /// Another hub has its address.
    Another,
}

/// Rounds of one change each, under a mirror that is ahead of the copy and one that is not.
pub(crate) fn run(episode: &mut Episode<'_>) -> Result<(), Trouble> {
    let mut stage = Stage::new(episode.world)?;
    let mut behind = stage.join("behind")?;
    let mut round = 0;
    while episode.begin_round() {
        let change = CHANGES[round % CHANGES.len()];
        round += 1;
        let name = format!("{change:?}");
        let done = disturb(&mut stage, &mut behind, change, round, episode);
        done.map_err(|trouble| match trouble {
            Trouble::Broken(what) => Trouble::Broken(format!("{name}: {what}")),
            other => other,
        })?;
        if !episode.tally.is_clean() {
            episode.notes.push(name);
        }
    }
    Ok(())
}

fn disturb<'a>(
    stage: &mut Stage<'a>,
    behind: &mut Project<'a>,
    change: Change,
    round: usize,
    episode: &mut Episode<'_>,
) -> Result<(), Trouble> {
    let prng = &mut episode.prng;
    stage.writer.fill(prng.between(2, 5), 0, prng)?;
    behind.ok(&SYNC)?;
    let copy = stage.hub.data.with_extension("copy");
    end(&mut stage.hub, episode.prng.once_in(2))?;
    copy_files(&stage.hub.data, &copy)?;
    let copied = stage.writer.ledger.clone();
    stage.hub.start()?;
    stage
        .writer
        .fill(episode.prng.between(2, 5), 0, &mut episode.prng)?;
    stage.subject.ok(&SYNC)?;
    end(&mut stage.hub, episode.prng.once_in(2))?;
    episode.tally.faults += 1;
    let newer = std::mem::replace(&mut stage.writer.ledger, copied);
    match change {
        Change::SetBack | Change::Grown | Change::GrownWithSameIds => {
            copy_files(&copy, &stage.hub.data)?;
            episode.tally.recovered(stage.hub.start()?);
            regrow(stage, change, newer.len(), episode)?;
        }
        Change::Wiped | Change::Another => {
            replace(stage, change, round, episode)?;
            for project in [&stage.subject, &*behind] {
                project.run(&SYNC)?.expect_codes(&[REFUSED])?;
                again(&stage.hub, project)?;
                refused(project, false)?;
                project.ok(&FULL)?;
            }
        }
    }
    if !matches!(change, Change::Wiped | Change::Another) {
        refused(&stage.subject, episode.prng.once_in(2))?;
        episode.tally.recovered(stage.subject.ok(&FULL)?.took);
    }
    settle(stage, behind, round, episode)
}

/// Ends the hub, in order or not.
fn end(hub: &mut Hub<'_>, killed: bool) -> Result<(), Trouble> {
    match killed {
        true => hub.kill()?,
        false => hub.terminate()?,
    };
    Ok(())
}

/// Publishes until the log is longer than it was, if that is the change.
fn regrow(
    stage: &mut Stage<'_>,
    change: Change,
    length: usize,
    episode: &mut Episode<'_>,
) -> Result<(), Trouble> {
    if change == Change::SetBack {
        return Ok(());
    }
    if change == Change::GrownWithSameIds {
        // Whoever published the newest entry had no answer, and repeats it.
        let draft = Draft::random(format!("w{length}"), &mut episode.prng);
        let ended = publish::start(stage.writer.project(), &draft, &[])?.finish()?;
        if let Some(sequence) = publish::acknowledged(&ended.expect_codes(&[0])?)? {
            publish::note(&mut stage.writer.ledger, &draft.id, sequence)?;
        }
    }
    let more = episode.prng.between(0, 3);
    while stage.writer.ledger.len() < length || more > 0 && stage.writer.ledger.len() == length {
        stage.writer.fill(1 + more, 0, &mut episode.prng)?;
    }
    Ok(())
}

/// Wipes the hub's data, or starts another hub in its place, and publishes a few entries.
fn replace(
    stage: &mut Stage<'_>,
    change: Change,
    round: usize,
    episode: &mut Episode<'_>,
) -> Result<(), Trouble> {
    if change == Change::Wiped {
        remove(&stage.hub.data)?;
    } else {
        stage.hub.data = stage.hub.data.with_file_name(format!("data{round}"));
    }
    episode.tally.recovered(stage.hub.start()?);
    stage.hub.read_token()?;
    stage.writer.ledger.clear();
    again(&stage.hub, stage.writer.project())?;
    stage
        .writer
        .fill(episode.prng.between(1, 20), 0, &mut episode.prng)
}

/// Registers a project with the hub that it does not know.
fn again(hub: &Hub<'_>, project: &Project<'_>) -> Result<(), Trouble> {
    let args = ["connect", "register", &hub.address, "--token", &hub.token];
    project.ok(&[args.as_slice(), &["--force"]].concat())?;
    Ok(())
}

/// The divergence is told, with what to do, and nothing in the mirror is touched.
fn refused(project: &Project<'_>, listening: bool) -> Result<(), Trouble> {
    let before = project.mirror()?;
    let args = match listening {
        true => ["connect", "listen"].as_slice(),
        false => &SYNC,
    };
    let ended: Ended = project.run(args)?.expect_codes(&[FAILED])?;
    if !ended.stderr.contains(NEXT_STEP) {
        return Err(Trouble::Broken(ended.tell("a word about what to run")));
    }
    if project.mirror()? != before {
        return Err(Trouble::Broken(
            "a sync that was refused changed the mirror".to_owned(),
        ));
    }
    Ok(())
}

/// Both mirrors are what a project that knows nothing of it all makes.
fn settle<'a>(
    stage: &mut Stage<'a>,
    behind: &Project<'a>,
    round: usize,
    episode: &mut Episode<'_>,
) -> Result<(), Trouble> {
    stage.control = stage.join(&format!("control{round}"))?;
    for project in [&stage.subject, behind] {
        sweep_set_aside(project)?;
    }
    behind.ok(&SYNC)?;
    stage.check(episode)?;
    behind.ok(&SYNC)?;
    let difference = behind.mirror()?.compare(&stage.control.mirror()?);
    episode.judge("the mirror that was behind", &difference);
    Ok(())
}

/// Removes the old files that a full sync kept: what they hold is no longer at the hub.
fn sweep_set_aside(project: &Project<'_>) -> Result<(), Trouble> {
    for name in project.mirror()?.left() {
        if name.contains(SET_ASIDE) {
            remove(&project.mirror_dir().join(name))?;
        }
    }
    Ok(())
}
