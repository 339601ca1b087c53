//! `ctx demo`: the whole story in one command.

use crate::harness::World;

#[test]
fn the_demo_tells_the_story_and_leaves_nothing() {
    let world = World::new();
    let temporary = world.dir("tmp");
    let run = temporary.with(&["demo"], |ctx| {
        ctx.env("TMPDIR", temporary.dir.as_str());
    });
    assert_eq!((run.code, run.stderr.as_str()), (0, ""), "{}", run.show());
    let syncs = run
        .stdout
        .matches("$ ctx connect sync\n1 new entry (1 decision)\n")
        .count();
    assert_eq!(syncs, 2, "{}", run.stdout);
    assert!(
        run.stdout
            .contains("website $ cat .context/hub/decisions.md\n")
    );
    assert!(
        run.stdout
            .contains("**Origin**: billing\n\nDates are UTC everywhere\n")
    );
    assert_eq!(fs_err::read_dir(&temporary.dir).unwrap().count(), 0);
    assert_eq!(
        fs_err::read_dir(world.home()).unwrap().count(),
        0,
        "no key was made at home"
    );
}

#[test]
fn the_demo_is_one_document_for_programs_and_needs_no_home() {
    let world = World::new();
    let run = world.dir("d").with(&["demo", "--json"], |ctx| {
        ctx.env_remove("HOME");
    });
    assert_eq!((run.code, run.stderr.as_str()), (0, ""), "{}", run.show());
    let document = run.json();
    let steps = document["steps"].as_array().unwrap();
    let syncs: Vec<_> = steps
        .iter()
        .filter(|step| step["command"] == "ctx connect sync")
        .collect();
    assert_eq!(syncs.len(), 2);
    assert!(syncs.iter().all(|sync| sync["result"]["new_entries"] == 1));
    assert_eq!(
        document["mirror"]
            .as_str()
            .unwrap()
            .matches("\n## ")
            .count(),
        1
    );
    assert!(
        !run.stdout.contains(ctx_config::wire::ADMIN_TOKEN_PREFIX),
        "no token is shown"
    );
}

#[test]
fn a_demo_that_cannot_have_a_directory_fails() {
    let world = World::new();
    let run = world.dir("d").with(&["demo"], |ctx| {
        ctx.env("TMPDIR", world.root().join("missing").as_str());
    });
    assert_eq!(run.code, 1, "{}", run.show());
    assert!(
        run.stderr
            .starts_with("error: cannot make a temporary directory\n")
    );
}
