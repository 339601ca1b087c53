//! Requests and answers as text, so that a seed can be read and a change of it means something.
//!
//! The first line says where to or what, lines `name: value` follow up to an empty one, and the
//! rest is the body, up to a line `--` with more headers after it. A line of the body that begins
//! with `=` is a message in its frame, as gRPC has it, one that begins with `%` such a message in hex
//! digits; everything else is sent as it is.

use http::{HeaderMap, HeaderName, HeaderValue};

/// A request or an answer.
pub(super) struct Letter {
    /// The first line.
    pub(super) first: Vec<u8>,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
    pub(super) trailers: HeaderMap,
}

impl Letter {
    /// Reads what can be read; what is no header is left out.
    pub(super) fn read(text: &[u8]) -> Self {
        let mut lines = text.split(|byte| *byte == b'\n');
        let first = lines.next().unwrap_or_default().to_vec();
        let headers = map(lines.by_ref().take_while(|line| !line.is_empty()));
        let mut body = Vec::new();
        for line in lines.by_ref().take_while(|line| *line != b"--") {
            match line.split_first() {
                Some((b'=', message)) => body.extend(framed(message)),
                Some((b'%', digits)) => body.extend(framed(&bytes_of(digits))),
                _ => body.extend_from_slice(line),
            }
        }
        Self {
            first,
            headers,
            body,
            trailers: map(lines),
        }
    }
}

fn map<'a>(lines: impl Iterator<Item = &'a [u8]>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for line in lines {
        let mut parts = line.splitn(2, |byte| *byte == b':');
        let (name, value) = (parts.next(), parts.next().unwrap_or_default());
        let name = name.and_then(|name| HeaderName::from_bytes(name).ok());
        let value = HeaderValue::from_bytes(value.trim_ascii()).ok();
        if let (Some(name), Some(value)) = (name, value) {
            // Refuses only beyond thousands of names, and no seed is so long.
            drop(headers.try_append(name, value));
        }
    }
    headers
}

/// The bytes that hex digits stand for, as far as they are some.
fn bytes_of(digits: &[u8]) -> Vec<u8> {
    let pair = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    digits.chunks(2).map_while(pair).collect()
}

/// A message in its frame.
pub(super) fn framed(message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).unwrap_or(u32::MAX);
    [&[0], &length.to_be_bytes()[..], message].concat()
}

/// `text` with every `from` in it replaced.
pub(super) fn replaced(text: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let mut result = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.windows(from.len()).position(|part| part == from) {
        let (before, after) = rest.split_at(at);
        result.extend_from_slice(before);
        result.extend_from_slice(to);
        rest = after.get(from.len()..).unwrap_or_default();
    }
    result.extend_from_slice(rest);
    result
}
