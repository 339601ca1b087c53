//! A registration and a rotation of the admin token, killed at every step on either side; then the
//! same command again.

use ctx_io::failpoint::{STEPS, VARIABLE};
use serde_json::Value;

use crate::harness::{Project, Run, TestHub, World};

/// The places that `run` passes: each step, and which time it is.
fn places(world: &World, run: impl FnOnce(&str) -> Run) -> Vec<String> {
    let notes = world.root().join("notes");
    fs_err::remove_file(&notes).ok();
    let rules: Vec<String> = STEPS
        .iter()
        .map(|step| format!("{step}=note:{notes}"))
        .collect();
    let run = run(&rules.join(";"));
    assert_eq!(run.code, 0, "{}", run.show());
    let notes = fs_err::read_to_string(notes).unwrap();
    let passed = |step: &&str| {
        let is = |note: &&str| note.split(' ').next() == Some(*step);
        notes.lines().filter(is).count()
    };
    STEPS
        .iter()
        .flat_map(|step| (1..=passed(step)).map(move |number| format!("{step}#{number}")))
        .collect()
}

fn invite(world: &World, hub: &TestHub, project: &str) -> String {
    let data = hub.data.path().as_str();
    let args = ["hub", "invite", "--project", project, "--data-dir", data];
    let made = world.ctx(&[&args[..], &["--json"]].concat());
    made.json()["invitation"].as_str().unwrap().to_owned()
}

fn listed(world: &World, hub: &TestHub, what: &str) -> Vec<Value> {
    let data = hub.data.path().as_str();
    let run = world.ctx(&["hub", what, "--data-dir", data, "--json"]);
    assert_eq!(run.code, 0, "{}", run.show());
    run.json()[what].as_array().unwrap().clone()
}

/// What is left is as if nobody had been killed: one client of that name, one use, and it works.
fn check(world: &World, hub: &TestHub, project: &Project<'_>, name: &str, place: &str) {
    let clients = listed(world, hub, "clients");
    let ours = |row: &&Value| row["project"] == name;
    assert_eq!(clients.iter().filter(ours).count(), 1, "{place}");
    let invitations = listed(world, hub, "invitations");
    let row = invitations.iter().find(ours).unwrap();
    assert_eq!(
        (&row["state"], &row["used"]),
        (&"used".into(), &1.into()),
        "{place}"
    );
    assert_eq!(
        project.publish("task", place),
        project.sync().max(1),
        "{place}"
    );
}

#[test]
fn a_registration_killed_at_any_step_is_answered_when_it_is_asked_for_again() {
    let world = World::in_memory();
    let hub = world.hub();
    let register = |project: &Project<'_>, name: &str, invitation: &str, rules: &str| {
        let args = ["connect", "register", &hub.address, "--project", name];
        project.with(
            &[&args[..], &["--invitation", invitation]].concat(),
            |ctx| {
                if !rules.is_empty() {
                    ctx.env(VARIABLE, rules);
                }
            },
        )
    };
    // The first one in a home makes the key.
    let (first, control) = (world.project("first"), world.project("control"));
    register(&first, "first", &invite(&world, &hub, "first"), "");
    let invitation = invite(&world, &hub, "control");
    let places = places(&world, |rules| {
        register(&control, "control", &invitation, rules)
    });
    for step in ["register.sealed", "register.answered", "register.saved"] {
        let passed = |place: &String| place.starts_with(step);
        assert!(places.iter().any(passed), "never there: {step}");
    }
    println!("{} kills of a registration", places.len());
    for (number, place) in places.iter().enumerate() {
        let name = format!("project-{number}");
        let project = world.project(&name);
        let invitation = invite(&world, &hub, &name);
        let killed = register(&project, &name, &invitation, &format!("{place}=kill"));
        assert_eq!(killed.code, -1, "{place}: {}", killed.show());
        let again = register(&project, &name, &invitation, "");
        if project.context().connect_file().exists() && again.code != 0 {
            // It was saved before the kill, and says so.
            assert!(again.stderr.contains("registered already"), "{place}");
        } else {
            assert_eq!(again.code, 0, "{place}: {}", again.show());
            assert!(
                !project.context().pending_connect_file().exists(),
                "{place}"
            );
        }
        let clients = listed(&world, &hub, "clients");
        let ours = |row: &&Value| row["project"] == name.as_str();
        assert_eq!(clients.iter().filter(ours).count(), 1, "{place}");
        let invitations = listed(&world, &hub, "invitations");
        let row = invitations.iter().find(ours).unwrap();
        assert_eq!(row["used"], 1, "{place}");
        project.publish("task", place);
    }
}

#[test]
fn a_hub_killed_at_any_step_of_a_registration_answers_it_when_it_is_asked_again() {
    let world = World::in_memory();
    for (number, step) in ["store.committing", "store.committed", "store.marked#2"]
        .into_iter()
        .enumerate()
    {
        let data = world.root().join(format!("data-{number}"));
        let hub = world.hub_at(&data);
        let name = format!("project-{number}");
        let invitation = invite(&world, &hub, &name);
        hub.stop(&world);
        // The first transaction of this one is the registration; what it finds at its start is marked.
        let hub = world.hub_with("127.0.0.1:0", &data, |command| {
            command.env(VARIABLE, format!("{step}=kill"));
        });
        let project = world.project(&name);
        let register = |address: &str| {
            let args = ["connect", "register", address, "--project", &name];
            project.ctx(&[&args[..], &["--invitation", &invitation]].concat())
        };
        let address = hub.address.clone();
        let lost = register(&address);
        assert_eq!(lost.code, 4, "{step}: {}", lost.show());
        assert!(lost.stderr.contains("run the same command again"), "{step}");
        hub.kill();
        // At the same address: the token was sealed for that one.
        let hub = world.hub_on(&address, &data);
        let again = register(&address);
        assert_eq!(again.code, 0, "{step}: {}", again.show());
        check(&world, &hub, &project, &name, step);
    }
}

/// Whether the admin token registers a project.
fn works(world: &World, hub: &TestHub, token: &str) -> bool {
    let args = ["hub", "clients", "--hub", &hub.address, "--token", token];
    let run = world.ctx(&args);
    assert!(matches!(run.code, 0 | 5), "{}", run.show());
    run.code == 0
}

#[test]
fn a_rotation_killed_at_any_step_leaves_one_token_that_counts_and_a_way_to_another() {
    let world = World::in_memory();
    let data = world.root().join("data");
    let hub = world.hub_at(&data);
    let mut old = hub.token();
    hub.stop(&world);
    let rotate = |rules: &str| {
        let mut command = world.command();
        command.args(["hub", "token", "rotate", "--data-dir", data.as_str()]);
        if !rules.is_empty() {
            command.env(VARIABLE, rules);
        }
        world.read(command.output().unwrap())
    };
    let token = |run: &Run| run.stdout.trim().to_owned();
    let places = places(&world, |rules| {
        let run = rotate(rules);
        old = token(&run);
        run
    });
    for step in ["store.committing", "rotate.kept", "rotate.file-removed"] {
        let passed = |place: &String| place.starts_with(step);
        assert!(places.iter().any(passed), "never there: {step}");
    }
    println!("{} kills of a rotation", places.len());
    let file = ctx_config::paths::DataDir::new(&data).admin_token();
    for place in &places {
        // As an older hub left it, so that there is a file to remove.
        crate::harness::put(&file, old.as_bytes());
        crate::harness::chmod(&file, 0o600);
        let killed = rotate(&format!("{place}=kill"));
        assert_eq!(
            (killed.code, token(&killed)),
            (-1, String::new()),
            "{place}"
        );
        let hub = world.hub_at(&data);
        let kept = works(&world, &hub, &old);
        // Its file is there as long as it counts.
        assert!(!kept || file.exists(), "{place}");
        hub.stop(&world);

        let again = rotate("");
        assert_eq!(again.code, 0, "{place}: {}", again.show());
        let new = token(&again);
        assert!(!file.exists(), "{place}");
        let hub = world.hub_at(&data);
        assert!(works(&world, &hub, &new), "{place}");
        assert!(!works(&world, &hub, &old), "{place}");
        hub.stop(&world);
        old = new;
    }
}
