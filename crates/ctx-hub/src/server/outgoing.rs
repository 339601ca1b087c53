//! The messages of a stream on their way out, as they go over the wire: made once for everybody, or
//! for one stream alone.
//!
//! Messages are put together in pieces, each message behind the five bytes that gRPC puts before it.
//! Nothing looks at them, or copies them, between here and the connection.

use std::ops::ControlFlow;
use std::sync::Arc;
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
use crate::entry::{Entry, EntryView};
use crate::types::{EntryType, Sequence};
use crate::wire::convert::entry_to_wire;
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
    content_bytes: u64,
}

/// A message that others are sent too.
pub(super) struct Ready {
    sequence: Sequence,
    entry_type: EntryType,
    message: EntryMsg,
    json: Bytes,
}

/// A page of the log, as it goes over the wire.
#[derive(Debug)]
pub(super) struct Packed {
    pub(super) pieces: vec::IntoIter<Piece>,
    /// The last entry in it; `None` when there is none.
    pub(super) last: Option<Sequence>,
}

impl Ready {
    /// Makes a message of `entry`; `None` when it cannot be written.
    pub(super) fn new(entry: &Entry) -> Option<Self> {
        let entry = entry.view();
        let mut json = Vec::new();
        write(&mut json, |out| json::write_entry(out, &entry)).ok()?;
        Some(Self {
            sequence: entry.sequence,
            entry_type: entry.entry_type,
            message: entry_to_wire(&entry),
            json: json.into_boxed_slice().into(),
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
        self.json.len() + self.message.content.len() + OVERHEAD_BYTES
    }
}

impl Piece {
    /// How many entries are in it.
    pub(super) const fn entries(&self) -> u64 {
        self.entries
    }

    /// The bytes of content in it.
    pub(super) const fn content_bytes(&self) -> u64 {
        self.content_bytes
    }

    /// Takes the next ones of `messages`; `None` at their end.
    pub(super) fn of_ready(
        messages: &mut vec::IntoIter<Arc<Ready>>,
        encoding: Encoding,
    ) -> Result<Option<Self>, Status> {
        // A listener that keeps up is sent what everybody is sent, and not a copy of it.
        if let ([ready], Encoding::Json) = (messages.as_slice(), encoding) {
            let piece = Self {
                bytes: ready.json.clone(),
                entries: 1,
                content_bytes: length(&ready.message.content),
            };
            messages.next();
            return Ok(Some(piece));
        }
        let mut piece = Unfinished::default();
        while !piece.is_full()
            && let Some(ready) = messages.next()
        {
            match encoding {
                Encoding::Json => piece.bytes.extend_from_slice(&ready.json),
                Encoding::Proto | Encoding::ProtoLong => {
                    write(&mut piece.bytes, |out| encode(out, &ready.message))?;
                }
            }
            piece.count(&ready.message.content);
        }
        Ok(piece.take())
    }
}

/// Writes a page down as it is read, and breaks it off where it would be more than so many bytes:
/// JSON writes some characters as six.
#[derive(Debug)]
pub(super) struct Packer {
    encoding: Encoding,
    most: usize,
    pieces: Vec<Piece>,
    /// The bytes of `pieces`.
    bytes: usize,
    piece: Unfinished,
    last: Option<Sequence>,
    failed: Option<Status>,
}

impl Packer {
    pub(super) fn new(encoding: Encoding, most: usize) -> Self {
        Self {
            encoding,
            most,
            pieces: Vec::new(),
            bytes: 0,
            piece: Unfinished::default(),
            last: None,
            failed: None,
        }
    }

    /// Takes one more entry, unless there is no room for any.
    pub(super) fn push(&mut self, entry: &EntryView<'_>) -> ControlFlow<()> {
        if self.bytes + self.piece.bytes.len() >= self.most {
            return ControlFlow::Break(());
        }
        let out = &mut self.piece.bytes;
        let written = match self.encoding {
            Encoding::Json => write(out, |out| json::write_entry(out, entry)),
            Encoding::Proto | Encoding::ProtoLong => {
                write(out, |out| encode(out, &entry_to_wire(entry)))
            }
        };
        if let Err(status) = written {
            self.failed = Some(status);
            return ControlFlow::Break(());
        }
        self.last = Some(entry.sequence);
        self.piece.count(entry.content);
        if self.piece.is_full() {
            self.bytes += self.piece.bytes.len();
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
    content_bytes: u64,
}

impl Default for Unfinished {
    fn default() -> Self {
        Self {
            bytes: Vec::with_capacity(PIECE_ROOM_BYTES),
            entries: 0,
            content_bytes: 0,
        }
    }
}

impl Unfinished {
    fn count(&mut self, content: &str) {
        self.entries += 1;
        self.content_bytes += length(content);
    }

    fn is_full(&self) -> bool {
        self.bytes.len() >= PIECE_BYTES
    }

    /// What there is, if there is something.
    fn take(&mut self) -> Option<Piece> {
        if self.entries == 0 {
            return None;
        }
        let Self {
            mut bytes,
            entries,
            content_bytes,
        } = std::mem::take(self);
        // What waits to be read may wait for long.
        if bytes.capacity() > bytes.len() + PIECE_ROOM_BYTES / 4 {
            bytes.shrink_to_fit();
        }
        Some(Piece {
            bytes: bytes.into(),
            entries,
            content_bytes,
        })
    }
}

/// Writes `message` as protobuf, which fails only where there is no room: a Vec has it.
fn encode(out: &mut Vec<u8>, message: &EntryMsg) {
    message.encode(out).ok();
}

/// Lets `message` write behind `out`, and puts before it what gRPC does.
fn write(out: &mut Vec<u8>, message: impl FnOnce(&mut Vec<u8>)) -> Result<(), Status> {
    let start = out.len();
    out.extend_from_slice(&[0; PREFIX_BYTES]);
    message(out);
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

fn length(text: &str) -> u64 {
    u64::try_from(text.len()).unwrap_or(u64::MAX)
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

    use super::*;
    use crate::entry::EntryMeta;
    use crate::types::EntryId;

    fn entry(sequence: u64, content: &str) -> Entry {
        Entry {
            id: EntryId::random().unwrap(),
            entry_type: EntryType::Task,
            content: content.to_owned(),
            origin: "p".to_owned(),
            timestamp: 0,
            sequence: Sequence::new(sequence),
            meta: EntryMeta::default(),
            chain: None,
        }
    }

    /// `entries` as a page of at most `most` bytes.
    fn packed(entries: &[Entry], most: usize) -> Packed {
        let mut packer = Packer::new(Encoding::Json, most);
        let mut each = entries.iter().map(|entry| packer.push(&entry.view()));
        assert!(each.all(|went| went.is_continue()) || most < usize::MAX);
        packer.finish().unwrap()
    }

    #[test]
    fn a_page_is_cut_where_it_would_take_far_more_as_json_than_it_holds() {
        let entries: Vec<Entry> = (1..=64).map(|n| entry(n, &"\u{1}".repeat(1024))).collect();
        let page = packed(&entries, 128 * 1024);
        let pieces: Vec<Piece> = page.pieces.collect();
        let bytes: usize = pieces.iter().map(|piece| piece.bytes.len()).sum();
        assert!((128 * 1024..136 * 1024).contains(&bytes), "{bytes}");
        let sequences: Vec<u64> = pieces.iter().flat_map(Piece::sequences).collect();
        let last = page.last.unwrap().get();
        assert_eq!(sequences, (1..=last).collect::<Vec<u64>>());
        // One entry is always there, however long.
        assert_eq!(packed(&entries, 1).last, Some(Sequence::new(1)));
        assert_eq!(packed(&entries, usize::MAX).last, Some(Sequence::new(64)));
        let none = packed(&[], 1);
        assert!(none.last.is_none() && none.pieces.len() == 0);
    }

    #[test]
    fn what_is_ready_is_the_same_alone_and_together_and_in_both_encodings() {
        let make = |n| Arc::new(Ready::new(&entry(n, &"x".repeat(4096))).unwrap());
        let ready: Vec<Arc<Ready>> = (1..=9).map(make).collect();
        let mut all = ready.clone().into_iter();
        let mut together = Vec::new();
        while let Some(piece) = Piece::of_ready(&mut all, Encoding::Json).unwrap() {
            assert!(piece.bytes.len() < PIECE_BYTES + 2 * 4096);
            together.extend_from_slice(&piece.bytes);
        }
        let alone = ready.iter().map(|ready| ready.json.to_vec());
        assert_eq!(together, alone.collect::<Vec<_>>().concat());

        let mut one = vec![Arc::clone(&ready[0])].into_iter();
        let piece = Piece::of_ready(&mut one, Encoding::Proto).unwrap().unwrap();
        assert_eq!(
            EntryMsg::decode(&piece.bytes[5..]).unwrap(),
            ready[0].message
        );
        assert!(
            Piece::of_ready(&mut one, Encoding::Proto)
                .unwrap()
                .is_none()
        );
    }

    #[tokio::test]
    async fn a_body_ends_with_its_status_and_nothing_comes_behind_an_error() {
        let piece = |n| {
            let ready = Arc::new(Ready::new(&entry(n, "x")).unwrap());
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
        let mut only = vec![Arc::new(Ready::new(&entry(1, "x")).unwrap())].into_iter();
        let length = Piece::of_ready(&mut only, Encoding::Json)
            .unwrap()
            .unwrap()
            .bytes
            .len();
        assert_eq!(broken.to_bytes().len(), length);
    }
}
