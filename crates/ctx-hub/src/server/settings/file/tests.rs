//! What is wrong with a settings file, and where.

use ctx_config::paths::DataDir;
use ctx_io::atomic;

use super::*;
use crate::server::settings::Limits;

fn parse(text: &str) -> Result<Settings, SettingsError> {
    Settings::parse(Utf8Path::new("some.toml"), text)
}

fn put(path: &Utf8Path, bytes: &[u8]) {
    atomic::write(path, bytes, atomic::Mode::Exactly(0o644)).unwrap();
}

fn said(text: &str) -> String {
    parse(text).unwrap_err().to_string()
}

#[test]
fn a_file_names_only_what_differs() {
    let settings = parse("# mine\n[limits]\nentries_per_second = 7\n").unwrap();
    let limits = Limits {
        entries_per_second: 7,
        ..Limits::default()
    };
    assert_eq!(settings.limits, limits);
    assert_eq!(parse("").unwrap(), Settings::default());
}

#[test]
fn what_is_unknown_is_refused_with_its_place_and_the_nearest_name() {
    assert_eq!(
        said("\n[limits]\n  entires_per_second = 7\n"),
        "some.toml:3:3: limits.entires_per_second is not a setting; did you mean \
         limits.entries_per_second?"
    );
    assert_eq!(
        said("[limit]\n"),
        "some.toml:1:2: limit is not a setting; did you mean limits?"
    );
    assert_eq!(
        said("[limits]\nqqq = 1\n"),
        "some.toml:2:1: limits.qqq is not a setting"
    );
}

#[test]
fn a_value_of_another_type_is_named_with_its_key() {
    let said = said("[limits]\nlisteners = \"many\"\n");
    assert!(
        said.starts_with("some.toml:2:13: limits.listeners: "),
        "{said}"
    );
    assert!(said.contains("expected u32"), "{said}");
}

#[test]
fn a_section_that_is_a_value_is_named() {
    let said = said("limits = 3\n");
    assert!(said.starts_with("some.toml:1:10: limits: "), "{said}");
}

#[test]
fn a_value_out_of_bounds_is_named_with_what_would_be_right() {
    assert_eq!(
        said("[limits]\nbatch_entries = 5000\n"),
        "some.toml:2:17: limits.batch_entries is 5000; it has to be at least 1 and at most 1000"
    );
}

#[test]
fn what_is_no_toml_is_told_with_its_line() {
    let said = said("[limits]\nlisteners = \n");
    assert!(said.starts_with("some.toml:2:"), "{said}");
}

#[test]
fn the_settings_in_effect_read_back_the_same() {
    let settings = parse("[limits]\ndaily_bytes = 5_000_000\n").unwrap();
    let written = settings.to_toml().unwrap();
    assert_eq!(parse(&written).unwrap(), settings);
    assert!(written.contains("listeners = 20000"), "{written}");
}

#[test]
fn what_flags_make_of_the_settings_is_checked_again() {
    let mut settings = Settings::default();
    settings.limits.batch_entries = 0;
    assert_eq!(
        settings.checked().unwrap_err().to_string(),
        "limits.batch_entries is 0; it has to be at least 1 and at most 1000"
    );
}

#[test]
fn the_file_of_the_data_directory_is_read_when_no_other_is_named() {
    let temp = tempfile::tempdir().unwrap();
    let path = Utf8Path::from_path(temp.path()).unwrap();
    let dir = DataDir::new(path);
    assert_eq!(Settings::read(&dir, None).unwrap(), Settings::default());

    put(&dir.settings(), b"[limits]\nlisteners = 5\n");
    assert_eq!(Settings::read(&dir, None).unwrap().limits.listeners, 5);

    let other = path.join("other.toml");
    let missing = Settings::read(&dir, Some(&other)).unwrap_err();
    assert!(
        matches!(missing, SettingsError::Missing { .. }),
        "{missing}"
    );
    std::os::unix::fs::symlink(dir.settings(), &other).unwrap();
    assert_eq!(
        Settings::read(&dir, Some(&other)).unwrap().limits.listeners,
        5
    );

    put(&dir.settings(), b"[limits]\n# \xff\n");
    let error = Settings::read(&dir, None).unwrap_err().to_string();
    assert!(error.contains(":2:3: is not UTF-8"), "{error}");
}

/// Every key with its default, and every row of the page: `| key | default | … |` below `## [section]`.
#[test]
fn the_reference_page_has_every_setting_with_its_default() {
    let page = include_str!("../../../../../../docs/reference/settings.md");
    let mut documented = Vec::new();
    let mut section = "";
    for line in page.lines() {
        if let Some(title) = line.strip_prefix("## ") {
            section = title.trim_matches(['`', '[', ']']);
        } else if let Some(row) = line.strip_prefix("| `") {
            let cells: Vec<&str> = row.split('|').map(str::trim).collect();
            let key = cells[0].trim_end_matches('`');
            documented.push(format!("{section}.{key} = {}", cells[1].trim_matches('`')));
        }
    }
    let defaults = toml::Table::try_from(Settings::default()).unwrap();
    let mut real = Vec::new();
    for section in Settings::SECTIONS {
        for key in Settings::keys(section).unwrap() {
            // What has no default is left out by serde, and written as "none" on the page.
            let value = defaults[*section].get(key);
            let value = value.map_or_else(|| "none".to_owned(), ToString::to_string);
            real.push(format!("{section}.{key} = {value}"));
        }
    }
    assert_eq!(documented, real);
}
