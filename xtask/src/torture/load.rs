//! Thousands of listeners and hundreds of publishers, put on a hub by a program of its own, whose
//! document is counted here.

use std::process::Command;

use serde_json::Value;

use super::episode::Episode;
use super::process::Process;
use super::trouble::Trouble;
use super::world::document;

/// It limits itself, and says so as a violation.
const WITHIN: std::time::Duration = std::time::Duration::from_secs(1_200);
const VIOLATED: i32 = 1;

/// One round, which ends by itself.
pub(crate) fn run(episode: &mut Episode<'_>) -> Result<(), Trouble> {
    if !episode.begin_round() {
        return Ok(());
    }
    let Some(program) = &episode.world.load else {
        return Err(Trouble::Broken("there is no program for load".to_owned()));
    };
    let mut command = Command::new(program);
    command.args(["load", "--hub", episode.world.program().as_str()]);
    if episode.limits.short {
        command.arg("--small");
    }
    let process = Process::start(command, &episode.world.root().join("logs/load"))?;
    let ended = process
        .finish_within(WITHIN)?
        .expect_codes(&[0, VIOLATED])?;
    let found = document(&ended.stdout)?;
    count(&found, episode);
    if !episode.tally.is_clean() {
        episode.notes.push(ended.stdout);
    }
    Ok(())
}

fn count(found: &Value, episode: &mut Episode<'_>) {
    let number = |value: &Value| value.as_u64().unwrap_or_default();
    let listeners = &found["listeners"];
    let tally = &mut *episode.tally;
    tally.faults = ["slow", "stalled", "frozen"]
        .map(|kind| number(&listeners[kind]))
        .iter()
        .sum();
    tally.published = number(&found["entries"]);
    tally.lost = number(&found["lost"]);
    tally.duplicated = number(&found["duplicated"]);
    let violations = found["violations"].as_array().map_or(0, Vec::len);
    tally.other = number(&found["different"]) + super::mirror::size(violations);
    if let Some(why) = listeners["limited_by"].as_str() {
        let opened = number(&listeners["opened"]);
        episode.leave_out(&format!("more than {opened} listeners"), why);
    }
    println!("   {found}");
}
