//! A certificate and its key, as files hold them.

use camino::{Utf8Path, Utf8PathBuf};
use ctx_io::read_optional_limited;
use rustls::client::verify_server_name;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::ParsedCertificate;
use rustls::sign::CertifiedKey;
use std::sync::Arc;
use x509_cert::der::Decode as _;
use zeroize::Zeroizing;

use super::error::TlsError;
use crate::types::Fingerprint;

/// Largest file of certificates or of a key that is read, in bytes.
const FILE_MAX_BYTES: u64 = 1_048_576;

/// A certificate that a hub can prove to be its own.
#[derive(Debug)]
pub(super) struct Pair {
    pub(super) certified: Arc<CertifiedKey>,
    pub(super) fingerprint: Fingerprint,
    /// Until when it is valid, in Unix seconds.
    pub(super) expires_at: i64,
}

impl Pair {
    /// Reads a pair from two files; links are followed, as whoever renews certificates uses them.
    pub(super) fn read(
        cert: &Utf8Path,
        key: &Utf8Path,
        provider: &CryptoProvider,
    ) -> Result<Self, TlsError> {
        let certificates = read(cert)?;
        let private = Zeroizing::new(read(key)?);
        Self::of((cert, &certificates), (key, &private), provider)
    }

    /// The pair of two texts, each with the file that it is from. Only a key that belongs to the
    /// certificate makes a pair.
    pub(super) fn of(
        (cert, certificates): (&Utf8Path, &[u8]),
        (key, private): (&Utf8Path, &[u8]),
        provider: &CryptoProvider,
    ) -> Result<Self, TlsError> {
        let path = cert.to_owned();
        let chain: Result<Vec<CertificateDer<'static>>, _> =
            CertificateDer::pem_slice_iter(certificates).collect();
        let chain = chain.map_err(|source| TlsError::Pem { path, source })?;
        let path = cert.to_owned();
        let Some(own) = chain.first() else {
            return Err(TlsError::NoCertificate { path });
        };
        let fingerprint = Fingerprint::of(own);
        let read = x509_cert::Certificate::from_der(own)
            .map_err(|source| TlsError::Certificate { path, source })?;
        let until = read.tbs_certificate().validity().not_after;
        let until = until.to_unix_duration().as_secs();
        let private = private_key(key, private)?;
        let certified =
            CertifiedKey::from_der(chain, private, provider).map_err(|source| TlsError::Pair {
                cert: cert.to_owned(),
                key: key.to_owned(),
                source,
            })?;
        Ok(Self {
            certified: Arc::new(certified),
            fingerprint,
            expires_at: i64::try_from(until).unwrap_or(i64::MAX),
        })
    }

    /// Whether the certificate is for `name`.
    pub(super) fn is_for(&self, name: &str) -> bool {
        let Ok(name) = ServerName::try_from(name) else {
            return false;
        };
        let own = self.certified.cert.first();
        let parsed = own.and_then(|own| ParsedCertificate::try_from(own).ok());
        parsed.is_some_and(|own| verify_server_name(&own, &name).is_ok())
    }
}

fn private_key(path: &Utf8Path, text: &[u8]) -> Result<PrivateKeyDer<'static>, TlsError> {
    use rustls::pki_types::pem::Error;
    let path = path.to_owned();
    PrivateKeyDer::from_pem_slice(text).map_err(|source| match source {
        Error::NoItemsFound => TlsError::NoKey { path },
        source => TlsError::Pem { path, source },
    })
}

fn read(path: &Utf8Path) -> Result<Vec<u8>, TlsError> {
    let missing = || path.to_owned();
    let real: Utf8PathBuf = path
        .canonicalize_utf8()
        .map_err(|error| TlsError::io(missing(), error))?;
    let read = read_optional_limited(&real, FILE_MAX_BYTES).map_err(TlsError::Read)?;
    read.ok_or_else(|| TlsError::Missing { path: missing() })
}
