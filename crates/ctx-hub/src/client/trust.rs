//! Who vouches for a hub.

use std::fmt;

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use crate::types::Fingerprint;

/// Largest text of certificates that is kept with a connection, in bytes; a bundle of every
/// authority of the world is larger, and is what [`Trust::System`] is for.
pub const CA_CERTIFICATES_MAX_BYTES: usize = 32_768;

/// By what a client knows a hub that it asks over TLS.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Trust {
    /// A certificate for its name, issued by an authority that this machine trusts.
    #[default]
    System,
    /// A certificate for its name, issued by one of these and by nobody else.
    Authorities(CaCertificates),
    /// This very certificate, whatever stands in it.
    Pinned(Fingerprint),
}

/// Certificates of authorities, as PEM. Not secret.
#[derive(Clone, PartialEq, Eq)]
pub struct CaCertificates(String);

/// Text that holds no certificate of an authority.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CaError {
    /// There is more than is kept.
    #[error("{bytes} bytes are more than the {CA_CERTIFICATES_MAX_BYTES} that are kept")]
    TooLarge {
        /// How much there is.
        bytes: usize,
    },
    /// It is not PEM.
    #[error("not certificates in PEM")]
    Pem(#[source] rustls::pki_types::pem::Error),
    /// It is PEM of something else.
    #[error("no certificate in PEM")]
    Empty,
    /// One of them is none.
    #[error("a certificate that cannot be read")]
    Certificate(#[source] rustls::Error),
}

impl CaCertificates {
    /// Reads the certificates of authorities from PEM; what else stands there is left out.
    ///
    /// # Errors
    /// [`CaError`] when there is none, one cannot be read, or there are too many.
    pub fn from_pem(text: &str) -> Result<Self, CaError> {
        if text.len() > CA_CERTIFICATES_MAX_BYTES {
            return Err(CaError::TooLarge { bytes: text.len() });
        }
        let kept = Self(text.to_owned());
        kept.roots()?;
        Ok(kept)
    }

    /// The text.
    #[must_use]
    pub fn as_pem(&self) -> &str {
        &self.0
    }

    /// What they vouch with.
    pub(super) fn roots(&self) -> Result<RootCertStore, CaError> {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(self.0.as_bytes()) {
            let certificate = certificate.map_err(CaError::Pem)?;
            roots.add(certificate).map_err(CaError::Certificate)?;
        }
        if roots.is_empty() {
            return Err(CaError::Empty);
        }
        Ok(roots)
    }
}

impl fmt::Debug for CaCertificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CaCertificates({} bytes)", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_holds_no_certificate_is_refused() {
        let refused = |text: &str| CaCertificates::from_pem(text).unwrap_err();
        assert!(matches!(refused(""), CaError::Empty));
        assert!(matches!(refused("hub.example.org"), CaError::Empty));
        let pem =
            |of: &str, body: &str| format!("-----BEGIN {of}-----\n{body}\n-----END {of}-----\n");
        assert!(matches!(
            refused(&pem("PRIVATE KEY", "AAAA")),
            CaError::Empty
        ));
        assert!(matches!(
            refused(&pem("CERTIFICATE", "AAAA")),
            CaError::Certificate(_)
        ));
        assert!(matches!(
            refused("-----BEGIN CERTIFICATE-----\nAAAA\n"),
            CaError::Pem(_)
        ));
        let much = " ".repeat(CA_CERTIFICATES_MAX_BYTES + 1);
        assert!(matches!(refused(&much), CaError::TooLarge { .. }));
    }
}
