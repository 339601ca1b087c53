//! The settings file of a hub, and `ctx hub start --check`.

use ctx_config::paths::{self, DataDir};
use insta::assert_snapshot;

use crate::harness::{World, put};

#[test]
fn a_settings_file_that_is_wrong_starts_no_hub_and_is_told_with_the_place() {
    let world = World::new();
    let data = DataDir::new(world.root().join("data"));
    ctx_io::ensure_private_dir(data.path(), paths::PRIVATE_DIR_MODE).unwrap();
    put(
        &data.settings(),
        b"[limits]\nlisteners = 5\ndayly_bytes = 1\n",
    );
    let dir = data.path().as_str();
    for more in [&[][..], &["--check"], &["--daemon"]] {
        let mut args = vec!["hub", "start", "--port", "0", "--data-dir", dir];
        args.extend(more);
        let run = world.ctx(&args);
        insta::allow_duplicates! {
            assert_snapshot!(run.show(), @r"
            exit 2
            --- stderr
            error: [root]/data/hub.toml:3:1: limits.dayly_bytes is not a setting; did you mean limits.daily_bytes?
            hint: `ctx hub start --check` says whether the settings are right, and which they are
            ");
        }
    }
    let args = [
        "hub",
        "start",
        "--check",
        "--data-dir",
        dir,
        "--config",
        "none.toml",
    ];
    assert_snapshot!(world.ctx(&args).show(), @r"
    exit 2
    --- stderr
    error: there is no settings file none.toml
    hint: name one that is there, or leave out --config
    ");
    let left = fs_err::read_dir(data.path()).unwrap().count();
    assert_eq!(left, 1, "nothing was made");
}

#[test]
fn a_check_prints_the_settings_in_effect_and_starts_nothing() {
    let world = World::new();
    let run = world.ctx(&["hub", "start", "--check"]);
    assert_eq!(run.code, 0, "{}", run.show());
    assert!(
        run.stdout.starts_with("# no settings file"),
        "{}",
        run.show()
    );
    assert!(!world.user().hub_data().path().exists());

    let file = world.root().join("mine.toml");
    put(&file, b"[limits]\nlisteners = 5\n");
    let run = world.ctx(&["hub", "start", "--check", "--config", file.as_str()]);
    assert_eq!(run.code, 0, "{}", run.show());
    assert!(run.stdout.contains("\nlisteners = 5\n"), "{}", run.show());
    assert!(
        run.stdout.contains("\nlisteners_per_client = 256\n"),
        "{}",
        run.show()
    );
    // What was printed is a settings file itself.
    put(&file, run.stdout.as_bytes());
    let again = world.ctx(&["hub", "start", "--check", "--config", file.as_str()]);
    assert_eq!(run.stdout, again.stdout);
}

#[test]
fn a_check_works_beside_a_running_hub_and_finds_what_the_next_start_would() {
    let world = World::new();
    let hub = world.hub();
    let data = hub.data.clone();
    let dir = data.path().as_str();
    let check = ["hub", "start", "--check", "--data-dir", dir];
    let run = world.ctx(&check);
    assert_eq!(run.code, 0, "{}", run.show());
    // The file of the token decides nothing any more.
    put(&hub.data.admin_token(), b"hunter2");
    let run = world.ctx(&check);
    assert_eq!(run.code, 0, "{}", run.show());
    hub.stop(&world);
    fs_err::remove_file(data.store()).unwrap();
    let run = world.ctx(&check);
    assert_eq!(run.code, 7, "{}", run.show());
    assert!(
        run.stderr.contains("holds no admin token"),
        "{}",
        run.show()
    );
}
