//! The messages of a stream on their way out, as they go over the wire: made once for everybody, or
//! for one stream alone.
//!
//! A store keeps messages as they are sent in JSON; for protobuf they are read and written anew. They
//! are put together in pieces, each message behind the five bytes that gRPC puts before it. Nothing
//! looks at them, or copies them, between here and the connection.

use std::ops::ControlFlow;
use std::sync::{Arc, OnceLock};
use std::vec;

use bytes::Bytes;
use futures_util::stream::{Stream, StreamExt as _};
use http::HeaderMap;
use http_body_util::StreamBody;
use hyper::body::Frame;
use prost::Message as _;
use tonic::Status;
use tonic::body::Body;

use super::encoding::Encoding;
use super::status;
use crate::store::StoredMessage;
use crate::types::{EntryType, Sequence};
use crate::wire::generated::EntryMsg;
use crate::wire::json;

/// How much of a stream is put together before it is handed to the connection, in bytes; the message
/// that fills it is whole. A client that does not read costs two such pieces beside its page.
/// Somewhat less than a frame.
const PIECE_BYTES: usize = 15 * 1024;

/// What a piece has room for before it has to be moved, in bytes.
const PIECE_ROOM_BYTES: usize = 16 * 1024;

/// What a message takes besides what it says, in bytes, roughly.
const OVERHEAD_BYTES: usize = 512;

/// What gRPC puts before a message: that it is not compressed, and four bytes of its length.
const PREFIX_BYTES: usize = 5;

/// Messages that are handed to the connection together.
#[derive(Debug)]
pub(super) struct Piece {
    bytes: Bytes,
    entries: u64,
}

/// A message that others are sent too.
pub(super) struct Ready {
    sequence: Sequence,
    entry_type: EntryType,
    json: Bytes,
    /// The same as protobuf, once somebody wants it.
    proto: OnceLock<Bytes>,
}

/// A page of the log, as it goes over the wire.
#[derive(Debug)]
pub(super) struct Packed {
    pub(super) pieces: vec::IntoIter<Piece>,
    /// The last entry in it; `None` when there is none.
    pub(super) last: Option<Sequence>,
}

impl Ready {
    /// Takes `message`.
    ///
    /// # Errors
    /// It is no message.
    pub(super) fn new(message: StoredMessage<'_>) -> Result<Self, Status> {
        let mut json = Vec::with_capacity(PREFIX_BYTES + message.json.len());
        write(&mut json, Encoding::Json, message.json)?;
        let entry_type = read(message.json)?.r#type.parse();
        Ok(Self {
            sequence: message.sequence,
            entry_type: entry_type.map_err(|error| status::unreadable(&error))?,
            json: json.into(),
            proto: OnceLock::new(),
        })
    }

    pub(super) const fn sequence(&self) -> Sequence {
        self.sequence
    }

    pub(super) const fn entry_type(&self) -> EntryType {
        self.entry_type
    }

    /// The memory that it takes, roughly.
    pub(super) fn bytes(&self) -> usize {
        2 * self.json.len() + OVERHEAD_BYTES
    }

    /// The message behind its prefix.
    fn encoded(&self, encoding: Encoding) -> Result<Bytes, Status> {
        if encoding == Encoding::Json {
            return Ok(self.json.clone());
        }
        if let Some(proto) = self.proto.get() {
            return Ok(proto.clone());
        }
        let mut proto = Vec::new();
        let json = self.json.get(PREFIX_BYTES..).unwrap_or_default();
        let json = str::from_utf8(json).map_err(|error| status::unreadable(&error))?;
        write(&mut proto, encoding, json)?;
        // What is kept for as long as others may want it takes no more room than it needs.
        let proto = proto.into_boxed_slice();
        Ok(self.proto.get_or_init(|| proto.into()).clone())
    }
}

impl Piece {
    /// How many entries are in it.
    pub(super) const fn entries(&self) -> u64 {
        self.entries
    }

    /// How long it is.
    pub(super) fn bytes(&self) -> u64 {
        u64::try_from(self.bytes.len()).unwrap_or(u64::MAX)
    }

    /// Takes the next ones of `messages`; `None` at their end.
    pub(super) fn of_ready(
        messages: &mut vec::IntoIter<Arc<Ready>>,
        encoding: Encoding,
    ) -> Result<Option<Self>, Status> {
        // A listener that keeps up is sent what everybody is sent, and not a copy of it.
        if let [ready] = messages.as_slice() {
            let bytes = ready.encoded(encoding)?;
            messages.next();
            return Ok(Some(Self { bytes, entries: 1 }));
        }
        let mut piece = Unfinished::default();
        while !piece.is_full()
            && let Some(ready) = messages.next()
        {
            piece.bytes.extend_from_slice(&ready.encoded(encoding)?);
            piece.entries += 1;
        }
        Ok(piece.take())
    }
}

/// Puts a page together as it is read.
#[derive(Debug)]
pub(super) struct Packer {
    encoding: Encoding,
    pieces: Vec<Piece>,
    piece: Unfinished,
    last: Option<Sequence>,
    failed: Option<Status>,
}

impl Packer {
    pub(super) fn new(encoding: Encoding) -> Self {
        Self {
            encoding,
            pieces: Vec::new(),
            piece: Unfinished::default(),
            last: None,
            failed: None,
        }
    }

    /// Takes one more message.
    pub(super) fn push(&mut self, message: StoredMessage<'_>) -> ControlFlow<()> {
        if let Err(status) = write(&mut self.piece.bytes, self.encoding, message.json) {
            self.failed = Some(status);
            return ControlFlow::Break(());
        }
        self.last = Some(message.sequence);
        self.piece.entries += 1;
        if self.piece.is_full() {
            self.pieces.extend(self.piece.take());
        }
        ControlFlow::Continue(())
    }

    /// The page; nothing is left.
    ///
    /// # Errors
    /// A message could not be written.
    pub(super) fn finish(&mut self) -> Result<Packed, Status> {
        if let Some(status) = self.failed.take() {
            return Err(status);
        }
        self.pieces.extend(self.piece.take());
        Ok(Packed {
            pieces: std::mem::take(&mut self.pieces).into_iter(),
            last: self.last,
        })
    }
}

/// A piece that is being put together.
#[derive(Debug)]
struct Unfinished {
    bytes: Vec<u8>,
    entries: u64,
}

impl Default for Unfinished {
    fn default() -> Self {
        Self {
            bytes: Vec::with_capacity(PIECE_ROOM_BYTES),
            entries: 0,
        }
    }
}

impl Unfinished {
    fn is_full(&self) -> bool {
        self.bytes.len() >= PIECE_BYTES
    }

    /// What there is, if there is something.
    fn take(&mut self) -> Option<Piece> {
        if self.entries == 0 {
            return None;
        }
        let Self { mut bytes, entries } = std::mem::take(self);
        // What waits to be read may wait for long.
        if bytes.capacity() > bytes.len() + PIECE_ROOM_BYTES / 4 {
            bytes.shrink_to_fit();
        }
        Some(Piece {
            bytes: bytes.into(),
            entries,
        })
    }
}

/// The message that `json` is.
fn read(json: &str) -> Result<EntryMsg, Status> {
    json::from_slice(json.as_bytes()).map_err(|error| status::unreadable(&error))
}

/// Writes a message behind `out`, and puts before it what gRPC does.
fn write(out: &mut Vec<u8>, encoding: Encoding, json: &str) -> Result<(), Status> {
    let start = out.len();
    out.extend_from_slice(&[0; PREFIX_BYTES]);
    match encoding {
        Encoding::Json => out.extend_from_slice(json.as_bytes()),
        Encoding::Proto | Encoding::ProtoLong => {
            let message = read(json)?;
            // Fails only where there is no room: a Vec has it.
            message.encode(out).ok();
        }
    }
    let length = out.len() - start - PREFIX_BYTES;
    let length = u32::try_from(length)
        .map_err(|error| Status::internal(format!("cannot write the message: {error}")))?;
    if let Some(prefix) = out.get_mut(start + 1..start + PREFIX_BYTES) {
        prefix.copy_from_slice(&length.to_be_bytes());
    }
    Ok(())
}

/// The body of a response: `pieces`, and how they ended.
pub(super) fn body(pieces: impl Stream<Item = Result<Piece, Status>> + Send + 'static) -> Body {
    let frames = pieces
        .map(Some)
        .chain(futures_util::stream::once(async { None }))
        .scan(false, |has_ended, piece| {
            let frame = match piece {
                _ if *has_ended => None,
                Some(Ok(piece)) => Some(Ok(Frame::data(piece.bytes))),
                Some(Err(status)) => {
                    *has_ended = true;
                    Some(trailers(&status))
                }
                None => Some(trailers(&Status::ok(""))),
            };
            std::future::ready(frame)
        });
    Body::new(StreamBody::new(frames))
}

/// What is behind the messages.
fn trailers(status: &Status) -> Result<Frame<Bytes>, Status> {
    let mut headers = HeaderMap::new();
    status.add_header(&mut headers)?;
    Ok(Frame::trailers(headers))
}

#[cfg(test)]
impl Piece {
    /// The sequences of the messages in it, which are JSON.
    pub(super) fn sequences(&self) -> Vec<u64> {
        let mut rest = &*self.bytes;
        let mut sequences = Vec::new();
        while let [0, a, b, c, d, behind @ ..] = rest {
            let length = usize::try_from(u32::from_be_bytes([*a, *b, *c, *d])).unwrap();
            let (message, others) = behind.split_at(length);
            let message: EntryMsg = json::from_slice(message).unwrap();
            sequences.push(message.sequence);
            rest = others;
        }
        assert!(rest.is_empty());
        assert_eq!(sequences.len(), usize::try_from(self.entries).unwrap());
        sequences
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;
    use tonic::Code;

    use super::*;

    fn message(sequence: u64, content: &str) -> String {
        let message = EntryMsg {
            id: format!("id-{sequence}"),
            r#type: "task".to_owned(),
            content: content.to_owned(),
            sequence,
            ..EntryMsg::default()
        };
        serde_json::to_string(&message).unwrap()
    }

    fn ready(sequence: u64, content: &str) -> Ready {
        let json = message(sequence, content);
        let sequence = Sequence::new(sequence);
        Ready::new(StoredMessage {
            sequence,
            json: &json,
        })
        .unwrap()
    }

    fn packed(encoding: Encoding, messages: &[String]) -> Result<Packed, Status> {
        let mut packer = Packer::new(encoding);
        for (json, sequence) in messages.iter().zip(1..) {
            let sequence = Sequence::new(sequence);
            if packer.push(StoredMessage { sequence, json }).is_break() {
                break;
            }
        }
        packer.finish()
    }

    #[test]
    fn a_page_is_its_messages_in_either_encoding() {
        let messages: Vec<String> = (1..=64)
            .map(|n| message(n, &"\u{1}é".repeat(999)))
            .collect();
        let page = packed(Encoding::Json, &messages).unwrap();
        assert_eq!(page.last, Some(Sequence::new(64)));
        let pieces: Vec<Piece> = page.pieces.collect();
        let sequences: Vec<u64> = pieces.iter().flat_map(Piece::sequences).collect();
        assert_eq!(sequences, (1..=64).collect::<Vec<u64>>());

        let page = packed(Encoding::Proto, &messages).unwrap();
        let bytes: Vec<u8> = page.pieces.flat_map(|piece| piece.bytes).collect();
        let mut rest = bytes.as_slice();
        for json in &messages {
            let (prefix, behind) = rest.split_first_chunk::<PREFIX_BYTES>().unwrap();
            let [0, length @ ..] = *prefix else {
                panic!("it is compressed")
            };
            let length = usize::try_from(u32::from_be_bytes(length)).unwrap();
            let (message, behind) = behind.split_at(length);
            assert_eq!(EntryMsg::decode(message).unwrap(), read(json).unwrap());
            rest = behind;
        }
        assert!(rest.is_empty());
        let none = packed(Encoding::Json, &[]).unwrap();
        assert!(none.last.is_none() && none.pieces.len() == 0);
    }

    #[test]
    fn what_is_no_message_is_refused_where_it_has_to_be_read() {
        let broken = ["{\"id\":".to_owned()];
        let error = packed(Encoding::Proto, &broken).unwrap_err();
        assert_eq!(error.code(), Code::Internal);
        let strange = message(1, "x").replace("task", "other");
        for json in [&broken[0], &strange] {
            let sequence = Sequence::new(1);
            assert!(Ready::new(StoredMessage { sequence, json }).is_err());
        }
    }

    #[test]
    fn what_is_ready_is_the_same_alone_and_together_and_in_both_encodings() {
        let make = |n| Arc::new(ready(n, &"x".repeat(4096)));
        let ready: Vec<Arc<Ready>> = (1..=9).map(make).collect();
        let mut all = ready.clone().into_iter();
        let mut together = Vec::new();
        while let Some(piece) = Piece::of_ready(&mut all, Encoding::Json).unwrap() {
            assert!(piece.bytes.len() < PIECE_BYTES + 2 * 4096);
            together.extend_from_slice(&piece.bytes);
        }
        let alone = ready.iter().map(|ready| ready.json.to_vec());
        assert_eq!(together, alone.collect::<Vec<_>>().concat());

        let written = read(str::from_utf8(&ready[0].json[PREFIX_BYTES..]).unwrap()).unwrap();
        // Again: what was written for one is what the next is given.
        for _ in 0..2 {
            let mut one = vec![Arc::clone(&ready[0])].into_iter();
            let piece = Piece::of_ready(&mut one, Encoding::Proto).unwrap().unwrap();
            let decoded = EntryMsg::decode(&piece.bytes[PREFIX_BYTES..]).unwrap();
            assert_eq!(decoded, written);
            let next = Piece::of_ready(&mut one, Encoding::Proto).unwrap();
            assert!(next.is_none());
        }
    }

    #[tokio::test]
    async fn a_body_ends_with_its_status_and_nothing_comes_behind_an_error() {
        let piece = |n| {
            let ready = Arc::new(ready(n, "x"));
            Piece::of_ready(&mut vec![ready].into_iter(), Encoding::Json).map(Option::unwrap)
        };
        let good = futures_util::stream::iter([piece(1), piece(2)]);
        let good = body(good).collect().await.unwrap();
        assert_eq!(good.trailers().unwrap().get("grpc-status").unwrap(), "0");

        let broken = [piece(1), Err(Status::unavailable("gone")), piece(2)];
        let broken = body(futures_util::stream::iter(broken))
            .collect()
            .await
            .unwrap();
        assert_eq!(broken.trailers().unwrap().get("grpc-status").unwrap(), "14");
        let mut only = vec![Arc::new(ready(1, "x"))].into_iter();
        let length = Piece::of_ready(&mut only, Encoding::Json)
            .unwrap()
            .unwrap()
            .bytes
            .len();
        assert_eq!(broken.to_bytes().len(), length);
    }
}
