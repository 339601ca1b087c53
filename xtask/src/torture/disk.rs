//! A project on a disk that is full, read-only or limited: what was refused says so, what was
//! committed stays, and it heals by itself when there is room.

use super::episode::{Episode, FULL, SYNC, Stage};
use super::listen_and_sync::{caught_up, listening, start};
use super::mirror::size;
use super::process::{Ended, Process};
use super::publish::{self, Draft};
use super::small_disk::{self, SmallDisk, file_limit};
use super::trouble::Trouble;
use super::world::Setting;

const FAILED: i32 = 1;
const BUSY: i32 = 3;
/// What the system says when a disk does not take something.
const REASONS: [&str; 3] = [
    "No space left on device",
    "Read-only file system",
    "File too large",
];

/// What is wrong with the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// So many bytes are free.
    Full(u64),
    /// It is mounted for reading.
    ReadOnly,
    /// No file grows beyond so many bytes.
    FileLimit(u64),
}

/// Rounds of one fault each.
pub(crate) fn run(episode: &mut Episode<'_>) -> Result<(), Trouble> {
    small_disk::with(episode, rounds)
}

fn rounds(episode: &mut Episode<'_>, disk: &SmallDisk) -> Result<(), Trouble> {
    let mut stage = Stage::new(episode.world)?;
    let (hub, token) = (&stage.hub.address, &stage.hub.token);
    stage.subject = episode.world.project("small/disk", hub, token)?;
    stage.writer.fill(6, 1, &mut episode.prng)?;
    stage.check(episode)?;
    let mut round = 0;
    while episode.begin_round() {
        round += 1;
        let fault = choose(&stage, disk, episode)?;
        disturb(&mut stage, disk, fault, round, episode)?;
    }
    Ok(())
}

fn choose(
    stage: &Stage<'_>,
    disk: &SmallDisk,
    episode: &mut Episode<'_>,
) -> Result<Fault, Trouble> {
    let prng = &mut episode.prng;
    Ok(match prng.below(5) {
        0 if disk.is_mounted => Fault::ReadOnly,
        1..=3 if disk.is_mounted => Fault::Full(prng.below(16) << prng.between(10, 14)),
        _ => {
            let longest = small_disk::longest(&stage.subject.mirror_dir())?;
            // Below this, the error would have no room either, where output goes to files.
            Fault::FileLimit(prng.between(1024, longest + 4096))
        }
    })
}

/// Entries that do not fit, syncs and a listener that run into it, and then room.
fn disturb(
    stage: &mut Stage<'_>,
    disk: &SmallDisk,
    fault: Fault,
    round: u64,
    episode: &mut Episode<'_>,
) -> Result<(), Trouble> {
    let mut listener = start(&stage.subject)?;
    listening(&mut listener)?;
    let setting = match fault {
        Fault::Full(bytes) => {
            disk.leave(bytes)?;
            Setting::default()
        }
        Fault::ReadOnly => {
            disk.forbid_writing()?;
            Setting::default()
        }
        Fault::FileLimit(bytes) => file_limit(bytes)?,
    };
    episode.tally.faults += 1;
    let confined = stage.subject.within(setting);
    for number in 0..episode.prng.between(2, 4) {
        stage
            .writer
            .begin(episode.prng.between(1, 4), &mut episode.prng)?;
        stage.writer.settle()?;
        let draft = Draft::random(format!("d{round}n{number}"), &mut episode.prng);
        let crowd = episode.prng.between(1, 3);
        let args = match episode.prng.once_in(3) {
            true => FULL.as_slice(),
            false => SYNC.as_slice(),
        };
        let syncs = (0..crowd).map(|_| confined.start(args));
        let syncs = syncs.collect::<Result<Vec<_>, _>>()?;
        // What is under way has to be known when it is said to be mirrored.
        let known = stage.writer.ledger.clone();
        for sync in syncs {
            if refused_or_done(sync.finish()?)? {
                let mirrored = stage.subject.mirror()?.audit(&known, false);
                if !mirrored.lost.is_empty() {
                    episode.tally.lost += size(mirrored.lost.len());
                    let lost = mirrored.lost.join(", ");
                    episode
                        .notes
                        .push(format!("{fault:?}: done without {lost}"));
                }
            }
        }
        let sent = publish::start(&confined, &draft, &[])?.finish()?;
        refused_or_done(sent)?;
        // Whoever was refused repeats, here where there is room.
        let sent = publish::start(stage.writer.project(), &draft, &[])?.finish()?;
        if let Some(sequence) = publish::acknowledged(&sent.expect_codes(&[0])?)? {
            publish::note(&mut stage.writer.ledger, &draft.id, sequence)?;
        }
    }
    disk.heal()?;
    healed(stage, listener, fault, episode)
}

/// The listener, which was never started again, catches up, and nothing differs.
fn healed(
    stage: &mut Stage<'_>,
    mut listener: Process,
    fault: Fault,
    episode: &mut Episode<'_>,
) -> Result<(), Trouble> {
    let name = |trouble: Trouble| match trouble {
        Trouble::Broken(what) => Trouble::Broken(format!("{fault:?}: {what}")),
        other => other,
    };
    episode
        .tally
        .recovered(caught_up(stage, &mut listener).map_err(name)?);
    listener.terminate()?.expect_codes(&[0])?;
    stage.check(episode).map_err(name)?;
    Ok(())
}

/// True when it was done; refused has to say that it was the disk.
fn refused_or_done(ended: Ended) -> Result<bool, Trouble> {
    let ended = ended.expect_codes(&[0, FAILED, BUSY])?;
    let says_why = REASONS.iter().any(|reason| ended.stderr.contains(reason));
    match ended.code {
        Some(0) => Ok(true),
        Some(FAILED) if !says_why => Err(Trouble::Broken(ended.tell("a word about the disk"))),
        _ => Ok(false),
    }
}
