//! A network that delays, cuts, resets, stalls and refuses, between a client and its hub.

use std::time::Duration;

use super::episode::{Episode, Stage};
use super::mirror::Ledger;
use super::prng::Prng;
use super::publish::{self, Draft};
use super::relay::{Mode, Relay, Way};
use super::trouble::Trouble;
use super::world::Project;

/// How long a client waits for a hub in this scenario.
const PATIENCE: [&str; 2] = ["--timeout", "300ms"];
/// Done, or the hub cannot be reached; no other code is the truth here.
const ALLOWED: [i32; 2] = [0, 4];

/// Rounds of several faults, then an undisturbed sync.
pub(crate) fn run(episode: &mut Episode<'_>) -> Result<(), Trouble> {
    let mut stage = Stage::new(episode.world)?;
    let relay = Relay::new(&stage.hub.address)?;
    stage.subject = episode
        .world
        .project("relayed", relay.address(), &stage.hub.token)?;
    stage.writer.fill(8, 2, &mut episode.prng)?;
    stage.check(episode)?;
    let mut number = 0;
    while episode.begin_round() {
        for _ in 0..episode.prng.between(3, 6) {
            number += 1;
            let draft = Draft::random(format!("n{number}"), &mut episode.prng);
            disturb(&mut stage, &relay, &draft, episode)?;
        }
        stage.check(episode)?;
    }
    Ok(())
}

/// One fault under a sync and a publish at once.
fn disturb(
    stage: &mut Stage<'_>,
    relay: &Relay,
    draft: &Draft,
    episode: &mut Episode<'_>,
) -> Result<(), Trouble> {
    let prng = &mut episode.prng;
    stage.writer.begin(prng.below(4), prng)?;
    stage.writer.settle()?;
    relay.set(fault(prng))?;
    episode.tally.faults += 1;
    let mut args = vec!["connect", "sync"];
    args.extend(PATIENCE);
    if prng.once_in(4) {
        args.push("--full");
    }
    let sync = stage.subject.start(&args)?;
    let sending = publish::start(&stage.subject, draft, &PATIENCE)?;
    sync.finish()?.expect_codes(&ALLOWED)?;
    let answer = publish::acknowledged(&sending.finish()?.expect_codes(&ALLOWED)?)?;
    relay.set(Mode::Pass)?;
    repeat(&stage.subject, draft, answer, &mut stage.writer.ledger)
}

/// The same entry once more, undisturbed: it is stored once, under the sequence of the first
/// answer if there was one.
fn repeat(
    project: &Project<'_>,
    draft: &Draft,
    answer: Option<u64>,
    ledger: &mut Ledger,
) -> Result<(), Trouble> {
    if let Some(sequence) = answer {
        publish::note(ledger, &draft.id, sequence)?;
    }
    let ended = publish::start(project, draft, &[])?.finish()?;
    match publish::acknowledged(&ended.expect_codes(&[0])?)? {
        Some(sequence) => publish::note(ledger, &draft.id, sequence),
        None => Ok(()),
    }
}

/// Any fault, at any byte of a conversation; the first bytes as likely as the last ones.
fn fault(prng: &mut Prng) -> Mode {
    let way = match prng.once_in(3) {
        true => Way::ToHub,
        false => Way::ToClient,
    };
    let bytes = Duration::from_secs_f64(prng.magnitude(1.0, 3_000_000.0)).as_secs();
    match prng.below(11) {
        0 | 1 => Mode::Delay(Duration::from_millis(prng.between(1, 60))),
        2..=4 => Mode::Cut(way, bytes),
        5..=7 => Mode::Reset(way, bytes),
        8 | 9 => Mode::Stall(way, bytes),
        _ => Mode::Refuse,
    }
}
