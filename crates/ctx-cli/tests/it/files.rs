//! How many files a hub may open, and what it does when there are no more.

use std::net::TcpStream;
use std::time::Instant;

use ctx_config::limits::ACCEPT_PAUSE;

use crate::harness::{World, until};

#[cfg(target_os = "linux")]
#[test]
fn a_hub_may_open_as_many_files_as_the_system_lets_it() {
    let world = World::new();
    let said = world.root().join("said");
    let hub = world.hub_after("ulimit -S -n 128 && ulimit -H -n 512", &said);
    let limits = fs_err::read_to_string(format!("/proc/{}/limits", hub.pid())).unwrap();
    let files = limits
        .lines()
        .find(|line| line.starts_with("Max open files"));
    let soft_and_hard: Vec<&str> = files.unwrap().split_whitespace().skip(3).take(2).collect();
    assert_eq!(soft_and_hard, ["512", "512"]);
    hub.stop(&world);
}

#[test]
fn a_hub_without_a_free_file_neither_spins_nor_dies_and_goes_on_when_there_is_one() {
    let world = World::new();
    let said = world.root().join("said");
    let since = Instant::now();
    let hub = world.hub_after("ulimit -n 64", &said);
    let connections: Vec<TcpStream> = (0..100)
        .map(|_| TcpStream::connect(&hub.address).unwrap())
        .collect();
    let failures = || {
        let said = fs_err::read_to_string(&said).unwrap();
        said.matches("cannot accept a connection").count()
    };
    until("accepting fails, again and again", || {
        (failures() >= 5).then_some(())
    });
    // Counted first, so that a pause of this test can only raise the bound.
    let failures = failures();
    let most = since.elapsed().as_millis() / ACCEPT_PAUSE.as_millis() + 1;
    assert!(failures as u128 <= most, "{failures} of at most {most}");

    drop(connections);
    let project = world.registered("alpha", &hub);
    assert_eq!(project.publish("task", "after all"), 1);
    hub.stop(&world);
}
