//! A small file system of an episode's own, which can be full or read-only.
//!
//! It is mounted in a mount namespace that one thread enters, with all processes that it starts;
//! nobody else sees it, and it goes with them. Where that is not permitted, it is a directory, and
//! what can be limited is the size of a file, for one process.

use std::io::Write as _;

use camino::{Utf8Path, Utf8PathBuf};

use super::episode::Episode;
use super::scratch::{create, remove};
use super::tools;
use super::trouble::Trouble;
use super::world::Setting;

const NAME: &str = "small";
const BALLAST: &str = "ballast";
const BYTES: u64 = 64 << 20;
const BLOCK: usize = 1 << 16;

/// A directory on a disk of which something may be wrong.
#[derive(Debug)]
pub(crate) struct SmallDisk {
    pub(crate) dir: Utf8PathBuf,
    pub(crate) is_mounted: bool,
}

/// Does `work` with a small disk under the world's directory, and keeps what is on it when that
/// found something.
pub(crate) fn with(
    episode: &mut Episode<'_>,
    work: fn(&mut Episode<'_>, &SmallDisk) -> Result<(), Trouble>,
) -> Result<(), Trouble> {
    let dir = episode.world.root().join(NAME);
    fs_err::create_dir(&dir)?;
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| inside(episode, dir, work));
        thread
            .join()
            .map_err(|_| Trouble::Broken("the thread of a small disk panicked".to_owned()))?
    })
}

fn inside(
    episode: &mut Episode<'_>,
    dir: Utf8PathBuf,
    work: fn(&mut Episode<'_>, &SmallDisk) -> Result<(), Trouble>,
) -> Result<(), Trouble> {
    let mounted = mount(&dir);
    if let Err(why) = &mounted {
        episode.leave_out("a full and a read-only file system", why);
    }
    let disk = SmallDisk {
        dir,
        is_mounted: mounted.is_ok(),
    };
    let done = work(episode, &disk);
    if disk.is_mounted {
        if done.is_err() || !episode.tally.is_clean() {
            tools::copy_tree(&disk.dir, &disk.dir.with_extension("kept"))?;
        }
        unmount(&disk.dir)?;
    }
    done
}

impl SmallDisk {
    /// Leaves no more than `bytes` of it free.
    pub(crate) fn leave(&self, bytes: u64) -> Result<(), Trouble> {
        let path = self.dir.join(BALLAST);
        let mut ballast = create(&path)?;
        let block = vec![0; BLOCK];
        // Smaller pieces at the end, until not a byte has room.
        let mut step = BLOCK;
        while step > 0 {
            match ballast.write(block.get(..step).unwrap_or_default()) {
                Ok(_) => {}
                Err(error) if error.kind() == std::io::ErrorKind::StorageFull => step /= 2,
                Err(error) => return Err(error.into()),
            }
        }
        let length = ballast.metadata()?.len();
        ballast.set_len(length.saturating_sub(bytes))?;
        Ok(())
    }

    /// Lets it be written to and have room again.
    pub(crate) fn heal(&self) -> Result<(), Trouble> {
        if self.is_mounted {
            remount(&self.dir, false)?;
        }
        remove(&self.dir.join(BALLAST))
    }

    /// Lets it be read only.
    pub(crate) fn forbid_writing(&self) -> Result<(), Trouble> {
        remount(&self.dir, true)
    }
}

/// Surroundings in which no file grows beyond `bytes`.
pub(crate) fn file_limit(bytes: u64) -> Result<Setting, Trouble> {
    let prlimit = tools::find("prlimit")
        .ok_or_else(|| Trouble::Impossible("a file size limit: no prlimit".to_owned()))?;
    Ok(Setting::launched_by([
        prlimit.into_string(),
        format!("--fsize={bytes}"),
    ]))
}

/// The longest of the files in `dir`, in bytes.
pub(crate) fn longest(dir: &Utf8Path) -> Result<u64, Trouble> {
    let mut longest = 0;
    for found in fs_err::read_dir(dir)? {
        longest = longest.max(found?.metadata()?.len());
    }
    Ok(longest)
}

#[cfg(target_os = "linux")]
mod linux {
    use camino::Utf8Path;
    use rustix::mount::{
        self, MountFlags, MountPropagationFlags as Propagation, UnmountFlags, mount_change,
        mount_remount,
    };
    use rustix::thread::UnshareFlags;

    use super::{BYTES, Trouble};

    #[expect(
        deprecated,
        reason = "the other form is unsafe for what is not shared here: open files"
    )]
    fn unshare() -> rustix::io::Result<()> {
        rustix::thread::unshare(UnshareFlags::NEWNS)
    }

    pub(super) fn mount(dir: &Utf8Path) -> Result<(), String> {
        let options = std::ffi::CString::new(format!("size={BYTES},mode=700"));
        let options = options.map_err(|error| error.to_string())?;
        let mounted = unshare()
            .and_then(|()| mount_change("/", Propagation::PRIVATE | Propagation::REC))
            .and_then(|()| {
                let flags = MountFlags::NOSUID | MountFlags::NODEV;
                mount::mount("tmpfs", dir.as_str(), "tmpfs", flags, options.as_c_str())
            });
        mounted.map_err(|error| format!("cannot mount in a namespace of its own: {error}"))
    }

    pub(super) fn remount(dir: &Utf8Path, read_only: bool) -> Result<(), Trouble> {
        let mut flags = MountFlags::NOSUID | MountFlags::NODEV;
        flags.set(MountFlags::RDONLY, read_only);
        mount_remount(dir.as_str(), flags, "").map_err(std::io::Error::from)?;
        Ok(())
    }

    pub(super) fn unmount(dir: &Utf8Path) -> Result<(), Trouble> {
        mount::unmount(dir.as_str(), UnmountFlags::DETACH).map_err(std::io::Error::from)?;
        Ok(())
    }
}

#[cfg(target_os = "linux")]
use linux::{mount, remount, unmount};

#[cfg(not(target_os = "linux"))]
mod elsewhere {
    use camino::Utf8Path;

    use super::Trouble;

    const WHY: &str = "only Linux has mount namespaces";

    pub(super) fn mount(_dir: &Utf8Path) -> Result<(), String> {
        Err(WHY.to_owned())
    }

    pub(super) fn remount(_dir: &Utf8Path, _read_only: bool) -> Result<(), Trouble> {
        Err(Trouble::Impossible(WHY.to_owned()))
    }

    pub(super) fn unmount(_dir: &Utf8Path) -> Result<(), Trouble> {
        Ok(())
    }
}

#[cfg(not(target_os = "linux"))]
use elsewhere::{mount, remount, unmount};
