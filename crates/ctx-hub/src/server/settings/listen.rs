//! `[listen]`: how a hub is reached from outside.

use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::{Invalid, Section};

/// How a hub is reached from outside.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Listen {
    /// The proxies that are believed when they say in `x-forwarded-for` for whom they ask.
    pub trusted_proxies: Vec<Network>,
    /// The address that projects dial, when it is another than the one that the hub listens on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub public_address: Option<String>,
}

impl Section for Listen {
    fn validate(&self) -> Result<(), Invalid> {
        let is_blank = |c: char| c.is_whitespace() || c.is_control();
        match &self.public_address {
            Some(address) if address.is_empty() || address.contains(is_blank) => Err(Invalid::new(
                "public_address",
                "is no address; write it as clients dial it, as \"hub.example.org:9900\"",
            )),
            _ => Ok(()),
        }
    }
}

/// An address, or a network of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Network(IpNet);

impl Network {
    /// The network; of one address, that address alone.
    #[must_use]
    pub const fn get(self) -> IpNet {
        self.0
    }
}

impl From<IpNet> for Network {
    fn from(network: IpNet) -> Self {
        Self(network)
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl From<Network> for String {
    fn from(network: Network) -> Self {
        network.to_string()
    }
}

impl TryFrom<String> for Network {
    type Error = NotANetwork;

    fn try_from(text: String) -> Result<Self, NotANetwork> {
        let network = text.parse::<IpNet>().ok();
        let network = network.or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from));
        network.map(Self).ok_or(NotANetwork(text))
    }
}

/// Text that is no network.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is not an address or a network: write it as \"10.0.0.7\" or \"10.0.0.0/8\"")]
pub struct NotANetwork(String);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_network_of_one_and_a_network_reads_back() {
        for (text, network) in [
            ("192.0.2.1", "192.0.2.1/32"),
            ("2001:db8::1", "2001:db8::1/128"),
            ("10.0.0.0/8", "10.0.0.0/8"),
        ] {
            let read = Network::try_from(text.to_owned()).unwrap();
            assert_eq!(read.to_string(), network);
            assert_eq!(Network::try_from(network.to_owned()).unwrap(), read);
        }
        for wrong in ["", "hub", "10.0.0.0/33", "10.0.0", "10.0.0.1:80"] {
            Network::try_from(wrong.to_owned()).unwrap_err();
        }
    }

    #[test]
    fn an_address_with_blanks_is_none() {
        let listen = Listen {
            public_address: Some("hub .example".to_owned()),
            ..Listen::default()
        };
        assert_eq!(listen.validate().unwrap_err().key, "public_address");
    }
}
