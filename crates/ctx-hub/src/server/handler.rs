//! Runs one handler in whichever encoding the request is in.

use std::future::Future;

use futures_util::stream::{self, Stream};
use prost::Message;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::oneshot;
use tonic::body::Body;
use tonic::codec::Codec;
use tonic::server::Grpc;
use tonic::{Request, Response, Status};
use tower::service_fn;

use super::encoding::Encoding;
use super::outgoing::{self, Piece};
use crate::wire::codec::{JsonCodec, ProtoCodec};
use crate::wire::generated::EntryMsg;

/// How the messages of one call are read and written.
#[derive(Clone, Copy)]
pub(super) struct Format {
    pub(super) encoding: Encoding,
    /// Largest message that is read, in bytes.
    pub(super) max_bytes: usize,
}

/// Runs `handler` on the one message of `request` and answers one.
pub(super) async fn unary<Q, R, F>(
    format: Format,
    request: http::Request<Body>,
    mut handler: impl FnMut(Q) -> F,
) -> http::Response<Body>
where
    Q: Message + Default + DeserializeOwned + 'static,
    R: Message + Serialize + 'static,
    F: Future<Output = Result<Response<R>, Status>>,
{
    let handler = service_fn(|request: Request<Q>| handler(request.into_inner()));
    match format.encoding {
        Encoding::Json => {
            grpc(JsonCodec::<R, Q>::default(), format)
                .unary(handler, request)
                .await
        }
        Encoding::Proto | Encoding::ProtoLong => {
            grpc(ProtoCodec::<R, Q>::default(), format)
                .unary(handler, request)
                .await
        }
    }
}

/// Runs `handler` on the one message of `request` and answers a stream of entries, which are written
/// as `format` says already. tonic reads the request and answers for it; what it would have to write
/// message by message takes the place of the messages that it is given, which are none.
pub(super) async fn streaming<Q, F, S>(
    format: Format,
    request: http::Request<Body>,
    mut handler: impl FnMut(Q) -> F,
) -> http::Response<Body>
where
    Q: Message + Default + DeserializeOwned + 'static,
    F: Future<Output = Result<Response<S>, Status>>,
    S: Stream<Item = Result<Piece, Status>> + Send + 'static,
{
    let (aside, mut pieces) = oneshot::channel();
    let mut aside = Some(aside);
    let handler = service_fn(|request: Request<Q>| {
        let answered = handler(request.into_inner());
        let aside = aside.take();
        async move {
            let response = answered.await?;
            Ok(response.map(|pieces| {
                aside.map(|aside| aside.send(pieces).ok());
                stream::empty::<Result<EntryMsg, Status>>()
            }))
        }
    });
    let response = match format.encoding {
        Encoding::Json => {
            grpc(JsonCodec::<EntryMsg, Q>::default(), format)
                .server_streaming(handler, request)
                .await
        }
        Encoding::Proto | Encoding::ProtoLong => {
            grpc(ProtoCodec::<EntryMsg, Q>::default(), format)
                .server_streaming(handler, request)
                .await
        }
    };
    match pieces.try_recv() {
        Ok(pieces) => response.map(|_nothing| outgoing::body(pieces)),
        Err(_) => response,
    }
}

fn grpc<C: Codec>(codec: C, format: Format) -> Grpc<C> {
    Grpc::new(codec).max_decoding_message_size(format.max_bytes)
}
