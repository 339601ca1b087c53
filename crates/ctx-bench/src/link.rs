//! A connection to the hub: HTTP/2 frames by the crate `h2`, messages by hand, so that thousands of
//! readers cost little and one that does not read can be told how not to.

use std::net::SocketAddr;

use bytes::{Buf as _, Bytes, BytesMut};
use ctx_config::wire::{AUTHORIZATION, BEARER_PREFIX, CONTENT_TYPE_JSON};
use h2::RecvStream;
use h2::client::{Builder, SendRequest};
use http::Request;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::Failure;

/// Bytes in front of a message: 0 for not compressed, and its length.
const HEADER: usize = 5;

/// A connection. It closes when this is dropped.
pub(crate) struct Link {
    send: SendRequest<Bytes>,
    task: JoinHandle<()>,
}

/// The messages of one answer.
pub(crate) struct Messages {
    body: RecvStream,
    pending: BytesMut,
}

impl Link {
    /// Dials. The hub may send `window` bytes of an answer before they are read. While `frozen`
    /// says so, nothing at all is read from or written to the connection.
    pub(crate) async fn dial(
        address: SocketAddr,
        window: u32,
        mut frozen: Option<watch::Receiver<bool>>,
    ) -> Result<Self, Failure> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let (send, mut connection) = Builder::new()
            .initial_window_size(window)
            .initial_connection_window_size(1 << 24)
            .handshake::<_, Bytes>(stream)
            .await?;
        let task = tokio::spawn(async move {
            let Some(frozen) = frozen.as_mut() else {
                connection.await.ok();
                return;
            };
            loop {
                if *frozen.borrow_and_update() {
                    frozen.changed().await.ok();
                    continue;
                }
                tokio::select! {
                    _ = &mut connection => return,
                    changed = frozen.changed() => if changed.is_err() { return },
                }
            }
        });
        Ok(Self { send, task })
    }

    /// Begins a call.
    pub(crate) async fn open(
        &self,
        path: &str,
        token: &str,
        message: String,
    ) -> Result<Messages, Failure> {
        let request = Request::post(format!("http://hub.test{path}"))
            .header("te", "trailers")
            .header("content-type", CONTENT_TYPE_JSON)
            .header(AUTHORIZATION, format!("{BEARER_PREFIX}{token}"))
            .body(())?;
        let mut send = self.send.clone().ready().await?;
        let (response, mut body) = send.send_request(request, false)?;
        body.send_data(frame(&message)?, true)?;
        let response = response.await?;
        refused(response.headers())?;
        Ok(Messages {
            body: response.into_body(),
            pending: BytesMut::new(),
        })
    }

    /// A call with one answer.
    pub(crate) async fn ask(
        &self,
        path: &str,
        token: &str,
        message: String,
    ) -> Result<Bytes, Failure> {
        let mut messages = self.open(path, token, message).await?;
        let answer = messages.next().await?.ok_or("no answer")?;
        match messages.next().await? {
            Some(_) => Err("more than one answer".into()),
            None => Ok(answer),
        }
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Messages {
    /// The next message; `None` at a good end.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, Failure> {
        loop {
            if let Some(message) = self.take() {
                return Ok(Some(message));
            }
            if !self.more().await? {
                return Ok(None);
            }
        }
    }

    /// A message that has come already.
    pub(crate) fn take(&mut self) -> Option<Bytes> {
        let (header, rest) = self.pending.split_first_chunk::<HEADER>()?;
        let [_, a, b, c, d] = *header;
        let length = usize::try_from(u32::from_be_bytes([a, b, c, d])).ok()?;
        rest.get(..length)?;
        self.pending.advance(HEADER);
        Some(self.pending.split_to(length).freeze())
    }

    /// Waits for more of the answer; false at a good end. Loses nothing when it is dropped.
    pub(crate) async fn more(&mut self) -> Result<bool, Failure> {
        if let Some(chunk) = self.body.data().await {
            let chunk = chunk?;
            self.body.flow_control().release_capacity(chunk.len())?;
            if self.pending.is_empty() {
                self.pending = BytesMut::from(chunk);
            } else {
                self.pending.extend_from_slice(&chunk);
            }
            return Ok(true);
        }
        if let Some(trailers) = self.body.trailers().await? {
            refused(&trailers)?;
        }
        if !self.pending.is_empty() {
            return Err("half a message at the end".into());
        }
        Ok(false)
    }
}

/// A message with its header.
fn frame(message: &str) -> Result<Bytes, Failure> {
    let mut framed = vec![0];
    framed.extend_from_slice(&u32::try_from(message.len())?.to_be_bytes());
    framed.extend_from_slice(message.as_bytes());
    Ok(framed.into())
}

/// Whether headers or trailers tell of a failure.
fn refused(headers: &http::HeaderMap) -> Result<(), Failure> {
    match headers.get("grpc-status") {
        Some(code) if code != "0" => {
            let text = headers.get("grpc-message");
            Err(format!("status {code:?}: {text:?}").into())
        }
        _ => Ok(()),
    }
}
