//! The two encodings of a message, for tonic: [`JsonCodec`] and [`ProtoCodec`].
//!
//! Both are thin: they write into and read from tonic's own buffers, copy nothing, and work in
//! either direction. What cannot be read is `INVALID_ARGUMENT`, which a hub sends as it is; the
//! status has a [`DecodeError`] as its source, by which a client tells that it was its own side
//! that could not read, and not the hub that refused.

use std::marker::PhantomData;
use std::sync::Arc;

use bytes::{Buf as _, BufMut as _};
use prost::Message;
use prost::encoding::{DecodeContext, decode_key, skip_field};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tonic::Status;
use tonic::codec::{BufferSettings, Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};

use super::ITEMS_MAX;
use super::json::{self, JsonError};
use crate::secret::presentable;

/// What a buffer of a call begins with, in bytes: most entries fit.
const BUFFER_BYTES: usize = 16 * 1024;

/// How much of a stream is put together before it is handed to the connection, in bytes.
const YIELD_BYTES: usize = 64 * 1024;

/// A message that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("the message cannot be read as {encoding}")]
pub struct DecodeError {
    encoding: &'static str,
    source: DecodeSource,
}

#[derive(Debug, thiserror::Error)]
pub(super) enum DecodeSource {
    #[error(transparent)]
    Json(JsonError),
    #[error(transparent)]
    Proto(#[from] prost::DecodeError),
    #[error("more than {ITEMS_MAX} fields")]
    TooManyFields,
}

impl DecodeError {
    /// The error that a call ends with.
    fn into_status(self) -> Status {
        let cause = presentable(&self.source.to_string());
        let text = format!("message is not valid {}: {cause}", self.encoding);
        let mut status = Status::invalid_argument(text);
        status.set_source(Arc::new(self));
        status
    }
}

/// Messages as JSON, one document each.
#[derive(Debug)]
pub struct JsonCodec<E, D>(PhantomData<fn(E) -> D>);

/// Messages as protobuf.
#[derive(Debug)]
pub struct ProtoCodec<E, D>(PhantomData<fn(E) -> D>);

/// Writes messages as JSON.
#[derive(Debug)]
pub struct JsonEncoder<E>(PhantomData<fn(E)>);

/// Reads messages as JSON.
#[derive(Debug)]
pub struct JsonDecoder<D>(PhantomData<fn() -> D>);

/// Writes messages as protobuf.
#[derive(Debug)]
pub struct ProtoEncoder<E>(PhantomData<fn(E)>);

/// Reads messages as protobuf.
#[derive(Debug)]
pub struct ProtoDecoder<D>(PhantomData<fn() -> D>);

macro_rules! codec {
    ($codec:ident, $encoder:ident: $($encode:path)|+, $decoder:ident: $($decode:path)|+) => {
        impl<E, D> Default for $codec<E, D> {
            fn default() -> Self {
                Self(PhantomData)
            }
        }

        impl<E, D> Clone for $codec<E, D> {
            fn clone(&self) -> Self {
                Self(PhantomData)
            }
        }

        impl<E, D> Codec for $codec<E, D>
        where
            E: $($encode +)+ Send + 'static,
            D: $($decode +)+ Send + 'static,
        {
            type Encode = E;
            type Decode = D;
            type Encoder = $encoder<E>;
            type Decoder = $decoder<D>;

            fn encoder(&mut self) -> Self::Encoder {
                $encoder(PhantomData)
            }

            fn decoder(&mut self) -> Self::Decoder {
                $decoder(PhantomData)
            }
        }
    };
}

codec!(JsonCodec, JsonEncoder: Serialize, JsonDecoder: DeserializeOwned);
codec!(ProtoCodec, ProtoEncoder: Message, ProtoDecoder: Message | Default);

impl<E: Serialize> Encoder for JsonEncoder<E> {
    type Item = E;
    type Error = Status;

    fn encode(&mut self, item: E, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        serde_json::to_writer(buffer.writer(), &item)
            .map_err(|error| Status::internal(format!("cannot write the message: {error}")))
    }

    fn buffer_settings(&self) -> BufferSettings {
        BufferSettings::new(BUFFER_BYTES, YIELD_BYTES)
    }
}

impl<D: DeserializeOwned> Decoder for JsonDecoder<D> {
    type Item = D;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<D>, Status> {
        // tonic keeps a message in one piece, so the chunk is all of it.
        let length = buffer.remaining();
        let item = json::from_slice(buffer.chunk());
        buffer.advance(length);
        item.map(Some).map_err(|error| {
            let source = DecodeSource::Json(error);
            DecodeError {
                encoding: "JSON",
                source,
            }
            .into_status()
        })
    }

    fn buffer_settings(&self) -> BufferSettings {
        BufferSettings::new(BUFFER_BYTES, YIELD_BYTES)
    }
}

impl<E: Message> Encoder for ProtoEncoder<E> {
    type Item = E;
    type Error = Status;

    fn encode(&mut self, item: E, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        item.encode(buffer)
            .map_err(|error| Status::internal(format!("cannot write the message: {error}")))
    }

    fn buffer_settings(&self) -> BufferSettings {
        BufferSettings::new(BUFFER_BYTES, YIELD_BYTES)
    }
}

impl<D: Message + Default> Decoder for ProtoDecoder<D> {
    type Item = D;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<D>, Status> {
        // tonic keeps a message in one piece, so the chunk is all of it.
        let length = buffer.remaining();
        let item = from_proto(buffer.chunk());
        buffer.advance(length);
        item.map(Some).map_err(|source| {
            DecodeError {
                encoding: "protobuf",
                source,
            }
            .into_status()
        })
    }

    fn buffer_settings(&self) -> BufferSettings {
        BufferSettings::new(BUFFER_BYTES, YIELD_BYTES)
    }
}

/// Reads the message that `bytes` are.
pub(super) fn from_proto<D: Message + Default>(bytes: &[u8]) -> Result<D, DecodeSource> {
    check_fields(bytes)?;
    Ok(D::decode(bytes)?)
}

/// Refuses a message that would take far more memory than it has bytes: every item of an array is
/// a field of its own.
fn check_fields(mut message: &[u8]) -> Result<(), DecodeSource> {
    for _ in 0..=ITEMS_MAX {
        if message.is_empty() {
            return Ok(());
        }
        let (tag, wire_type) = decode_key(&mut message)?;
        skip_field(wire_type, tag, &mut message, DecodeContext::default())?;
    }
    Err(DecodeSource::TooManyFields)
}

#[cfg(test)]
mod tests {
    use std::error::Error as _;

    use tonic::Code;
    use tonic::codec::{EncodeBody, Streaming};

    use super::*;
    use crate::wire::generated::{PublishResponse, SyncRequest};

    /// What a hub reads of `messages`, which a client wrote.
    async fn carried<C>(mut codec: C, messages: Vec<SyncRequest>) -> Vec<SyncRequest>
    where
        C: Codec<Encode = SyncRequest, Decode = SyncRequest>,
    {
        let items = futures_util::stream::iter(messages.into_iter().map(Ok));
        let body = EncodeBody::new_client(codec.encoder(), items, None, None);
        let mut stream = Streaming::new_request(codec.decoder(), body, None, None);
        let mut read = Vec::new();
        while let Some(message) = stream.message().await.unwrap() {
            read.push(message);
        }
        read
    }

    /// How a hub refuses `message`.
    async fn refused<C>(mut codec: C, message: &str) -> Status
    where
        C: Codec<Encode = SyncRequest, Decode = SyncRequest>,
    {
        let length = u32::try_from(message.len()).unwrap().to_be_bytes();
        let frame = [&[0], length.as_slice(), message.as_bytes()].concat();
        let body = String::from_utf8(frame).unwrap();
        let mut stream = Streaming::new_request(codec.decoder(), body, None, None);
        stream.message().await.unwrap_err()
    }

    #[tokio::test]
    async fn messages_of_every_size_are_carried_by_both_codecs() {
        let message = |n: usize| SyncRequest {
            types: vec!["x".repeat(n)],
            since_sequence: 7,
            ..SyncRequest::default()
        };
        let messages: Vec<_> = [0, 1, BUFFER_BYTES, YIELD_BYTES, 1_048_576]
            .map(message)
            .into();
        assert_eq!(
            carried(JsonCodec::default(), messages.clone()).await,
            messages
        );
        assert_eq!(
            carried(ProtoCodec::default(), messages.clone()).await,
            messages
        );
    }

    #[tokio::test]
    async fn what_cannot_be_read_is_an_invalid_argument_that_says_where_and_knows_its_cause() {
        let json = refused(JsonCodec::default(), r#"{"since_sequence":"x"}"#).await;
        assert_eq!(json.code(), Code::InvalidArgument);
        assert_eq!(
            json.message(),
            "message is not valid JSON: invalid type: string \"x\", expected u64 \
             at line 1 column 21"
        );
        let proto = refused(ProtoCodec::default(), "\u{1}").await;
        assert_eq!(proto.code(), Code::InvalidArgument);
        assert!(
            proto
                .message()
                .starts_with("message is not valid protobuf: "),
            "{proto}"
        );
        for status in [json, proto] {
            assert!(status.source().unwrap().is::<DecodeError>());
        }
    }

    #[tokio::test]
    async fn a_message_that_would_take_a_hundred_times_its_size_is_refused() {
        let text = |items: usize| format!(r#"{{"types":[""{}]}}"#, r#","""#.repeat(items - 1));
        let proto = |items: usize| "\n\0".repeat(items);
        let status = refused(JsonCodec::default(), &text(ITEMS_MAX + 1)).await;
        assert!(
            status
                .message()
                .starts_with("message is not valid JSON: more than 65536 items"),
            "{status}"
        );
        let status = refused(ProtoCodec::default(), &proto(ITEMS_MAX + 1)).await;
        assert_eq!(
            (status.code(), status.message()),
            (
                Code::InvalidArgument,
                "message is not valid protobuf: more than 65536 fields"
            )
        );
        let most: SyncRequest = json::from_slice(text(ITEMS_MAX).as_bytes()).unwrap();
        assert_eq!(most.types.len(), ITEMS_MAX);
        assert!(check_fields(proto(ITEMS_MAX).as_bytes()).is_ok());
    }

    #[test]
    fn a_codec_may_differ_in_what_it_reads_and_writes() {
        fn is_codec<C: Codec<Encode = SyncRequest, Decode = PublishResponse>>(_: C) {}
        is_codec(JsonCodec::default());
        is_codec(ProtoCodec::default());
    }
}
