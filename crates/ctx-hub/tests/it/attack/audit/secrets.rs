//! No token, no content, no meta and nothing that steers a terminal gets into the trail, whatever is
//! sent.

use ctx_hub::secret::{AdminToken, ClientToken};
use ctx_hub::wire::method::{
    HUB_STATUS, LIST_CLIENTS, LISTEN, REGISTER, REVOKE_CLIENT, SHUTDOWN, STATUS, SYNC,
};

use super::*;
use crate::server::peer::{PROTO, frame};

const CONTENT: &str = "what-the-entry-says";
const STEERING: &str = "x\u{1b}]0;owned\u{7}\u{9b}31m\r\n{\"v\":1}\u{202e}";

/// A message of each call with `text` wherever a text goes.
fn messages(token: &str, text: &str) -> Vec<(&'static str, String)> {
    let text = serde_json::to_string(text).unwrap();
    let token = serde_json::to_string(token).unwrap();
    vec![
        (
            REGISTER,
            format!(r#"{{"admin_token":{token},"project_name":{text}}}"#),
        ),
        (
            REGISTER,
            format!(r#"{{"admin_token":{text},"project_name":{token}}}"#),
        ),
        (
            REVOKE,
            format!(r#"{{"admin_token":{token},"client_id":{text}}}"#),
        ),
        (
            REVOKE,
            format!(r#"{{"admin_token":{text},"client_id":{token}}}"#),
        ),
        (
            PUBLISH,
            format!(
                r#"{{"entries":[{{"id":{text},"type":"learning","content":"{CONTENT}","origin":{text},"timestamp":1,"meta":{{"tool":"meta-of-the-tool"}}}}]}}"#
            ),
        ),
        (
            PUBLISH,
            format!(
                r#"{{"entries":[{{"id":"i","type":{text},"content":"{CONTENT}","origin":{token},"timestamp":1}}]}}"#
            ),
        ),
        (
            PUBLISH,
            entry("origin-is-a-token", "", CONTENT)
                .replace(r#""origin":"""#, &format!(r#""origin":{token}"#)),
        ),
        (
            SYNC,
            format!(r#"{{"types":[{text}],"known_chain":{text}}}"#),
        ),
        (LISTEN, format!(r#"{{"types":[{text}]}}"#)),
        (STATUS, text.clone()),
        (HUB_STATUS, format!(r#"{{"a":{text}}}"#)),
        (LIST_CLIENTS, "{}".to_owned()),
        (REVOKE_CLIENT, format!(r#"{{"client_id":{text}}}"#)),
        (SHUTDOWN, "{".to_owned()),
    ]
}

#[tokio::test]
async fn whatever_is_sent_no_secret_and_no_content_gets_into_the_trail() {
    let hub = patient_hub();
    let peer = Peer::connect(&hub).await;
    let admin = hub.admin_token().expose().to_owned();
    let (_, token) = peer.register(&hub, "alpha").await;
    let stray = [
        AdminToken::random().unwrap().expose().to_owned(),
        ClientToken::random().unwrap().expose().to_owned(),
    ];
    let huge = "y".repeat(65_000);
    let swapped = format!("with {admin} in it");
    for text in [
        "plain",
        STEERING,
        huge.as_str(),
        token.as_str(),
        swapped.as_str(),
        "",
    ] {
        for credential in [&admin, &token, &stray[0], &stray[1]] {
            for (path, message) in messages(credential, text) {
                let bearer = format!("Bearer {credential}");
                for kind in [JSON, PROTO, "text/plain"] {
                    let headers = [("content-type", kind), ("authorization", bearer.as_str())];
                    if [LISTEN, SHUTDOWN].contains(&path) && kind == JSON && *credential == admin {
                        continue;
                    }
                    let body = frame(message.as_bytes());
                    if path == LISTEN && *credential == token {
                        // It would go on for ever.
                        drop(peer.open(path, kind, credential, message.as_bytes()).await);
                        continue;
                    }
                    peer.raw(path, &headers, body).await;
                }
            }
        }
    }
    // A name that is a token: whoever mixed up two arguments.
    let message = format!(
        r#"{{"admin_token":"{admin}","project_name":"{}"}}"#,
        stray[0]
    );
    assert_eq!(peer.call(REGISTER, JSON, None, message).await.code(), "0");

    let text = fs_err::read_to_string(hub.data_dir().audit()).unwrap();
    assert!(
        text.contains("ctx_adm_…"),
        "the name is there, without its digits"
    );
    for secret in [&admin, &token, &stray[0], &stray[1]] {
        assert!(!text.contains(secret.as_str()), "a token");
        assert!(!text.contains(&secret[8..]), "the digits of a token");
    }
    for content in [
        CONTENT,
        "meta-of-the-tool",
        "meta-of-the-host",
        "yyyyyyyyyy",
    ] {
        let most = if content.starts_with('y') { 128 } else { 0 };
        let longest = text
            .lines()
            .map(|line| line.matches(content).count() * content.len());
        assert!(longest.max().unwrap() <= most, "{content}");
    }
    assert!(
        !text
            .chars()
            .any(|c| (c.is_control() && c != '\n') || c == '\u{202e}'),
        "something steers a terminal"
    );
    for line in text.lines() {
        assert!(line.len() < 2_048, "{line}");
    }
    assert!(lines(hub.data_dir()).len() > 100);
}
