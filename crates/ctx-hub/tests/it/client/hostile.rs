//! What listens there is no hub, or none that answers.

use ctx_hub::client::{ClientError, ClientErrorKind, HubAddress, HubClient, Timeouts, Violation};
use ctx_hub::types::{Sequence, TypeSet};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;

use super::peer::{End, Peer, Reply};
use super::{IMPATIENCE, client, in_time, patient};

/// What listens at the address writes `greeting` to whoever comes, and then ends the connection or
/// holds it for ever.
async fn listener(greeting: Option<&'static [u8]>, hold: bool) -> HubAddress {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string().parse().unwrap();
    tokio::spawn(async move {
        let mut held = Vec::new();
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            if let Some(greeting) = greeting {
                stream.write_all(greeting).await.ok();
            }
            if hold {
                held.push(stream);
            }
        }
    });
    address
}

async fn status(address: &HubAddress, timeouts: Timeouts) -> ClientError {
    let called = async {
        match HubClient::connect(address, timeouts).await {
            Ok(client) => client.status().await.unwrap_err(),
            Err(error) => error,
        }
    };
    in_time(called).await
}

#[tokio::test]
async fn a_hub_that_accepts_and_never_answers_has_timed_out() {
    let address = listener(None, true).await;
    let timeouts = Timeouts {
        call: IMPATIENCE,
        ..patient()
    };
    let error = status(&address, timeouts).await;
    assert!(
        matches!(error, ClientError::Timeout { call: "status", .. }),
        "{error:?}"
    );
    assert_eq!(error.kind(), ClientErrorKind::Unreachable);
    assert!(error.to_string().contains(&address.to_string()));

    let client = HubClient::connect(&address, timeouts).await.unwrap();
    let opened = in_time(client.sync(&TypeSet::all(), Sequence::START)).await;
    assert!(matches!(
        opened.unwrap_err(),
        ClientError::Timeout { call: "sync", .. }
    ));
}

#[tokio::test]
async fn a_hub_that_begins_an_answer_and_never_ends_it_has_timed_out() {
    let peer = Peer::start([Reply::messages::<&str>([]).end(End::Never)]).await;
    let timeouts = Timeouts {
        call: IMPATIENCE,
        ..patient()
    };
    let error = status(peer.address(), timeouts).await;
    assert!(
        matches!(error, ClientError::Timeout { call: "status", .. }),
        "{error:?}"
    );
}

#[tokio::test]
async fn an_address_where_nothing_listens_is_unreachable_and_says_why() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address: HubAddress = listener.local_addr().unwrap().to_string().parse().unwrap();
    drop(listener);
    let error = status(&address, patient()).await;
    assert_eq!(
        error.to_string(),
        format!("cannot reach the hub at {address}")
    );
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert!(cause.contains("Connection refused"), "{cause}");
    assert_eq!(error.kind(), ClientErrorKind::Unreachable);
}

#[tokio::test]
async fn a_name_that_nobody_has_is_unreachable() {
    let error = status(&"https://no-such-host.invalid".parse().unwrap(), patient()).await;
    assert!(
        matches!(error, ClientError::Unreachable { .. }),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_hub_that_ends_every_connection_at_once_is_unreachable() {
    let address = listener(None, false).await;
    let error = status(&address, patient()).await;
    assert_eq!(error.kind(), ClientErrorKind::Unreachable, "{error:?}");
    assert!(error.is_retryable());
}

#[tokio::test]
async fn a_server_that_does_not_speak_http_2_is_told_from_a_hub() {
    for greeting in [
        b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".as_slice(),
        b"SSH-2.0-OpenSSH_9.9\r\n\r\n",
        &[0xff; 64],
    ] {
        let address = listener(Some(greeting), true).await;
        let error = status(&address, patient()).await;
        let ClientError::Protocol {
            source: Violation::NotHttp2(_),
            ..
        } = error
        else {
            panic!("{error:?}");
        };
        assert!(!error.is_retryable());
    }
}

#[tokio::test]
async fn a_web_server_is_told_from_a_hub() {
    let peer = Peer::start([Reply::plain(200, "text/html")]).await;
    let error = in_time(client(&peer, patient()).await.status())
        .await
        .unwrap_err();
    let ClientError::Protocol {
        source: Violation::NotGrpc { content_type, .. },
        ..
    } = error
    else {
        panic!("{error:?}");
    };
    assert_eq!(content_type, "text/html");
}

#[tokio::test]
async fn the_http_status_of_a_proxy_is_understood() {
    for (status, kind) in [
        (401, ClientErrorKind::Credentials),
        (404, ClientErrorKind::Protocol),
        (503, ClientErrorKind::Unreachable),
    ] {
        let peer = Peer::start(vec![Reply::plain(status, "text/html"); 3]).await;
        let error = in_time(client(&peer, patient()).await.status())
            .await
            .unwrap_err();
        assert_eq!(error.kind(), kind, "{error:?}");
    }
}
