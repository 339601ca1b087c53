//! Calls that are begun and never sent: what they hold, nobody else needs.

use ctx_hub::wire::method::{HUB_STATUS, PUBLISH, REGISTER};

use super::raw::{Raw, call};
use super::{Guest, still_serves};
use crate::server::hub::TestHub;
use crate::server::peer::{JSON, Peer};

/// Calls that one connection may have open.
const CALLS: u32 = 256;

/// More calls in all than any queue of a hub has places.
const CONNECTIONS: u32 = 18;

/// Opens calls of `path` without ever sending their message.
async fn hold(hub: &TestHub, path: &str, token: Option<&str>) -> Vec<Raw> {
    let headers = call(path, token, &[]);
    let mut held = Vec::new();
    for _ in 0..CONNECTIONS {
        let mut raw = Raw::greeted(hub.socket_addr()).await;
        for number in 0..CALLS {
            raw.headers(2 * number + 1, &headers, false).await.unwrap();
        }
        // Answered behind the calls: they have been taken in.
        raw.ping().await.unwrap();
        raw.until(|frame| frame.kind == super::raw::kind::PING)
            .await
            .unwrap();
        held.push(raw);
    }
    held
}

/// The operator on the hub's own machine is answered.
async fn operator_is_served(hub: &TestHub) {
    let peer = Peer::connect_socket(&hub.data_dir().admin_socket()).await;
    let answer = peer.call(HUB_STATUS, JSON, None, "{}").await;
    assert_eq!(answer.code(), "0", "{answer:?}");
}

#[tokio::test]
async fn a_stranger_s_calls_without_a_message_hold_up_nobody() {
    let hub = TestHub::start();
    let guest = Guest::join(&hub).await;
    let held = hold(&hub, REGISTER, None).await;
    guest.is_served().await;
    operator_is_served(&hub).await;
    still_serves(&hub).await;
    drop(held);
}

#[tokio::test]
async fn a_client_s_calls_without_a_message_hold_up_nobody_else() {
    let hub = TestHub::start();
    let (guest, hostile) = (Guest::join(&hub).await, Guest::join(&hub).await);
    let held = hold(&hub, PUBLISH, Some(hostile.token())).await;
    guest.is_served().await;
    operator_is_served(&hub).await;
    still_serves(&hub).await;
    drop(held);
}
