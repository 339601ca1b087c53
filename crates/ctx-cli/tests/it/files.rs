//! How many files a hub may open, and what it does when there are no more.

use std::net::TcpStream;

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
fn a_hub_with_few_files_refuses_connections_answers_its_operator_and_goes_on() {
    let world = World::new();
    let said = world.root().join("said");
    let hub = world.hub_after("ulimit -n 64", &said);
    let connections: Vec<TcpStream> = (0..100)
        .map(|_| TcpStream::connect(&hub.address).unwrap())
        .collect();
    until("a connection is refused", || {
        let said = fs_err::read_to_string(&said).unwrap();
        said.contains("refused: too many connections").then_some(())
    });
    let status = world.ctx(&["hub", "status", "--data-dir", hub.data.path().as_str()]);
    assert_eq!(status.code, 0, "{}", status.show());
    let said = fs_err::read_to_string(&said).unwrap();
    assert!(!said.contains("cannot accept"), "{said}");

    drop(connections);
    let project = world.project("alpha");
    let token = hub.token();
    let register = ["connect", "register", &hub.address, "--token", &token];
    until("there is a place again", || {
        (project.ctx(&register).code == 0).then_some(())
    });
    assert_eq!(project.publish("task", "after all"), 1);
    hub.stop(&world);
}
