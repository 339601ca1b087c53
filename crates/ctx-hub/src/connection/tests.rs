//! Tests of the connection file, most of them on files that somebody else made or damaged.

use std::os::unix::fs::PermissionsExt as _;
use std::sync::Barrier;

use aes_gcm::aead::{Aead as _, KeyInit as _};
use aes_gcm::{Aes256Gcm, Key, Nonce};
use camino::Utf8Path;
use ctx_config::paths::CONTEXT_DIR;
use tempfile::TempDir;

use super::*;
use crate::client::{CaCertificates, RouteError};
use crate::types::{EntryType, Fingerprint};

/// A certificate of an authority, as anybody may have it.
const AUTHORITY: &str = include_str!("authority.pem");

const KEY: [u8; 32] = *b"0123456789abcdef0123456789abcdef";
const CLIENT_ID: &str = "00112233445566778899aabbccddeeff";

struct Place {
    _temp: TempDir,
    context: ContextDir,
    user: UserDir,
}

impl Place {
    /// A project, and a person who has no key yet.
    fn new() -> Self {
        let temp = tempfile::tempdir().unwrap();
        let root = Utf8Path::from_path(temp.path()).unwrap();
        let context = ContextDir::new(root.join("project").join(CONTEXT_DIR));
        std::fs::create_dir_all(context.path()).unwrap();
        let user = UserDir::under_home(&root.join("home"));
        std::fs::create_dir(root.join("home")).unwrap();
        Self {
            _temp: temp,
            context,
            user,
        }
    }

    fn with_key(self, key: &[u8]) -> Self {
        if !self.user.path().exists() {
            std::fs::create_dir(self.user.path()).unwrap();
        }
        put(&self.user.key(), key, 0o600);
        self
    }

    fn with_file(self, sealed: &[u8]) -> Self {
        put(&self.context.connect_file(), sealed, 0o600);
        self
    }

    fn load(&self) -> Result<Connection, ConnectionError> {
        Connection::load(&self.context, &self.user)
    }

    fn save(&self, connection: &Connection) -> Result<(), ConnectionError> {
        connection.save(&self.context, &self.user)
    }

    fn sealed(&self) -> Vec<u8> {
        std::fs::read(self.context.connect_file()).unwrap()
    }
}

fn put(path: &Utf8Path, bytes: &[u8], mode: u32) {
    atomic::write(path, bytes, Mode::Exactly(mode)).unwrap();
}

fn mode(path: &Utf8Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

fn token() -> ClientToken {
    ClientToken::parse(&format!("ctx_cli_{}", "5".repeat(64))).unwrap()
}

fn connection() -> Connection {
    Connection {
        hub_addr: "hub.example.org:7000".parse().unwrap(),
        trust: Trust::System,
        insecure: false,
        token: token(),
        types: [EntryType::Task, EntryType::Decision].into_iter().collect(),
        project: Some("größe".parse().unwrap()),
        client_id: Some(CLIENT_ID.parse().unwrap()),
        next_token: None,
        lifetime: None,
    }
}

/// The file as any other program makes it from the layout: nonce, then ciphertext and tag.
fn sealed_elsewhere(document: &str) -> Vec<u8> {
    let nonce = [9_u8; 12];
    let cipher = Aes256Gcm::new(Key::<Aes256Gcm>::from_slice(&KEY));
    let ciphertext = cipher
        .encrypt(Nonce::from_slice(&nonce), document.as_bytes())
        .unwrap();
    [nonce.as_slice(), &ciphertext].concat()
}

/// What comes of a file that holds this document.
fn loaded(document: &str) -> Result<Connection, ConnectionError> {
    Place::new()
        .with_key(&KEY)
        .with_file(&sealed_elsewhere(document))
        .load()
}

fn older_document(types: &str) -> String {
    format!(
        r#"{{"hub_addr":"10.0.0.7:9900","token":"{}"{types}}}"#,
        token().expose()
    )
}

/// Asserts what every damage has in common and returns the error as text.
fn damage(place: &Place) -> String {
    let error = place.load().unwrap_err();
    assert_eq!(error.kind(), ConnectionErrorKind::Damaged, "{error:?}");
    assert!(error.hint().is_some());
    error.to_string()
}

#[test]
fn how_the_hub_is_reached_reads_back_the_same() {
    let place = Place::new();
    let reached = |address: &str, trust: Trust, insecure| Route {
        address: address.parse().unwrap(),
        trust,
        insecure,
    };
    let pinned = Trust::Pinned(Fingerprint::of(b"a certificate"));
    let authorities = Trust::Authorities(CaCertificates::from_pem(AUTHORITY).unwrap());
    for route in [
        reached("https://hub:9900", Trust::System, false),
        reached("https://hub:9900", pinned, false),
        reached("https://10.0.0.7:9900", authorities, false),
        reached("http://hub:9900", Trust::System, true),
        reached("127.0.0.1:9900", Trust::System, false),
    ] {
        let connection = connection().moved(route.clone());
        place.save(&connection).unwrap();
        let read = place.load().unwrap();
        assert_eq!(read, connection);
        assert_eq!(read.route(), route);
        assert_eq!(read.route().settled(), Ok(route));
    }
}

#[test]
fn a_file_from_before_tls_opens_and_its_hub_is_not_asked_in_the_clear_by_it() {
    let read = loaded(&older_document("")).unwrap();
    assert_eq!(read.trust, Trust::System);
    assert!(matches!(
        read.route().settled(),
        Err(RouteError::Unsaid { .. })
    ));
    let local = older_document("").replace("10.0.0.7", "127.0.0.1");
    let route = loaded(&local).unwrap().route();
    assert_eq!(route.clone().settled(), Ok(route));
}

#[test]
fn whom_to_trust_is_damaged_rather_than_guessed() {
    for bad in [
        r#","fingerprint":"ab""#,
        r#","ca_cert":"none""#,
        r#","insecure":"yes""#,
    ] {
        let error = loaded(&older_document(bad)).unwrap_err();
        assert_eq!(error.kind(), ConnectionErrorKind::Damaged, "{bad}");
    }
    let both = format!(
        r#","ca_cert":{},"fingerprint":"{}""#,
        serde_json::to_string(AUTHORITY).unwrap(),
        "0".repeat(64)
    );
    let read = loaded(&older_document(&both)).unwrap();
    assert!(matches!(read.trust, Trust::Pinned(_)), "{:?}", read.trust);
}

#[test]
fn a_saved_connection_reads_back_the_same() {
    let place = Place::new();
    for types in [TypeSet::all(), connection().types] {
        let connection = Connection {
            types,
            ..connection()
        };
        place.save(&connection).unwrap();
        assert_eq!(place.load().unwrap(), connection);
    }
    let changing = Connection {
        next_token: Some(ClientToken::random().unwrap()),
        lifetime: Some(Lifetime {
            issued_at: 1,
            expires_at: 2,
        }),
        ..connection()
    };
    place.save(&changing).unwrap();
    assert_eq!(place.load().unwrap(), changing);
}

#[test]
fn of_several_that_change_the_file_one_has_the_lock_and_the_others_are_told() {
    let place = Place::new();
    let holder = Holder {
        command: "one",
        version: "0",
    };
    let held = Connection::lock(&place.context, &holder, Wait::No).unwrap();
    let error = Connection::lock(&place.context, &holder, Wait::No).unwrap_err();
    assert_eq!(error.kind(), ConnectionErrorKind::Busy);
    assert!(error.hint().is_some());
    // Nobody needs it to read.
    assert_eq!(
        place.load().unwrap_err().kind(),
        ConnectionErrorKind::NotSetUp
    );
    held.release().unwrap();
    drop(Connection::lock(&place.context, &holder, Wait::No).unwrap());
}

#[test]
fn saving_makes_the_key_and_keeps_everything_private() {
    let place = Place::new();
    place.save(&connection()).unwrap();
    assert_eq!(std::fs::read(place.user.key()).unwrap().len(), 32);
    assert_eq!(mode(&place.user.key()), 0o600);
    assert_eq!(mode(place.user.path()), 0o700);
    assert_eq!(mode(&place.context.connect_file()), 0o600);
}

#[test]
fn saving_keeps_the_key_that_is_there_and_never_uses_a_nonce_twice() {
    let place = Place::new().with_key(&KEY);
    place.save(&connection()).unwrap();
    let first = place.sealed();
    place.save(&connection()).unwrap();
    let second = place.sealed();
    assert_eq!(std::fs::read(place.user.key()).unwrap(), KEY);
    assert_ne!(first[..12], second[..12]);
    assert_ne!(first[12..], second[12..]);
}

#[test]
fn what_is_saved_opens_by_the_layout_and_is_the_document_of_the_protocol() {
    let place = Place::new().with_key(&KEY);
    let open = |place: &Place| {
        let sealed = place.sealed();
        let (nonce, ciphertext) = sealed.split_at(12);
        let cipher = Aes256Gcm::new(Key::<Aes256Gcm>::from_slice(&KEY));
        let text = cipher
            .decrypt(Nonce::from_slice(nonce), ciphertext)
            .unwrap();
        String::from_utf8(text).unwrap()
    };
    place.save(&connection()).unwrap();
    let common = format!(
        r#"{{"hub_addr":"hub.example.org:7000","token":"{}""#,
        token().expose()
    );
    let ours = format!(r#","project":"größe","client_id":"{CLIENT_ID}"}}"#);
    assert_eq!(
        open(&place),
        format!(r#"{common},"types":["decision","task"]{ours}"#)
    );

    place
        .save(&Connection {
            types: TypeSet::all(),
            ..connection()
        })
        .unwrap();
    assert_eq!(
        open(&place),
        format!("{common}{ours}"),
        "all types are written as none"
    );
}

#[test]
fn a_file_of_an_older_ctx_reads_without_our_fields() {
    let types = |text| loaded(&older_document(text)).unwrap().types;
    assert_eq!(types(r#","types":["decision","task"]"#), connection().types);
    for all in ["", r#","types":null"#, r#","types":[]"#] {
        assert_eq!(types(all), TypeSet::all());
    }
    let read = loaded(&older_document(r#","later":{"x":1}"#)).unwrap();
    assert_eq!(read.hub_addr.to_string(), "10.0.0.7:9900");
    assert_eq!(
        (read.token, read.project, read.client_id),
        (token(), None, None)
    );
}

#[test]
fn a_document_written_with_escapes_reads_as_what_it_means() {
    let document = older_document("")
        .replace("ctx_cli_", "ctx\\u005fcli_")
        .replace("10.", "1\\u0030.");
    assert_eq!(loaded(&document).unwrap().token, token());
}

#[test]
fn without_a_context_directory_nothing_is_set_up() {
    let place = Place::new();
    std::fs::remove_dir(place.context.path()).unwrap();
    for error in [
        place.load().unwrap_err(),
        place.save(&connection()).unwrap_err(),
    ] {
        assert!(
            matches!(&error, ConnectionError::NoContext { path } if path == place.context.path())
        );
        assert_eq!(error.kind(), ConnectionErrorKind::NotSetUp);
        assert!(error.hint().unwrap().contains("ctx init"));
    }
    put(place.context.path(), b"a file", 0o600);
    assert!(matches!(
        place.load().unwrap_err(),
        ConnectionError::NoContext { .. }
    ));
    assert!(!place.user.path().exists(), "no key was made for nothing");
}

#[test]
fn without_a_connection_file_the_project_is_not_registered() {
    let error = Place::new().load().unwrap_err();
    assert!(matches!(error, ConnectionError::NotRegistered { .. }));
    assert_eq!(error.kind(), ConnectionErrorKind::NotSetUp);
    assert!(error.hint().unwrap().contains("ctx connect register"));
}

#[test]
fn a_connection_without_types_is_not_saved_because_it_would_read_as_all_of_them() {
    let place = Place::new();
    let none = Connection {
        types: TypeSet::default(),
        ..connection()
    };
    assert!(matches!(
        place.save(&none).unwrap_err(),
        ConnectionError::NoTypes
    ));
    assert!(!place.context.connect_file().exists());
}

#[test]
fn a_missing_key_is_named_and_not_made_anew_by_reading() {
    let place = Place::new().with_file(&sealed_elsewhere(&older_document("")));
    let text = damage(&place);
    assert!(text.contains(place.user.key().as_str()), "{text}");
    assert!(
        place
            .load()
            .unwrap_err()
            .hint()
            .unwrap()
            .contains("ctx connect register")
    );
    assert!(!place.user.key().exists());
}

#[test]
fn a_key_of_the_wrong_size_is_refused_and_left_alone() {
    for bytes in [0, 31, 33, 4_096] {
        let key = vec![1; bytes];
        let place = Place::new()
            .with_key(&key)
            .with_file(&sealed_elsewhere(&older_document("")));
        let text = damage(&place);
        assert!(text.contains(&format!("{bytes} bytes")), "{text}");
        assert!(matches!(
            place.save(&connection()).unwrap_err(),
            ConnectionError::KeySize { .. }
        ));
        assert_eq!(std::fs::read(place.user.key()).unwrap(), key);
    }
}

#[test]
fn a_key_that_others_may_open_is_refused_with_the_command_that_helps() {
    let place = Place::new()
        .with_key(&KEY)
        .with_file(&sealed_elsewhere(&older_document("")));
    for open in [0o640, 0o604, 0o660] {
        put(&place.user.key(), &KEY, open);
        damage(&place);
        let hint = place.load().unwrap_err().hint().unwrap();
        assert_eq!(hint, format!("run: chmod 600 {}", place.user.key()));
        place.save(&connection()).unwrap_err();
    }
    put(&place.user.key(), &KEY, 0o400);
    place.load().unwrap();
}

#[test]
fn a_file_too_short_to_be_sealed_is_cut_short() {
    let whole = sealed_elsewhere(&older_document(""));
    for bytes in [0, 1, 11, 12, 27] {
        let place = Place::new().with_key(&KEY).with_file(&whole[..bytes]);
        let error = place.load().unwrap_err();
        assert!(matches!(error, ConnectionError::Truncated { bytes: b, .. } if b == bytes));
        damage(&place);
    }
}

#[test]
fn no_byte_of_the_file_can_be_changed_and_none_cut_off() {
    let whole = sealed_elsewhere(&older_document(""));
    let place = Place::new().with_key(&KEY);
    let authentic = |sealed: &[u8]| {
        let path = place.context.connect_file();
        let key = key::load(&place.user).unwrap();
        !matches!(
            seal::open(&key, sealed, &path),
            Err(ConnectionError::NotAuthentic { .. })
        )
    };
    assert!(authentic(&whole));
    for at in 0..whole.len() {
        let mut changed = whole.clone();
        changed[at] ^= 1;
        assert!(!authentic(&changed), "byte {at}");
    }
    for bytes in 28..whole.len() {
        assert!(!authentic(&whole[..bytes]), "{bytes} bytes");
    }
    assert!(!authentic(&[whole.as_slice(), b"x"].concat()));
}

#[test]
fn a_file_sealed_with_another_key_is_not_opened() {
    let sealed = sealed_elsewhere(&older_document(""));
    let place = Place::new().with_key(&[1; 32]).with_file(&sealed);
    let text = damage(&place);
    assert!(text.contains("another key"), "{text}");
    assert!(
        place
            .load()
            .unwrap_err()
            .hint()
            .unwrap()
            .contains("register this project again")
    );
    assert_eq!(place.sealed(), sealed, "the file is left as it is");
}

#[test]
fn a_document_that_describes_no_connection_is_damage_that_shows_no_token() {
    for document in [
        String::new(),
        "{}".to_owned(),
        format!("\"{}\"", token().expose()),
        older_document(r#","types":["rumour"]"#),
        older_document(r#","project":"""#),
        older_document(r#","client_id":"x""#),
        older_document("").replace("10.0.0.7:9900", "unix://hub"),
        older_document("").replace("ctx_cli_", "ctx_adm_"),
    ] {
        let error = loaded(&document).unwrap_err();
        assert!(
            matches!(error, ConnectionError::Document { .. }),
            "{error:?}"
        );
        assert_eq!(error.kind(), ConnectionErrorKind::Damaged);
        assert!(
            !format!("{error} {error:?}").contains(&"5".repeat(8)),
            "{error:?}"
        );
    }
}

#[test]
fn debug_of_a_connection_shows_no_token() {
    assert!(!format!("{:?}", connection()).contains(&"5".repeat(8)));
}

#[test]
fn a_file_that_is_no_file_or_far_too_large_is_damage() {
    let place = Place::new().with_key(&KEY).with_file(&vec![0; 65_537]);
    damage(&place);
    let place = Place::new().with_key(&KEY);
    std::fs::create_dir(place.context.connect_file()).unwrap();
    damage(&place);
}

#[test]
fn of_many_who_make_the_key_at_once_all_use_the_same() {
    let place = Place::new();
    let barrier = Barrier::new(8);
    let keys: Vec<_> = std::thread::scope(|scope| {
        let make = || {
            barrier.wait();
            key::load_or_create(&place.user).unwrap()
        };
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(make)).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect()
    });
    assert!(keys.iter().all(|key| key == &keys[0]));
}
