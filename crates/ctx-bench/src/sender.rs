//! A server that has nothing to do but to send: messages that are encoded already, as a tonic stream
//! and over TCP. It is a process of its own, this program called anew, as a hub is one.

use std::convert::Infallible;
use std::io::{BufRead as _, BufReader};
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::Arc;

use bytes::{Buf as _, BufMut as _, Bytes};
use camino::Utf8Path;
use futures_util::stream;
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tonic::body::Body;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::{Request, Response, Status};

use crate::Failure;

/// The process that sends. It ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Sender {
    child: Child,
    at: At,
}

/// Where it listens.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
struct At {
    grpc: SocketAddr,
    tcp: SocketAddr,
}

impl Sender {
    /// Starts the process, which sends the messages of `file` to whoever asks.
    pub(crate) fn start(file: &Utf8Path) -> Result<Self, Failure> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(["send", file.as_str()])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut line = String::new();
        if let Some(output) = child.stdout.take() {
            BufReader::new(output).read_line(&mut line)?;
        }
        let at = serde_json::from_str(&line)?;
        Ok(Self { child, at })
    }

    /// Where it answers every call with the stream.
    pub(crate) const fn grpc(&self) -> SocketAddr {
        self.at.grpc
    }

    /// Where it answers a byte with the same messages, and closes.
    pub(crate) const fn tcp(&self) -> SocketAddr {
        self.at.tcp
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// The process itself: prints where it listens, and serves until it is killed.
pub(crate) fn run(file: &Utf8Path) -> Result<ExitCode, Failure> {
    let file = Bytes::from(fs_err::read(file)?);
    let messages = Arc::new(messages(&file)?);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let grpc = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let tcp = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let at = At {
            grpc: grpc.local_addr()?,
            tcp: tcp.local_addr()?,
        };
        println!("{}", serde_json::to_string(&at)?);
        loop {
            tokio::select! {
                accepted = grpc.accept() => {
                    let stream = accepted?.0;
                    stream.set_nodelay(true)?;
                    tokio::spawn(serve(stream, Arc::clone(&messages)));
                }
                accepted = tcp.accept() => {
                    tokio::spawn(copy(accepted?.0, file.clone()));
                }
            }
        }
    })
}

/// The messages that `file` holds, none of them copied.
fn messages(file: &Bytes) -> Result<Vec<Bytes>, Failure> {
    let mut rest = file.clone();
    let mut messages = Vec::new();
    while !rest.is_empty() {
        let length = usize::try_from(rest.try_get_u32()?)?;
        if length > rest.len() {
            return Err("the last message is cut".into());
        }
        messages.push(rest.split_to(length));
    }
    Ok(messages)
}

async fn serve(stream: TcpStream, messages: Arc<Vec<Bytes>>) {
    let service = service_fn(move |request: http::Request<Incoming>| {
        let messages = Arc::clone(&messages);
        let handler = tower::service_fn(move |_: Request<()>| {
            let messages = Arc::clone(&messages);
            let each = (0..messages.len()).map_while(move |n| messages.get(n).cloned());
            let each = stream::iter(each.map(Ok::<_, Status>));
            std::future::ready(Ok::<_, Status>(Response::new(each)))
        });
        let request = request.map(Body::new);
        async move {
            let mut grpc = tonic::server::Grpc::new(Encoded);
            Ok::<_, Infallible>(grpc.server_streaming(handler, request).await)
        }
    });
    // A client that goes away is no fault.
    http2::Builder::new(TokioExecutor::new())
        .serve_connection(TokioIo::new(stream), service)
        .await
        .ok();
}

async fn copy(mut stream: TcpStream, file: Bytes) {
    if stream.read_u8().await.is_ok() {
        // A reader that goes away is no fault.
        stream.write_all(&file).await.ok();
    }
}

/// Messages that are encoded already; of a request nothing is read.
#[derive(Clone, Copy)]
struct Encoded;

impl Codec for Encoded {
    type Encode = Bytes;
    type Decode = ();
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        *self
    }

    fn decoder(&mut self) -> Self {
        *self
    }
}

impl Encoder for Encoded {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put_slice(&item);
        Ok(())
    }
}

impl Decoder for Encoded {
    type Item = ();
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<()>, Status> {
        buffer.advance(buffer.remaining());
        Ok(Some(()))
    }
}
