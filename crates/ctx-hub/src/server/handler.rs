//! Runs one handler in whichever encoding the request is in.

use std::future::Future;

use futures_util::stream::Stream;
use prost::Message;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tonic::body::Body;
use tonic::codec::Codec;
use tonic::server::Grpc;
use tonic::{Request, Response, Status};
use tower::service_fn;

use super::encoding::Encoding;
use super::outgoing::{Feeding, Outgoing};
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

/// Runs `handler` on the one message of `request` and answers a stream of entries.
pub(super) async fn streaming<Q, F, S>(
    format: Format,
    request: http::Request<Body>,
    mut handler: impl FnMut(Q) -> F,
) -> http::Response<Body>
where
    Q: Message + Default + DeserializeOwned + 'static,
    F: Future<Output = Result<Response<S>, Status>>,
    S: Stream<Item = Result<Outgoing, Status>> + Send + 'static,
{
    let handler = service_fn(|request: Request<Q>| handler(request.into_inner()));
    match format.encoding {
        Encoding::Json => {
            let codec = Feeding::new(JsonCodec::<EntryMsg, Q>::default(), format.encoding);
            grpc(codec, format).server_streaming(handler, request).await
        }
        Encoding::Proto | Encoding::ProtoLong => {
            let codec = Feeding::new(ProtoCodec::<EntryMsg, Q>::default(), format.encoding);
            grpc(codec, format).server_streaming(handler, request).await
        }
    }
}

fn grpc<C: Codec>(codec: C, format: Format) -> Grpc<C> {
    Grpc::new(codec).max_decoding_message_size(format.max_bytes)
}
