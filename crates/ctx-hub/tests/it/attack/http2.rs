//! Floods of frames: what costs the sender little and the hub more, while it is let.

use ctx_hub::wire::method::{PUBLISH, STATUS, SYNC};
use std::time::Duration;

use super::conn::hub;
use super::raw::{Raw, call, code, flag, frame, kind, settings};
use super::{Guest, still_serves};
use crate::server::hub::TestHub;
use crate::server::peer::{self, JSON};

/// Sends `bytes` again and again until the hub takes no more: it has closed, or it waits for this
/// side to read.
pub(super) async fn flood(raw: &mut Raw, bytes: &[u8], times: usize) -> bool {
    let many = bytes.repeat(100);
    for _ in 0..times.div_ceil(100) {
        let sent = tokio::time::timeout(Duration::from_secs(2), raw.send(&many)).await;
        if !matches!(sent, Ok(Ok(()))) {
            return true;
        }
    }
    false
}

#[tokio::test]
async fn headers_in_endless_pieces_end_the_connection() {
    let hub = TestHub::start();
    let guest = Guest::join(&hub).await;
    for piece in [&b""[..], &[0x10, 1, b'x', 1, b'y']] {
        let mut raw = Raw::greeted(hub.socket_addr()).await;
        raw.frame(kind::HEADERS, 0, 1, &call(STATUS, None, &[]))
            .await
            .unwrap();
        flood(&mut raw, &frame(kind::CONTINUATION, 0, 1, piece), 20_000).await;
        guest.is_served().await;
        // Gone, with a word or, where it was still being sent to, without.
        let ended = raw.closed().await;
        assert!(
            matches!(ended, None | Some(code::ENHANCE_YOUR_CALM)),
            "{ended:?}"
        );
    }
    still_serves(&hub).await;
}

#[tokio::test]
async fn whoever_asks_and_never_reads_is_not_listened_to_any_more() {
    let hub = TestHub::start();
    let guest = Guest::join(&hub).await;
    let ping = frame(kind::PING, 0, 0, b"12345678");
    let setting = frame(kind::SETTINGS, 0, 0, &settings(&[(4, 70_000)]));
    for question in [ping, setting] {
        let mut raw = Raw::greeted(hub.socket_addr()).await;
        // Some 20 MB: more than fits between them.
        let stuck = flood(&mut raw, &question, 1_200_000).await;
        assert!(stuck, "everything was taken in");
        guest.is_served().await;
    }
    still_serves(&hub).await;
}

#[tokio::test]
async fn ten_thousand_calls_that_are_taken_back_at_once_end_the_connection() {
    let hub = TestHub::start();
    let guest = Guest::join(&hub).await;
    let mut raw = Raw::greeted(hub.socket_addr()).await;
    let headers = call(PUBLISH, Some(guest.token()), &[]);
    let mut sent = 0;
    for n in 0..10_000 {
        let stream = 2 * n + 1;
        let mut both = frame(kind::HEADERS, flag::END_HEADERS, stream, &headers);
        both.extend(frame(
            kind::RST_STREAM,
            0,
            stream,
            &code::CANCEL.to_be_bytes(),
        ));
        if raw.send(&both).await.is_err() {
            break;
        }
        sent += 1;
        if n % 1_000 == 0 {
            guest.is_served().await;
        }
    }
    let ended = raw.closed().await;
    assert!(
        matches!(ended, None | Some(code::ENHANCE_YOUR_CALM)),
        "{ended:?}"
    );
    assert!(sent < 10_000, "all of them were taken");
    guest.is_served().await;
    still_serves(&hub).await;
}

#[tokio::test]
async fn calls_that_are_taken_back_one_by_one_end_the_connection_too() {
    const MOST: u32 = 50;
    let hub = hub(|settings| settings.taken_back_per_minute = MOST);
    let guest = Guest::join(&hub).await;
    let mut raw = Raw::greeted(hub.socket_addr()).await;
    let headers = call(PUBLISH, Some(guest.token()), &[]);
    let mut closed = false;
    // Each is under way before it is taken back: the answer to a ping says that it was seen.
    for n in 0..MOST * 10 {
        let stream = 2 * n + 1;
        let sent = async {
            raw.headers(stream, &headers, false).await?;
            raw.ping().await?;
            let seen = raw.until(|frame| frame.kind == kind::PING || frame.kind == kind::GOAWAY);
            let seen = seen.await.filter(|frame| frame.kind == kind::PING);
            seen.ok_or(std::io::ErrorKind::ConnectionReset)?;
            raw.reset(stream).await
        };
        if sent.await.is_err() {
            closed = true;
            break;
        }
    }
    assert!(closed, "it may go on for ever");
    guest.is_served().await;
    still_serves(&hub).await;
}

#[tokio::test]
async fn frames_that_carry_nothing_end_their_call_or_their_connection() {
    let hub = TestHub::start();
    let guest = Guest::join(&hub).await;
    for data in [&b""[..], b"\0"] {
        let mut raw = Raw::greeted(hub.socket_addr()).await;
        raw.headers(1, &call(PUBLISH, Some(guest.token()), &[]), false)
            .await
            .unwrap();
        // The length of a message that may be, so that each of the bytes after it is wanted.
        raw.data(1, &[0, 0, 0xf0, 0, 0], false).await.unwrap();
        flood(&mut raw, &frame(kind::DATA, 0, 1, data), 200_000).await;
        guest.is_served().await;
        let ended = raw
            .until(|frame| frame.kind == kind::GOAWAY || frame.ends(1))
            .await;
        assert!(
            ended.is_none_or(|frame| frame.code().is_some()),
            "it is still taken in"
        );
    }
    still_serves(&hub).await;
}

#[tokio::test]
async fn headers_beyond_their_size_are_refused_and_the_connection_goes_on() {
    let hub = TestHub::start();
    let guest = Guest::join(&hub).await;
    let many: Vec<String> = (0..300).map(|n| format!("x-{n}")).collect();
    let value = "v".repeat(64);
    let more: Vec<(&str, &str)> = many
        .iter()
        .map(|name| (name.as_str(), value.as_str()))
        .collect();
    let mut raw = Raw::greeted(hub.socket_addr()).await;
    let headers = call(STATUS, Some(guest.token()), &more);
    let (first, rest) = headers.split_at(16_000);
    raw.frame(kind::HEADERS, flag::END_STREAM, 1, first)
        .await
        .unwrap();
    raw.frame(kind::CONTINUATION, flag::END_HEADERS, 1, rest)
        .await
        .unwrap();
    assert!(raw.end_of(1).await.is_some(), "it is answered");
    raw.call(3, STATUS, Some(guest.token()), "{}")
        .await
        .unwrap();
    assert!(
        raw.until(|frame| frame.kind == kind::DATA && frame.stream == 3)
            .await
            .is_some()
    );
    guest.is_served().await;
}

#[tokio::test]
async fn a_compressed_message_is_refused_and_not_inflated() {
    let hub = TestHub::start();
    let guest = Guest::join(&hub).await;
    let bearer = format!("Bearer {}", guest.token());
    let mut message = peer::frame(&[0; 1_000]).to_vec();
    message[0] = 1;
    for (encoding, code) in [(Some("gzip"), "12"), (Some("zstd"), "12"), (None, "13")] {
        let mut headers = vec![("content-type", JSON), ("authorization", &bearer)];
        headers.extend(encoding.map(|encoding| ("grpc-encoding", encoding)));
        let answer = guest.peer().raw(PUBLISH, &headers, message.clone()).await;
        assert_eq!(answer.code(), code, "{encoding:?}: {answer:?}");
    }
    guest.is_served().await;
}

#[tokio::test]
async fn a_deadline_ends_the_call_that_named_it_and_an_odd_one_ends_none() {
    let hub = TestHub::start();
    let guest = Guest::join(&hub).await;
    let bearer = format!("Bearer {}", guest.token());
    let headers = |timeout| {
        [
            ("content-type", JSON),
            ("authorization", &*bearer),
            ("grpc-timeout", timeout),
        ]
    };
    for odd in ["99999999H", "-1S", "1000000000S", "S", "1x", "9 S"] {
        let answer = guest
            .peer()
            .raw(STATUS, &headers(odd), peer::frame(b"{}"))
            .await;
        assert_eq!(answer.code(), "0", "{odd}: {answer:?}");
    }
    let begun = guest
        .peer()
        .begin_with(PUBLISH, &headers("50m"), r#"{"entries":[]}"#)
        .await;
    let answer = begun.abandoned().await;
    assert_eq!(answer.code(), "4", "{answer:?}");
    guest.is_served().await;
}

#[tokio::test]
async fn a_publish_that_is_taken_back_is_stored_whole_or_not_at_all() {
    let hub = TestHub::start();
    let guest = Guest::join(&hub).await;
    let mut raw = Raw::greeted(hub.socket_addr()).await;
    for n in 0..100 {
        let entries: Vec<String> = (0..3)
            .map(|part| format!(r#"{{"id":"{n}-{part}","type":"task","content":"x"}}"#))
            .collect();
        let message = format!(r#"{{"entries":[{}]}}"#, entries.join(","));
        let stream = 2 * n + 1;
        raw.call(stream, PUBLISH, Some(guest.token()), &message)
            .await
            .unwrap();
        // Every other one is under way before it is taken back.
        if n % 2 == 0 {
            seen(&mut raw).await;
        }
        raw.reset(stream).await.unwrap();
        seen(&mut raw).await;
    }
    guest.is_served().await;
    let answer = guest
        .peer()
        .json(SYNC, guest.token(), r#"{"types":["task"]}"#)
        .await;
    let stored: Vec<String> = answer.texts().iter().map(|text| id_of(text)).collect();
    for whole in stored.chunks(3) {
        let n = whole[0].split('-').next().unwrap();
        let expected: Vec<String> = (0..3).map(|part| format!("{n}-{part}")).collect();
        assert_eq!(whole, expected);
    }
}

/// Waits until everything that was sent has been read.
async fn seen(raw: &mut Raw) {
    raw.ping().await.unwrap();
    let pong = raw.until(|frame| frame.kind == kind::PING && frame.flags == flag::ACK);
    pong.await.unwrap();
}

fn id_of(entry: &str) -> String {
    let value: serde_json::Value = serde_json::from_str(entry).unwrap();
    value["id"].as_str().unwrap().to_owned()
}
