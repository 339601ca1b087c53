//! Who is at the other end of a connection, and of a request that came over it.
//!
//! The [`Peer`] of its connection is in the extensions of every request. Limits, failures and the
//! audit trail go by [`Peer::client_address`].

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use http::HeaderMap;

use super::line::Line;
use super::proxies::TrustedProxies;

/// Where a proxy says for whom it asks: the nearest hop is the last one.
const FORWARDED_FOR: &str = "x-forwarded-for";

/// The other end of a connection.
#[derive(Clone, Debug)]
pub(super) struct Peer {
    /// `None` on the admin socket.
    address: Option<SocketAddr>,
    encrypted: bool,
    proxies: Arc<TrustedProxies>,
    line: Line,
}

impl Peer {
    /// The peer of a connection in the clear; `address` is `None` on the admin socket.
    pub(super) fn new(address: Option<SocketAddr>, proxies: Arc<TrustedProxies>) -> Self {
        let address = address.map(|a| SocketAddr::new(a.ip().to_canonical(), a.port()));
        Self {
            address,
            encrypted: false,
            proxies,
            line: Line::default(),
        }
    }

    /// The connection.
    pub(super) const fn line(&self) -> &Line {
        &self.line
    }

    /// The same peer, once the connection is encrypted.
    pub(super) fn encrypted(self) -> Self {
        Self {
            encrypted: true,
            ..self
        }
    }

    /// Whether this hub itself ends the encryption of the connection.
    pub(super) const fn is_encrypted(&self) -> bool {
        self.encrypted
    }

    /// The address of the connection, which may be a proxy's; `None` on the admin socket.
    pub(super) const fn address(&self) -> Option<SocketAddr> {
        self.address
    }

    /// Whether the connection comes from a proxy that is trusted to say for whom it asks.
    pub(super) fn is_proxy(&self) -> bool {
        self.address.is_some_and(|a| self.proxies.contain(a.ip()))
    }

    /// The address of whoever sent a request with these headers: that of the connection, or, where
    /// a trusted proxy asks, the nearest hop in `x-forwarded-for` that is no trusted proxy itself.
    /// What a proxy says in words that cannot be read counts as the proxy's own request, and
    /// what anybody else says is not looked at. `None` on the admin socket.
    pub(super) fn client_address(&self, headers: &HeaderMap) -> Option<IpAddr> {
        let own = self.address?.ip();
        if !self.proxies.contain(own) {
            return Some(own);
        }
        let mut nearest = own;
        let lines: Vec<_> = headers.get_all(FORWARDED_FOR).iter().collect();
        let hops = lines.iter().rev().map(|line| line.to_str().unwrap_or(""));
        for hop in hops.flat_map(|line| line.rsplit(',')) {
            let Some(address) = hop_address(hop.trim()) else {
                break;
            };
            nearest = address;
            if !self.proxies.contain(address) {
                break;
            }
        }
        Some(nearest)
    }
}

/// The address of a hop, which some proxies write with the port.
fn hop_address(hop: &str) -> Option<IpAddr> {
    let bare = hop.strip_prefix('[').and_then(|hop| hop.strip_suffix(']'));
    let address = bare.unwrap_or(hop).parse().ok();
    let address = address.or_else(|| hop.parse().ok().map(|with_port: SocketAddr| with_port.ip()));
    address.map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn client(from: &str, proxies: &[&str], forwarded: &[&'static str]) -> Option<String> {
        let networks = proxies.iter().map(|p| p.parse().unwrap()).collect();
        let proxies = Arc::new(TrustedProxies::new(networks));
        let peer = Peer::new(Some(from.parse().unwrap()), proxies);
        let mut headers = HeaderMap::new();
        for line in forwarded {
            headers.append(FORWARDED_FOR, HeaderValue::from_static(line));
        }
        peer.client_address(&headers).map(|a| a.to_string())
    }

    #[test]
    fn what_anybody_but_a_trusted_proxy_claims_is_not_looked_at() {
        let claimed = client("192.0.2.1:5", &[], &["10.0.0.1"]);
        assert_eq!(claimed.unwrap(), "192.0.2.1");
        let claimed = client("192.0.2.1:5", &["192.0.2.2/32"], &["10.0.0.1"]);
        assert_eq!(claimed.unwrap(), "192.0.2.1");
    }

    #[test]
    fn a_trusted_proxy_tells_for_whom_it_asks_and_a_client_cannot_put_words_before_it() {
        let proxy = "192.0.2.2/32";
        for (forwarded, expected) in [
            (&["203.0.113.7"][..], "203.0.113.7"),
            // The client sent the first, the proxy appended the second.
            (&["10.9.9.9, 203.0.113.7"], "203.0.113.7"),
            (&["10.9.9.9", "203.0.113.7"], "203.0.113.7"),
            (&["203.0.113.7:4711"], "203.0.113.7"),
            (&["[2001:db8::7]:4711"], "2001:db8::7"),
            (&["[2001:db8::7]"], "2001:db8::7"),
            (&["2001:db8::7"], "2001:db8::7"),
            (&["::ffff:203.0.113.7"], "203.0.113.7"),
            // A second trusted proxy before the first.
            (&["10.9.9.9, 203.0.113.7, 192.0.2.2"], "203.0.113.7"),
            // Nothing, or nothing that can be read.
            (&[], "192.0.2.2"),
            (&["unknown"], "192.0.2.2"),
            (&["203.0.113.7, unknown"], "192.0.2.2"),
            (&[""], "192.0.2.2"),
        ] {
            let found = client("192.0.2.2:5", &[proxy], forwarded);
            assert_eq!(found.unwrap(), expected, "{forwarded:?}");
        }
    }

    #[test]
    fn an_ipv4_peer_of_a_listener_for_both_is_known_by_its_ipv4_address() {
        let found = client("[::ffff:192.0.2.2]:5", &["192.0.2.0/24"], &["203.0.113.7"]);
        assert_eq!(found.unwrap(), "203.0.113.7");
    }

    #[test]
    fn whoever_is_on_the_admin_socket_has_no_address() {
        let peer = Peer::new(None, Arc::default());
        assert_eq!(peer.client_address(&HeaderMap::new()), None);
        assert!(!peer.is_proxy());
        assert!(!peer.is_encrypted());
        assert!(peer.encrypted().is_encrypted());
    }
}
