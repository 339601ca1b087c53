//! Files of a project and of a hub that their user may not open any more: told, and nothing lost
//! when the permissions are back.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use camino::{Utf8Path, Utf8PathBuf};

use super::episode::{Episode, SYNC, Stage};
use super::hub::Start;
use super::names::{
    ADMIN_TOKEN, CONNECTION, CONTEXT, HUB_LOCK, KEY, MIRROR_FILES, STATE, STORE, STORE_INDEX,
    STORE_LOG,
};
use super::process::Ended;
use super::tools;
use super::trouble::Trouble;
use super::world::Setting;

/// Done, failed, busy, not set up, damaged.
const ALLOWED: [i32; 5] = [0, 1, 3, 6, 7];
/// What the system says, what a lock says, and what the store says of a file beside it.
const DENIED: [&str; 3] = [
    "ermission denied",
    "may not be opened",
    "unable to open database file",
];
/// Somebody whom permissions bind, unlike root.
const NOBODY: &str = "65534";
const MODES: [u32; 3] = [0o000, 0o400, 0o500];
/// What of a hub is taken away; the first is the directory.
const HUB_FILES: [&str; 6] = ["", STORE, STORE_LOG, STORE_INDEX, HUB_LOCK, ADMIN_TOKEN];

/// A round for each file and mode.
pub(crate) fn run(episode: &mut Episode<'_>) -> Result<(), Trouble> {
    let mut stage = Stage::new(episode.world)?;
    stage.writer.fill(4, 0, &mut episode.prng)?;
    stage.check(episode)?;
    stage.hub.terminate()?;
    drop_rights(episode)?;
    stage.hub.start()?;
    let project = &stage.subject;
    let mirror = project.mirror_dir();
    let home = episode.world.home();
    let mut of_project = vec![
        project.dir.join(CONTEXT),
        mirror.clone(),
        mirror.join(STATE),
        project.dir.join(CONTEXT).join(CONNECTION),
        home.join(KEY),
    ];
    of_project.extend(MIRROR_FILES.map(|name| mirror.join(name)));
    let modes = match episode.limits.short {
        true => &MODES[..1],
        false => &MODES,
    };
    for path in of_project {
        for &mode in modes {
            if !episode.begin_round() {
                return Ok(());
            }
            let what = format!("{path} {mode:o}");
            let done = of_client(&mut stage, &path, mode, episode);
            note(done, what, episode)?;
        }
    }
    for name in HUB_FILES {
        for &mode in modes {
            if !episode.begin_round() {
                return Ok(());
            }
            let what = format!("hub: {name} {mode:o}");
            let done = of_hub(&mut stage, name, mode, episode);
            note(done, what, episode)?;
        }
    }
    Ok(())
}

fn note(done: Result<(), Trouble>, what: String, episode: &mut Episode<'_>) -> Result<(), Trouble> {
    if !episode.tally.is_clean() {
        episode.notes.push(what.clone());
    }
    done.map_err(|trouble| match trouble {
        Trouble::Broken(why) => Trouble::Broken(format!("{what}: {why}")),
        other => other,
    })
}

/// From now on the program runs as somebody whom permissions bind, and everything is theirs.
fn drop_rights(episode: &mut Episode<'_>) -> Result<(), Trouble> {
    if !rustix::process::geteuid().is_root() {
        return Ok(());
    }
    let user = format!("--reuid={NOBODY}");
    let group = format!("--regid={NOBODY}");
    let launcher = tools::launcher(&["setpriv", &user, &group, "--clear-groups"])?;
    let world = episode.world;
    world.confine(Setting::launched_by(launcher))?;
    fs_err::set_permissions(world.root(), Permissions::from_mode(0o755))?;
    let owner = format!("{NOBODY}:{NOBODY}");
    let args = ["-R", &owner, world.root().as_str()];
    match Command::new("chown").args(args).status()?.success() {
        true => Ok(()),
        false => Err(Trouble::Impossible("chown to another user".to_owned())),
    }
}

/// Takes rights away while `work` runs.
fn without<T>(
    path: &Utf8Path,
    mode: u32,
    work: impl FnOnce() -> Result<T, Trouble>,
) -> Result<T, Trouble> {
    let before = fs_err::metadata(path)?.permissions();
    fs_err::set_permissions(path, Permissions::from_mode(mode))?;
    let done = work();
    fs_err::set_permissions(path, before)?;
    done
}

/// A sync under a file or folder that may not be opened, and one with it.
fn of_client(
    stage: &mut Stage<'_>,
    path: &Utf8PathBuf,
    mode: u32,
    episode: &mut Episode<'_>,
) -> Result<(), Trouble> {
    stage.writer.fill(1, 0, &mut episode.prng)?;
    let ended = without(path, mode, || stage.subject.run(&["connect", "sync"]))?;
    episode.tally.faults += 1;
    says_why(&ended.expect_codes(&ALLOWED)?)?;
    stage.check(episode)?;
    Ok(())
}

/// A start of a hub under a file that may not be opened, and one with it.
fn of_hub(
    stage: &mut Stage<'_>,
    name: &str,
    mode: u32,
    episode: &mut Episode<'_>,
) -> Result<(), Trouble> {
    stage.hub.kill()?;
    let path = stage.hub.data.join(name);
    if !path.exists() {
        return Err(Trouble::Broken(format!("there is no {path}")));
    }
    let began = without(&path, mode, || stage.hub.try_start())?;
    episode.tally.faults += 1;
    match began {
        Start::Ended(ended) => says_why(&ended.expect_codes(&ALLOWED)?)?,
        // What is open stays open; it has to serve all the same.
        Start::Listens(..) => {
            stage.control.ok(&SYNC)?;
            stage.hub.kill()?;
        }
    }
    episode.tally.recovered(stage.hub.start()?);
    stage.check(episode)?;
    Ok(())
}

fn says_why(ended: &Ended) -> Result<(), Trouble> {
    match ended.code == Some(0) || DENIED.iter().any(|words| ended.says(words)) {
        true => Ok(()),
        false => Err(Trouble::Broken(ended.tell("a word about permissions"))),
    }
}
