//! How a hub is reached: where, over TLS or in the clear, and who vouches for it.

use super::address::{HubAddress, Scheme};
use super::trust::Trust;

/// Where a hub is, and how it is asked.
///
/// An address without a scheme is asked over TLS where somebody said whom to trust, in the clear on
/// this machine, and otherwise not at all: what is meant has to be said. In the clear beyond this
/// machine takes `insecure`, for whoever listens in then reads the token, and with it can do
/// whatever the project can.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// Where.
    pub address: HubAddress,
    /// Who vouches for the hub.
    pub trust: Trust,
    /// That a token may be sent in the clear beyond this machine.
    pub insecure: bool,
}

/// A hub that is not asked this way. Nothing was sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RouteError {
    /// Nothing says whether to use TLS.
    #[error("{address} does not say whether the hub is asked over TLS")]
    Unsaid {
        /// Where.
        address: HubAddress,
    },
    /// A token would be sent in the clear beyond this machine.
    #[error("a token is not sent to {address} in the clear: others on the way could read it")]
    Exposed {
        /// Where.
        address: HubAddress,
    },
    /// A certificate is to be checked, and there is none in the clear.
    #[error("{address} is asked in the clear, where there is no certificate to check")]
    NothingToCheck {
        /// Where.
        address: HubAddress,
    },
    /// It is asked over TLS, and in the clear was allowed.
    #[error("{address} is asked over TLS, where nothing is insecure")]
    NothingInsecure {
        /// Where.
        address: HubAddress,
    },
}

impl RouteError {
    /// What to do next.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Unsaid { address } | Self::Exposed { address } => {
                let authority = address.authority();
                format!(
                    "write https://{authority} for TLS, with --ca-cert or --fingerprint for a \
                     certificate of its own; or http://{authority} with --insecure on a network \
                     that you trust"
                )
            }
            Self::NothingToCheck { address } => format!("write https://{}", address.authority()),
            Self::NothingInsecure { .. } => {
                "leave out --insecure; for a certificate of its own, use --fingerprint".to_owned()
            }
        })
    }
}

impl Route {
    /// The hub at `address`, which an authority of this machine vouches for.
    #[must_use]
    pub const fn new(address: HubAddress) -> Self {
        Self {
            address,
            trust: Trust::System,
            insecure: false,
        }
    }

    /// Whether it is asked over TLS.
    #[must_use]
    pub fn is_encrypted(&self) -> bool {
        match self.address.scheme() {
            Some(scheme) => scheme == Scheme::Tls,
            None => self.trust != Trust::System,
        }
    }

    /// Whether what is sent can be read on a network.
    #[must_use]
    pub fn is_exposed(&self) -> bool {
        !self.is_encrypted() && !self.address.is_loopback()
    }

    /// The same with everything said: the address has its scheme, unless it means this machine.
    ///
    /// # Errors
    /// [`RouteError`] when it is not asked this way.
    pub fn settled(mut self) -> Result<Self, RouteError> {
        let address = || self.address.clone();
        let encrypted = self.is_encrypted();
        if encrypted && self.insecure {
            return Err(RouteError::NothingInsecure { address: address() });
        }
        if !encrypted && self.trust != Trust::System {
            return Err(RouteError::NothingToCheck { address: address() });
        }
        if self.is_exposed() && !self.insecure {
            return Err(match self.address.scheme() {
                None => RouteError::Unsaid { address: address() },
                Some(_) => RouteError::Exposed { address: address() },
            });
        }
        if encrypted {
            self.address = self.address.with_scheme(Scheme::Tls);
        } else if self.is_exposed() {
            self.address = self.address.with_scheme(Scheme::Clear);
        }
        Ok(self)
    }
}

impl From<HubAddress> for Route {
    fn from(address: HubAddress) -> Self {
        Self::new(address)
    }
}

impl From<&HubAddress> for Route {
    fn from(address: &HubAddress) -> Self {
        Self::new(address.clone())
    }
}

impl From<&Self> for Route {
    fn from(route: &Self) -> Self {
        route.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::Fingerprint;

    fn route(address: &str, pinned: bool, insecure: bool) -> Route {
        Route {
            address: address.parse().unwrap(),
            trust: match pinned {
                true => Trust::Pinned(Fingerprint::of(b"")),
                false => Trust::System,
            },
            insecure,
        }
    }

    /// How it is asked, or why not.
    fn settled(address: &str, pinned: bool, insecure: bool) -> Result<String, &'static str> {
        match route(address, pinned, insecure).settled() {
            Ok(settled) => {
                assert_eq!(settled.clone().settled(), Ok(settled.clone()), "{address}");
                Ok(settled.address.to_string())
            }
            Err(RouteError::Unsaid { .. }) => Err("unsaid"),
            Err(RouteError::Exposed { .. }) => Err("exposed"),
            Err(RouteError::NothingToCheck { .. }) => Err("nothing to check"),
            Err(RouteError::NothingInsecure { .. }) => Err("nothing insecure"),
        }
    }

    #[test]
    fn what_an_address_means_is_said_or_asked_for() {
        let ok = |text: &str| Ok(text.to_owned());
        // address, pinned, insecure, how it is asked
        for (address, pinned, insecure, asked) in [
            ("127.0.0.1:1", false, false, ok("127.0.0.1:1")),
            ("localhost", false, true, ok("localhost:9900")),
            ("http://[::1]:1", false, false, ok("http://[::1]:1")),
            ("127.0.0.1:1", true, false, ok("https://127.0.0.1:1")),
            ("hub", false, false, Err("unsaid")),
            ("10.0.0.7", false, false, Err("unsaid")),
            ("0.0.0.0", false, false, Err("unsaid")),
            ("hub", false, true, ok("http://hub:9900")),
            ("hub", true, false, ok("https://hub:9900")),
            ("https://hub", false, false, ok("https://hub:9900")),
            ("http://hub", false, false, Err("exposed")),
            ("http://hub", false, true, ok("http://hub:9900")),
            ("http://127.0.0.1", true, false, Err("nothing to check")),
            ("http://hub", true, true, Err("nothing to check")),
            ("https://hub", false, true, Err("nothing insecure")),
            ("hub", true, true, Err("nothing insecure")),
        ] {
            assert_eq!(settled(address, pinned, insecure), asked, "{address}");
        }
    }

    #[test]
    fn what_can_be_read_on_a_network_is_known() {
        assert!(route("http://hub", false, true).is_exposed());
        assert!(route("hub", false, false).is_exposed());
        assert!(!route("https://hub", false, false).is_exposed());
        assert!(!route("127.0.0.1", false, false).is_exposed());
    }
}
