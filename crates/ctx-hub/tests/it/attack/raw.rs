//! HTTP/2 written by hand: whatever frames, in whatever order, at whatever pace.
//!
//! Nothing here keeps to the protocol by itself: nothing is acknowledged, no window is widened, no
//! answer is read unless the test says so. Headers are written as HPACK literals that are never
//! indexed; those of answers are not read, since frames say enough of what a hub did.
#![allow(dead_code, reason = "a kit: not every attack needs every part")]

use std::io;
use std::net::SocketAddr;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::server::peer::patient;

/// What every HTTP/2 connection begins with.
pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The kinds of frames.
pub(crate) mod kind {
    pub(crate) const DATA: u8 = 0;
    pub(crate) const HEADERS: u8 = 1;
    pub(crate) const PRIORITY: u8 = 2;
    pub(crate) const RST_STREAM: u8 = 3;
    pub(crate) const SETTINGS: u8 = 4;
    pub(crate) const PUSH_PROMISE: u8 = 5;
    pub(crate) const PING: u8 = 6;
    pub(crate) const GOAWAY: u8 = 7;
    pub(crate) const WINDOW_UPDATE: u8 = 8;
    pub(crate) const CONTINUATION: u8 = 9;
}

/// The flags of frames; what a bit means depends on the kind.
pub(crate) mod flag {
    pub(crate) const END_STREAM: u8 = 0x1;
    pub(crate) const ACK: u8 = 0x1;
    pub(crate) const END_HEADERS: u8 = 0x4;
    pub(crate) const PADDED: u8 = 0x8;
    pub(crate) const PRIORITY: u8 = 0x20;
}

/// The codes with which streams and connections are ended.
pub(crate) mod code {
    pub(crate) const CANCEL: u32 = 0x8;
    pub(crate) const ENHANCE_YOUR_CALM: u32 = 0xb;
}

/// A frame as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) stream: u32,
    pub(crate) payload: Vec<u8>,
}

impl Frame {
    /// The code of a GOAWAY or RST_STREAM.
    pub(crate) fn code(&self) -> Option<u32> {
        let at = match self.kind {
            kind::RST_STREAM => 0,
            kind::GOAWAY => 4,
            _ => return None,
        };
        let bytes = self.payload.get(at..at + 4)?;
        Some(u32::from_be_bytes(bytes.try_into().unwrap()))
    }

    /// Whether it is the last one of `stream`: it has the flag, or resets it.
    pub(crate) fn ends(&self, stream: u32) -> bool {
        let flagged = matches!(self.kind, kind::DATA | kind::HEADERS);
        let ends = flagged && self.flags & flag::END_STREAM != 0;
        self.stream == stream && (ends || self.kind == kind::RST_STREAM)
    }
}

/// A frame as it is sent; the length says what the payload has.
pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap();
    framed(length, kind, flags, stream, payload)
}

/// As [`frame`], with a length that may be a lie.
pub(crate) fn framed(length: u32, kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = length.to_be_bytes()[1..].to_vec();
    bytes.extend_from_slice(&[kind, flags]);
    bytes.extend_from_slice(&stream.to_be_bytes());
    bytes.extend_from_slice(payload);
    bytes
}

/// The payload of SETTINGS.
pub(crate) fn settings(values: &[(u16, u32)]) -> Vec<u8> {
    let one = |(id, value): &(u16, u32)| [&id.to_be_bytes()[..], &value.to_be_bytes()].concat();
    values.iter().flat_map(one).collect()
}

/// Headers as HPACK literals with new names, never indexed, not Huffman-coded.
pub(crate) fn block(headers: &[(&str, &str)]) -> Vec<u8> {
    let one = |(name, value): &(&str, &str)| {
        let mut bytes = vec![0x10];
        string(&mut bytes, name.as_bytes());
        string(&mut bytes, value.as_bytes());
        bytes
    };
    headers.iter().flat_map(one).collect()
}

/// A string of HPACK: its length in the low seven bits, and in bytes of seven bits after that.
fn string(bytes: &mut Vec<u8>, text: &[u8]) {
    let mut length = text.len();
    if length < 127 {
        bytes.push(u8::try_from(length).unwrap());
    } else {
        bytes.push(127);
        length -= 127;
        while length >= 128 {
            bytes.push(u8::try_from(length % 128).unwrap() | 128);
            length /= 128;
        }
        bytes.push(u8::try_from(length).unwrap());
    }
    bytes.extend_from_slice(text);
}

/// The headers of a call as a client of gRPC sends them, and what else there is to say.
pub(crate) fn call(path: &str, token: Option<&str>, more: &[(&str, &str)]) -> Vec<u8> {
    let mut headers = block(&[
        (":method", "POST"),
        (":scheme", "http"),
        (":path", path),
        (":authority", "hub.test"),
        ("te", "trailers"),
        ("content-type", crate::server::peer::JSON),
    ]);
    if let Some(token) = token {
        headers.extend(block(&[("authorization", &format!("Bearer {token}"))]));
    }
    headers.extend(block(more));
    headers
}

/// One connection, over TCP or whatever `S` is.
pub(crate) struct Raw<S = TcpStream> {
    io: S,
}

impl Raw {
    /// A connection on which nothing has been said.
    pub(crate) async fn dial(address: SocketAddr) -> Self {
        let io = TcpStream::connect(address).await.unwrap();
        io.set_nodelay(true).unwrap();
        Self::over(io)
    }

    /// A connection whose preface and (empty) SETTINGS are sent.
    pub(crate) async fn greeted(address: SocketAddr) -> Self {
        let mut raw = Self::dial(address).await;
        raw.greet(&[]).await.unwrap();
        raw
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Raw<S> {
    /// A connection over what is open already: TLS, a pipe in memory.
    pub(crate) fn over(io: S) -> Self {
        Self { io }
    }

    /// Sends bytes as they are. A hub that has closed makes it fail, now or the next time.
    pub(crate) async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        patient(async {
            self.io.write_all(bytes).await?;
            self.io.flush().await
        })
        .await
    }

    /// Sends the preface and SETTINGS.
    pub(crate) async fn greet(&mut self, values: &[(u16, u32)]) -> io::Result<()> {
        self.send(PREFACE).await?;
        self.frame(kind::SETTINGS, 0, 0, &settings(values)).await
    }

    /// Sends one frame.
    pub(crate) async fn frame(
        &mut self,
        kind: u8,
        flags: u8,
        stream: u32,
        payload: &[u8],
    ) -> io::Result<()> {
        self.send(&frame(kind, flags, stream, payload)).await
    }

    /// Sends whole headers in one frame.
    pub(crate) async fn headers(
        &mut self,
        stream: u32,
        block: &[u8],
        ends: bool,
    ) -> io::Result<()> {
        let flags = flag::END_HEADERS | if ends { flag::END_STREAM } else { 0 };
        self.frame(kind::HEADERS, flags, stream, block).await
    }

    /// Sends data of a stream; a message of gRPC wants [`crate::server::peer::frame`] around it.
    pub(crate) async fn data(&mut self, stream: u32, bytes: &[u8], ends: bool) -> io::Result<()> {
        let flags = if ends { flag::END_STREAM } else { 0 };
        self.frame(kind::DATA, flags, stream, bytes).await
    }

    /// Takes back a stream.
    pub(crate) async fn reset(&mut self, stream: u32) -> io::Result<()> {
        self.frame(kind::RST_STREAM, 0, stream, &code::CANCEL.to_be_bytes())
            .await
    }

    /// Widens the window of a stream, or with 0 that of the connection.
    pub(crate) async fn widen(&mut self, stream: u32, by: u32) -> io::Result<()> {
        self.frame(kind::WINDOW_UPDATE, 0, stream, &by.to_be_bytes())
            .await
    }

    /// Asks for a sign of life.
    pub(crate) async fn ping(&mut self) -> io::Result<()> {
        self.frame(kind::PING, 0, 0, b"12345678").await
    }

    /// One whole call: a message of JSON, written at once.
    pub(crate) async fn call(
        &mut self,
        stream: u32,
        path: &str,
        token: Option<&str>,
        message: &str,
    ) -> io::Result<()> {
        self.headers(stream, &call(path, token, &[]), false).await?;
        let message = crate::server::peer::frame(message.as_bytes());
        self.data(stream, &message, true).await
    }

    /// The next frame; `None` once the hub has closed, politely or not.
    pub(crate) async fn next(&mut self) -> Option<Frame> {
        patient(self.read()).await.ok()
    }

    async fn read(&mut self) -> io::Result<Frame> {
        let mut head = [0; 9];
        self.io.read_exact(&mut head).await?;
        let [a, b, c, kind, flags, stream @ ..] = head;
        let length = usize::try_from(u32::from_be_bytes([0, a, b, c])).unwrap();
        let mut payload = vec![0; length];
        self.io.read_exact(&mut payload).await?;
        Ok(Frame {
            kind,
            flags,
            stream: u32::from_be_bytes(stream) & 0x7fff_ffff,
            payload,
        })
    }

    /// The first frame that is `wanted`; `None` once the hub has closed without one.
    pub(crate) async fn until(&mut self, mut wanted: impl FnMut(&Frame) -> bool) -> Option<Frame> {
        loop {
            let frame = self.next().await?;
            if wanted(&frame) {
                return Some(frame);
            }
        }
    }

    /// Whether a frame of `kind` has come for `stream`, of all that has come by now.
    pub(crate) async fn came(&mut self, kind: u8, stream: u32) -> bool {
        let wanted = |frame: &Frame| frame.kind == kind && frame.stream == stream;
        let now = std::time::Duration::from_millis(1);
        // What was read in part when the time is over is lost: for attacks that end then.
        let came = tokio::time::timeout(now, self.until(wanted)).await;
        came.is_ok_and(|frame| frame.is_some())
    }

    /// The last frame of a stream; `None` when the connection ended before it.
    pub(crate) async fn end_of(&mut self, stream: u32) -> Option<Frame> {
        self.until(|frame| frame.ends(stream)).await
    }

    /// Reads until the hub closes: the code of its GOAWAY, when it sent one. Panics when the hub
    /// keeps the connection open.
    pub(crate) async fn closed(&mut self) -> Option<u32> {
        let mut last = None;
        while let Some(frame) = self.next().await {
            if frame.kind == kind::GOAWAY {
                last = frame.code();
            }
        }
        last
    }
}
