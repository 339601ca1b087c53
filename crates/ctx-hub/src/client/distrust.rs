//! Why a hub is not taken for the one that is meant.

use std::net::IpAddr;
use std::sync::Arc;

use rustls::{CertificateError, OtherError};

use crate::secret::presentable;
use crate::types::Fingerprint;

/// Why a hub is not taken for the one that is meant, or not spoken to as it wants. No token and no
/// entry was sent, and no waiting mends it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Distrust {
    /// The certificate is somebody else's.
    #[error("its certificate is not for {host}{}", instead(names))]
    OtherName {
        /// The host that was asked.
        host: String,
        /// For whom it is.
        names: Vec<String>,
    },
    /// Nobody that is trusted vouches for it.
    #[error("its certificate was issued by nobody that is trusted here")]
    UnknownIssuer,
    /// It is too late.
    #[error("its certificate has expired")]
    Expired,
    /// It is too early, or a clock is wrong.
    #[error("its certificate is not valid yet")]
    NotYetValid,
    /// It is another certificate than the pinned one.
    #[error("its certificate has the fingerprint {found}, and {pinned} is pinned")]
    OtherFingerprint {
        /// What was pinned.
        pinned: Fingerprint,
        /// What it shows.
        found: Fingerprint,
    },
    /// The certificate is bad in another way.
    #[error("its certificate is not accepted: {what}")]
    Certificate {
        /// In what way.
        what: String,
    },
    /// What was sent is not TLS.
    #[error("what answers there does not speak TLS")]
    NotTls,
    /// It speaks TLS, and was asked in the clear.
    #[error("it speaks TLS, and was asked in the clear")]
    Tls,
    /// No agreement was reached.
    #[error("no TLS connection could be agreed on: {what}")]
    Handshake {
        /// Why.
        what: String,
    },
    /// This machine trusts nobody.
    #[error("this machine has no certificates of authorities that could vouch for it")]
    NoAuthorities,
    /// No certificate can name the host.
    #[error("no certificate can be for {host}")]
    NoName {
        /// The host.
        host: String,
    },
    /// The certificates that were kept are of no use.
    #[error("the certificates of authorities that were kept cannot be read: {what}")]
    Authorities {
        /// Why.
        what: String,
    },
    /// `localhost` led elsewhere.
    #[error("the name localhost leads beyond this machine, to {address}")]
    NotThisMachine {
        /// Where.
        address: IpAddr,
    },
}

impl Distrust {
    /// What to do next.
    #[must_use]
    pub(super) fn hint(&self) -> &'static str {
        match self {
            Self::OtherName { .. } => {
                "ask it by a name that its certificate has, or pin the certificate: its operator \
                 reads the fingerprint in `ctx hub status`, and `ctx connect move HUB \
                 --fingerprint SHA256` changes a project that is registered"
            }
            Self::UnknownIssuer | Self::NoAuthorities => {
                "when that is meant: its operator reads the fingerprint in `ctx hub status`, and \
                 --fingerprint pins it, or --ca-cert names the authority (`ctx connect move` for a \
                 project that is registered); else somebody answers in its place"
            }
            Self::Expired => "have the hub's operator renew the certificate; check this clock too",
            Self::NotYetValid => "check the clocks of this machine and of the hub's",
            Self::OtherFingerprint { .. } => {
                "ask the hub's operator for the fingerprint (`ctx hub status`), not the network: \
                 when the certificate was renewed, `ctx connect move HUB --fingerprint SHA256` \
                 pins the new one; else somebody answers in its place"
            }
            Self::NotTls => "check the address: a hub that speaks TLS says so in `ctx hub status`",
            Self::Tls => {
                "write https:// in front of the address (`ctx connect move https://HUB` for a \
                 project that is registered), with --fingerprint or --ca-cert when it needs one"
            }
            Self::Certificate { .. } | Self::Handshake { .. } => {
                "have the hub's operator look at its certificate and its log"
            }
            Self::NoName { .. } => "use a name of the hub that DNS has, or its IP address",
            Self::Authorities { .. } => "give them again: `ctx connect move HUB --ca-cert FILE`",
            Self::NotThisMachine { .. } => "write 127.0.0.1 or [::1], and look at /etc/hosts",
        }
    }

    /// What a failed handshake with `host` means.
    pub(super) fn of(error: &rustls::Error, host: &str) -> Self {
        match error {
            rustls::Error::InvalidCertificate(error) => Self::certificate(error, host),
            rustls::Error::InvalidMessage(_) => Self::NotTls,
            other => Self::Handshake {
                what: presentable(&other.to_string()),
            },
        }
    }

    fn certificate(error: &CertificateError, host: &str) -> Self {
        match error {
            CertificateError::NotValidForName => Self::OtherName {
                host: host.to_owned(),
                names: Vec::new(),
            },
            CertificateError::NotValidForNameContext { presented, .. } => Self::OtherName {
                host: host.to_owned(),
                names: presented.iter().map(|name| plain(name)).collect(),
            },
            CertificateError::UnknownIssuer => Self::UnknownIssuer,
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => Self::Expired,
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                Self::NotYetValid
            }
            CertificateError::Other(OtherError(other)) => match other.downcast_ref::<Self>() {
                Some(own) => own.clone(),
                None => Self::Certificate {
                    what: presentable(&other.to_string()),
                },
            },
            other => Self::Certificate {
                what: presentable(&other.to_string()),
            },
        }
    }
}

impl From<Distrust> for rustls::Error {
    fn from(own: Distrust) -> Self {
        CertificateError::Other(OtherError(Arc::new(own))).into()
    }
}

/// A name of a certificate without what the library puts around it: `DnsName("hub")`.
fn plain(name: &str) -> String {
    let inner = name
        .split_once('(')
        .and_then(|(_, rest)| rest.strip_suffix(')'));
    presentable(inner.unwrap_or(name).trim_matches('"'))
}

/// For whom a certificate is, when it says.
fn instead(names: &[String]) -> String {
    /// Names that are shown of a certificate that has many.
    const SHOWN: usize = 5;
    if names.is_empty() {
        return String::new();
    }
    let shown: Vec<&str> = names.iter().take(SHOWN).map(String::as_str).collect();
    let more = if names.len() > SHOWN { ", …" } else { "" };
    format!(", but for {}{more}", shown.join(", "))
}
