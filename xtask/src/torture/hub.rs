//! Hubs of a world.

use std::process::Stdio;
use std::time::{Duration, Instant};

use camino::Utf8PathBuf;

use super::names;
use super::ports;
use super::process::{BOUND, Ended, Process, until};
use super::trouble::Trouble;
use super::world::{Setting, World, text_of};

/// A hub, and what it takes to start it again where it was.
#[derive(Debug)]
pub(crate) struct Hub<'a> {
    world: &'a World,
    pub(crate) data: Utf8PathBuf,
    pub(crate) setting: Setting,
    process: Option<Process>,
    pub(crate) address: String,
    pub(crate) token: String,
}

/// What became of a hub that was started.
#[derive(Debug)]
pub(crate) enum Start {
    /// It listens; how long it took, and what it said by then.
    Listens(Duration, String),
    /// It ended instead.
    Ended(Ended),
}

impl<'a> Hub<'a> {
    /// Starts a hub on a free port, with its data in the world's directory.
    pub(crate) fn new(world: &'a World) -> Result<Self, Trouble> {
        Self::at(world, world.root().join("data"), ports::free()?)
    }

    /// Starts a hub with its data in `data`, at `address`.
    pub(crate) fn at(
        world: &'a World,
        data: Utf8PathBuf,
        address: String,
    ) -> Result<Self, Trouble> {
        let mut hub = Self {
            world,
            data,
            setting: Setting::default(),
            process: None,
            address,
            token: String::new(),
        };
        hub.start()?;
        hub.read_token()?;
        Ok(hub)
    }

    /// Another hub that was never started, with its data in the world's directory `name`.
    pub(crate) fn another(&self, name: &str, setting: Setting) -> Result<Self, Trouble> {
        Ok(Self {
            world: self.world,
            data: self.world.root().join(name),
            setting,
            process: None,
            address: ports::free()?,
            token: String::new(),
        })
    }

    /// Reads the admin token, which a new data directory has anew.
    pub(crate) fn read_token(&mut self) -> Result<(), Trouble> {
        let token = fs_err::read_to_string(self.data.join(names::ADMIN_TOKEN))?;
        token.trim().clone_into(&mut self.token);
        Ok(())
    }

    /// Starts it on its data directory and address; how long it took until it listened.
    pub(crate) fn start(&mut self) -> Result<Duration, Trouble> {
        match self.try_start()? {
            Start::Listens(took, _) => Ok(took),
            Start::Ended(ended) => Err(Trouble::Broken(ended.tell("a hub that listens"))),
        }
    }

    /// Starts it, and waits until it listens or ends.
    pub(crate) fn try_start(&mut self) -> Result<Start, Trouble> {
        let started = Instant::now();
        let args = ["--json", "hub", "start", "--bind", &self.address];
        let data = ["--data-dir", self.data.as_str()];
        let args = [args.as_slice(), &data].concat();
        let root = self.world.root();
        let mut process = self
            .world
            .start(root, &self.setting, &args, Stdio::null())?;
        let listens = until(BOUND, || {
            let line = process.stdout()?;
            // An error is a document, too.
            let listens = line.ends_with('\n') && text_of(&line, "address").is_ok();
            let answer = listens.then_some(Some(line));
            match answer {
                None if !process.runs()? => Ok(Some(None)),
                answer => Ok(answer),
            }
        })?;
        match listens {
            None => Err(Trouble::Wedged("the hub did not listen".to_owned())),
            Some(None) => Ok(Start::Ended(process.finish()?)),
            Some(Some(line)) => {
                self.address = text_of(&line, "address")?;
                let said = process.said();
                self.process = Some(process);
                Ok(Start::Listens(started.elapsed(), said))
            }
        }
    }

    /// What it has said so far on standard error.
    pub(crate) fn said(&self) -> String {
        self.process.as_ref().map(Process::said).unwrap_or_default()
    }

    /// Its process, if it was not ended.
    pub(crate) fn pid(&self) -> Option<i32> {
        self.process
            .as_ref()
            .map(|process| process.pid().as_raw_nonzero().get())
    }

    /// Whether it runs still.
    pub(crate) fn runs(&mut self) -> Result<bool, Trouble> {
        match &mut self.process {
            Some(process) => process.runs(),
            None => Ok(false),
        }
    }

    /// Waits for its end.
    pub(crate) fn finish(&mut self) -> Result<Option<Ended>, Trouble> {
        self.process.take().map(Process::finish).transpose()
    }

    /// Ends it without a word.
    pub(crate) fn kill(&mut self) -> Result<Option<Ended>, Trouble> {
        self.process.take().map(Process::kill).transpose()
    }

    /// Asks it to end, whatever comes of it.
    pub(crate) fn stop(&mut self) -> Result<Option<Ended>, Trouble> {
        self.process.take().map(Process::terminate).transpose()
    }

    /// Asks it to end, which it has to do in order.
    pub(crate) fn terminate(&mut self) -> Result<Option<Ended>, Trouble> {
        let ended = self.stop()?;
        ended.map(|ended| ended.expect_codes(&[0])).transpose()
    }
}
