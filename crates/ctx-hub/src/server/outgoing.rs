//! The messages of a stream on their way out: made once for everybody, or for one stream alone.

use bytes::BufMut as _;
use prost::Message as _;
use tonic::Status;
use tonic::codec::{BufferSettings, Codec, EncodeBuf, Encoder};

use super::encoding::Encoding;
use crate::entry::Entry;
use crate::types::{EntryType, Sequence};
use crate::wire::convert::entry_to_wire;
use crate::wire::generated::EntryMsg;

/// What the buffer of a stream begins with, in bytes. Most streams wait most of the time.
const BUFFER_BYTES: usize = 1_024;

/// How much of a stream is put together before it is handed to the connection, in bytes. A client
/// that does not read costs two such pieces. Somewhat less than a frame and than what a buffer
/// grows to in powers of two.
const YIELD_BYTES: usize = 15 * 1024;

/// What a message takes besides what it says, in bytes, roughly.
const OVERHEAD_BYTES: usize = 512;

/// A message for a stream.
pub(super) enum Outgoing {
    /// One that others are sent too.
    Ready(std::sync::Arc<Ready>),
    /// One that was read for this stream.
    Read(Box<Entry>),
}

/// A message as it goes over the wire.
pub(super) struct Ready {
    sequence: Sequence,
    entry_type: EntryType,
    message: EntryMsg,
    json: Box<[u8]>,
}

impl Ready {
    /// Makes a message of `entry`; `None` when it cannot be written.
    pub(super) fn new(entry: &Entry) -> Option<Self> {
        let message = entry_to_wire(entry);
        let json = serde_json::to_vec(&message).ok()?;
        Some(Self {
            sequence: entry.sequence,
            entry_type: entry.entry_type,
            message,
            json: json.into_boxed_slice(),
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

impl Outgoing {
    /// The bytes of content in it.
    pub(super) fn content_bytes(&self) -> u64 {
        let bytes = match self {
            Self::Ready(ready) => ready.message.content.len(),
            Self::Read(entry) => entry.content.len(),
        };
        u64::try_from(bytes).unwrap_or(u64::MAX)
    }

    #[cfg(test)]
    pub(super) fn sequence(&self) -> u64 {
        match self {
            Self::Ready(ready) => ready.sequence.get(),
            Self::Read(entry) => entry.sequence.get(),
        }
    }
}

/// A codec that reads what `C` reads, and writes [`Outgoing`] messages.
pub(super) struct Feeding<C> {
    codec: C,
    encoding: Encoding,
}

impl<C> Feeding<C> {
    pub(super) const fn new(codec: C, encoding: Encoding) -> Self {
        Self { codec, encoding }
    }
}

impl<C: Codec> Codec for Feeding<C> {
    type Encode = Outgoing;
    type Decode = C::Decode;
    type Encoder = Writer;
    type Decoder = C::Decoder;

    fn encoder(&mut self) -> Writer {
        Writer(self.encoding)
    }

    fn decoder(&mut self) -> C::Decoder {
        self.codec.decoder()
    }
}

/// Writes [`Outgoing`] messages.
pub(super) struct Writer(Encoding);

impl Encoder for Writer {
    type Item = Outgoing;
    type Error = Status;

    fn encode(&mut self, item: Outgoing, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        match (self.0, item) {
            (Encoding::Json, Outgoing::Ready(ready)) => buffer.put_slice(&ready.json),
            (Encoding::Json, Outgoing::Read(entry)) => {
                serde_json::to_writer(buffer.writer(), &entry_to_wire(&entry))
                    .map_err(unwritable)?;
            }
            (_, Outgoing::Ready(ready)) => ready.message.encode(buffer).map_err(unwritable)?,
            (_, Outgoing::Read(entry)) => {
                entry_to_wire(&entry).encode(buffer).map_err(unwritable)?;
            }
        }
        Ok(())
    }

    fn buffer_settings(&self) -> BufferSettings {
        BufferSettings::new(BUFFER_BYTES, YIELD_BYTES)
    }
}

fn unwritable(error: impl std::error::Error) -> Status {
    Status::internal(format!("cannot write the message: {error}"))
}
