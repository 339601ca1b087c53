//! The files of a hub damaged while it does not run: it says what is wrong, or has everything.
//!
//! Every acknowledged entry is served under its sequence, or the hub named a range that covers it
//! when it started, or it did not start, or reading from it failed. Sequences that were
//! acknowledged are never given away again. A content that changed is found by the check of the
//! data directory.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use camino::{Utf8Path, Utf8PathBuf};

use super::damage_files::{Damage, kinds, some};
use super::episode::{Episode, SYNC, Stage};
use super::hub::Start;
use super::mirror::{Difference, Mirror, size};
use super::names::{HUB_LOCK, STORE};
use super::no_os_locks::id_in;
use super::process::Ended;
use super::publish::{self, Draft};
use super::scratch::{copy_files, remove};
use super::trouble::Trouble;
use super::world::Project;

/// Failed, damaged.
const ENDS: [i32; 2] = [1, 7];
/// The same, or busy: a lock that says nothing of its holder is held.
const LOCK_ENDS: [i32; 3] = [1, BUSY, 7];
/// The same, or a directory that cannot be used: a link in place of a file is refused unread.
const LINK_ENDS: [i32; 4] = [1, 2, BUSY, 7];
const BUSY: i32 = 3;
const DAMAGED: i32 = 7;
const SYNC_ENDS: [i32; 6] = [0, 1, 4, 5, 6, 7];

/// What a hub says that knows of a loss: `… entries 3 to 9 are lost and …`.
const LOSS: &str = " are lost and ";
/// The part of a store that everything else hangs on.
const HEADER: usize = 100;

/// How the hub ended before its files were damaged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Stopped,
    Killed,
}

/// How a hub with damaged files answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Answer {
    /// It did not start.
    Refused,
    /// It started and named everything that is lost.
    Said,
    /// It started, and reading failed.
    Failed,
    /// It started and has everything.
    Whole,
    /// It started and served something else, which the check of a data directory finds.
    Found,
    /// It started and served something else.
    Silent,
}

struct Scene<'a> {
    stage: Stage<'a>,
    /// The whole mirror.
    control: Mirror,
    /// A project that knows nothing.
    reader: Project<'a>,
    /// Data directories before any damage.
    whole: Utf8PathBuf,
    answers: BTreeMap<Answer, u64>,
}

/// One round for each damage to each file, of a hub that was stopped and of one that was killed.
pub(crate) fn run(episode: &mut Episode<'_>) -> Result<(), Trouble> {
    let mut scene = Scene::new(episode)?;
    let mut number = 0;
    for end in [End::Stopped, End::Killed] {
        scene.keep(end)?;
        for name in scene.files()? {
            let content = fs_err::read(scene.whole.join(&name))?;
            let all = kinds(content.len(), episode.limits.places);
            let mut kinds = some(all, &mut number, episode);
            if name == STORE && !episode.limits.short {
                kinds.extend((0..HEADER).map(Damage::Flip));
            }
            for damage in kinds {
                if !episode.begin_round() {
                    return Ok(());
                }
                let what = format!("{end:?} {name} {damage:?}");
                let done = scene.round(&name, damage, &content, episode);
                let answer = done.map_err(|trouble| match trouble {
                    Trouble::Broken(why) => Trouble::Broken(format!("{what}: {why}")),
                    other => other,
                })?;
                *scene.answers.entry(answer).or_default() += 1;
                if !episode.tally.is_clean() {
                    episode.notes.push(what);
                }
            }
        }
    }
    println!("   answers of a damaged hub: {:?}", scene.answers);
    Ok(())
}

impl<'a> Scene<'a> {
    fn new(episode: &mut Episode<'a>) -> Result<Self, Trouble> {
        let mut stage = Stage::new(episode.world)?;
        let reader = stage.join("reader")?;
        stage.writer.fill(10, 2, &mut episode.prng)?;
        stage.check(episode)?;
        stage.hub.terminate()?;
        stage.hub.start()?;
        // So that both the database and its log hold something.
        stage.writer.fill(8, 1, &mut episode.prng)?;
        stage.check(episode)?;
        Ok(Self {
            control: stage.control.mirror()?,
            whole: episode.world.root().join("whole"),
            stage,
            reader,
            answers: BTreeMap::new(),
        })
    }

    /// Ends the hub and remembers its data directory.
    fn keep(&mut self, end: End) -> Result<(), Trouble> {
        if end == End::Stopped {
            // What the log holds is in the database after this.
            let killed = self.whole.with_extension("killed");
            self.stage.hub.kill()?;
            copy_files(&self.stage.hub.data, &killed)?;
            self.stage.hub.start()?;
            self.stage.hub.terminate()?;
            copy_files(&self.stage.hub.data, &self.whole)
        } else {
            copy_files(&self.whole.with_extension("killed"), &self.whole)
        }
    }

    /// The files of the data directory.
    fn files(&self) -> Result<Vec<String>, Trouble> {
        let mut names = Vec::new();
        for found in fs_err::read_dir(&self.whole)? {
            names.push(found?.file_name().to_string_lossy().into_owned());
        }
        names.sort();
        Ok(names)
    }

    fn round(
        &mut self,
        name: &str,
        damage: Damage,
        content: &[u8],
        episode: &mut Episode<'_>,
    ) -> Result<Answer, Trouble> {
        self.stage.hub.kill()?;
        let data = self.stage.hub.data.clone();
        copy_files(&self.whole, &data)?;
        let path = data.join(name);
        let elsewhere = data.with_extension("elsewhere");
        damage.apply(&path, content, &elsewhere)?;
        episode.tally.faults += 1;
        let said = match self.stage.hub.try_start()? {
            Start::Ended(ended) => {
                let ends = match damage {
                    Damage::Link => LINK_ENDS.as_slice(),
                    _ if name == HUB_LOCK => &LOCK_ENDS,
                    _ => &ENDS,
                };
                let ended = ended.expect_codes(ends)?;
                if ended.code == Some(BUSY) {
                    self.unlock(&ended)?;
                }
                says_where(&ended, &data)?;
                return Ok(Answer::Refused);
            }
            Start::Listens(took, said) => {
                episode.tally.recovered(took);
                said
            }
        };
        remove(&self.reader.mirror_dir())?;
        let read = self.reader.run(&SYNC)?.expect_codes(&SYNC_ENDS)?;
        let said = said + &self.stage.hub.said();
        if read.code != Some(0) {
            return Ok(Answer::Failed);
        }
        let mirror = self.reader.mirror()?;
        let difference = mirror.compare(&self.control);
        if difference.is_none() {
            return Ok(Answer::Whole);
        }
        if mirror
            .audit(&self.stage.writer.ledger, false)
            .lost
            .is_empty()
        {
            return self.contents(&difference, episode);
        }
        self.loss(&mirror, &said, episode)
    }

    /// A lock that says nothing of its holder goes by the id that the error names, and the hub
    /// starts.
    fn unlock(&mut self, busy: &Ended) -> Result<(), Trouble> {
        let id = id_in(&busy.stderr)?;
        let data = self.stage.hub.data.as_str();
        let args = ["hub", "unlock", "--data-dir", data, "--id", &id];
        self.stage.subject.ok(&args)?;
        self.stage.hub.start()?;
        Ok(())
    }

    /// Everything is there, and something of it is another: the check of the data directory has to
    /// find that.
    fn contents(
        &mut self,
        difference: &Difference,
        episode: &mut Episode<'_>,
    ) -> Result<Answer, Trouble> {
        self.stage.hub.kill()?;
        let dir = ["hub", "verify", "--data-dir", self.stage.hub.data.as_str()];
        if self.stage.subject.run(&dir)?.code == Some(DAMAGED) {
            return Ok(Answer::Found);
        }
        episode.judge("what a damaged hub serves without a word", difference);
        Ok(Answer::Silent)
    }

    /// Entries are gone: the hub has to have named each of them, and never gives their sequences
    /// away again.
    fn loss(
        &self,
        mirror: &Mirror,
        said: &str,
        episode: &mut Episode<'_>,
    ) -> Result<Answer, Trouble> {
        let ranges = ranges(said);
        let ledger = &self.stage.writer.ledger;
        let named = |sequence: &u64| ranges.iter().any(|range| range.contains(sequence));
        let silent = |id: &String| ledger.get(id).is_none_or(|sequence| !named(sequence));
        let lost = mirror.audit(ledger, false).lost;
        let lost: Vec<String> = lost.into_iter().filter(silent).collect();
        if !lost.is_empty() {
            episode.tally.lost += size(lost.len());
            episode
                .notes
                .push(format!("lost without a word: {}", lost.join(", ")));
            return Ok(Answer::Silent);
        }
        let draft = Draft::random(format!("after{}", episode.tally.rounds), &mut episode.prng);
        let sent = publish::start(self.stage.writer.project(), &draft, &[])?.finish()?;
        let last = ledger.values().max().copied().unwrap_or_default();
        match publish::acknowledged(&sent)? {
            Some(sequence) if sequence <= last => Err(Trouble::Broken(format!(
                "sequence {sequence} was given away again; {last} was acknowledged"
            ))),
            _ => Ok(Answer::Said),
        }
    }
}

/// The sequences that a hub names as lost.
fn ranges(said: &str) -> Vec<RangeInclusive<u64>> {
    let of = |line: &str| {
        let before = line.split(LOSS).next()?;
        let words: Vec<&str> = before.split_whitespace().collect();
        match words.as_slice() {
            [.., first, "to", last] => Some(first.parse().ok()?..=last.parse().ok()?),
            _ => None,
        }
    };
    said.lines()
        .filter(|line| line.contains(LOSS))
        .filter_map(of)
        .collect()
}

/// A hub that does not start names a file of its data directory.
fn says_where(ended: &Ended, data: &Utf8Path) -> Result<(), Trouble> {
    match ended.says(data.as_str()) {
        true => Ok(()),
        false => Err(Trouble::Broken(ended.tell("a word about which file"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sequences_that_a_hub_names_as_lost_are_read() {
        let said = "cut or removed; entries 3 to 9 are lost and their sequences are not given away\n\
            listening\nentries 12 to 12 are lost and x";
        assert_eq!(ranges(said), [3..=9, 12..=12]);
        assert_eq!(
            ranges("2 or more transactions are lost; publish them again"),
            []
        );
    }
}
