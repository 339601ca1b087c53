//! Hubs that are down, mute, or none: a clear error, exit code 4, and nothing lost.

use insta::assert_snapshot;

use crate::harness::World;
use crate::proxy::{Mode, Proxy};

#[test]
fn a_hub_that_is_down_is_told_from_one_that_is_mute() {
    let world = World::new();
    let hub = world.hub();
    let proxy = Proxy::to(&hub.address, Mode::Forward);
    let project = world.registered_at("p", &proxy.address, &hub);
    project.publish("task", "one");
    proxy.set(Mode::Mute);
    let quick = |command: &'static str| ["connect", command, "--timeout", "2s"];
    assert_snapshot!(project.ctx(&quick("sync")).show(), @r#"
    exit 4
    --- stderr
    error: the hub at 127.0.0.1:[port] did not answer sync within 2s
    hint: check that it is a ctx hub that listens at 127.0.0.1:[port], and that it is not overloaded
    "#);
    assert_snapshot!(project.ctx(&quick("status")).show(), @r#"
    exit 4
    --- stdout
    project      p
    client       [id]
    token        does not expire
    hub          127.0.0.1:[port] (cannot be reached)
    subscribed   decision, learning, convention, task
    mirrored to  convention 0, decision 0, learning 0, task 0
    sync lock    free
    outbox       empty
    --- stderr
    error: the hub at 127.0.0.1:[port] did not answer status within 2s
    hint: check that it is a ctx hub that listens at 127.0.0.1:[port], and that it is not overloaded
    "#);
    let mut publish = quick("publish").to_vec();
    publish.extend(["task", "two", "--no-queue"]);
    assert_snapshot!(project.ctx(&publish).show(), @r#"
    exit 4
    --- stderr
    error: the hub at 127.0.0.1:[port] did not answer publish within 2s
    hint: check that it is a ctx hub that listens at 127.0.0.1:[port], and that it is not overloaded
    "#);
    let token = hub.token();
    let other = world.project("q");
    let mut register = quick("register").to_vec();
    register.extend([proxy.address.as_str(), "--token", &token]);
    assert_snapshot!(other.ctx(&register).show(), @r#"
    exit 4
    --- stderr
    error: the hub at 127.0.0.1:[port] did not answer register within 2s
    hint: it may be registered: run the same command again, and the hub answers the same registration
    "#);
    assert!(!other.context().connect_file().exists());
    assert!(!project.mirror().sync_lock().exists());
    proxy.set(Mode::Forward);
    assert_eq!(project.sync(), 1);

    let address = hub.address.clone();
    hub.kill();
    register[4] = &address;
    assert_snapshot!(other.ctx(&register).show(), @r#"
    exit 4
    --- stderr
    error: cannot reach the hub at 127.0.0.1:[port]
      caused by: Connection refused (os error 111)
    hint: check that the hub runs (`ctx hub status` on its machine) and that the address is right
    "#);
    assert!(!other.context().connect_file().exists());
}

#[test]
fn status_shows_what_is_known_here_when_the_hub_is_down() {
    let world = World::new();
    let hub = world.hub();
    let project = world.registered("p", &hub);
    project.publish("task", "one");
    project.sync();
    hub.kill();
    assert_snapshot!(project.ctx(&["connect", "status"]).show(), @r#"
    exit 4
    --- stdout
    project      p
    client       [id]
    token        does not expire
    hub          127.0.0.1:[port] (cannot be reached)
    subscribed   decision, learning, convention, task
    mirrored to  convention 1, decision 1, learning 1, task 1
    sync lock    free
    outbox       empty
    --- stderr
    error: cannot reach the hub at 127.0.0.1:[port]
      caused by: Connection refused (os error 111)
    hint: check that the hub runs (`ctx hub status` on its machine) and that the address is right
    "#);
    let run = project.ctx(&["connect", "status", "--json"]);
    assert_eq!(run.code, 4);
    let document = run.json();
    assert_eq!(document["cursors"]["task"], 1);
    assert_eq!(document["error"]["kind"], "unreachable");
}

#[test]
fn what_needs_a_hub_that_is_down_says_so_and_changes_nothing() {
    let world = World::new();
    let hub = world.hub();
    let project = world.registered("p", &hub);
    project.publish("task", "one");
    project.sync();
    let tasks = project.mirrored(ctx_config::paths::TASKS_FILE);
    hub.kill();
    let publish = ["connect", "publish", "task", "two", "--no-queue"];
    let full = ["connect", "sync", "--full"];
    for args in [&["connect", "sync"][..], &full, &publish] {
        insta::allow_duplicates! {
            assert_snapshot!(project.ctx(args).show(), @r#"
            exit 4
            --- stderr
            error: cannot reach the hub at 127.0.0.1:[port]
              caused by: Connection refused (os error 111)
            hint: check that the hub runs (`ctx hub status` on its machine) and that the address is right
            "#);
        }
        assert!(!project.mirror().sync_lock().exists());
    }
    assert_eq!(project.mirrored(ctx_config::paths::TASKS_FILE), tasks);
}

#[test]
fn what_does_not_speak_the_protocol_is_said_not_to() {
    use std::io::{Read as _, Write as _};
    let world = World::new();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let answer = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n";
            std::thread::spawn(move || {
                // The whole request first: an answer before it would be a connection that breaks.
                let mut asked = Vec::new();
                let mut byte = [0];
                while !asked.ends_with(&[b'0'; 64]) && stream.read(&mut byte).unwrap() == 1 {
                    asked.extend(byte);
                }
                stream.write_all(answer).unwrap();
                // Open until the other side has read and closes.
                std::io::copy(&mut stream, &mut std::io::sink()).ok();
            });
        }
    });
    let project = world.project("p");
    let token = format!("ctx_adm_{}", "0".repeat(64));
    let run = project.ctx(&["connect", "register", &address, "--token", &token]);
    assert_snapshot!(run.show(), @r#"
    exit 1
    --- stderr
    error: what answers at 127.0.0.1:[port] does not follow the protocol of a ctx hub
      caused by: the answer is not HTTP/2
      caused by: connection error detected: frame with invalid size
    hint: check that it is a ctx hub that listens there
    "#);
    assert!(!project.context().connect_file().exists());
}
