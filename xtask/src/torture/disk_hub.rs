//! A hub whose disk is full: what was refused says so, what was acknowledged stays and can be read,
//! and it heals without a restart when there is room.

use std::process::Command;

use super::episode::{Episode, SYNC, Stage};
use super::hub::{Hub, Start};
use super::listen_and_sync::{caught_up, listening, start};
use super::ports;
use super::publish::{self, Draft};
use super::small_disk::{self, SmallDisk};
use super::tools;
use super::trouble::Trouble;

const FAILED: i32 = 1;
/// What a publisher is told.
const NO_ROOM: &str = "no room";
/// What a hub says that cannot start.
const REASONS: [&str; 4] = [
    "No space left on device",
    "File too large",
    "no room",
    "disk is full",
];

/// Rounds of one full disk each.
pub(crate) fn run(episode: &mut Episode<'_>) -> Result<(), Trouble> {
    small_disk::with(episode, rounds)
}

fn rounds(episode: &mut Episode<'_>, disk: &SmallDisk) -> Result<(), Trouble> {
    let hub = Hub::at(episode.world, disk.dir.join("data"), ports::free()?)?;
    let mut stage = Stage::around(episode.world, hub)?;
    stage.writer.fill(4, 1, &mut episode.prng)?;
    stage.check(episode)?;
    while episode.begin_round() {
        let mut listener = start(&stage.subject)?;
        listening(&mut listener)?;
        let limited = !disk.is_mounted || episode.prng.once_in(4);
        let pid = stage.hub.pid().unwrap_or_default();
        if limited {
            let longest = small_disk::longest(&stage.hub.data)?;
            limit_files(pid, Some(longest + episode.prng.below(1 << 18)))?;
        } else {
            disk.leave(episode.prng.below(16) << episode.prng.between(8, 16))?;
        }
        episode.tally.faults += 1;
        let refused = publish_into(&mut stage, episode)?;
        reads_go_on(&stage, episode)?;
        if !limited && episode.prng.once_in(3) {
            restart_while_full(&mut stage, disk)?;
        }
        disk.heal()?;
        if limited {
            limit_files(pid, None)?;
        }
        if !stage.hub.runs()? {
            return Err(Trouble::Broken(format!(
                "the hub ended: {}",
                stage.hub.said()
            )));
        }
        for draft in refused {
            let sent = publish::start(stage.writer.project(), &draft, &[])?.finish()?;
            if let Some(sequence) = publish::acknowledged(&sent.expect_codes(&[0])?)? {
                publish::note(&mut stage.writer.ledger, &draft.id, sequence)?;
            }
        }
        episode.tally.recovered(caught_up(&stage, &mut listener)?);
        listener.terminate()?.expect_codes(&[0])?;
        stage.check(episode)?;
    }
    Ok(())
}

/// Publishes until entries were refused; each is acknowledged, or told that there is no room.
fn publish_into(stage: &mut Stage<'_>, episode: &mut Episode<'_>) -> Result<Vec<Draft>, Trouble> {
    let mut refused = Vec::new();
    for number in 0..episode.prng.between(2, 6) {
        let id = format!("f{}n{number}", episode.tally.rounds);
        let draft = match episode.prng.once_in(4) {
            true => Draft::large(id, &mut episode.prng),
            false => Draft::random(id, &mut episode.prng),
        };
        let sent = publish::start(stage.writer.project(), &draft, &[])?.finish()?;
        let sent = sent.expect_codes(&[0, FAILED])?;
        match publish::acknowledged(&sent)? {
            Some(sequence) => publish::note(&mut stage.writer.ledger, &draft.id, sequence)?,
            None if sent.says(NO_ROOM) => refused.push(draft),
            None => return Err(Trouble::Broken(sent.tell("a word about room"))),
        }
    }
    Ok(refused)
}

/// Everything that was acknowledged can be read while there is no room.
fn reads_go_on(stage: &Stage<'_>, episode: &mut Episode<'_>) -> Result<(), Trouble> {
    stage.control.ok(&SYNC)?;
    let found = stage.control.mirror()?.audit(&stage.writer.ledger, false);
    episode.judge("what can be read while the disk is full", &found);
    Ok(())
}

/// Killed and started while there is no room, a hub listens, or says what is missing; with room it
/// listens.
fn restart_while_full(stage: &mut Stage<'_>, disk: &SmallDisk) -> Result<(), Trouble> {
    stage.hub.kill()?;
    if let Start::Ended(ended) = stage.hub.try_start()? {
        let ended = ended.expect_codes(&[FAILED])?;
        if !REASONS.iter().any(|reason| ended.says(reason)) {
            return Err(Trouble::Broken(ended.tell("a word about the disk")));
        }
        disk.heal()?;
        stage.hub.start()?;
    }
    Ok(())
}

/// Limits the files of a process, or lifts the limit.
fn limit_files(pid: i32, bytes: Option<u64>) -> Result<(), Trouble> {
    let prlimit = tools::find("prlimit")
        .ok_or_else(|| Trouble::Impossible("a file size limit: no prlimit".to_owned()))?;
    let soft = bytes.map_or("unlimited".to_owned(), |bytes| bytes.to_string());
    let mut command = Command::new(prlimit);
    command.args(["--pid", &pid.to_string(), &format!("--fsize={soft}:")]);
    let output = command.output()?;
    match output.status.success() {
        true => Ok(()),
        false => Err(Trouble::Impossible(format!(
            "a file size limit: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        ))),
    }
}
