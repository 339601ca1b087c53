//! Registration attacked: a stolen data directory, invitations used again, names taken, tokens that
//! were replaced, files that were tampered with.

use std::os::unix::fs::{PermissionsExt as _, chown, symlink};
use std::sync::Arc;

use camino::{Utf8Path, Utf8PathBuf};
use ctx_config::paths::DataDir;
use ctx_hub::secret::{AdminToken, ClientToken, Invitation};
use ctx_hub::server::settings::Settings;
use ctx_hub::server::{HubConfig, HubErrorKind};
use ctx_hub::store::{NewInvitation, SqliteStore, Store as _};
use ctx_hub::types::InvitationId;
use ctx_hub::wire::method::{
    CREATE_INVITATION, END_INVITATION, HUB_STATUS, LIST_CLIENTS, LIST_INVITATIONS, REGISTER,
    REVOKE, REVOKE_CLIENT, ROTATE_ADMIN_TOKEN, STATUS,
};
use serde_json::{Value, json};

use crate::server::hub::{TestHub, VERSION};
use crate::server::peer::{Answer, JSON, Peer};
use crate::store::import::put;

const REFUSED: (&str, &str) = ("7", "invalid invitation");

fn data_dir(temp: &tempfile::TempDir) -> Utf8PathBuf {
    Utf8PathBuf::from_path_buf(temp.path().join("data")).unwrap()
}

fn value(answer: &Answer) -> Value {
    serde_json::from_str(answer.text()).unwrap()
}

/// Code and message.
fn said(answer: &Answer) -> (String, String) {
    (answer.code().to_owned(), answer.message())
}

fn is_refused(answer: &Answer) {
    let (code, message) = said(answer);
    assert_eq!((code.as_str(), message.as_str()), REFUSED, "{answer:?}");
}

/// A hub that counts no failed attempts: how often somebody may try is another matter.
fn start_in(path: &Utf8Path) -> TestHub {
    start_with(path, Settings::default())
}

fn start_with(path: &Utf8Path, mut settings: Settings) -> TestHub {
    settings.limits.failures_burst = 0;
    let mut config = HubConfig::new(DataDir::new(path), VERSION);
    config.settings = settings;
    TestHub::try_start(config).unwrap()
}

/// A hub, a stranger on its network, and its operator on its machine.
struct Scene {
    hub: TestHub,
    stranger: Peer,
    operator: Peer,
    temp: Option<tempfile::TempDir>,
}

impl Scene {
    async fn of(hub: TestHub) -> Self {
        Self {
            stranger: Peer::connect(&hub).await,
            operator: Peer::connect_socket(&hub.data_dir().admin_socket()).await,
            temp: None,
            hub,
        }
    }

    async fn new() -> Self {
        let temp = tempfile::tempdir().unwrap();
        let mut scene = Self::of(start_in(&data_dir(&temp))).await;
        scene.temp = Some(temp);
        scene
    }

    /// The same after a kill and a start.
    async fn killed(mut self) -> Self {
        self.hub.kill();
        self.hub.restart();
        let mut scene = Self::of(self.hub).await;
        scene.temp = self.temp;
        scene
    }

    async fn ask(&self, path: &str, message: Value) -> Answer {
        let message = message.to_string();
        self.operator.call(path, JSON, None, message).await
    }

    /// An invitation and its id.
    async fn invite(&self, project: &str, uses: u32) -> (String, String) {
        let asked = json!({"project_name": project, "uses": uses});
        let made = value(&self.ask(CREATE_INVITATION, asked).await);
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        (
            text(&made["invitation"]),
            text(&made["info"]["invitation_id"]),
        )
    }

    async fn register(&self, invitation: &str, project: &str, token_hash: &str) -> Answer {
        let message = json!({
            "invitation": invitation,
            "project_name": project,
            "token_hash": token_hash,
        });
        let message = message.to_string();
        self.stranger.call(REGISTER, JSON, None, message).await
    }

    async fn register_as_admin(&self, token: &str, project: &str) -> Answer {
        let message = json!({"admin_token": token, "project_name": project}).to_string();
        self.stranger.call(REGISTER, JSON, None, message).await
    }

    async fn revoke(&self, client: &str) {
        let answer = self.ask(REVOKE_CLIENT, json!({"client_id": client})).await;
        assert_eq!(answer.code(), "0", "{answer:?}");
    }

    /// Uses of the invitations, oldest first.
    async fn used(&self) -> Vec<u64> {
        let listed = value(&self.ask(LIST_INVITATIONS, json!({})).await);
        let rows = listed["invitations"].as_array().unwrap();
        rows.iter()
            .map(|row| row["used"].as_u64().unwrap())
            .collect()
    }

    async fn rotate(&self) -> String {
        let made = value(&self.ask(ROTATE_ADMIN_TOKEN, json!({})).await);
        made["admin_token"].as_str().unwrap().to_owned()
    }
}

fn token_hash() -> String {
    ClientToken::random().unwrap().hash().to_hex()
}

/// Where in the directory stand 16 digits of a secret after each other, or its bytes.
fn traces(dir: &Utf8Path, secrets: &[String]) -> Vec<String> {
    let mut found = Vec::new();
    for entry in dir.read_dir_utf8().unwrap() {
        let path = entry.unwrap().path().to_owned();
        let Ok(bytes) = std::fs::read(&path) else {
            continue;
        };
        for secret in secrets {
            let digits = secret.rsplit('_').next().unwrap();
            let raw: Vec<u8> = (0..digits.len())
                .step_by(2)
                .map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap())
                .collect();
            let windows = digits.as_bytes().windows(16).chain(raw.windows(8));
            let trace = |window: &[u8]| bytes.windows(window.len()).any(|there| there == window);
            if windows.into_iter().any(trace) {
                found.push(format!("{path} holds {}", &secret[..8]));
            }
        }
    }
    found
}

#[tokio::test]
async fn a_stolen_data_directory_holds_no_token_and_no_invitation() {
    let temp = tempfile::tempdir().unwrap();
    let path = data_dir(&temp);
    let mut scene = Scene::of(start_in(&path)).await;
    let admin = scene.hub.admin_token().expose().to_owned();
    let (_, alpha) = scene.stranger.register(&scene.hub, "alpha").await;
    let (used, _) = scene.invite("beta", 1).await;
    let (open, _) = scene.invite("gamma", 3).await;
    let (ended, id) = scene.invite("delta", 1).await;
    scene
        .ask(END_INVITATION, json!({"invitation_id": id}))
        .await;
    let proposed = ClientToken::random().unwrap();
    let answer = scene
        .register(&used, "beta", &proposed.hash().to_hex())
        .await;
    assert_eq!(value(&answer)["client_token"], "");
    let made = value(&scene.register(&open, "gamma", "").await);
    let made = made["client_token"].as_str().unwrap().to_owned();
    // Wrong ones are presented, too.
    let guessed = Invitation::random().unwrap().expose().to_owned();
    is_refused(&scene.register(&guessed, "epsilon", "").await);

    // The file of the first token is the one place, and it may go.
    let trace = traces(&path, std::slice::from_ref(&admin));
    assert_eq!(
        trace,
        [format!(
            "{} holds ctx_adm_",
            scene.hub.data_dir().admin_token()
        )]
    );
    std::fs::remove_file(scene.hub.data_dir().admin_token()).unwrap();
    let mut secrets = vec![
        admin.clone(),
        alpha,
        used,
        open,
        ended,
        proposed.expose().to_owned(),
        made,
        guessed,
    ];
    assert_eq!(traces(&path, &secrets), [] as [String; 0], "running");
    secrets.push(scene.rotate().await);
    assert_eq!(traces(&path, &secrets), [] as [String; 0], "rotated");
    scene.hub.kill();
    assert_eq!(traces(&path, &secrets), [] as [String; 0], "killed");
    scene.hub.restart();
    assert_eq!(traces(&path, &secrets), [] as [String; 0], "started again");
    scene.hub.stop();
    assert_eq!(traces(&path, &secrets), [] as [String; 0], "stopped");
    assert!(secrets.len() == 9 && !DataDir::new(&path).admin_token().exists());
}

#[tokio::test]
async fn whatever_is_wrong_with_an_invitation_the_refusal_is_the_same_and_costs_no_write() {
    let temp = tempfile::tempdir().unwrap();
    let path = data_dir(&temp);
    start_in(&path).stop();
    // One that has expired, as no clock of a test can wait for.
    let expired = Invitation::random().unwrap();
    let (store, _) = SqliteStore::open(&DataDir::new(&path)).unwrap();
    let invitation = NewInvitation {
        id: InvitationId::random().unwrap(),
        hash: expired.hash(),
        project: "late".parse().unwrap(),
        uses: 1,
        created_at: 1,
        expires_at: 2,
    };
    store.invite(invitation).await.unwrap();
    store.close().await.unwrap();

    let scene = Scene::of(start_in(&path)).await;
    scene.stranger.register(&scene.hub, "alpha").await;
    let (used, _) = scene.invite("beta", 1).await;
    assert_eq!(scene.register(&used, "beta", "").await.code(), "0");
    let (ended, id) = scene.invite("gamma", 1).await;
    scene
        .ask(END_INVITATION, json!({"invitation_id": id}))
        .await;
    let (open, _) = scene.invite("delta", 1).await;
    let unknown = Invitation::random().unwrap();
    let digits = "0".repeat(64);
    let admin = scene.hub.admin_token().expose();

    let marks = || std::fs::read(scene.hub.data_dir().marks()).unwrap();
    let before = marks();
    for (what, invitation, project) in [
        ("unknown", unknown.expose(), "delta"),
        ("used", &used, "beta"),
        ("used, for another", &used, "epsilon"),
        ("ended", &ended, "gamma"),
        ("expired", expired.expose(), "late"),
        ("another project's", &open, "epsilon"),
        ("another project's, for a name that exists", &open, "alpha"),
        ("unknown, for a name that exists", unknown.expose(), "alpha"),
        ("its name in another case", &open, "Delta"),
        ("its name with a blank", &open, "delta "),
        ("cut short", &open[..open.len() - 1], "delta"),
        ("upper case", &open.to_uppercase(), "delta"),
        ("an admin token", admin, "delta"),
        ("no token at all", "x", "delta"),
        ("the digits alone", &digits, "delta"),
        ("not even text", "\u{0}\u{1b}[2J", "delta"),
    ] {
        let answer = scene.register(invitation, project, &token_hash()).await;
        let told = said(&answer);
        assert_eq!((told.0.as_str(), told.1.as_str()), REFUSED, "{what}");
        assert_eq!(answer.header("ctx-hub-id"), None, "{what}");
    }
    assert_eq!(marks(), before, "a guess cost a transaction");
    // The one that stands does so still.
    let answer = scene.register(&open, "delta", "").await;
    assert_eq!(answer.code(), "0", "{answer:?}");
}

#[tokio::test]
async fn of_32_who_race_for_one_use_one_registers_and_31_are_refused_alike() {
    let scene = Arc::new(Scene::new().await);
    for round in 0..8 {
        let project = format!("race-{round}");
        let (invitation, _) = scene.invite(&project, 1).await;
        let line = Arc::new(tokio::sync::Barrier::new(32));
        let mut racing = tokio::task::JoinSet::new();
        for _ in 0..32 {
            let (scene, line) = (Arc::clone(&scene), Arc::clone(&line));
            let (invitation, project) = (invitation.clone(), project.clone());
            racing.spawn(async move {
                line.wait().await;
                said(&scene.register(&invitation, &project, &token_hash()).await)
            });
        }
        let answers = racing.join_all().await;
        let won = answers.iter().filter(|(code, _)| code == "0").count();
        let lost = answers
            .iter()
            .filter(|(code, message)| (code.as_str(), message.as_str()) == REFUSED)
            .count();
        assert_eq!((won, lost), (1, 31), "{answers:?}");
    }
    assert_eq!(scene.used().await, [1; 8]);
}

#[tokio::test]
async fn asked_again_with_the_same_token_a_registration_is_answered_and_counted_once() {
    let scene = Scene::new().await;
    let (invitation, _) = scene.invite("alpha", 1).await;
    let (mine, other) = (token_hash(), token_hash());
    let first = value(&scene.register(&invitation, "alpha", &mine).await);
    assert_eq!(first["client_token"], "");
    for _ in 0..3 {
        let again = value(&scene.register(&invitation, "alpha", &mine).await);
        assert_eq!(again, first);
    }
    assert_eq!(scene.used().await, [1]);
    is_refused(&scene.register(&invitation, "alpha", &other).await);
    // It is that client's, and not a way to another name or to no invitation at all.
    is_refused(&scene.register(&invitation, "beta", &mine).await);
    let wrong = Invitation::random().unwrap();
    is_refused(&scene.register(wrong.expose(), "alpha", &mine).await);
    for odd in ["x", &mine[1..], &mine.to_uppercase()] {
        let (invitation, _) = scene.invite("gamma", 1).await;
        assert_eq!(
            scene.register(&invitation, "gamma", odd).await.code(),
            "3",
            "{odd}"
        );
    }
    // Across a restart, and not after the client was revoked.
    let mut scene = scene.killed().await;
    let again = value(&scene.register(&invitation, "alpha", &mine).await);
    assert_eq!(again, first);
    scene.revoke(first["client_id"].as_str().unwrap()).await;
    is_refused(&scene.register(&invitation, "alpha", &mine).await);
    let (fresh, _) = scene.invite("alpha", 1).await;
    let answer = scene.register(&fresh, "alpha", &mine).await;
    assert_eq!(answer.code(), "9", "an ended token comes back: {answer:?}");
    assert_eq!(scene.register(&fresh, "alpha", &other).await.code(), "0");
    scene.hub.stop();
}

#[tokio::test]
async fn a_name_that_exists_is_nobody_else_s_and_that_of_a_revoked_client_the_operator_s_to_give() {
    let scene = Scene::new().await;
    // Invited, and then registered otherwise: the invitation takes nothing from who is there.
    let (early, _) = scene.invite("alpha", 5).await;
    let (client, token) = scene.stranger.register(&scene.hub, "alpha").await;
    let answer = scene.register(&early, "alpha", &token_hash()).await;
    assert_eq!(answer.code(), "6", "{answer:?}");
    assert_eq!(scene.used().await, [0]);
    assert_eq!(
        scene.stranger.json(STATUS, &token, "{}").await.code(),
        "0",
        "who was there has lost its token"
    );
    let asked = json!({"project_name": "alpha"});
    assert_eq!(scene.ask(CREATE_INVITATION, asked).await.code(), "6");

    // Once it is revoked, nobody goes on in its name with what was handed out before.
    scene.revoke(&client).await;
    is_refused(&scene.register(&early, "alpha", &token_hash()).await);
    let (late, _) = scene.invite("alpha", 2).await;
    let answer = scene.register(&late, "alpha", &token_hash()).await;
    let second = value(&answer)["client_id"].as_str().unwrap().to_owned();
    // Its second use is not that of the client that was revoked.
    scene.revoke(&second).await;
    is_refused(&scene.register(&late, "alpha", &token_hash()).await);
    // The admin token is the operator's.
    let admin = scene.hub.admin_token().expose();
    assert_eq!(scene.register_as_admin(admin, "alpha").await.code(), "0");
    assert_eq!(scene.register_as_admin(admin, "alpha").await.code(), "6");
}

#[tokio::test]
async fn the_token_before_a_rotation_is_worth_nothing_and_only_the_socket_rotates() {
    let mut scene = Scene::new().await;
    let old = scene.hub.admin_token().expose().to_owned();
    let refused = scene.stranger.json(ROTATE_ADMIN_TOKEN, &old, "{}").await;
    assert_eq!(refused.code(), "7");
    let nobody = scene.stranger.call(ROTATE_ADMIN_TOKEN, JSON, None, "{}");
    assert_eq!(nobody.await.code(), "16");
    assert!(scene.hub.data_dir().admin_token().exists());

    let new = scene.rotate().await;
    assert!(!scene.hub.data_dir().admin_token().exists());
    for round in ["at once", "after a kill"] {
        for (token, works) in [(&old, false), (&new, true)] {
            let project = format!("{}-{works}", &round[..2]);
            let registered = scene.register_as_admin(token, &project).await;
            let expected = if works { "0" } else { "7" };
            assert_eq!(registered.code(), expected, "{round}");
            let revoke = json!({"admin_token": token, "client_id": "0".repeat(32)}).to_string();
            let revoked = scene.stranger.call(REVOKE, JSON, None, revoke).await;
            assert_eq!(revoked.code(), if works { "5" } else { "7" }, "{round}");
            for path in [HUB_STATUS, LIST_CLIENTS, LIST_INVITATIONS] {
                let answer = scene.stranger.json(path, token, "{}").await;
                assert_eq!(answer.code(), if works { "0" } else { "16" }, "{round}");
            }
        }
        scene = scene.killed().await;
    }
    // However often: the last one counts.
    let mut made = Vec::new();
    for _ in 0..8 {
        made.push(scene.rotate().await);
    }
    let mut works = Vec::new();
    for token in &made {
        works.push(scene.stranger.json(HUB_STATUS, token, "{}").await.code() == "0");
    }
    assert_eq!(
        works,
        [false, false, false, false, false, false, false, true]
    );
}

#[tokio::test]
async fn a_token_that_somebody_puts_into_the_file_is_not_accepted() {
    let temp = tempfile::tempdir().unwrap();
    let path = data_dir(&temp);
    let mut hub = start_in(&path);
    let right = hub.admin_token().expose().to_owned();
    hub.stop();
    let wrong = AdminToken::random().unwrap();
    let file = DataDir::new(&path).admin_token();
    put(&file, wrong.expose());
    let scene = Scene::of(start_in(&path)).await;
    assert_eq!(
        scene.register_as_admin(wrong.expose(), "a").await.code(),
        "7"
    );
    assert_eq!(scene.register_as_admin(&right, "a").await.code(), "0");
    // Nor is it while the hub runs.
    std::fs::remove_file(&file).unwrap();
    assert_eq!(scene.register_as_admin(&right, "b").await.code(), "0");
}

#[tokio::test]
async fn without_an_admin_token_invitations_alone_register_and_the_list_of_names_holds() {
    let temp = tempfile::tempdir().unwrap();
    let path = data_dir(&temp);
    let start = |admin_token: bool, projects: &[&str]| {
        let mut settings = Settings::default();
        settings.registration.admin_token = admin_token;
        settings.registration.projects = projects.iter().map(|name| (*name).to_owned()).collect();
        start_with(&path, settings)
    };
    let mut scene = Scene::of(start(false, &["*"])).await;
    assert!(!scene.hub.data_dir().admin_token().exists());
    for token in ["", AdminToken::random().unwrap().expose()] {
        assert_eq!(scene.register_as_admin(token, "a").await.code(), "7");
    }
    assert_eq!(scene.ask(ROTATE_ADMIN_TOKEN, json!({})).await.code(), "9");
    let (open, _) = scene.invite("web-shop", 1).await;
    let (other, _) = scene.invite("shop", 1).await;
    scene.hub.stop();

    // One is made once it may be used, kept, and not accepted when it may not.
    let mut scene = Scene::of(start(true, &["billing", "web-*"])).await;
    let admin = scene.hub.admin_token().expose().to_owned();
    assert_eq!(scene.register_as_admin(&admin, "billing").await.code(), "0");
    let named = scene.register_as_admin(&admin, "other").await;
    assert_eq!(
        said(&named),
        (
            "3".to_owned(),
            "this hub registers no project \"other\"".to_owned()
        )
    );
    is_refused(&scene.register(&other, "shop", &token_hash()).await);
    let asked = json!({"project_name": "shop"});
    assert_eq!(scene.ask(CREATE_INVITATION, asked).await.code(), "3");
    assert_eq!(scene.register(&open, "web-shop", "").await.code(), "0");
    scene.hub.stop();

    let scene = Scene::of(start(false, &["*"])).await;
    assert_eq!(scene.register_as_admin(&admin, "b").await.code(), "7");
    let answer = scene.stranger.json(HUB_STATUS, &admin, "{}").await;
    assert_eq!(answer.code(), "16");
}

#[tokio::test]
async fn terms_that_no_invitation_has_are_refused() {
    let scene = Scene::new().await;
    for odd in [
        json!({"project_name": "a", "uses": 1001}),
        json!({"project_name": "a", "expires_in": 31 * 86_400}),
        json!({"project_name": "a", "expires_in": u64::MAX}),
        json!({"project_name": " "}),
        json!({}),
    ] {
        let answer = scene.ask(CREATE_INVITATION, odd.clone()).await;
        assert_eq!(answer.code(), "3", "{odd}");
    }
    for id in ["", "0", "0123456789ABCDEF"] {
        let answer = scene
            .ask(END_INVITATION, json!({"invitation_id": id}))
            .await;
        assert_eq!(answer.code(), "3", "{id:?}");
    }
    let unknown = json!({"invitation_id": "0".repeat(16)});
    assert_eq!(scene.ask(END_INVITATION, unknown).await.code(), "5");
    for path in [CREATE_INVITATION, LIST_INVITATIONS, END_INVITATION] {
        let answer = scene.stranger.call(path, JSON, None, "{}").await;
        assert_eq!(answer.code(), "16", "{path}");
    }
}

fn mode(path: &Utf8Path) -> u32 {
    path.symlink_metadata().unwrap().permissions().mode() & 0o7777
}

fn set_mode(path: &Utf8Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn what_others_could_open_is_taken_from_them_when_the_hub_starts() {
    let temp = tempfile::tempdir().unwrap();
    let path = data_dir(&temp);
    let mut hub = start_in(&path);
    // Killed, so that the write-ahead log is there.
    hub.kill();
    let dir = DataDir::new(&path);
    put(&dir.log(), "a line\n");
    let files = [dir.store(), dir.marks(), dir.admin_token(), dir.log()];
    for file in &files {
        set_mode(file, 0o666);
    }
    set_mode(&path, 0o777);
    let hub = start_in(&path);
    for file in &files {
        assert_eq!(mode(file), 0o600, "{file}");
    }
    assert_eq!(mode(&path), 0o700);
    for entry in path.read_dir_utf8().unwrap() {
        let entry = entry.unwrap();
        assert_eq!(mode(entry.path()) & 0o077, 0, "{}", entry.path());
    }
    drop(hub);
}

#[test]
fn a_link_in_place_of_a_file_and_what_is_another_user_s_are_refused() {
    let temp = tempfile::tempdir().unwrap();
    let path = data_dir(&temp);
    start_in(&path).stop();
    let dir = DataDir::new(&path);
    let elsewhere = Utf8Path::from_path(temp.path()).unwrap().join("elsewhere");
    put(&elsewhere, "somebody's");
    set_mode(&elsewhere, 0o644);
    for file in [dir.store(), dir.marks(), dir.admin_token(), dir.log()] {
        let kept = temp.path().join("kept");
        let was = fs_err::rename(&file, &kept);
        symlink(&elsewhere, &file).unwrap();
        let error = TestHub::try_start_in(&path).err().expect("refused");
        assert!(
            matches!(error.kind(), HubErrorKind::Usage),
            "{file}: {error}"
        );
        std::fs::remove_file(&file).unwrap();
        if was.is_ok() {
            fs_err::rename(&kept, &file).unwrap();
        }
    }
    assert_eq!(mode(&elsewhere), 0o644);
    assert_eq!(std::fs::read(&elsewhere).unwrap(), b"somebody's");
    // Only root can give a file away.
    if chown(dir.marks(), Some(12_345), None).is_ok() {
        let error = TestHub::try_start_in(&path).err().expect("refused");
        let hint = error.hint().unwrap();
        assert!(hint.contains("user 12345"), "{hint}");
    }
}
