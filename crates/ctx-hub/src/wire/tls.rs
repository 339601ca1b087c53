//! What a client and a hub agree on before they speak TLS.

use rustls::SupportedProtocolVersion;
use rustls::version::{TLS12, TLS13};

/// The versions of TLS that are spoken. Older ones are broken.
pub(crate) const VERSIONS: &[&SupportedProtocolVersion] = &[&TLS13, &TLS12];

/// HTTP/2, as the protocol inside TLS is negotiated.
pub(crate) const ALPN_HTTP2: &[u8] = b"h2";
