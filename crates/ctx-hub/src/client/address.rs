//! Where a hub listens.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

use ctx_config::wire::DEFAULT_PORT;

/// Longest host name, in bytes, as DNS has it.
const HOST_MAX_BYTES: usize = 253;

/// The name that means this machine wherever it is looked up rightly.
const LOCALHOST: &str = "localhost";

/// Host and port of a hub, and whether it is asked over TLS. Written `host:port` with the scheme in
/// front if there is one, and an IPv6 address in brackets, which reads back the same.
///
/// Read from `host:port`, `host` (the default port is assumed), `[::1]:9900`, each with or without
/// `https://` (also `grpcs://`) or `http://` (also `grpc://`) in front. What no scheme means is the
/// matter of [`Route`](super::Route).
///
/// ```
/// use ctx_hub::client::{HubAddress, Scheme};
///
/// let address: HubAddress = "grpcs://Hub.example.org".parse()?;
/// assert_eq!(address.to_string(), "https://hub.example.org:9900");
/// assert_eq!(address.scheme(), Some(Scheme::Tls));
/// # Ok::<(), ctx_hub::client::AddressError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HubAddress {
    scheme: Option<Scheme>,
    host: Host,
    port: u16,
}

/// How an address says that a hub is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// Over TLS: `https://` or `grpcs://`.
    Tls,
    /// In the clear: `http://` or `grpc://`.
    Clear,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Host {
    /// A name or an IPv4 address, in lower case.
    Name(String),
    V6(Ipv6Addr),
}

/// Text that is no address of a hub.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AddressError {
    /// There is no host.
    #[error("{given:?} names no host")]
    NoHost {
        /// What was given.
        given: String,
    },
    /// The scheme is none that a hub is reached by.
    #[error("{given:?} has a scheme that is none of https, http, grpcs and grpc")]
    Scheme {
        /// What was given.
        given: String,
    },
    /// A name or password stands before the host. They are not repeated here.
    #[error("the hub address holds an @: a user name or password has no place in it")]
    UserInfo,
    /// Something follows the port.
    #[error("{given:?} holds a path: an address is a host and a port")]
    Path {
        /// What was given.
        given: String,
    },
    /// The port is none.
    #[error("{given:?} has a port that is not a number from 1 to 65535")]
    Port {
        /// What was given.
        given: String,
    },
    /// The host is neither a name nor an IP address.
    #[error("{given:?} has a host that is neither a name nor an IP address")]
    Host {
        /// What was given.
        given: String,
    },
    /// An IPv6 address without brackets, whose port cannot be told.
    #[error("{given:?} is an IPv6 address without brackets")]
    Brackets {
        /// What was given.
        given: String,
    },
}

impl AddressError {
    /// What to do next.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let text = match self {
            Self::Brackets { .. } => "write it as [::1]:9900",
            _ => "write it as https://host:port, for example https://hub.example.org:9900",
        };
        Some(text.to_owned())
    }
}

impl HubAddress {
    /// What the address says of TLS, if anything.
    #[must_use]
    pub const fn scheme(&self) -> Option<Scheme> {
        self.scheme
    }

    /// The same host and port, asked as `scheme` says.
    #[must_use]
    pub fn with_scheme(mut self, scheme: Scheme) -> Self {
        self.scheme = Some(scheme);
        self
    }

    /// Whether the address means this machine by itself: a literal loopback address, or
    /// `localhost`. A name that happens to lead to this machine is not one: where it leads is up
    /// to whoever answers for it, and may be another place the next time.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        match &self.host {
            Host::Name(name) if name == LOCALHOST => true,
            Host::Name(name) => name.parse::<IpAddr>().is_ok_and(is_loopback),
            Host::V6(address) => is_loopback(IpAddr::V6(*address)),
        }
    }

    /// Host and port, without the scheme.
    #[must_use]
    pub fn authority(&self) -> String {
        match &self.host {
            Host::Name(name) => format!("{name}:{}", self.port),
            Host::V6(address) => format!("[{address}]:{}", self.port),
        }
    }

    /// The port, never 0.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// The host, an IPv6 address without brackets.
    #[must_use]
    pub fn host(&self) -> String {
        match &self.host {
            Host::Name(name) => name.clone(),
            Host::V6(address) => address.to_string(),
        }
    }
}

/// Whether an address is one of this machine alone, also when it is an IPv4 one in the shape of
/// IPv6.
pub(super) fn is_loopback(address: IpAddr) -> bool {
    address.to_canonical().is_loopback()
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tls => "https",
            Self::Clear => "http",
        })
    }
}

impl fmt::Display for HubAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(scheme) = self.scheme {
            write!(f, "{scheme}://")?;
        }
        f.write_str(&self.authority())
    }
}

impl FromStr for HubAddress {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.contains('@') {
            return Err(AddressError::UserInfo);
        }
        let given = || text.to_owned();
        let (scheme, rest) = split_scheme(text)?;
        if rest.contains(['/', '?', '#']) {
            return Err(AddressError::Path { given: given() });
        }
        let (host, port) = if let Some(bracketed) = rest.strip_prefix('[') {
            let host_error = || AddressError::Host { given: given() };
            let (address, port) = bracketed.split_once(']').ok_or_else(host_error)?;
            (Host::V6(address.parse().map_err(|_| host_error())?), port)
        } else {
            let (name, port) = rest.split_at(rest.find(':').unwrap_or(rest.len()));
            if rest.parse::<Ipv6Addr>().is_ok() {
                return Err(AddressError::Brackets { given: given() });
            }
            if name.is_empty() {
                return Err(AddressError::NoHost { given: given() });
            }
            if !is_host_name(name) {
                return Err(AddressError::Host { given: given() });
            }
            (Host::Name(name.to_ascii_lowercase()), port)
        };
        let port = read_port(port).ok_or_else(|| AddressError::Port { given: given() })?;
        Ok(Self { scheme, host, port })
    }
}

/// The scheme if there is one, and what follows it.
fn split_scheme(text: &str) -> Result<(Option<Scheme>, &str), AddressError> {
    let Some((scheme, rest)) = text.split_once("://") else {
        return Ok((None, text));
    };
    let scheme = match scheme.to_ascii_lowercase().as_str() {
        "https" | "grpcs" => Scheme::Tls,
        "http" | "grpc" => Scheme::Clear,
        _ => {
            let given = text.to_owned();
            return Err(AddressError::Scheme { given });
        }
    };
    Ok((Some(scheme), rest))
}

/// Labels of letters, digits, `-` and `_`, which an IPv4 address is made of as well. Anything else
/// could change the meaning of the URI that the address becomes a part of.
fn is_host_name(name: &str) -> bool {
    let is_label = |label: &str| {
        !label.is_empty()
            && label
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
    };
    // One dot at the end makes a name absolute.
    let labels = name.strip_suffix('.').unwrap_or(name);
    name.len() <= HOST_MAX_BYTES && labels.split('.').all(is_label)
}

/// The number behind the colon; the default port where nothing follows the host.
fn read_port(text: &str) -> Option<u16> {
    if text.is_empty() {
        return Some(DEFAULT_PORT);
    }
    let digits = text.strip_prefix(':')?;
    // A sign is refused here: `parse` would take `+1`.
    if !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    digits.parse().ok().filter(|port| *port != 0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn written(text: &str) -> String {
        text.parse::<HubAddress>().unwrap().to_string()
    }

    fn refused(text: &str) -> AddressError {
        text.parse::<HubAddress>().unwrap_err()
    }

    #[test]
    fn an_address_is_written_as_host_and_port_and_its_scheme_if_it_has_one() {
        for (given, normal) in [
            ("hub.example.org:7000", "hub.example.org:7000"),
            ("Hub", "hub:9900"),
            ("10.0.0.7", "10.0.0.7:9900"),
            ("http://hub:80", "http://hub:80"),
            ("GRPC://hub", "http://hub:9900"),
            ("https://hub", "https://hub:9900"),
            ("grpcs://Hub:443", "https://hub:443"),
            ("[::1]", "[::1]:9900"),
            ("http://[0:0::1]:1", "http://[::1]:1"),
            ("my_host.:65535", "my_host.:65535"),
        ] {
            assert_eq!(written(given), normal);
        }
    }

    #[test]
    fn what_is_no_address_is_refused_with_a_reason() {
        let given = |text: &str| text.to_owned();
        for text in ["", "http://", ":9900"] {
            assert_eq!(refused(text), AddressError::NoHost { given: given(text) });
        }
        for text in ["hub/", "http://hub:1/v1", "hub?x", "hub:1#a"] {
            assert_eq!(refused(text), AddressError::Path { given: given(text) });
        }
        for text in [
            "hub:",
            "hub:0",
            "hub:65536",
            "hub:+1",
            "hub:1:2",
            "hub:x",
            "[::1]x",
            "[::1]:",
        ] {
            assert_eq!(refused(text), AddressError::Port { given: given(text) });
        }
        for text in [
            " hub",
            "hub ",
            "hub :1",
            "a..b",
            "hüb",
            "[::1",
            "[hub]:1",
            "[fe80::1%eth0]",
        ] {
            assert_eq!(refused(text), AddressError::Host { given: given(text) });
        }
        assert_eq!(
            refused("::1"),
            AddressError::Brackets {
                given: given("::1")
            }
        );
        assert_eq!(
            refused("unix://hub"),
            AddressError::Scheme {
                given: given("unix://hub")
            }
        );
    }

    #[test]
    fn only_an_address_that_means_this_machine_by_itself_is_loopback() {
        let is_loopback = |text: &str| text.parse::<HubAddress>().unwrap().is_loopback();
        for text in [
            "localhost",
            "LOCALHOST:1",
            "https://127.0.0.1",
            "127.8.9.10",
            "[::1]:9900",
            "[::ffff:127.0.0.1]",
        ] {
            assert!(is_loopback(text), "{text}");
        }
        for text in [
            "hub",
            "0.0.0.0",
            "[::]",
            "10.0.0.7",
            "[fd00::2]",
            "[::ffff:10.0.0.7]",
            // What leads there on some machines, or once did.
            "localhost.",
            "localhost.example.org",
            "localhost4",
            "127.0.0.1.nip.io",
            "127.1",
            "2130706433",
            "0x7f.0.0.1",
            "127.0.0.1.",
        ] {
            assert!(!is_loopback(text), "{text}");
        }
    }

    #[test]
    fn a_password_in_an_address_is_not_repeated() {
        let error = refused("http://ada:secret@hub");
        assert!(!format!("{error} {error:?} {:?}", error.hint()).contains("secret"));
    }

    proptest! {
        #[test]
        fn no_text_makes_the_reader_panic(text in any::<String>()) {
            text.parse::<HubAddress>().ok();
        }

        #[test]
        fn what_was_written_reads_back_the_same(
            text in r"((http|grpc)s?://)?([a-zA-Z0-9._-]{1,20}|\[[0-9a-f:]{2,20}\])(:[0-9]{1,5})?",
        ) {
            if let Ok(address) = text.parse::<HubAddress>() {
                prop_assert_eq!(address.to_string().parse(), Ok(address.clone()));
                // What is dialled is a URI of this host and port.
                let uri = format!("https://{}", address.authority());
                let uri: http::Uri = uri.parse().unwrap();
                prop_assert_eq!(uri.port_u16(), Some(address.port()));
            }
        }
    }
}
