//! A peer that is not our client: HTTP/2 frames by the crate `h2`, everything above them by hand.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use camino::Utf8Path;
use ctx_hub::wire::method;
use h2::client::SendRequest;
use h2::{RecvStream, SendStream};
use http::{HeaderMap, Request};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};

use super::hub::TestHub;

pub(crate) const JSON: &str = "application/grpc+json";
pub(crate) const PROTO: &str = "application/grpc";
pub(crate) const PROTO_LONG: &str = "application/grpc+proto";

/// Longer than anything here takes, and short enough for a hang to be noticed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// One connection.
#[derive(Clone)]
pub(crate) struct Peer {
    send: SendRequest<Bytes>,
}

/// A whole answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) http: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) messages: Vec<Bytes>,
    pub(crate) trailers: HeaderMap,
}

/// A call whose message has been sent in part.
pub(crate) struct Begun {
    response: h2::client::ResponseFuture,
    request: SendStream<Bytes>,
    rest: Bytes,
}

/// An answer that goes on.
pub(crate) struct Answering {
    pub(crate) headers: HeaderMap,
    body: RecvStream,
    pending: Vec<u8>,
    messages: VecDeque<Bytes>,
    /// Dropping it would cancel the call.
    _request: SendStream<Bytes>,
}

impl Peer {
    pub(crate) async fn connect(hub: &TestHub) -> Self {
        Self::dial(hub.socket_addr()).await
    }

    /// As [`Peer::connect`]; the hub may send `window` bytes of a stream before they are read.
    pub(crate) async fn with_window(hub: &TestHub, window: u32) -> Self {
        let io = TcpStream::connect(hub.socket_addr()).await.unwrap();
        let mut builder = h2::client::Builder::new();
        let (send, connection) = builder
            .initial_window_size(window)
            .initial_connection_window_size(1 << 20)
            .handshake(io)
            .await
            .unwrap();
        tokio::spawn(async move { connection.await.ok() });
        Self { send }
    }

    pub(crate) async fn dial(address: SocketAddr) -> Self {
        Self::over(TcpStream::connect(address).await.unwrap()).await
    }

    pub(crate) async fn connect_socket(path: &Utf8Path) -> Self {
        Self::over(UnixStream::connect(path).await.unwrap()).await
    }

    /// A connection over what is open already: TLS, a pipe in memory.
    pub(crate) async fn over(io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> Self {
        let (send, connection) = h2::client::handshake(io).await.unwrap();
        tokio::spawn(async move { connection.await.ok() });
        Self { send }
    }

    /// One call: sends `body` as it is and reads the answer to its end.
    pub(crate) async fn raw(
        &self,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Answer {
        let (response, mut body) = self.begin(path, headers, body.into()).await;
        let mut answer = Answer {
            http: response.status.as_u16(),
            headers: response.headers,
            messages: Vec::new(),
            trailers: HeaderMap::new(),
        };
        let mut bytes = Vec::new();
        while let Some(chunk) = patient(body.data()).await {
            let chunk = chunk.unwrap();
            body.flow_control().release_capacity(chunk.len()).unwrap();
            bytes.extend_from_slice(&chunk);
        }
        answer.messages = unframe(&mut bytes).into();
        assert!(bytes.is_empty(), "half a message at the end");
        answer.trailers = patient(body.trailers()).await.unwrap().unwrap_or_default();
        answer
    }

    /// One call with one message.
    pub(crate) async fn call(
        &self,
        path: &str,
        content_type: &str,
        token: Option<&str>,
        message: impl AsRef<[u8]>,
    ) -> Answer {
        let bearer = token.map(|token| format!("Bearer {token}"));
        let mut headers = vec![("content-type", content_type)];
        headers.extend(
            bearer
                .as_ref()
                .map(|bearer| ("authorization", bearer.as_str())),
        );
        self.raw(path, &headers, frame(message.as_ref())).await
    }

    /// One call with one message of JSON, by whoever has `token`.
    pub(crate) async fn json(&self, path: &str, token: &str, message: &str) -> Answer {
        self.call(path, JSON, Some(token), message).await
    }

    /// As [`Peer::json`], for a hub that may go away: `None` when the connection did.
    pub(crate) async fn try_json(&self, path: &str, token: &str, message: &str) -> Option<Answer> {
        let bearer = format!("Bearer {token}");
        let headers = [("content-type", JSON), ("authorization", &bearer)];
        self.try_raw(path, &headers, frame(message.as_bytes()))
            .await
    }

    /// As [`Peer::raw`], for a call that may be reset and for a small body: `None` when it was, or
    /// the connection ended.
    pub(crate) async fn try_raw(
        &self,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Option<Answer> {
        let mut send = self.send.clone().ready().await.ok()?;
        let (response, mut stream) = send.send_request(request(path, headers), false).ok()?;
        stream.send_data(body.into(), true).ok()?;
        let (parts, mut body) = patient(response).await.ok()?.into_parts();
        let mut bytes = Vec::new();
        while let Some(chunk) = patient(body.data()).await {
            bytes.extend_from_slice(&chunk.ok()?);
        }
        Some(Answer {
            http: parts.status.as_u16(),
            headers: parts.headers,
            messages: unframe(&mut bytes).into(),
            trailers: patient(body.trailers()).await.ok()?.unwrap_or_default(),
        })
    }

    /// Begins a call of JSON and sends all of its message but the last byte.
    pub(crate) async fn begin_json(&self, path: &str, token: &str, message: &str) -> Begun {
        let bearer = format!("Bearer {token}");
        let headers = [("content-type", JSON), ("authorization", &bearer)];
        self.begin_with(path, &headers, message).await
    }

    /// As [`Peer::begin_json`], with any headers.
    pub(crate) async fn begin_with(
        &self,
        path: &str,
        headers: &[(&str, &str)],
        message: &str,
    ) -> Begun {
        let mut most = frame(message.as_bytes());
        let rest = most.split_off(most.len() - 1);
        self.begin_bytes(path, headers, most, rest).await
    }

    /// Begins a call and sends the bytes `most` of its body, but not the `rest`.
    pub(crate) async fn begin_bytes(
        &self,
        path: &str,
        headers: &[(&str, &str)],
        most: Bytes,
        rest: Bytes,
    ) -> Begun {
        let mut send = self.send.clone().ready().await.unwrap();
        let (response, mut request) = send.send_request(request(path, headers), false).unwrap();
        request.send_data(most, false).unwrap();
        Begun {
            response,
            request,
            rest,
        }
    }

    /// Opens a stream.
    pub(crate) async fn open(
        &self,
        path: &str,
        content_type: &str,
        token: &str,
        message: impl AsRef<[u8]>,
    ) -> Answering {
        let bearer = format!("Bearer {token}");
        let headers = [("content-type", content_type), ("authorization", &bearer)];
        let mut send = self.send.clone().ready().await.unwrap();
        let (response, mut request) = send.send_request(request(path, &headers), false).unwrap();
        request.send_data(frame(message.as_ref()), true).unwrap();
        let response = patient(response).await.unwrap();
        let (parts, body) = response.into_parts();
        Answering {
            headers: parts.headers,
            body,
            pending: Vec::new(),
            messages: VecDeque::new(),
            _request: request,
        }
    }

    /// Registers a project and answers its client id and its token.
    pub(crate) async fn register(&self, hub: &TestHub, project: &str) -> (String, String) {
        let message = format!(
            r#"{{"admin_token":"{}","project_name":"{project}"}}"#,
            hub.admin_token().expose()
        );
        let answer = self.call(method::REGISTER, JSON, None, message).await;
        assert_eq!(answer.code(), "0", "{answer:?}");
        let value: serde_json::Value = serde_json::from_slice(&answer.messages[0]).unwrap();
        let text = |field: &str| value[field].as_str().unwrap().to_owned();
        (text("client_id"), text("client_token"))
    }

    /// Publishes an entry of type `learning` and answers its sequence.
    pub(crate) async fn publish(&self, token: &str, id: &str, content: &str) -> u64 {
        let content = serde_json::to_string(content).unwrap();
        let message = format!(
            r#"{{"entries":[{{"id":"{id}","type":"learning","content":{content},"origin":"","timestamp":1,"meta":{{}}}}]}}"#
        );
        let answer = self.json(method::PUBLISH, token, &message).await;
        assert_eq!(answer.code(), "0", "{answer:?}");
        let value: serde_json::Value = serde_json::from_slice(&answer.messages[0]).unwrap();
        value["sequences"][0].as_u64().unwrap()
    }

    async fn begin(
        &self,
        path: &str,
        headers: &[(&str, &str)],
        mut body: Bytes,
    ) -> (http::response::Parts, RecvStream) {
        let mut send = self.send.clone().ready().await.unwrap();
        let (response, mut stream) = send.send_request(request(path, headers), false).unwrap();
        // A large body waits for the hub to make room; a hub that answers early wants no more.
        loop {
            stream.reserve_capacity(body.len());
            if body.is_empty() {
                stream.send_data(body, true).ok();
                break;
            }
            let Some(Ok(room)) = patient(std::future::poll_fn(|c| stream.poll_capacity(c))).await
            else {
                break;
            };
            let part = body.split_to(room.min(body.len()));
            if stream.send_data(part, false).is_err() {
                break;
            }
        }
        let (parts, body) = patient(response).await.unwrap().into_parts();
        (parts, body)
    }
}

impl Begun {
    /// Sends the rest of the message and reads the answer.
    pub(crate) async fn finish(mut self) -> Answer {
        let rest = std::mem::take(&mut self.rest);
        self.request.send_data(rest, true).unwrap();
        self.abandoned().await
    }

    /// Reads the answer, and never sends the rest of the message.
    pub(crate) async fn abandoned(self) -> Answer {
        let (parts, mut body) = patient(self.response).await.unwrap().into_parts();
        let mut bytes = Vec::new();
        while let Some(chunk) = patient(body.data()).await {
            bytes.extend_from_slice(&chunk.unwrap());
        }
        Answer {
            http: parts.status.as_u16(),
            headers: parts.headers,
            messages: unframe(&mut bytes).into(),
            trailers: patient(body.trailers()).await.unwrap().unwrap_or_default(),
        }
    }
}

impl Answer {
    /// The number of the gRPC status, wherever it stands.
    pub(crate) fn code(&self) -> &str {
        self.status("grpc-status")
    }

    /// The message of the gRPC status, percent-decoded.
    pub(crate) fn message(&self) -> String {
        decode(self.status("grpc-message"))
    }

    fn status(&self, name: &str) -> &str {
        let value = self.trailers.get(name).or(self.headers.get(name));
        value.map_or("", |value| value.to_str().unwrap())
    }

    /// The one message, as text.
    pub(crate) fn text(&self) -> &str {
        assert_eq!(self.code(), "0", "{self:?}");
        assert_eq!(self.messages.len(), 1, "{self:?}");
        std::str::from_utf8(&self.messages[0]).unwrap()
    }

    /// Every message, as text.
    pub(crate) fn texts(&self) -> Vec<&str> {
        assert_eq!(self.code(), "0", "{self:?}");
        self.messages
            .iter()
            .map(|message| std::str::from_utf8(message).unwrap())
            .collect()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }
}

impl Answering {
    /// The next message, or the code and message with which the stream ends.
    pub(crate) async fn next(&mut self) -> Result<Bytes, (String, String)> {
        loop {
            if let Some(message) = self.messages.pop_front() {
                return Ok(message);
            }
            match patient(self.body.data()).await {
                Some(chunk) => {
                    let chunk = chunk.unwrap();
                    self.body
                        .flow_control()
                        .release_capacity(chunk.len())
                        .unwrap();
                    self.pending.extend_from_slice(&chunk);
                    self.messages.extend(unframe(&mut self.pending));
                }
                None => return Err(self.end().await),
            }
        }
    }

    /// The sequence of the next entry.
    pub(crate) async fn next_sequence(&mut self) -> u64 {
        let message = self.next().await.expect("the stream goes on");
        let value: serde_json::Value = serde_json::from_slice(&message).unwrap();
        value["sequence"].as_u64().unwrap()
    }

    async fn end(&mut self) -> (String, String) {
        let trailers = patient(self.body.trailers())
            .await
            .unwrap()
            .unwrap_or_default();
        let text = |name| {
            let value = trailers.get(name).or(self.headers.get(name));
            value.map_or("", |value| value.to_str().unwrap())
        };
        (text("grpc-status").to_owned(), decode(text("grpc-message")))
    }
}

/// A message in its frame: a byte 0 for not compressed, four bytes of length, the message.
pub(crate) fn frame(message: &[u8]) -> Bytes {
    let length = u32::try_from(message.len()).unwrap();
    let mut framed = vec![0];
    framed.extend_from_slice(&length.to_be_bytes());
    framed.extend_from_slice(message);
    framed.into()
}

/// Takes the whole messages from the front of `bytes`.
fn unframe(bytes: &mut Vec<u8>) -> VecDeque<Bytes> {
    let mut messages = VecDeque::new();
    while let Some((&[flag, a, b, c, d], rest)) = bytes.split_first_chunk::<5>() {
        assert_eq!(flag, 0, "not compressed");
        let length = usize::try_from(u32::from_be_bytes([a, b, c, d])).unwrap();
        let Some(message) = rest.get(..length) else {
            break;
        };
        messages.push_back(Bytes::copy_from_slice(message));
        bytes.drain(..5 + length);
    }
    messages
}

fn request(path: &str, headers: &[(&str, &str)]) -> Request<()> {
    let mut request = Request::post(format!("http://hub.test{path}")).header("te", "trailers");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(()).unwrap()
}

/// gRPC writes the bytes of a message that are not plain as `%XX`.
fn decode(message: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = message.as_bytes();
    while let [first, tail @ ..] = rest {
        if *first == b'%' {
            let digits = std::str::from_utf8(&tail[..2]).unwrap();
            bytes.push(u8::from_str_radix(digits, 16).unwrap());
            rest = &tail[2..];
        } else {
            bytes.push(*first);
            rest = tail;
        }
    }
    String::from_utf8(bytes).unwrap()
}

/// What `future` gives, or a panic where a test would hang.
pub(crate) async fn patient<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future)
        .await
        .expect("it takes too long")
}
