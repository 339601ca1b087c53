//! A hub that is not ours: raw HTTP/2 that records what it gets and answers what it is told.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use ctx_hub::client::HubAddress;
use h2::server::SendResponse;
use http::{HeaderMap, HeaderValue, Request, Response};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;

/// A request as it came.
#[derive(Debug)]
pub(super) struct Seen {
    pub(super) method: String,
    pub(super) path: String,
    pub(super) headers: HeaderMap,
    /// Everything that was sent, the frame around the message included.
    pub(super) body: Vec<u8>,
}

impl Seen {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// The one message of the request, out of its frame.
    pub(super) fn message(&self) -> &str {
        let (frame, message) = self.body.split_at(5);
        assert_eq!(frame[0], 0, "not compressed");
        let length = u32::from_be_bytes(frame[1..].try_into().unwrap());
        assert_eq!(usize::try_from(length).unwrap(), message.len());
        std::str::from_utf8(message).unwrap()
    }
}

/// How an answer ends.
#[derive(Clone, Debug)]
pub(super) enum End {
    /// With these trailers.
    Trailers(HeaderMap),
    /// Without trailers.
    Bare,
    /// With a reset of the stream, which may overtake the messages.
    Reset(h2::Reason),
    /// With a reset of the stream, once the test says so.
    ResetLater(h2::Reason),
    /// Not at all.
    Never,
    /// It does not even begin.
    Mute,
}

/// What to answer to one request.
#[derive(Clone, Debug)]
pub(super) struct Reply {
    status: u16,
    headers: HeaderMap,
    body: Vec<u8>,
    end: End,
}

impl Reply {
    /// These messages, then success.
    pub(super) fn messages<S: AsRef<str>>(messages: impl IntoIterator<Item = S>) -> Self {
        let body = messages
            .into_iter()
            .flat_map(|m| framed(m.as_ref().as_bytes()))
            .collect();
        let headers = map(&[("content-type", "application/grpc+json")]);
        Self {
            status: 200,
            headers,
            body,
            end: End::Trailers(map(&[("grpc-status", "0")])),
        }
    }

    /// One message, then success.
    pub(super) fn message(message: &str) -> Self {
        Self::messages([message])
    }

    /// A status in the trailers, after the headers.
    pub(super) fn failed(code: u8, message: &str) -> Self {
        let code = code.to_string();
        let trailers = map(&[("grpc-status", &code), ("grpc-message", message)]);
        Self::messages::<&str>([]).end(End::Trailers(trailers))
    }

    /// A status in place of everything else, as servers answer that have nothing to send.
    pub(super) fn failed_at_once(code: u8, message: &str) -> Self {
        let code = code.to_string();
        Self::messages::<&str>([])
            .header("grpc-status", &code)
            .header("grpc-message", message)
            .end(End::Bare)
    }

    /// An answer that is no gRPC.
    pub(super) fn plain(status: u16, content_type: &str) -> Self {
        let headers = map(&[("content-type", content_type)]);
        Self {
            status,
            headers,
            body: b"<html>".to_vec(),
            end: End::Bare,
        }
    }

    pub(super) fn header(mut self, name: &'static str, value: &str) -> Self {
        self.headers
            .insert(name, HeaderValue::from_str(value).unwrap());
        self
    }

    pub(super) fn end(self, end: End) -> Self {
        Self { end, ..self }
    }

    /// These bytes as they are, in place of framed messages.
    pub(super) fn raw(self, body: &[u8]) -> Self {
        Self {
            body: body.to_vec(),
            ..self
        }
    }
}

pub(super) fn map(fields: &[(&'static str, &str)]) -> HeaderMap {
    fields
        .iter()
        .map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_str(value).unwrap()))
        .collect()
}

/// A message as gRPC frames it.
pub(super) fn framed(message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).unwrap().to_be_bytes();
    [&[0], length.as_slice(), message].concat()
}

type Script = Arc<Mutex<VecDeque<Reply>>>;
type Connections = Arc<Mutex<Vec<JoinHandle<()>>>>;

/// A hub that answers by a script: one reply a request, in order, then nothing any more.
pub(super) struct Peer {
    address: HubAddress,
    seen: mpsc::UnboundedReceiver<Seen>,
    connections: Connections,
    accepting: JoinHandle<()>,
    go: Arc<Notify>,
    script: Script,
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.accepting.abort();
        self.cut();
    }
}

impl Peer {
    pub(super) async fn start(script: impl IntoIterator<Item = Reply>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string().parse().unwrap();
        let listener = Arc::new(listener);
        Self::serve(address, script, move || {
            let listener = Arc::clone(&listener);
            async move { listener.accept().await.unwrap().0 }
        })
    }

    /// What is answered from now on.
    pub(super) fn script(&self, script: impl IntoIterator<Item = Reply>) {
        *self.script.lock().unwrap() = script.into_iter().collect();
    }

    pub(super) fn start_on(
        listener: UnixListener,
        script: impl IntoIterator<Item = Reply>,
    ) -> Self {
        // Nobody dials this address.
        let address = "socket".parse().unwrap();
        let listener = Arc::new(listener);
        Self::serve(address, script, move || {
            let listener = Arc::clone(&listener);
            async move { listener.accept().await.unwrap().0 }
        })
    }

    fn serve<IO, F>(
        address: HubAddress,
        script: impl IntoIterator<Item = Reply>,
        accept: impl Fn() -> F + Send + 'static,
    ) -> Self
    where
        IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
        F: Future<Output = IO> + Send,
    {
        let script: Script = Arc::new(Mutex::new(script.into_iter().collect()));
        let (report, seen) = mpsc::unbounded_channel();
        let connections = Connections::default();
        let go = Arc::new(Notify::new());
        let may_go = Arc::clone(&go);
        let open = Arc::clone(&connections);
        let kept = Arc::clone(&script);
        let accepting = tokio::spawn(async move {
            loop {
                let connection = accept().await;
                let (script, go) = (Arc::clone(&script), Arc::clone(&may_go));
                let serving = serve_connection(connection, script, report.clone(), go);
                open.lock().unwrap().push(tokio::spawn(serving));
            }
        });
        Self {
            address,
            seen,
            connections,
            accepting,
            go,
            script: kept,
        }
    }

    pub(super) fn address(&self) -> &HubAddress {
        &self.address
    }

    /// Ends every connection without a word; new ones are accepted.
    pub(super) fn cut(&self) {
        for connection in self.connections.lock().unwrap().drain(..) {
            connection.abort();
        }
    }

    /// Lets one [`End::ResetLater`] happen.
    pub(super) fn go(&self) {
        self.go.notify_one();
    }

    /// The next request.
    pub(super) async fn seen(&mut self) -> Seen {
        super::in_time(self.seen.recv()).await.unwrap()
    }

    /// Whether every request has been looked at.
    pub(super) fn saw_no_more(&mut self) -> bool {
        self.seen.try_recv().is_err()
    }
}

async fn serve_connection<IO: AsyncRead + AsyncWrite + Unpin>(
    io: IO,
    script: Script,
    report: mpsc::UnboundedSender<Seen>,
    go: Arc<Notify>,
) {
    let mut connection = h2::server::handshake(io).await.unwrap();
    let mut calls = tokio::task::JoinSet::new();
    while let Some(Ok((request, respond))) = connection.accept().await {
        let (script, report, go) = (Arc::clone(&script), report.clone(), Arc::clone(&go));
        calls.spawn(async move {
            let seen = receive(request).await;
            let reply = script.lock().unwrap().pop_front();
            report.send(seen).ok();
            match reply {
                Some(reply) => answer(reply, respond, go).await,
                None => std::future::pending().await,
            }
        });
    }
}

async fn receive(request: Request<h2::RecvStream>) -> Seen {
    let (parts, mut stream) = request.into_parts();
    let mut body = Vec::new();
    while let Some(Ok(data)) = stream.data().await {
        stream.flow_control().release_capacity(data.len()).unwrap();
        body.extend_from_slice(&data);
    }
    Seen {
        method: parts.method.to_string(),
        path: parts.uri.path().to_owned(),
        headers: parts.headers,
        body,
    }
}

async fn answer(reply: Reply, mut respond: SendResponse<Bytes>, go: Arc<Notify>) {
    let Reply {
        status,
        headers,
        body,
        end,
    } = reply;
    if matches!(end, End::Mute) {
        std::future::pending::<()>().await;
    }
    let mut response = Response::new(());
    *response.status_mut() = status.try_into().unwrap();
    *response.headers_mut() = headers;
    let only_headers = body.is_empty() && matches!(end, End::Bare);
    let Ok(mut stream) = respond.send_response(response, only_headers) else {
        return;
    };
    if only_headers {
        return;
    }
    // A client that has seen enough may be gone by now: that is its right.
    stream.send_data(body.into(), matches!(end, End::Bare)).ok();
    match end {
        End::Trailers(trailers) => drop(stream.send_trailers(trailers)),
        End::Reset(reason) => stream.send_reset(reason),
        End::ResetLater(reason) => {
            go.notified().await;
            stream.send_reset(reason);
        }
        End::Never | End::Mute => std::future::pending().await,
        End::Bare => {}
    }
}
