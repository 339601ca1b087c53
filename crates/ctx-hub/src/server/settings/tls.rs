//! `[tls]`: with which certificate a hub ends TLS itself.

use camino::Utf8PathBuf;
use rustls::pki_types::ServerName;
use serde::{Deserialize, Serialize};

use super::{Invalid, Section};

/// With which certificate a hub ends TLS itself; by default with none: it speaks in the clear.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct TlsSettings {
    /// File with the certificate and those between it and its authority, in PEM.
    pub cert: Option<Utf8PathBuf>,
    /// File with its private key, in PEM.
    pub key: Option<Utf8PathBuf>,
    /// Make a certificate, keep it in the data directory, and use that.
    pub self_signed: bool,
    /// Names and IP addresses that the self-signed certificate is also for.
    pub names: Vec<String>,
}

impl TlsSettings {
    /// Whether the hub ends TLS itself.
    #[must_use]
    pub const fn is_on(&self) -> bool {
        self.self_signed || self.cert.is_some()
    }
}

impl Section for TlsSettings {
    fn validate(&self) -> Result<(), Invalid> {
        if self.cert.is_some() && self.key.is_none() {
            return Err(Invalid::new("cert", "needs the key that belongs to it"));
        }
        if self.key.is_some() && self.cert.is_none() {
            return Err(Invalid::new("key", "needs the cert that belongs to it"));
        }
        if self.self_signed && self.cert.is_some() {
            let why = "has to be false where cert names a certificate";
            return Err(Invalid::new("self_signed", why));
        }
        if !self.names.is_empty() && !self.self_signed {
            let why = "are for a self-signed certificate: self_signed has to be true";
            return Err(Invalid::new("names", why));
        }
        match self.names.iter().find(|name| !is_name(name)) {
            None => Ok(()),
            Some(bad) => {
                let why = format!("hold {bad:?}, which is neither a DNS name nor an IP address");
                Err(Invalid::new("names", why))
            }
        }
    }
}

/// Whether a certificate can be for `name`.
pub(in crate::server) fn is_name(name: &str) -> bool {
    ServerName::try_from(name).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_contradicts_itself_or_is_no_name_is_refused_with_its_key() {
        let file = |name: &str| Some(Utf8PathBuf::from(name));
        let none = TlsSettings::default();
        let own = TlsSettings {
            self_signed: true,
            names: vec!["hub.example.org".to_owned(), "fd00::2".to_owned()],
            ..none.clone()
        };
        let files = TlsSettings {
            cert: file("cert"),
            key: file("key"),
            ..none.clone()
        };
        for (fine, on) in [(&none, false), (&own, true), (&files, true)] {
            assert_eq!(fine.validate(), Ok(()));
            assert_eq!(fine.is_on(), on);
        }
        let refused = |settings: TlsSettings| settings.validate().unwrap_err().key;
        let bad = |name: &str| TlsSettings {
            names: vec![name.to_owned()],
            ..own.clone()
        };
        assert_eq!(
            refused(TlsSettings {
                key: None,
                ..files.clone()
            }),
            "cert"
        );
        assert_eq!(
            refused(TlsSettings {
                cert: None,
                ..files.clone()
            }),
            "key"
        );
        assert_eq!(
            refused(TlsSettings {
                self_signed: true,
                ..files
            }),
            "self_signed"
        );
        assert_eq!(
            refused(TlsSettings {
                self_signed: false,
                ..own.clone()
            }),
            "names"
        );
        for name in ["", "a b", "https://hub", "hub:9900", "hub/"] {
            assert_eq!(refused(bad(name)), "names", "{name}");
        }
    }
}
