//! Bytes, frames, headers and messages that no client of ours sends: refused, and nobody else
//! notices.

use ctx_hub::wire::method::{PUBLISH, REGISTER, STATUS, SYNC};

use super::raw::{PREFACE, Raw, block, call, flag, frame, framed, kind, settings};
use super::{Guest, still_serves};
use crate::server::hub::TestHub;
use crate::server::peer::{self, JSON, PROTO, Peer};

/// The shortest frame header there is, without its length.
const NOTHING: &[u8] = &[];

#[tokio::test]
async fn a_call_written_by_hand_is_answered() {
    let hub = TestHub::start();
    let guest = Guest::join(&hub).await;
    let mut raw = Raw::greeted(hub.socket_addr()).await;
    raw.call(1, STATUS, Some(guest.token()), "{}")
        .await
        .unwrap();
    let answer = raw.until(|frame| frame.kind == kind::DATA).await.unwrap();
    let text = String::from_utf8(answer.payload[5..].to_vec()).unwrap();
    assert!(text.starts_with('{') && text.contains("entries"), "{text}");
    assert_eq!(raw.end_of(1).await.unwrap().kind, kind::HEADERS);

    // The same with its headers in pieces.
    let headers = call(STATUS, Some(guest.token()), &[]);
    let (first, rest) = headers.split_at(40);
    raw.frame(kind::HEADERS, 0, 3, first).await.unwrap();
    for piece in rest.chunks(40) {
        raw.frame(kind::CONTINUATION, 0, 3, piece).await.unwrap();
    }
    raw.frame(kind::CONTINUATION, flag::END_HEADERS, 3, NOTHING)
        .await
        .unwrap();
    raw.data(3, &peer::frame(b"{}"), true).await.unwrap();
    assert_eq!(raw.end_of(3).await.unwrap().kind, kind::HEADERS);

    // And the connection is alive.
    raw.ping().await.unwrap();
    let pong = raw.until(|frame| frame.kind == kind::PING && frame.flags == flag::ACK);
    assert_eq!(pong.await.unwrap().payload, b"12345678");
}

#[tokio::test]
async fn what_is_no_http_2_is_cut_off_and_nobody_else_notices() {
    let hub = TestHub::start();
    let guest = Guest::join(&hub).await;
    for bytes in [
        b"GET / HTTP/1.1\r\nHost: hub.test\r\n\r\n".as_slice(),
        b"SSH-2.0-OpenSSH_9.9\r\nand so on and so forth\r\n",
        b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03 the hello of another protocol",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\x00 nearly, and no more than that",
        &[0; 64],
        &[0xff; 64],
    ] {
        let mut raw = Raw::dial(hub.socket_addr()).await;
        raw.send(bytes).await.unwrap();
        raw.closed().await;
        guest.is_served().await;
    }
    still_serves(&hub).await;
}

/// Frames that the protocol forbids, after a greeting.
fn forbidden() -> Vec<(&'static str, Vec<u8>)> {
    let open = || {
        frame(
            kind::HEADERS,
            flag::END_HEADERS,
            1,
            &call(STATUS, None, &[]),
        )
    };
    let after_open = |rest: Vec<u8>| [open(), rest].concat();
    let one = |kind, flags, stream, payload: &[u8]| frame(kind, flags, stream, payload);
    vec![
        ("data on the connection", one(kind::DATA, 0, 0, b"x")),
        (
            "data on a stream that is not open",
            one(kind::DATA, 0, 1, b"x"),
        ),
        (
            "headers on the connection",
            one(kind::HEADERS, 0x5, 0, &call(STATUS, None, &[])),
        ),
        (
            "headers on a stream of the server",
            one(kind::HEADERS, 0x5, 2, &call(STATUS, None, &[])),
        ),
        (
            "a continuation of nothing",
            one(kind::CONTINUATION, 0x4, 1, b"x"),
        ),
        (
            "another frame between headers and their continuation",
            [
                one(kind::HEADERS, 0, 1, b""),
                one(kind::PING, 0, 0, b"12345678"),
            ]
            .concat(),
        ),
        (
            "a continuation of another stream",
            [
                one(kind::HEADERS, 0, 1, b""),
                one(kind::CONTINUATION, 4, 3, b""),
            ]
            .concat(),
        ),
        (
            "a reset of a stream that is not open",
            one(kind::RST_STREAM, 0, 1, &[0; 4]),
        ),
        (
            "a reset of the connection",
            one(kind::RST_STREAM, 0, 0, &[0; 4]),
        ),
        (
            "a reset that is too short",
            after_open(one(kind::RST_STREAM, 0, 1, &[0; 3])),
        ),
        ("settings of a stream", one(kind::SETTINGS, 0, 1, NOTHING)),
        ("settings cut off", one(kind::SETTINGS, 0, 0, &[0; 5])),
        (
            "an acknowledgement that says something",
            one(kind::SETTINGS, flag::ACK, 0, &[0; 6]),
        ),
        (
            "a window beyond all bounds",
            one(kind::SETTINGS, 0, 0, &settings(&[(4, u32::MAX)])),
        ),
        (
            "a frame size that is too small",
            one(kind::SETTINGS, 0, 0, &settings(&[(5, 1)])),
        ),
        (
            "a push that is neither on nor off",
            one(kind::SETTINGS, 0, 0, &settings(&[(2, 7)])),
        ),
        (
            "a promise from a client",
            one(kind::PUSH_PROMISE, 4, 1, &[0, 0, 0, 2]),
        ),
        ("a ping of a stream", one(kind::PING, 0, 1, b"12345678")),
        (
            "a ping that is too short",
            one(kind::PING, 0, 0, b"1234567"),
        ),
        (
            "a window widened by nothing",
            one(kind::WINDOW_UPDATE, 0, 0, &[0; 4]),
        ),
        (
            "a window widened beyond all bounds",
            one(kind::WINDOW_UPDATE, 0, 0, &[0x7f, 0xff, 0xff, 0xff]),
        ),
        (
            "a window update cut off",
            one(kind::WINDOW_UPDATE, 0, 0, &[0; 3]),
        ),
        ("a farewell cut off", one(kind::GOAWAY, 0, 0, &[0; 7])),
        (
            "more padding than data",
            after_open(one(kind::DATA, flag::PADDED, 1, &[9, 1])),
        ),
        (
            "more padding than headers",
            one(kind::HEADERS, 0x4 | flag::PADDED, 1, &[200, 0x10]),
        ),
        (
            "a priority cut off",
            one(kind::HEADERS, 0x4 | flag::PRIORITY, 1, &[0; 3]),
        ),
        (
            "a stream that depends on itself",
            one(kind::PRIORITY, 0, 0, &[0, 0, 0, 1, 0]),
        ),
        (
            "a frame larger than was agreed",
            framed(16_385, kind::DATA, 0, 1, &[0; 16_385]),
        ),
        (
            "a frame as large as can be written",
            framed(0x00ff_ffff, kind::SETTINGS, 0, 0, &[0; 64]),
        ),
    ]
}

#[tokio::test]
async fn a_frame_that_the_protocol_forbids_ends_its_connection_and_no_other() {
    let hub = TestHub::start();
    let guest = Guest::join(&hub).await;
    for (what, bytes) in forbidden() {
        let mut raw = Raw::greeted(hub.socket_addr()).await;
        raw.send(&bytes).await.unwrap();
        let code = raw.closed().await;
        assert!(code.is_some_and(|code| code != 0), "{what}: {code:?}");
        guest.is_served().await;
    }
    still_serves(&hub).await;
}

/// Header blocks that cannot be read, or must not be.
fn unreadable() -> Vec<(&'static str, Vec<u8>)> {
    let long = [
        0x10, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f,
    ];
    vec![
        ("an index that nothing has", vec![0xff, 0x80, 0x01]),
        ("index zero", vec![0x80]),
        ("a number without end", vec![0xff; 40]),
        ("a string longer than the block", long.to_vec()),
        (
            "a string that is not Huffman code",
            [&[0x10, 0x84][..], &[0xff; 4], &[0x01, b'x']].concat(),
        ),
        (
            "a table larger than was agreed",
            vec![0x3f, 0xff, 0xff, 0xff, 0x07],
        ),
        ("a literal cut off", vec![0x10, 0x05, b'a', b'b']),
    ]
}

#[tokio::test]
async fn headers_that_cannot_be_read_end_their_connection_and_no_other() {
    let hub = TestHub::start();
    let guest = Guest::join(&hub).await;
    for (what, block) in unreadable() {
        let mut raw = Raw::greeted(hub.socket_addr()).await;
        raw.headers(1, &block, true).await.unwrap();
        let code = raw.closed().await;
        assert!(code.is_some_and(|code| code != 0), "{what}: {code:?}");
        guest.is_served().await;
    }
    still_serves(&hub).await;
}

/// Requests whose headers can be read and make no sense.
fn senseless() -> Vec<(&'static str, Vec<u8>)> {
    let whole = [
        (":method", "POST"),
        (":scheme", "http"),
        (":path", STATUS),
        (":authority", "hub.test"),
    ];
    let with = |more: &[(&str, &str)]| [block(&whole), block(more)].concat();
    let without = |name: &str| {
        let left: Vec<_> = whole.into_iter().filter(|(n, _)| *n != name).collect();
        block(&left)
    };
    vec![
        ("nothing at all", Vec::new()),
        ("no method", without(":method")),
        ("no path", without(":path")),
        ("a path twice", with(&[(":path", STATUS)])),
        (
            "a pseudo header that nobody knows",
            with(&[(":secret", "x")]),
        ),
        ("a pseudo header of answers", with(&[(":status", "200")])),
        (
            "a pseudo header behind others",
            with(&[("te", "trailers"), (":path", STATUS)]),
        ),
        (
            "a header of a connection",
            with(&[("connection", "keep-alive")]),
        ),
        (
            "a transfer encoding",
            with(&[("transfer-encoding", "chunked")]),
        ),
        ("upper case", with(&[("Authorization", "Bearer x")])),
        ("a name without letters", with(&[("", "x")])),
        ("a name with a blank", with(&[("a b", "x")])),
        (
            "a value with a line break",
            with(&[("authorization", "Bearer x\r\nx-forwarded-for: 127.0.0.1")]),
        ),
        (
            "a value with a zero",
            with(&[("authorization", "Bearer \0")]),
        ),
        ("a path with a blank", {
            let mut odd = whole;
            odd[2].1 = "/ctx.hub.v1.CtxHub/Status HTTP/1.1";
            block(&odd)
        }),
    ]
}

#[tokio::test]
async fn a_request_without_sense_is_reset_and_its_connection_lives() {
    let hub = TestHub::start();
    let guest = Guest::join(&hub).await;
    for (what, headers) in senseless() {
        let mut raw = Raw::greeted(hub.socket_addr()).await;
        raw.headers(1, &headers, true).await.unwrap();
        let ended = raw
            .until(|frame| frame.ends(1) || frame.kind == kind::GOAWAY)
            .await;
        assert!(ended.is_some(), "{what}");
        guest.is_served().await;
    }
    still_serves(&hub).await;
}

/// As a message of gRPC that says of itself what is in `head`.
fn lie(flag: u8, length: u32, message: &[u8]) -> Vec<u8> {
    [&[flag][..], &length.to_be_bytes(), message].concat()
}

/// Bodies that are no message, or more than one.
fn bodies() -> Vec<(&'static str, Vec<u8>)> {
    let deep = |open: &str| open.repeat(100_000).into_bytes();
    let message = |bytes: &[u8]| peer::frame(bytes).to_vec();
    vec![
        ("nothing", Vec::new()),
        ("a head cut off", vec![0, 0, 0]),
        ("a message cut off", lie(0, 100, b"{}")),
        ("four gigabytes announced", lie(0, u32::MAX, b"{}")),
        ("compressed with nothing", lie(1, 2, b"{}")),
        ("a flag that nobody knows", lie(0xff, 2, b"{}")),
        ("an empty message", lie(0, 0, b"")),
        (
            "two messages",
            [lie(0, 2, b"{}"), lie(0, 2, b"{}")].concat(),
        ),
        (
            "a message and some bytes",
            [lie(0, 2, b"{}"), vec![7; 9]].concat(),
        ),
        ("brackets as deep as they go", message(&deep("["))),
        ("objects as deep as they go", message(&deep(r#"{"a":"#))),
        ("groups as deep as they go", message(&[0x0b; 60_000])),
        (
            "a length of protobuf without end",
            message(&[0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01]),
        ),
        ("half a character", message(b"{\"project_name\":\"\xc3")),
        (
            "a number beyond all bounds",
            message(br#"{"since_sequence":1e999999999}"#),
        ),
        ("a negative number", message(br#"{"since_sequence":-1}"#)),
        (
            "another kind of value",
            message(br#"{"entries":{"a":[null]},"types":7}"#),
        ),
        ("zeros", message(&[0; 512])),
        ("ones", message(&[0xff; 512])),
    ]
}

#[tokio::test]
async fn a_body_that_is_no_message_is_refused_in_either_encoding_and_nothing_is_stored() {
    let hub = TestHub::start();
    let guest = Guest::join(&hub).await;
    let before = entries(&guest).await;
    for content_type in [JSON, PROTO] {
        let peer = Peer::connect(&hub).await;
        let bearer = format!("Bearer {}", guest.token());
        let headers = [("content-type", content_type), ("authorization", &bearer)];
        for (what, body) in bodies() {
            for path in [REGISTER, PUBLISH, SYNC] {
                let answer = peer.raw(path, &headers, body.clone()).await;
                // An empty message is a whole one, of a publish without entries or of a sync from
                // the beginning.
                let fine = path != REGISTER && answer.code() == "0";
                let refused = answer.code() != "0" && !answer.code().is_empty();
                assert!(refused || fine, "{what}: {path}: {answer:?}");
                assert!(!answer.message().contains("panic"), "{answer:?}");
            }
        }
    }
    assert_eq!(entries(&guest).await, before);
    still_serves(&hub).await;
}

/// How many entries the hub has.
async fn entries(guest: &Guest) -> u64 {
    let answer = guest.peer().json(STATUS, guest.token(), "{}").await;
    let value: serde_json::Value = serde_json::from_str(answer.text()).unwrap();
    value["total_entries"].as_u64().unwrap_or(0)
}

#[tokio::test]
async fn metadata_that_makes_no_sense_is_ignored_or_refused_and_never_trusted() {
    let hub = TestHub::start();
    let guest = Guest::join(&hub).await;
    let peer = Peer::connect(&hub).await;
    let bearer = format!("Bearer {}", guest.token());
    let long = "x".repeat(4_000);
    for (name, value) in [
        ("grpc-timeout", ""),
        ("grpc-timeout", "S"),
        ("grpc-timeout", "99999999999999999999H"),
        ("grpc-timeout", "-1S"),
        ("grpc-timeout", "1x"),
        ("grpc-encoding", "gzip"),
        ("grpc-accept-encoding", ", ,,"),
        ("content-length", "7"),
        ("content-length", "-1"),
        ("x-forwarded-for", "127.0.0.1, nobody, ::1"),
        ("forwarded", "for=127.0.0.1;by=\""),
        ("some-bin", "%%% not base64 %%%"),
        ("cookie", &long),
        ("ctx-hub-id", "not an id"),
        ("ctx-hub-known", "\"{[ 18446744073709551616"),
    ] {
        let headers = [
            ("content-type", JSON),
            ("authorization", &bearer),
            (name, value),
        ];
        let Some(answer) = peer.try_raw(STATUS, &headers, peer::frame(b"{}")).await else {
            continue;
        };
        assert!(
            !answer.code().is_empty() || answer.http != 200,
            "{name}: {value}: {answer:?}"
        );
        let headers = [("content-type", JSON), (name, value)];
        if let Some(answer) = peer.try_raw(STATUS, &headers, peer::frame(b"{}")).await {
            assert_ne!(answer.code(), "0", "{name}: {value}: {answer:?}");
        }
        guest.is_served().await;
    }
    still_serves(&hub).await;
}

#[tokio::test]
async fn a_path_that_is_nearly_one_of_ours_is_none_of_ours() {
    let hub = TestHub::start();
    let guest = Guest::join(&hub).await;
    let peer = Peer::connect(&hub).await;
    let bearer = format!("Bearer {}", guest.token());
    let headers = [("content-type", JSON), ("authorization", &bearer)];
    let deep = format!("/{}", "a/".repeat(4_000));
    for path in [
        "/",
        "//ctx.hub.v1.CtxHub/Status",
        "/ctx.hub.v1.CtxHub//Status",
        "/ctx.hub.v1.CtxHub/Status/",
        "/ctx.hub.v1.CtxHub/status",
        "/ctx.hub.v1.CtxHub/Stat%75s",
        "/ctx.hub.v1.CtxHub/../CtxHub/Status",
        "/ctx.hub.v1.CtxHubAdmin/Status",
        "/%00",
        "/\u{e9}",
        &deep,
    ] {
        let answer = peer.raw(path, &headers, peer::frame(b"{}")).await;
        assert_eq!(answer.code(), "12", "{path}: {answer:?}");
    }
    // What stands behind a question mark is no part of the path.
    let answer = peer
        .raw(
            "/ctx.hub.v1.CtxHub/HubStatus?x",
            &headers,
            peer::frame(b"{}"),
        )
        .await;
    assert_ne!(answer.code(), "0", "{answer:?}");
    guest.is_served().await;
}

#[tokio::test]
async fn nothing_but_a_preface_cut_anywhere_costs_anybody_else_a_thing() {
    let hub = TestHub::start();
    let guest = Guest::join(&hub).await;
    let mut held = Vec::new();
    for length in 0..PREFACE.len() {
        let mut raw = Raw::dial(hub.socket_addr()).await;
        raw.send(&PREFACE[..length]).await.unwrap();
        held.push(raw);
    }
    guest.is_served().await;
    still_serves(&hub).await;
}

#[tokio::test]
async fn headers_without_end_are_cut_off_long_before_they_are_many() {
    let hub = TestHub::start();
    let guest = Guest::join(&hub).await;
    for piece in [
        block(&[("x", &"y".repeat(16_000))]),
        block(&[("x", "y")]),
        Vec::new(),
    ] {
        let mut raw = Raw::greeted(hub.socket_addr()).await;
        let first = call(STATUS, None, &[]);
        raw.frame(kind::HEADERS, 0, 1, &first).await.unwrap();
        let mut sent = 0;
        while raw.frame(kind::CONTINUATION, 0, 1, &piece).await.is_ok() {
            sent += 1;
            assert!(sent < 100_000, "pieces of {} bytes", piece.len());
        }
        guest.is_served().await;
    }
    still_serves(&hub).await;
}

#[tokio::test]
async fn streams_taken_back_as_soon_as_they_are_opened_end_their_connection() {
    let hub = TestHub::start();
    let guest = Guest::join(&hub).await;
    let mut raw = Raw::greeted(hub.socket_addr()).await;
    let headers = call(STATUS, None, &[]);
    let mut stream = 1;
    while raw.headers(stream, &headers, false).await.is_ok() && raw.reset(stream).await.is_ok() {
        stream += 2;
        assert!(stream < 2_000_000, "{stream}");
    }
    guest.is_served().await;
    still_serves(&hub).await;
}
