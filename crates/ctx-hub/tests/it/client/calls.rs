//! Calls with one answer.

use std::time::Duration;

use ctx_config::limits;
use ctx_hub::client::{
    Admission, ClientError, ClientErrorKind, HubClient, HubIdentity, Timeouts, Violation,
};
use ctx_hub::entry::{EntryDraft, EntryMeta};
use ctx_hub::secret::{AdminToken, Invitation};
use ctx_hub::types::{EntryId, EntryType, ProjectName, Sequence, TypeSet};

use super::peer::{End, Peer, Reply, framed, map};
use super::{client, in_time, patient, token};

const HUB_ID: &str = "0123456789abcdef0123456789abcdef";

fn admin_token() -> AdminToken {
    AdminToken::parse(&format!("ctx_adm_{}", "7".repeat(64))).unwrap()
}

fn project() -> ProjectName {
    "größe \"x\"".parse().unwrap()
}

fn draft(id: &str, content: &str) -> EntryDraft {
    let meta = EntryMeta {
        tool: "ctx".to_owned(),
        ..EntryMeta::default()
    };
    let id = EntryId::try_from(id.to_owned()).unwrap();
    EntryDraft::new(
        id,
        EntryType::Decision,
        content.to_owned(),
        1_765_000_000,
        meta,
    )
    .unwrap()
}

async fn register(reply: Reply) -> Result<ctx_hub::client::Registration, ClientError> {
    let peer = Peer::start([reply]).await;
    let client = HubClient::connect(peer.address(), patient()).await.unwrap();
    in_time(client.register(&admin_token(), &project())).await
}

async fn publish(reply: Reply) -> Result<Vec<Sequence>, ClientError> {
    let peer = Peer::start([reply]).await;
    in_time(client(&peer, patient()).await.publish(&[draft("a", "x")])).await
}

fn is_violation(error: &ClientError, expected: fn(&Violation) -> bool) -> bool {
    assert_eq!(error.kind(), ClientErrorKind::Protocol, "{error:?}");
    matches!(error, ClientError::Protocol { source, .. } if expected(source))
}

#[tokio::test]
async fn register_sends_what_the_protocol_says_byte_for_byte() {
    let answer = format!(
        r#"{{"client_id":"{HUB_ID}","client_token":"{}"}}"#,
        token().expose()
    );
    let mut peer = Peer::start([Reply::message(&answer)]).await;
    let client = HubClient::connect(peer.address(), patient()).await.unwrap();
    let registration = in_time(client.register(&admin_token(), &project()))
        .await
        .unwrap();
    assert_eq!(registration.client_id.as_str(), HUB_ID);
    assert_eq!(registration.token, token());

    let seen = peer.seen().await;
    assert_eq!(
        (seen.method.as_str(), seen.path.as_str()),
        ("POST", "/ctx.hub.v1.CtxHub/Register")
    );
    assert_eq!(seen.header("content-type"), Some("application/grpc+json"));
    assert_eq!(seen.headers.get_all("content-type").iter().count(), 1);
    assert_eq!(seen.header("te"), Some("trailers"));
    assert_eq!(seen.header("authorization"), None);
    assert!(
        seen.header("user-agent").unwrap().starts_with("ctx/"),
        "{seen:?}"
    );
    assert!(
        seen.header("grpc-timeout").is_some(),
        "the hub is told the deadline"
    );
    let json = format!(
        r#"{{"admin_token":"{}","project_name":"größe \"x\""}}"#,
        admin_token().expose()
    );
    assert_eq!(seen.body, framed(json.as_bytes()));
}

#[tokio::test]
async fn an_invitation_goes_alone_with_the_hash_of_the_token_that_the_caller_keeps() {
    let invitation = Invitation::parse(&format!("ctx_inv_{}", "8".repeat(64))).unwrap();
    let admission = Admission::Invitation(invitation.clone());
    let register = async |reply: Reply| {
        let mut peer = Peer::start([reply]).await;
        let client = HubClient::connect(peer.address(), patient()).await.unwrap();
        let registered = in_time(client.register_as(&admission, &project(), &token())).await;
        (registered, peer.seen().await)
    };
    let answer = format!(r#"{{"client_id":"{HUB_ID}","client_token":""}}"#);
    let (registered, seen) = register(Reply::message(&answer)).await;
    assert_eq!(registered.unwrap().token, token());
    let json = format!(
        r#"{{"admin_token":"","project_name":"größe \"x\"","invitation":"{}","token_hash":"{}"}}"#,
        invitation.expose(),
        token().hash().to_hex()
    );
    assert_eq!(seen.body, framed(json.as_bytes()));

    // A hub that knows invitations and no hashes, or an older one that is given the admin token.
    let made = format!("ctx_cli_{}", "9".repeat(64));
    let answer = format!(r#"{{"client_id":"{HUB_ID}","client_token":"{made}"}}"#);
    let (registered, _) = register(Reply::message(&answer)).await;
    assert_eq!(registered.unwrap().token.expose(), made);

    let (refused, _) = register(Reply::failed(7, "invalid admin token")).await;
    let refused = refused.unwrap_err();
    assert!(
        matches!(refused, ClientError::NoInvitations { .. }),
        "{refused}"
    );
    assert!(refused.hint().unwrap().contains("older"));
    let (refused, _) = register(Reply::failed(7, "invalid invitation")).await;
    assert!(matches!(refused, Err(ClientError::NotInvited { .. })));
    let (refused, _) = register(Reply::failed(9, "the proposed token is not a new one")).await;
    assert!(matches!(refused, Err(ClientError::TokenInUse { .. })));
}

#[tokio::test]
async fn publish_sends_its_entries_and_the_token_and_returns_their_sequences() {
    let mut peer = Peer::start([Reply::message(r#"{"sequences":[7,3]}"#)]).await;
    let client = client(&peer, patient()).await;
    let drafts = [draft("a", "one\n<two>"), draft("b", "")];
    let sequences = in_time(client.publish(&drafts)).await.unwrap();
    assert_eq!(sequences, [Sequence::new(7), Sequence::new(3)]);

    let seen = peer.seen().await;
    assert_eq!(seen.path, "/ctx.hub.v1.CtxHub/Publish");
    assert_eq!(seen.header("content-type"), Some("application/grpc+json"));
    let bearer = format!("Bearer {}", token().expose());
    assert_eq!(seen.header("authorization"), Some(bearer.as_str()));
    let json = concat!(
        r#"{"entries":[{"id":"a","type":"decision","content":"one\n<two>","origin":"","#,
        r#""timestamp":1765000000,"meta":{"tool":"ctx"}},"#,
        r#"{"id":"b","type":"decision","content":"","origin":"","#,
        r#""timestamp":1765000000,"meta":{"tool":"ctx"}}]}"#
    );
    assert_eq!(seen.body, framed(json.as_bytes()));
}

#[tokio::test]
async fn status_sends_an_empty_object_and_reads_figures_and_identity() {
    let reply = Reply::message(
        r#"{"total_entries":5,"connected_clients":2,"entries_by_type":{"task":5},"entries_by_project":null}"#,
    )
    .header("ctx-hub-id", HUB_ID)
    .header("ctx-hub-head", "9");
    let mut peer = Peer::start([reply, Reply::message("{}")]).await;
    let client = client(&peer, patient()).await;
    let status = in_time(client.status()).await.unwrap();
    assert_eq!((status.total_entries, status.connected_clients), (5, 2));
    assert_eq!(status.by_type["task"], 5);
    assert!(status.by_project.is_empty());
    assert_eq!(status.identity.id.unwrap().as_str(), HUB_ID);
    assert_eq!(status.identity.head, Some(Sequence::new(9)));
    assert_eq!(peer.seen().await.body, framed(b"{}"));

    // An older hub says nothing of itself.
    let status = in_time(client.status()).await.unwrap();
    assert_eq!(status.identity, HubIdentity::default());
}

#[tokio::test]
async fn an_identity_that_is_none_is_a_violation() {
    for (header, value) in [
        ("ctx-hub-id", "ABC"),
        ("ctx-hub-head", "-1"),
        ("ctx-hub-head", ""),
    ] {
        let peer = Peer::start([Reply::message("{}").header(header, value)]).await;
        let error = in_time(client(&peer, patient()).await.status())
            .await
            .unwrap_err();
        assert!(is_violation(&error, |v| matches!(
            v,
            Violation::HubId { .. } | Violation::Number { .. }
        )));
    }
}

#[tokio::test]
async fn refused_credentials_are_told_apart_in_headers_and_in_trailers() {
    for reply in [
        Reply::failed(7, "invalid admin token"),
        Reply::failed_at_once(7, "invalid admin token"),
        Reply::failed(16, "invalid admin token"),
        Reply::failed_at_once(16, "invalid admin token"),
    ] {
        let error = register(reply).await.unwrap_err();
        assert_eq!(error.kind(), ClientErrorKind::Credentials);
        assert!(!error.is_retryable());
        assert!(
            error
                .to_string()
                .ends_with("refused the credentials: invalid admin token")
        );
        assert!(
            error
                .hint()
                .unwrap()
                .contains(ctx_config::paths::ADMIN_TOKEN_FILE)
        );
    }
}

#[tokio::test]
async fn a_project_that_exists_is_told_by_name_and_an_older_hub_in_its_own_words() {
    let error = register(Reply::failed(6, "taken")).await.unwrap_err();
    assert!(matches!(&error, ClientError::ProjectExists { project: p, .. } if *p == project()));
    assert_eq!(error.kind(), ClientErrorKind::Rejected);

    let error = register(Reply::failed(2, "project %22x%22 already registered"))
        .await
        .unwrap_err();
    assert!(
        error
            .to_string()
            .ends_with(r#"rejected register: project "x" already registered"#),
        "{error}"
    );
    assert_eq!(error.kind(), ClientErrorKind::Rejected);
}

#[tokio::test]
async fn a_refusal_keeps_its_code_and_message_and_names_the_hub() {
    for (code, expected) in [
        (3, tonic::Code::InvalidArgument),
        (8, tonic::Code::ResourceExhausted),
        (11, tonic::Code::OutOfRange),
        (12, tonic::Code::Unimplemented),
        (13, tonic::Code::Internal),
    ] {
        let peer = Peer::start([Reply::failed(code, "no%0a%1b[31m gr%C3%B6%C3%9Fe")]).await;
        let client = client(&peer, patient()).await;
        let error = in_time(client.publish(&[draft("a", "x")]))
            .await
            .unwrap_err();
        let ClientError::Rejected {
            code, ref message, ..
        } = error
        else {
            panic!("{error:?}");
        };
        assert_eq!(code, expected);
        assert_eq!(message, "no  [31m größe", "nothing a terminal would obey");
        assert!(error.to_string().contains(&peer.address().to_string()));
        assert!(!error.is_retryable());
    }
}

#[tokio::test]
async fn a_refusal_without_words_says_what_its_code_means() {
    let error = publish(Reply::failed(8, "")).await.unwrap_err();
    assert!(error.to_string().contains("exhausted"), "{error}");
}

#[tokio::test]
async fn no_error_shows_a_token_that_the_hub_repeats() {
    let told = format!("who is {}?", token().expose());
    for reply in [
        Reply::failed(16, &told),
        Reply::failed(3, &told),
        Reply::failed(5, &told),
        Reply::message(&format!(r#"{{"sequences":"{}"}}"#, token().expose())),
        Reply::message(&format!("\"{}\"", token().expose())),
    ] {
        assert_shows_no_token(&publish(reply).await.unwrap_err());
    }
    // A connection that broke: what the library says of it holds the hub's words.
    let broken = Peer::start(vec![Reply::failed(1, &told); 3]).await;
    let broken = in_time(client(&broken, patient()).await.publish(&[draft("a", "x")])).await;
    assert_shows_no_token(&broken.unwrap_err());
    // A registration with its fields the wrong way round.
    let token = token();
    let swapped = format!(
        r#"{{"client_id":"{}","client_token":"{HUB_ID}"}}"#,
        token.expose()
    );
    assert_shows_no_token(&register(Reply::message(&swapped)).await.unwrap_err());
}

/// Neither the error nor its causes, nor what a program shows that prints it for debugging.
#[track_caller]
fn assert_shows_no_token(error: &ClientError) {
    let mut shown = format!("{error:?}");
    let mut next: Option<&dyn std::error::Error> = Some(error);
    while let Some(error) = next {
        shown = format!("{shown}\n{error}");
        next = error.source();
    }
    assert!(!shown.contains(&"5".repeat(8)), "{shown}");
}

#[tokio::test]
async fn what_a_hub_says_of_an_identity_is_shown_in_part() {
    let answer = format!(r#"{{"client_id":"{}"}}"#, "x".repeat(100_000));
    let error = register(Reply::message(&answer)).await.unwrap_err();
    assert!(is_violation(&error, |v| matches!(v, Violation::Value(_))));
    assert!(format!("{error:?}").len() < 2_000);
}

#[tokio::test]
async fn debug_of_a_client_shows_no_token() {
    let peer = Peer::start([]).await;
    let client = client(&peer, patient()).await;
    assert!(
        !format!("{client:?}").contains(&"5".repeat(8)),
        "{client:?}"
    );
}

#[tokio::test]
async fn an_answer_with_the_wrong_number_of_sequences_is_a_violation() {
    for answer in [r#"{"sequences":null}"#, "{}", r#"{"sequences":[1,2]}"#] {
        let error = publish(Reply::message(answer)).await.unwrap_err();
        assert!(is_violation(&error, |v| matches!(
            v,
            Violation::SequenceCount { entries: 1, .. }
        )));
    }
}

#[tokio::test]
async fn an_answer_that_cannot_be_read_is_a_violation_and_not_a_refusal() {
    for answer in [
        "",
        "[1]",
        "{",
        r#"{"sequences":[1.5]}"#,
        r#"{"sequences":[1],"sequences":[2]}"#,
    ] {
        let error = publish(Reply::message(answer)).await.unwrap_err();
        assert!(
            is_violation(&error, |v| matches!(v, Violation::Unreadable(_))),
            "{answer}"
        );
    }
}

#[tokio::test]
async fn an_answer_that_ends_before_its_end_is_asked_for_again() {
    for body in [framed(br#"{"sequences":[1]}"#), framed(b"{}")[..6].to_vec()] {
        let cut = Reply::message("").raw(&body).end(End::Bare);
        let peer = Peer::start([cut, Reply::message(r#"{"sequences":[4]}"#)]).await;
        let client = client(&peer, patient()).await;
        let sequences = in_time(client.publish(&[draft("a", "x")])).await.unwrap();
        assert_eq!(sequences, [Sequence::new(4)]);
    }
}

#[tokio::test]
async fn an_answer_without_a_message_or_framed_in_another_way_is_a_violation() {
    for reply in [
        Reply::messages::<&str>([]),
        Reply::message("").raw(&[1, 0, 0, 0, 2, b'{', b'}']),
        Reply::message("").raw(b"<html></html>"),
    ] {
        let error = publish(reply).await.unwrap_err();
        assert!(is_violation(&error, |v| matches!(
            v,
            Violation::Framing { .. }
        )));
    }
}

#[tokio::test]
async fn a_registration_that_is_none_is_a_violation() {
    let token = token();
    let no_id = format!(r#"{{"client_id":"x","client_token":"{}"}}"#, token.expose());
    let error = register(Reply::message(&no_id)).await.unwrap_err();
    assert!(is_violation(&error, |v| matches!(v, Violation::Value(_))));
    let no_token = format!(r#"{{"client_id":"{HUB_ID}","client_token":"secret"}}"#);
    let error = register(Reply::message(&no_token)).await.unwrap_err();
    assert!(is_violation(&error, |v| matches!(v, Violation::Token)));
    assert!(!format!("{error:?}").contains("secret"));
}

#[tokio::test]
async fn status_details_that_are_no_base64_do_not_make_the_client_panic() {
    let details = ("grpc-status-details-bin", "%%%");
    let trailers = map(&[("grpc-status", "3"), ("grpc-message", "no"), details]);
    let in_trailers = Reply::messages::<&str>([]).end(End::Trailers(trailers));
    let in_headers = Reply::failed_at_once(3, "no").header(details.0, details.1);
    for reply in [in_trailers, in_headers] {
        let error = publish(reply).await.unwrap_err();
        assert!(
            error.to_string().ends_with("rejected publish: no"),
            "{error}"
        );
    }
}

#[tokio::test]
async fn publish_is_repeated_with_the_same_entries_while_the_hub_is_unavailable() {
    let script = [
        Reply::failed_at_once(14, "starting"),
        Reply::message("").end(End::Reset(h2::Reason::REFUSED_STREAM)),
        Reply::message(r#"{"sequences":[4]}"#),
    ];
    let mut peer = Peer::start(script).await;
    let client = client(&peer, patient()).await;
    let sequences = in_time(client.publish(&[draft("a", "x")])).await.unwrap();
    assert_eq!(sequences, [Sequence::new(4)]);
    let first = peer.seen().await;
    for _ in 1..limits::RETRY_ATTEMPTS {
        let again = peer.seen().await;
        assert_eq!(
            (again.path, again.body),
            (first.path.clone(), first.body.clone())
        );
    }
}

#[tokio::test]
async fn a_hub_that_stays_unavailable_is_asked_a_bounded_number_of_times() {
    let mut peer = Peer::start(vec![Reply::failed(14, "stopping"); 9]).await;
    let error = in_time(client(&peer, patient()).await.status())
        .await
        .unwrap_err();
    assert!(matches!(&error, ClientError::Unavailable { message, .. } if message == "stopping"));
    assert_eq!(error.kind(), ClientErrorKind::Unreachable);
    assert!(error.is_retryable());
    for _ in 0..limits::RETRY_ATTEMPTS {
        peer.seen().await;
    }
    assert!(peer.saw_no_more());
}

#[tokio::test]
async fn register_is_sent_once_whatever_happens() {
    for reply in [
        Reply::failed(14, "stopping"),
        Reply::message("").end(End::Reset(h2::Reason::REFUSED_STREAM)),
    ] {
        let mut peer = Peer::start([reply, Reply::message("{}")]).await;
        let client = HubClient::connect(peer.address(), patient()).await.unwrap();
        let error = in_time(client.register(&admin_token(), &project()))
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ClientErrorKind::Unreachable);
        peer.seen().await;
        assert!(peer.saw_no_more());
    }
}

#[tokio::test]
async fn what_the_hub_refused_is_not_repeated() {
    let mut peer = Peer::start([Reply::failed(3, "no"), Reply::message("{}")]).await;
    in_time(client(&peer, patient()).await.status())
        .await
        .unwrap_err();
    peer.seen().await;
    assert!(peer.saw_no_more());
}

#[tokio::test]
async fn a_broken_connection_is_dialled_again_by_the_next_call() {
    let mut peer = Peer::start([Reply::message("{}"), Reply::message("{}")]).await;
    let client = client(&peer, patient()).await;
    in_time(client.status()).await.unwrap();
    peer.seen().await;
    peer.cut();
    in_time(client.status()).await.unwrap();
    assert_eq!(peer.seen().await.path, "/ctx.hub.v1.CtxHub/Status");
}

#[tokio::test]
async fn a_wait_without_end_is_as_good_as_any() {
    let peer = Peer::start([Reply::message("{}"), Reply::messages::<&str>([])]).await;
    let (connect, call) = (Duration::MAX, Duration::MAX);
    let timeouts = Timeouts {
        connect,
        call,
        sync_idle: call,
        listen_idle: call,
    };
    let client = client(&peer, timeouts).await;
    in_time(client.status()).await.unwrap();
    let mut stream = in_time(client.listen(&TypeSet::all(), Sequence::START))
        .await
        .unwrap();
    assert!(in_time(stream.next()).await.unwrap().is_none());
}

#[tokio::test]
async fn more_than_one_publish_may_carry_is_refused_before_anything_is_sent() {
    let mut peer = Peer::start([]).await;
    let client = client(&peer, patient()).await;
    let many = vec![draft("a", ""); limits::PUBLISH_MAX_ENTRIES + 1];
    let large = vec![draft("a", &"x".repeat(limits::ENTRY_CONTENT_MAX_BYTES)); 9];
    for drafts in [many, large] {
        let error = in_time(client.publish(&drafts)).await.unwrap_err();
        assert!(matches!(error, ClientError::TooMuch { .. }), "{error:?}");
        assert_eq!(error.kind(), ClientErrorKind::Usage);
    }
    assert_eq!(in_time(client.publish(&[])).await.unwrap(), []);
    assert!(peer.saw_no_more());
}
