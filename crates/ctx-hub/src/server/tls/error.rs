//! What can be wrong with a hub's certificate.

use std::io;

use camino::Utf8PathBuf;
use ctx_io::{PathError, ReadError, WriteError};

/// A certificate that a hub cannot use.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// A file is not there.
    #[error("{path} is not there")]
    Missing {
        /// The file.
        path: Utf8PathBuf,
    },
    /// A file cannot be read.
    #[error("cannot read what TLS needs")]
    Read(#[source] ReadError),
    /// A file is not PEM.
    #[error("{path} is not PEM")]
    Pem {
        /// The file.
        path: Utf8PathBuf,
        /// In what respect.
        source: rustls::pki_types::pem::Error,
    },
    /// A file holds no certificate.
    #[error("{path} holds no certificate in PEM")]
    NoCertificate {
        /// The file.
        path: Utf8PathBuf,
    },
    /// A file holds no private key.
    #[error("{path} holds no private key in PEM")]
    NoKey {
        /// The file.
        path: Utf8PathBuf,
    },
    /// A certificate cannot be read.
    #[error("the certificate in {path} cannot be read")]
    Certificate {
        /// The file.
        path: Utf8PathBuf,
        /// In what respect.
        source: x509_cert::der::Error,
    },
    /// Certificate and key do not belong together, or the key is of a kind that is not used.
    #[error("the key in {key} cannot be used with the certificate in {cert}")]
    Pair {
        /// The file of the certificate.
        cert: Utf8PathBuf,
        /// The file of the key.
        key: Utf8PathBuf,
        /// Why.
        source: rustls::Error,
    },
    /// A self-signed certificate cannot be made.
    #[error("cannot make a certificate")]
    Make(#[source] rcgen::Error),
    /// The operating system gives no random bytes for one.
    #[error("cannot make a certificate")]
    Random(#[source] getrandom::Error),
    /// It cannot be kept.
    #[error("cannot keep the certificate in the data directory")]
    Write(#[source] WriteError),
    /// The folder for it cannot be made or used.
    #[error("cannot use the folder of the certificate")]
    Folder(#[source] PathError),
    /// TLS cannot be set up with what it is made of here.
    #[error("cannot set up TLS")]
    SetUp(#[source] rustls::Error),
}

impl TlsError {
    pub(super) fn io(path: Utf8PathBuf, source: io::Error) -> Self {
        if source.kind() == io::ErrorKind::NotFound {
            return Self::Missing { path };
        }
        Self::Read(ReadError::Io { path, source })
    }

    /// What to do next.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let text = match self {
            Self::Read(source) => return source.hint(),
            Self::Write(source) => return source.hint(),
            Self::Folder(source) => return source.hint(),
            Self::Missing { .. } => {
                "name the files with --tls-cert and --tls-key, or have a certificate made with \
                 --tls-self-signed"
            }
            Self::Pem { .. } | Self::NoCertificate { .. } | Self::NoKey { .. } => {
                "give the certificate and its key as PEM, each from -----BEGIN to -----END; the key \
                 must not be encrypted"
            }
            Self::Certificate { .. } | Self::Pair { .. } => {
                "give the certificate and the key that it was made for (RSA, ECDSA P-256 or P-384, \
                 or Ed25519)"
            }
            Self::Make(_) | Self::Random(_) | Self::SetUp(_) => return None,
        };
        Some(text.to_owned())
    }
}
