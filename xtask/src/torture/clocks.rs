//! Clocks that are years ahead or back: the lock does not care, nor does the mirror.
//!
//! The clock of the machine is left alone. What a clock leaves behind is changed instead: the time
//! in the lock's record, and the times of files. Where `faketime` is installed, processes also run
//! with another clock.

use std::time::{Duration, SystemTime};

use camino::Utf8Path;

use super::episode::{Episode, SYNC, Stage};
use super::faketime::Clock;
use super::held::{Held, is_held_for};
use super::names::{LOCK, MIRROR_FILES, STATE};
use super::scratch::put;
use super::trouble::Trouble;
use super::world::Setting;

/// What stands in the record before the year.
const SINCE: &[u8] = b"\"since\":\"";
const YEARS: [&[u8]; 5] = [b"1971", b"2001", b"2025", b"2038", b"2199"];
const YEAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);
/// Clocks that a process can be given.
const SHIFTS: [&str; 4] = ["-20y", "-400d", "+400d", "+11y"];

/// Rounds of a holder that lives, one that is killed, and processes whose clocks differ.
pub(crate) fn run(episode: &mut Episode<'_>) -> Result<(), Trouble> {
    let clocks = clocks(episode)?;
    let mut stage = Stage::new(episode.world)?;
    stage.writer.fill(4, 0, &mut episode.prng)?;
    stage.check(episode)?;
    while episode.begin_round() {
        for killed in [false, true] {
            stage.writer.fill(1, 0, &mut episode.prng)?;
            let held = Held::start(&stage.subject, one_of(&clocks, episode))?;
            tell_other_times(&stage.subject.mirror_dir(), episode)?;
            is_held_for(&[
                &stage.subject,
                &stage.subject.within(one_of(&clocks, episode)),
            ])?;
            episode.tally.faults += 1;
            match killed {
                true => held.kill()?,
                false => drop(held.go_on()?),
            }
            tell_other_times(&stage.subject.mirror_dir(), episode)?;
            // Takes over what a killed one left, by a clock of its own.
            let other = stage.subject.within(one_of(&clocks, episode));
            episode.tally.recovered(other.ok(&SYNC)?.took);
            stage.check(episode)?;
        }
    }
    Ok(())
}

/// The clocks that processes can be given; none where they cannot be had.
fn clocks(episode: &mut Episode<'_>) -> Result<Vec<Clock>, Trouble> {
    let clocks: Result<Vec<Clock>, Trouble> = SHIFTS.into_iter().map(Clock::shifted_by).collect();
    match clocks {
        Err(Trouble::Impossible(why)) => {
            episode.leave_out("processes with another clock", &why);
            Ok(Vec::new())
        }
        clocks => clocks,
    }
}

/// Surroundings with one of `clocks`.
fn one_of(clocks: &[Clock], episode: &mut Episode<'_>) -> Setting {
    let clock = episode.prng.pick(clocks);
    clock.map(Clock::setting).unwrap_or_default()
}

/// Gives the lock's record another year, and the files other times.
fn tell_other_times(dir: &Utf8Path, episode: &mut Episode<'_>) -> Result<(), Trouble> {
    let lock = dir.join(LOCK);
    if lock.exists() {
        let year = episode.prng.pick(&YEARS).copied().unwrap_or(YEARS[0]);
        let record = fs_err::read(&lock)?;
        put(&lock, &in_year(&record, year)?)?;
    }
    for name in MIRROR_FILES.into_iter().chain([STATE, LOCK]) {
        let path = dir.join(name);
        if path.exists() {
            let years = u32::try_from(episode.prng.between(1, 30)).unwrap_or(1);
            let time = match episode.prng.once_in(2) {
                true => SystemTime::now() + YEAR * years,
                false => SystemTime::now() - YEAR * years,
            };
            let file = fs_err::OpenOptions::new().write(true).open(&path)?;
            file.file().set_modified(time)?;
        }
    }
    Ok(())
}

/// The record with another year in every line of it.
fn in_year(record: &[u8], year: &[u8]) -> Result<Vec<u8>, Trouble> {
    let mut changed = record.to_vec();
    let begins = |at: &usize| {
        record
            .get(*at..)
            .is_some_and(|rest| rest.starts_with(SINCE))
    };
    let places: Vec<usize> = (0..record.len()).filter(begins).collect();
    if places.is_empty() {
        let text = String::from_utf8_lossy(record);
        return Err(Trouble::Broken(format!("no time in the record {text}")));
    }
    for at in places {
        let begin = at + SINCE.len();
        if let Some(old) = changed.get_mut(begin..begin + year.len()) {
            old.copy_from_slice(year);
        }
    }
    Ok(changed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_of_a_record_gets_the_other_year_and_nothing_else_changes() {
        let record = b"{\"since\":\"2026-01-02T\",\"x\":1}\n{\"since\":\"2027-01-02T\"}\n";
        let want = b"{\"since\":\"1971-01-02T\",\"x\":1}\n{\"since\":\"1971-01-02T\"}\n";
        assert_eq!(in_year(record, b"1971").unwrap(), want);
        assert!(in_year(b"{}", b"1971").is_err());
    }
}
