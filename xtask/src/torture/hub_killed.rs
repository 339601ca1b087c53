//! The hub killed or stopped under load, and started again where it was.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::episode::{Episode, Stage};
use super::hub::Hub;
use super::listen_and_sync::{caught_up, listening, start};
use super::mirror::Ledger;
use super::prng::Prng;
use super::process::BOUND;
use super::publish::{self, Draft};
use super::trouble::Trouble;
use super::world::Project;

const PUBLISHERS: u64 = 4;

/// How the hub ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Killed,
    Stopped,
}

/// Rounds in which the hub is killed.
pub(crate) fn killed(episode: &mut Episode<'_>) -> Result<(), Trouble> {
    run(episode, End::Killed)
}

/// Rounds in which the hub is asked to end.
pub(crate) fn stopped(episode: &mut Episode<'_>) -> Result<(), Trouble> {
    run(episode, End::Stopped)
}

/// Rounds of publishers, several ends of the hub under them, and then everything compared. The
/// subject listens all the time, and dials again by itself.
fn run(episode: &mut Episode<'_>, end: End) -> Result<(), Trouble> {
    let mut stage = Stage::new(episode.world)?;
    let mut round = 0;
    while episode.begin_round() {
        round += 1;
        let mut listener = start(&stage.subject)?;
        listening(&mut listener)?;
        let load = Load {
            over: AtomicBool::new(false),
            project: &stage.control,
            round,
        };
        let ledger = load.while_running(&mut stage.hub, episode, end)?;
        stage.writer.ledger.extend(ledger);
        // What the hub lost, the listener would wait for in vain.
        stage.audit(episode)?;
        if !episode.tally.is_clean() {
            return Ok(());
        }
        caught_up(&stage, &mut listener)?;
        listener.terminate()?.expect_codes(&[0])?;
        stage.check(episode)?;
    }
    Ok(())
}

/// Publishers at work.
struct Load<'a> {
    over: AtomicBool,
    project: &'a Project<'a>,
    round: u64,
}

impl Load<'_> {
    /// Ends and starts the hub several times under the publishers; what they were acknowledged.
    fn while_running(
        &self,
        hub: &mut Hub<'_>,
        episode: &mut Episode<'_>,
        end: End,
    ) -> Result<Ledger, Trouble> {
        let seeds: Vec<u64> = (0..PUBLISHERS).map(|_| episode.prng.next()).collect();
        std::thread::scope(|scope| {
            let spawn = |(number, seed)| scope.spawn(move || self.publisher(number, seed));
            let publishers: Vec<_> = (0..PUBLISHERS).zip(seeds).map(spawn).collect();
            let disturbed = self.disturb(hub, episode, end);
            self.over.store(true, Ordering::Relaxed);
            let mut ledger = Ledger::new();
            for publisher in publishers {
                let part = publisher
                    .join()
                    .map_err(|_| Trouble::Broken("a publisher's thread panicked".to_owned()))?;
                ledger.extend(part?);
            }
            disturbed.map(|()| ledger)
        })
    }

    fn disturb(
        &self,
        hub: &mut Hub<'_>,
        episode: &mut Episode<'_>,
        end: End,
    ) -> Result<(), Trouble> {
        for _ in 0..episode.prng.between(4, 8) {
            std::thread::sleep(episode.prng.instant(Duration::from_millis(300)));
            match end {
                End::Killed => hub.kill()?,
                End::Stopped => hub.terminate()?,
            };
            episode.tally.faults += 1;
            if episode.prng.once_in(3) {
                std::thread::sleep(episode.prng.instant(Duration::from_millis(200)));
            }
            episode.tally.recovered(hub.start()?);
        }
        Ok(())
    }

    /// Publishes entry after entry, each until it is acknowledged, some of them once more.
    fn publisher(&self, number: u64, seed: u64) -> Result<Ledger, Trouble> {
        let mut prng = Prng::new(seed);
        let mut ledger = Ledger::new();
        let mut count = 0;
        while !self.over.load(Ordering::Relaxed) {
            count += 1;
            let id = format!("r{}p{number}n{count}", self.round);
            let draft = match prng.once_in(25) {
                true => Draft::large(id, &mut prng),
                false => Draft::random(id, &mut prng),
            };
            for _ in 0..=u64::from(prng.once_in(6)) {
                let sequence = self.until_acknowledged(&draft)?;
                publish::note(&mut ledger, &draft.id, sequence)?;
            }
        }
        Ok(ledger)
    }

    fn until_acknowledged(&self, draft: &Draft) -> Result<u64, Trouble> {
        let started = Instant::now();
        while started.elapsed() < BOUND {
            let process = publish::start(self.project, draft, &["--timeout", "3s"])?;
            let ended = process.finish()?.expect_codes(&[0, 4])?;
            if let Some(sequence) = publish::acknowledged(&ended)? {
                return Ok(sequence);
            }
        }
        let id = &draft.id;
        Err(Trouble::Wedged(format!("{id} was never acknowledged")))
    }
}
