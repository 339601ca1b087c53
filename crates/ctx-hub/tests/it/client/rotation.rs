//! Replacing a token at hubs that are older, break off, or refuse.

use camino::Utf8Path;
use ctx_config::paths::{CONTEXT_DIR, ContextDir, UserDir};
use ctx_hub::client::{ClientError, Trust};
use ctx_hub::connection::Connection;
use ctx_hub::rotation::{Rotation, RotationError};
use ctx_hub::types::TypeSet;
use ctx_hub::wire::method::ROTATE_TOKEN;

use super::peer::{End, Peer, Reply};
use super::{PATIENCE, patient, token};

/// A project that is registered with `peer`.
struct Project {
    rotation: Rotation,
    _temp: tempfile::TempDir,
}

impl Project {
    fn of(peer: &Peer) -> Self {
        let temp = tempfile::tempdir().unwrap();
        let root = Utf8Path::from_path(temp.path()).unwrap();
        let context = ContextDir::new(root.join(CONTEXT_DIR));
        std::fs::create_dir(context.path()).unwrap();
        let rotation = Rotation {
            context,
            user: UserDir::under_home(root),
            timeouts: patient(),
            command: "the test".to_owned(),
            version: "0".to_owned(),
        };
        let project = Self {
            rotation,
            _temp: temp,
        };
        let connection = Connection {
            hub_addr: peer.address().clone(),
            token: token(),
            types: TypeSet::all(),
            project: None,
            client_id: None,
            next_token: None,
            trust: Trust::System,
            insecure: false,
            lifetime: None,
        };
        let Rotation { context, user, .. } = &project.rotation;
        connection.save(context, user).unwrap();
        project
    }

    fn saved(&self) -> Connection {
        let Rotation { context, user, .. } = &self.rotation;
        Connection::load(context, user).unwrap()
    }

    /// A project of which a rotation was broken off: the hub may know its next token.
    async fn broken_off(peer: &Peer) -> Self {
        let project = Self::of(peer);
        let reset = || Reply::message("{}").end(End::Reset(h2::Reason::INTERNAL_ERROR));
        peer.script([reset(), reset(), reset()]);
        project.rotation.rotate(PATIENCE).await.unwrap_err();
        assert!(project.saved().next_token.is_some());
        project
    }
}

#[tokio::test]
async fn a_hub_is_told_the_hash_of_the_new_token_and_not_the_token() {
    let mut peer = Peer::start([Reply::message(r#"{"expires_at":7,"previous_ends_at":6}"#)]).await;
    let project = Project::of(&peer);
    let replaced = project.rotation.rotate(PATIENCE).await.unwrap();
    assert_eq!(replaced.previous_ends_at, Some(6));
    let saved = project.saved();
    assert_eq!(
        (&saved.next_token, saved.lifetime.unwrap().expires_at),
        (&None, 7)
    );
    assert_eq!(replaced.connection, saved);
    let seen = peer.seen().await;
    assert_eq!(seen.path, ROTATE_TOKEN);
    let bearer = format!("Bearer {}", token().expose());
    assert_eq!(seen.header("authorization"), Some(bearer.as_str()));
    let hash = saved.token.hash().to_hex();
    assert_eq!(seen.message(), format!(r#"{{"new_token_hash":"{hash}"}}"#));
}

#[tokio::test]
async fn an_older_hub_replaces_nothing_and_the_file_is_as_it_was() {
    let peer = Peer::start([Reply::failed_at_once(12, "unknown method RotateToken")]).await;
    let project = Project::of(&peer);
    let before = project.saved();
    let error = project.rotation.rotate(PATIENCE).await.unwrap_err();
    assert!(
        error
            .hint()
            .unwrap()
            .contains("the hub is older than this call")
    );
    assert_eq!(project.saved(), before);
}

#[tokio::test]
async fn what_was_broken_off_is_settled_with_whichever_token_the_hub_knows() {
    let mut peer = Peer::start([]).await;
    // The hub has heard of the next one, or has not.
    let known = [Reply::message("{}")].to_vec();
    let unknown = [Reply::failed(16, "no"), Reply::message("{}")].to_vec();
    for script in [known, unknown] {
        let project = Project::broken_off(&peer).await;
        let next = project.saved().next_token.unwrap();
        let calls = script.len();
        peer.script(script);
        let settled = project.rotation.settle(project.saved()).await;
        assert!(settled.trouble.is_none(), "{:?}", settled.trouble);
        assert_eq!(settled.connection, project.saved());
        let saved = project.saved();
        assert!(saved.token == next && saved.next_token.is_none());
        let mut bearers = Vec::new();
        for _ in 0..3 + calls {
            let seen = peer.seen().await;
            assert!(
                seen.message().contains(&next.hash().to_hex()),
                "{}",
                seen.message()
            );
            bearers.push(seen.header("authorization").unwrap().to_owned());
        }
        let bearer = |token: &str| format!("Bearer {token}");
        assert_eq!(bearers[3], bearer(next.expose()));
        let last = if calls == 1 {
            next.expose()
        } else {
            &token().expose().to_owned()
        };
        assert_eq!(bearers.last().unwrap(), &bearer(last));
    }
}

#[tokio::test]
async fn both_tokens_are_kept_while_it_is_not_known_which_works() {
    let peer = Peer::start([]).await;
    for script in [
        // As a proxy does that has lost its way.
        vec![Reply::failed(16, "no"), Reply::failed(16, "no")],
        vec![Reply::failed(8, "slow down")],
        vec![Reply::failed(16, "no"), Reply::failed(13, "the disk")],
    ] {
        let project = Project::broken_off(&peer).await;
        let before = project.saved();
        peer.script(script);
        let settled = project.rotation.settle(before.clone()).await;
        assert!(matches!(settled.trouble, Some(RotationError::Client(_))));
        assert_eq!(
            (settled.connection, project.saved()),
            (before.clone(), before)
        );
    }
}

#[tokio::test]
async fn a_next_token_that_the_hub_will_never_know_is_given_up() {
    let peer = Peer::start([]).await;
    let project = Project::broken_off(&peer).await;
    let before = project.saved();
    peer.script([Reply::failed(16, "no"), Reply::failed(9, "replaced")]);
    let error = project.rotation.rotate(PATIENCE).await.unwrap_err();
    assert!(
        matches!(
            error,
            RotationError::Client(ClientError::TokenReplaced { .. })
        ),
        "{error:?}"
    );
    let saved = project.saved();
    assert!(saved.token == before.token && saved.next_token.is_none());
}
