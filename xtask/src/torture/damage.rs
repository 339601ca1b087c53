//! Every file of a project damaged in every way: told apart, never a panic, and mended without
//! losing what a person wrote.

use std::collections::BTreeMap;

use camino::{Utf8Path, Utf8PathBuf};

use super::damage_files::{Damage, Saved, kinds, some};
use super::episode::{Episode, FULL, Stage};
use super::mirror::Mirror;
use super::names::{CONNECTION, CONTEXT, KEY, LOCK, MIRROR_FILES, SET_ASIDE, STATE};
use super::no_os_locks::id_in;
use super::process::{BOUND, until};
use super::scratch::{put, remove};
use super::trouble::Trouble;

/// Done, busy, not set up, damaged.
const ALLOWED: [i32; 4] = [0, 3, 6, 7];
/// Failed; the truth in the cases of [`is_failure_true`] alone.
const FAILED: i32 = 1;
const NO_WAIT: [&str; 2] = ["connect", "sync"];
/// Kills until one leaves a lock; nearly every one does.
const TRIES: u32 = 500;

/// What is damaged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Target {
    State,
    Mirror(&'static str),
    Lock,
    Connection,
    Key,
}

/// The project before any damage, and what its mirror has to be in the end.
struct Scene<'a> {
    stage: Stage<'a>,
    control: Mirror,
    saved: Saved,
    lock: Vec<u8>,
    /// Times that the project was registered anew.
    registered: u64,
    /// How syncs of a damaged project ended.
    codes: BTreeMap<i32, u64>,
}

/// One round for each damage.
pub(crate) fn run(episode: &mut Episode<'_>) -> Result<(), Trouble> {
    let mut scene = Scene::new(episode)?;
    let mut targets = vec![Target::State, Target::Lock, Target::Connection, Target::Key];
    targets.extend(MIRROR_FILES.map(Target::Mirror));
    let mut number = 0;
    for target in targets {
        let whole = scene.whole(target)?;
        for damage in some(
            kinds(whole.len(), episode.limits.places),
            &mut number,
            episode,
        ) {
            if !episode.begin_round() {
                return Ok(());
            }
            let name = format!("{target:?} {damage:?}");
            let done = scene.round(target, damage, &whole, episode);
            done.map_err(|trouble| Trouble::Broken(format!("{name}: {}", trouble.explain())))?;
            if !episode.tally.is_clean() {
                episode.notes.push(name);
            }
        }
    }
    println!("   exits of damaged projects: {:?}", scene.codes);
    Ok(())
}

impl<'a> Scene<'a> {
    /// A mirror with entries of every type, and a few more entries at the hub.
    fn new(episode: &mut Episode<'a>) -> Result<Self, Trouble> {
        let mut stage = Stage::new(episode.world)?;
        loop {
            stage.writer.fill(6, 0, &mut episode.prng)?;
            stage.check(episode)?;
            let mirror = stage.subject.mirror()?;
            if MIRROR_FILES
                .iter()
                .all(|name| !mirror.file(name).is_empty())
            {
                break;
            }
        }
        let lock = leave_lock(&stage)?;
        stage.check(episode)?;
        let dir = stage.subject.dir.join(CONTEXT);
        let mut saved = Saved::of(&stage.subject.mirror_dir())?;
        saved.add(&dir.join(CONNECTION))?;
        saved.add(&episode.world.home().join(KEY))?;
        stage.writer.fill(3, 0, &mut episode.prng)?;
        stage.control.ok(&NO_WAIT)?;
        Ok(Self {
            control: stage.control.mirror()?,
            stage,
            saved,
            lock,
            registered: 0,
            codes: BTreeMap::new(),
        })
    }

    fn path(&self, target: Target) -> Utf8PathBuf {
        let project = &self.stage.subject;
        match target {
            Target::State => project.mirror_dir().join(STATE),
            Target::Mirror(name) => project.mirror_dir().join(name),
            Target::Lock => project.mirror_dir().join(LOCK),
            Target::Connection => project.dir.join(CONTEXT).join(CONNECTION),
            Target::Key => project.world.home().join(KEY),
        }
    }

    /// What stands in a file before it is damaged.
    fn whole(&self, target: Target) -> Result<Vec<u8>, Trouble> {
        match target {
            Target::Lock => Ok(self.lock.clone()),
            _ => Ok(fs_err::read(self.path(target))?),
        }
    }

    fn round(
        &mut self,
        target: Target,
        damage: Damage,
        whole: &[u8],
        episode: &mut Episode<'_>,
    ) -> Result<(), Trouble> {
        self.saved.restore(&self.stage.subject.mirror_dir())?;
        let path = self.path(target);
        if target == Target::Lock {
            put(&path, &self.lock)?;
        }
        let elsewhere = self.stage.subject.dir.join("elsewhere");
        damage.apply(&path, whole, &elsewhere)?;
        episode.tally.faults += 1;
        let mut ended = self.stage.subject.run(&NO_WAIT)?;
        if ended.code != Some(FAILED) || !is_failure_true(target, damage, &ended.stderr) {
            ended = ended.expect_codes(&ALLOWED)?;
        }
        *self.codes.entry(ended.code.unwrap_or(-1)).or_default() += 1;
        if damage == Damage::Link && fs_err::read(&elsewhere)? != whole {
            return Err(Trouble::Broken(
                "written through a symbolic link".to_owned(),
            ));
        }
        self.mend(target, damage, ended.code)?;
        episode.tally.recovered(self.stage.subject.ok(&FULL)?.took);
        self.judge(target, damage.content(whole), episode)
    }

    /// What the error tells a person to do before a full sync.
    fn mend(&mut self, target: Target, damage: Damage, code: Option<i32>) -> Result<(), Trouble> {
        let path = self.path(target);
        let in_place = matches!(damage, Damage::Directory | Damage::Link);
        if in_place || target == Target::Key {
            remove(&path)?;
        }
        let project = &self.stage.subject;
        match target {
            Target::Lock if code == Some(3) && !in_place => {
                // A dead holder's lock goes at once; any other by the id that the error names.
                let shown = project.run(&["connect", "unlock"])?;
                if shown.code != Some(0) {
                    let id = id_in(&shown.stderr)?;
                    project.ok(&["connect", "unlock", "--id", &id])?;
                }
            }
            Target::Connection | Target::Key => {
                self.registered += 1;
                let name = format!("again{}", self.registered);
                let hub = &self.stage.hub;
                let to = ["connect", "register", &hub.address, "--token", &hub.token];
                let args = [to.as_slice(), &["--force", "--project", &name]].concat();
                project.ok(&args)?;
            }
            _ => {}
        }
        Ok(())
    }

    /// The mirror is the control's, and what a person wrote stands in it or beside it.
    fn judge(
        &self,
        target: Target,
        damaged: Option<Vec<u8>>,
        episode: &mut Episode<'_>,
    ) -> Result<(), Trouble> {
        let mut mirror = self.stage.subject.mirror()?;
        if let Target::Mirror(name) = target {
            if let Some(text) = damaged
                && !is_kept(&self.stage.subject.mirror_dir(), &mirror, name, &text)?
            {
                episode.tally.lost += 1;
                episode.notes.push(format!("the text of {name} is nowhere"));
            }
            let beside = format!("{name}{SET_ASIDE}");
            mirror.forgive(|other| other.starts_with(&beside));
        }
        episode.judge("the mended mirror", &mirror.compare(&self.control));
        Ok(())
    }
}

/// Whether exit code 1 is the truth: something that is no file stands in the place of one, or the
/// state names another hub, or sequences that the hub has not reached.
fn is_failure_true(target: Target, damage: Damage, said: &str) -> bool {
    match damage {
        Damage::Directory | Damage::Link => true,
        Damage::Flip(_) => target == Target::State && said.contains("the mirror was not made"),
        _ => false,
    }
}

/// Whether the mirror file, or one that was kept beside it, begins with `text`.
fn is_kept(dir: &Utf8Path, mirror: &Mirror, name: &str, text: &[u8]) -> Result<bool, Trouble> {
    if mirror.file(name).starts_with(text) {
        return Ok(true);
    }
    let beside = format!("{name}{SET_ASIDE}");
    for other in mirror
        .left()
        .iter()
        .filter(|other| other.starts_with(&beside))
    {
        if fs_err::read(dir.join(other))?.starts_with(text) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Kills syncs while they hold the lock, until one leaves it; what it holds.
fn leave_lock(stage: &Stage<'_>) -> Result<Vec<u8>, Trouble> {
    let path = stage.subject.mirror_dir().join(LOCK);
    for _ in 0..TRIES {
        let mut sync = stage.subject.start(&NO_WAIT)?;
        until(BOUND, || Ok((path.exists() || !sync.runs()?).then_some(())))?;
        sync.kill()?.killed_or(&[0])?;
        if path.exists() {
            return Ok(fs_err::read(&path)?);
        }
    }
    Err(Trouble::Broken(format!(
        "{TRIES} killed syncs left no lock"
    )))
}
