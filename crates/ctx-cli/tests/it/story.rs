//! The story that the README tells, by hand: every command, in order.

use insta::assert_snapshot;

use crate::harness::{Project, World};

/// The first line that a listener prints, and that it ends in order.
fn listen_to_one(reader: &Project<'_>, publish: impl FnOnce()) -> String {
    use std::io::{BufRead as _, BufReader};
    let mut listener = reader.spawn(&["connect", "listen"]);
    let mut stderr = BufReader::new(listener.0.stderr.take().unwrap());
    let mut said = String::new();
    while !said.contains("listening") {
        assert_ne!(stderr.read_line(&mut said).unwrap(), 0, "{said}");
    }
    publish();
    let mut line = String::new();
    let mut stdout = BufReader::new(listener.0.stdout.take().unwrap());
    stdout.read_line(&mut line).unwrap();
    listener.signal(rustix::process::Signal::INT);
    assert!(listener.wait().success());
    line
}

#[test]
fn two_projects_share_decisions_through_a_hub() {
    let world = World::new();
    let hub = world.hub();
    let (billing, website) = (world.dir("billing"), world.dir("website"));
    let data = hub.data.path().as_str();

    assert_snapshot!(billing.ctx(&["init"]).show(), @r#"
    exit 0
    --- stdout
    created .context
    created .context/DECISIONS.md
    created .context/LEARNINGS.md
    created .context/CONVENTIONS.md
    created .context/TASKS.md
    "#);
    website.ok(&["init"]);

    let register = ["connect", "register", &hub.address, "--token", "-"];
    let run = billing.with(&register, |ctx| {
        ctx.write_stdin(hub.token());
    });
    assert_snapshot!(run.show(), @r#"
    exit 0
    --- stdout
    registered billing with the hub at 127.0.0.1:[port]
    client [id]
    "#);
    website.ok(&[
        "connection",
        "register",
        &hub.address,
        "--token",
        &hub.token(),
    ]);

    assert_snapshot!(website.ctx(&["connect", "subscribe", "decision", "task"]).show(), @r#"
    exit 0
    --- stdout
    subscribed to decision, task
    "#);
    let run = billing.ctx(&["connect", "publish", "decision", "Amounts are cents"]);
    assert_snapshot!(run.show(), @r#"
    exit 0
    --- stdout
    published decision 1 (id [id])
    "#);
    billing.publish("learning", "Floats lost a cent");
    billing.publish("task", "Move to integers");

    assert_snapshot!(website.ctx(&["connect", "sync"]).show(), @r#"
    exit 0
    --- stdout
    2 new entries (1 decision, 1 task)
    "#);
    assert_snapshot!(website.ctx(&["connect", "sync"]).show(), @r#"
    exit 0
    --- stdout
    nothing new
    "#);

    let line = listen_to_one(&website, || {
        billing.publish("decision", "Dates are UTC\nfor all");
    });
    assert_snapshot!(line, @r#"4 decision from billing: Dates are UTC"#);

    assert_snapshot!(website.ctx(&["connect", "status"]).show(), @r#"
    exit 0
    --- stdout
    project      website
    client       [id]
    token        does not expire
    hub          127.0.0.1:[port]
    subscribed   decision, task
    mirrored to  decision 4, task 4
    hub is at    4, the mirror is up to date
    entries      4 at the hub (2 decision, 1 learning, 1 task)
    sync lock    free
    outbox       empty
    "#);
    assert_snapshot!(website.ctx(&["connect", "unlock"]).show(), @r#"
    exit 0
    --- stdout
    .context/hub/.sync.lock is free
    "#);
    assert_snapshot!(world.ctx(&["hub", "status", "--data-dir", data]).show(), @r#"
    exit 0
    --- stdout
    hub             running, process [pid], since [time]
    address         127.0.0.1:[port]
    encrypted       no
    data directory  [root]/hub-of-the-test
    hub id          [id]
    version         [version]
    entries         4, the last is 4
    by type         2 decision, 1 learning, 1 task
    by project      4 billing
    clients         2 registered, 0 listening
    "#);
    assert_snapshot!(world.ctx(&["hub", "clients", "--data-dir", data]).show(), @r#"
    exit 0
    --- stdout
    CLIENT                            PROJECT  ENTRIES  REGISTERED               LAST SEEN                ADDRESS    EXPIRES  STATE
    [id]  billing  4        [time]  [time]  127.0.0.1  never    live
    [id]  website  0        [time]  [time]  127.0.0.1  never    live
    "#);

    let clients = world
        .ctx(&["hub", "clients", "--json", "--data-dir", data])
        .json();
    let client = clients["clients"][0]["client_id"].as_str().unwrap();
    let run = world.ctx(&["hub", "revoke", client, "--data-dir", data]);
    assert_snapshot!(run.show(), @r#"
    exit 0
    --- stdout
    revoked client [id] of billing
    "#);
    let run = billing.ctx(&["connect", "publish", "decision", "Too late"]);
    assert_snapshot!(run.show(), @r#"
    exit 5
    --- stderr
    error: the hub at 127.0.0.1:[port] refused the credentials: invalid or missing credentials
    hint: use the hub's admin token (admin.token in its data directory) to register, or register this project again if its token was revoked
    "#);

    let run = world.ctx(&["hub", "stop", "--data-dir", data]);
    assert_snapshot!(run.show(), @r#"
    exit 0
    --- stdout
    stopped the hub of [root]/hub-of-the-test (process [pid])
    "#);
    assert_snapshot!(website.ctx(&["connect", "sync", "--timeout", "5s"]).show(), @r#"
    exit 4
    --- stderr
    error: cannot reach the hub at 127.0.0.1:[port]
      caused by: Connection refused (os error 111)
    hint: check that the hub runs (`ctx hub status` on its machine) and that the address is right
    "#);
    drop(hub);
}

#[test]
fn the_mirror_says_who_published_what() {
    let world = World::new();
    let hub = world.hub();
    let (billing, website) = (
        world.registered("billing", &hub),
        world.registered("website", &hub),
    );
    billing.publish("decision", "Amounts are cents\n\nNo floats.");
    website.publish("decision", "Pages are static");
    assert_eq!((billing.sync(), website.sync()), (2, 2));
    let decisions = website.mirrored(ctx_config::paths::DECISIONS_FILE);
    assert!(decisions.contains("] Amounts are cents\n"), "{decisions}");
    assert!(decisions.contains("**Origin**: billing\n\nAmounts are cents\n\nNo floats.\n"));
    assert!(decisions.contains("**Origin**: website\n\nPages are static\n"));
    assert_eq!(
        decisions,
        billing.mirrored(ctx_config::paths::DECISIONS_FILE)
    );
}

#[test]
fn entries_survive_a_restart_of_the_hub() {
    let world = World::new();
    let hub = world.hub();
    let proxy = crate::proxy::Proxy::to(&hub.address, crate::proxy::Mode::Forward);
    let billing = world.registered_at("billing", &proxy.address, &hub);
    let large = "x".repeat(1_048_576);
    billing.publish("learning", &large);
    billing.publish("decision", &"y".repeat(70_000));
    let data = hub.data.clone();
    hub.stop(&world);
    let hub = world.hub_at(data.path());
    proxy.lead_to(&hub.address);
    assert_eq!(billing.sync(), 2);
    let learnings = billing.mirrored(ctx_config::paths::LEARNINGS_FILE);
    assert!(learnings.contains(&large));
}

#[test]
fn an_entry_published_again_under_its_id_is_stored_once() {
    let world = World::new();
    let hub = world.hub();
    let billing = world.registered("billing", &hub);
    let publish =
        |id: &str| billing.json(&["connect", "publish", "task", "Move to integers", "--id", id]);
    let first = publish("build-7");
    assert_eq!(
        (&first["id"], &first["sequence"]),
        (&"build-7".into(), &1.into())
    );
    assert_eq!(publish("build-7"), first);
    assert_eq!(publish("build-8")["sequence"], 2);
    assert_eq!(billing.sync(), 2);
    for (id, why) in [
        ("", "an id is not empty"),
        (&"x".repeat(257), "at most 256 bytes"),
    ] {
        let run = billing.ctx(&["connect", "publish", "task", "no", "--id", id]);
        assert_eq!(run.code, 2, "{}", run.show());
        assert!(run.stderr.contains(why), "{}", run.show());
    }
}
