//! One directory shared by processes that see other process ids, and another name of the host, as
//! containers do.

use super::episode::{Episode, SYNC, Stage};
use super::held::{Held, is_held_for};
use super::tools;
use super::trouble::Trouble;
use super::world::Setting;

/// Runs what stands behind it as the second process of a container with a name of its own.
const CONTAINER: [&str; 9] = [
    "unshare",
    "--uts",
    "--pid",
    "--fork",
    "--kill-child",
    "--mount-proc",
    "sh",
    "-c",
    "echo elsewhere > /proc/sys/kernel/hostname; \"$@\"",
];
const CROWD: u64 = 8;

/// Rounds of holders in and out of a container, and of crowds from both.
pub(crate) fn run(episode: &mut Episode<'_>) -> Result<(), Trouble> {
    let container = [CONTAINER.as_slice(), &["sh"]].concat();
    let container = Setting::launched_by(tools::launcher(&container)?);
    let mut stage = Stage::new(episode.world)?;
    stage.writer.fill(4, 0, &mut episode.prng)?;
    stage.check(episode)?;
    while episode.begin_round() {
        for holder in [&container, &Setting::default()] {
            let inside = stage.subject.within(container.clone());
            for killed in [false, true] {
                stage.writer.fill(1, 0, &mut episode.prng)?;
                let held = Held::start(&stage.subject, holder.clone())?;
                is_held_for(&[&stage.subject, &inside, &inside])?;
                episode.tally.faults += 1;
                match killed {
                    true => held.kill()?,
                    false => drop(held.go_on()?),
                }
                // By the other side: it cannot see the process that the record names.
                let other = match holder.launcher.is_empty() {
                    true => &inside,
                    false => &stage.subject,
                };
                episode.tally.recovered(other.ok(&SYNC)?.took);
                stage.check(episode)?;
            }
        }
        crowd(&mut stage, &container, episode)?;
    }
    Ok(())
}

/// Syncs from both sides at once, one of which is killed.
fn crowd(
    stage: &mut Stage<'_>,
    container: &Setting,
    episode: &mut Episode<'_>,
) -> Result<(), Trouble> {
    stage
        .writer
        .fill(episode.prng.between(1, 3), 0, &mut episode.prng)?;
    let inside = stage.subject.within(container.clone());
    let start = |number: u64| match number % 2 {
        0 => stage.subject.start(&SYNC),
        _ => inside.start(&SYNC),
    };
    let mut crowd = (0..CROWD).map(start).collect::<Result<Vec<_>, _>>()?;
    let victim = usize::try_from(episode.prng.below(CROWD)).unwrap_or(0);
    let span = std::time::Duration::from_millis(300);
    let ended = crowd
        .swap_remove(victim)
        .kill_after(episode.prng.instant(span))?;
    episode.tally.faults += u64::from(ended.killed_or(&[0])?.was_killed());
    for process in crowd {
        process.finish()?.expect_codes(&[0])?;
    }
    stage.check(episode)?;
    Ok(())
}
