//! An episode: one world, one seed, rounds of one scenario; and what all scenarios share in it.

use std::time::{Duration, Instant};

use super::hub::Hub;
use super::mirror::{Difference, size};
use super::prng::Prng;
use super::process::BOUND_TEXT;
use super::publish::Writer;
use super::tally::Tally;
use super::trouble::Trouble;
use super::world::{Project, World};

/// A sync that lets others finish first.
pub(crate) const SYNC: [&str; 4] = ["connect", "sync", "--wait", BOUND_TEXT];
/// The same, from the hub's first entry on.
pub(crate) const FULL: [&str; 5] = ["connect", "sync", "--wait", BOUND_TEXT, "--full"];

/// When an episode is over.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Most rounds.
    pub(crate) rounds: u64,
    /// No round begins after this.
    pub(crate) until: Option<Instant>,
    /// How many places of a file are damaged, each in its own round.
    pub(crate) places: u64,
    /// Whether it is the short version: a few of all choices, the same every time.
    pub(crate) short: bool,
}

/// What a scenario works with.
#[derive(Debug)]
pub(crate) struct Episode<'a> {
    pub(crate) world: &'a World,
    pub(crate) prng: Prng,
    pub(crate) tally: &'a mut Tally,
    pub(crate) limits: Limits,
    /// What was found, in words.
    pub(crate) notes: Vec<String>,
    rounds: u64,
}

impl<'a> Episode<'a> {
    /// An episode whose choices are those of `seed`.
    pub(crate) fn new(world: &'a World, seed: u64, tally: &'a mut Tally, limits: Limits) -> Self {
        Self {
            world,
            prng: Prng::new(seed),
            tally,
            limits,
            notes: Vec::new(),
            rounds: 0,
        }
    }

    /// Begins another round, unless a fault was found or it is enough.
    pub(crate) fn begin_round(&mut self) -> bool {
        let in_time = self.limits.until.is_none_or(|until| Instant::now() < until);
        let more = in_time && self.rounds < self.limits.rounds && self.tally.is_clean();
        if more {
            self.rounds += 1;
            self.tally.rounds += 1;
        }
        more
    }

    /// Remembers that a part of the scenario cannot be tried on this machine.
    pub(crate) fn leave_out(&mut self, what: &str, why: &str) {
        let remark = format!("{what}: {why}");
        if !self.tally.left_out.contains(&remark) {
            self.tally.left_out.push(remark);
        }
    }

    /// Counts what a comparison found.
    pub(crate) fn judge(&mut self, of: &str, difference: &Difference) {
        for line in difference.count(self.tally) {
            self.notes.push(format!("{of}: {line}"));
        }
    }
}

/// A hub, someone who publishes, a project that suffers, and one that nobody disturbs.
#[derive(Debug)]
pub(crate) struct Stage<'a> {
    pub(crate) writer: Writer<'a>,
    pub(crate) subject: Project<'a>,
    pub(crate) control: Project<'a>,
    pub(crate) hub: Hub<'a>,
    counted: u64,
}

impl<'a> Stage<'a> {
    /// Sets it up.
    pub(crate) fn new(world: &'a World) -> Result<Self, Trouble> {
        Self::around(world, Hub::new(world)?)
    }

    /// Sets it up around a hub that runs.
    pub(crate) fn around(world: &'a World, hub: Hub<'a>) -> Result<Self, Trouble> {
        let project = |name| world.project(name, &hub.address, &hub.token);
        Ok(Self {
            writer: Writer::new(project("writer")?),
            subject: project("subject")?,
            control: project("control")?,
            hub,
            counted: 0,
        })
    }

    /// One more project that the hub knows.
    pub(crate) fn join(&self, name: &str) -> Result<Project<'a>, Trouble> {
        let hub = &self.hub;
        self.subject.world.project(name, &hub.address, &hub.token)
    }

    /// One more entry, one undisturbed sync of each project, and nothing may differ. Gives the
    /// time that the subject's sync took.
    pub(crate) fn check(&mut self, episode: &mut Episode<'_>) -> Result<Duration, Trouble> {
        // The last entry makes both syncs apply something, which moves every cursor to the head.
        self.writer.settle()?;
        self.writer.begin(1, &mut episode.prng)?;
        self.writer.settle()?;
        let took = self.subject.ok(&SYNC)?.took;
        episode.tally.recovered(took);
        self.control.ok(&SYNC)?;
        self.compare(episode)?;
        Ok(took)
    }

    /// What the hub has, as the control mirrors it now, against what was acknowledged.
    pub(crate) fn audit(&self, episode: &mut Episode<'_>) -> Result<(), Trouble> {
        self.control.ok(&SYNC)?;
        let known = self.control.mirror()?.audit(&self.writer.ledger, true);
        episode.judge("the control against what was acknowledged", &known);
        Ok(())
    }

    /// The subject against the control, and the control against what was acknowledged.
    pub(crate) fn compare(&mut self, episode: &mut Episode<'_>) -> Result<(), Trouble> {
        let control = self.control.mirror()?;
        let known = control.audit(&self.writer.ledger, true);
        episode.judge("the control against what was acknowledged", &known);
        let subject = self.subject.mirror()?;
        episode.judge(
            "the mirror against the control's",
            &subject.compare(&control),
        );
        let published = size(self.writer.ledger.len());
        episode.tally.published += published.saturating_sub(self.counted);
        self.counted = published;
        Ok(())
    }

    /// Takes the subject's mirror away, so that the next sync begins with the first entry.
    pub(crate) fn forget_mirror(&self) -> Result<(), Trouble> {
        let dir = self.subject.mirror_dir();
        if dir.exists() {
            fs_err::remove_dir_all(dir)?;
        }
        Ok(())
    }
}
