//! A listener outlives trouble: a hub that is not there yet, a disk that is full for a while.

use std::io::{BufRead as _, BufReader};

use ctx_config::paths;
use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, prlimit};

use crate::harness::{World, until};
use crate::proxy::{Mode, Proxy};

#[test]
fn a_listener_waits_for_a_hub_that_is_not_there_yet_and_says_so_once() {
    let world = World::new();
    let hub = world.hub();
    let proxy = Proxy::to(&hub.address, Mode::Forward);
    let project = world.registered_at("p", &proxy.address, &hub);
    project.publish("task", "one");
    let data = hub.data.clone();
    hub.stop(&world);
    let mut listener = project.spawn(&["connect", "listen", "--timeout", "10s"]);
    let mut stderr = BufReader::new(listener.0.stderr.take().unwrap()).lines();
    let away = stderr.next().unwrap().unwrap();
    assert!(away.ends_with("; trying again"), "{away}");
    let hub = world.hub_at(data.path());
    proxy.lead_to(&hub.address);
    assert_eq!(stderr.next().unwrap().unwrap(), "listening");
    until("the entry is mirrored", || {
        (!project.mirrored(paths::TASKS_FILE).is_empty()).then_some(())
    });
    listener.signal(Signal::TERM);
    assert!(listener.wait().success());
}

#[test]
fn a_listener_that_waits_for_its_hub_ends_when_told_to() {
    let world = World::new();
    let hub = world.hub();
    let project = world.registered("p", &hub);
    hub.kill();
    let mut listener = project.spawn(&["connect", "listen"]);
    let mut stderr = BufReader::new(listener.0.stderr.take().unwrap()).lines();
    let away = stderr.next().unwrap().unwrap();
    assert!(
        away.contains("cannot reach the hub at 127.0.0.1:"),
        "{away}"
    );
    listener.signal(Signal::INT);
    assert!(listener.wait().success());
}

#[test]
fn a_listener_goes_on_when_a_full_disk_has_space_again() {
    let world = World::new();
    let hub = world.hub();
    let (reader, writer) = (world.registered("r", &hub), world.registered("w", &hub));
    writer.publish("task", "one");
    // As a shell does: a limit that is met is an error, and no signal.
    let script = r#"trap '' XFSZ; exec "$@""#;
    let mut command = std::process::Command::new("sh");
    world.clean(&mut command);
    command.args([
        "-c",
        script,
        "sh",
        crate::harness::PROGRAM,
        "connect",
        "listen",
    ]);
    command.current_dir(&reader.dir);
    command.stdout(std::process::Stdio::piped());
    command.stderr(std::process::Stdio::piped());
    let mut listener = crate::harness::Reaped(command.spawn().unwrap());
    let mut stderr = BufReader::new(listener.0.stderr.take().unwrap()).lines();
    assert_eq!(stderr.next().unwrap().unwrap(), "listening");

    let pid = Pid::from_child(&listener.0);
    let unlimited = getrlimit(Resource::Fsize);
    let limit = Rlimit {
        current: Some(20_000),
        ..unlimited
    };
    prlimit(Some(pid), Resource::Fsize, limit).unwrap();
    let before = reader.mirrored(paths::TASKS_FILE);
    writer.publish("task", &"x".repeat(40_000));
    let said = stderr.next().unwrap().unwrap();
    assert!(
        said.contains("tasks") && said.ends_with("; trying again"),
        "{said}"
    );
    assert!(said.contains("File too large"), "{said}");
    until("nothing half-applied is left", || {
        let is_free = !reader.mirror().sync_lock().exists();
        (is_free && reader.mirrored(paths::TASKS_FILE) == before).then_some(())
    });
    writer.publish("task", "small");
    assert!(listener.runs());

    prlimit(Some(pid), Resource::Fsize, unlimited).unwrap();
    assert_eq!(stderr.next().unwrap().unwrap(), "listening");
    listener.signal(Signal::TERM);
    assert!(listener.wait().success());
    assert_eq!(reader.sync(), 0, "everything is there");
    let fresh = world.registered("f", &hub);
    fresh.sync();
    assert_eq!(
        reader.mirrored(paths::TASKS_FILE),
        fresh.mirrored(paths::TASKS_FILE)
    );
}

#[cfg(feature = "failpoints")]
#[test]
fn a_listener_waits_out_every_trouble_of_the_disk() {
    let world = World::new();
    let hub = world.hub();
    let (reader, writer) = (world.registered("r", &hub), world.registered("w", &hub));
    for text in ["one", "two", "three"] {
        writer.publish("task", text);
    }
    let rules = "append.written#1=EIO; append.flushed#1=ENOSPC; lock.written#2=EDQUOT; \
        atomic.written#1=EROFS";
    let mut command = world.command();
    command.args(["connect", "listen"]).current_dir(&reader.dir);
    command.env(ctx_io::failpoint::VARIABLE, rules);
    command.stdout(std::process::Stdio::piped());
    command.stderr(std::process::Stdio::piped());
    let mut listener = crate::harness::Reaped(command.spawn().unwrap());
    let stderr = BufReader::new(listener.0.stderr.take().unwrap()).lines();
    let said = stderr.map(Result::unwrap);
    let troubles: Vec<String> = said.take_while(|line| line != "listening").collect();
    for what in [
        "(os error 5)",
        "(os error 28)",
        "(os error 122)",
        "(os error 30)",
    ] {
        assert!(
            troubles.iter().any(|line| line.contains(what)),
            "{what}: {troubles:?}"
        );
    }
    listener.signal(Signal::TERM);
    assert!(listener.wait().success());
    let fresh = world.registered("f", &hub);
    fresh.sync();
    assert_eq!(
        reader.mirrored(paths::TASKS_FILE),
        fresh.mirrored(paths::TASKS_FILE)
    );
}
