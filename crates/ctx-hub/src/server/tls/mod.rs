//! TLS as a hub ends it: which certificate it shows, and how that is replaced while it serves.
//!
//! A connection has the certificate that was there when it was opened; those that are open stay
//! open when another one takes its place. A pair that cannot be used never does.

mod error;
mod pair;
mod self_signed;

use std::fs::Metadata;
use std::net::IpAddr;
use std::os::unix::fs::MetadataExt as _;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use camino::{Utf8Path, Utf8PathBuf};
use ctx_config::limits;
use ctx_config::paths::DataDir;
use rustls::ServerConfig;
use rustls::crypto::{CryptoProvider, ring};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::incoming::{Handshake, Io};
use super::peer::Peer;
use super::settings::TlsSettings;
use super::status::report;
use crate::types::Fingerprint;
use crate::wire::tls::{ALPN_HTTP2, VERSIONS};
pub use error::TlsError;
use pair::Pair;
use self_signed::SelfSigned;

/// How often the rest of what a refused peer sends is read, 1 KiB at a time.
const LINGER_MAX_READS: u32 = 64;

/// The certificate of a hub, which can be replaced while the hub serves. Clones share it.
#[derive(Clone)]
pub struct Certificates(Arc<Shared>);

struct Shared {
    source: Source,
    provider: Arc<CryptoProvider>,
    current: Arc<Current>,
    acceptor: TlsAcceptor,
    looked: Mutex<Looked>,
}

/// Where the certificate comes from.
#[derive(Debug)]
enum Source {
    Files { cert: Utf8PathBuf, key: Utf8PathBuf },
    Own(SelfSigned),
}

/// The certificate that is shown to whoever dials now.
#[derive(Debug)]
struct Current(RwLock<Pair>);

/// What the files were when they were looked at last, and what was said of them.
#[derive(Debug, Default)]
struct Looked {
    /// As they were when they were read last.
    read: Option<Stamp>,
    /// As they were at the last look.
    seen: Option<Stamp>,
    /// What was wrong then, so that it is said once.
    trouble: Option<String>,
}

/// What tells whether files are the same as before.
type Stamp = [Option<(u64, u64, u64, i64, i64)>; 2];

impl std::fmt::Debug for Certificates {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Certificates")
            .field("source", &self.0.source)
            .finish_non_exhaustive()
    }
}

impl ResolvesServerCert for Current {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.with(|pair| Arc::clone(&pair.certified)))
    }
}

impl Current {
    fn with<T>(&self, look: impl FnOnce(&Pair) -> T) -> T {
        // Only whole pairs are ever put in, so a panic elsewhere has broken nothing here.
        look(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Certificates {
    /// The certificate that `settings` ask for, of a hub that listens on `address`; `None` when
    /// they ask for none. A self-signed one is made when there is none.
    pub(super) fn open(
        settings: &TlsSettings,
        dir: &DataDir,
        address: IpAddr,
    ) -> Result<Option<(Self, Vec<String>)>, TlsError> {
        let source = match (&settings.cert, &settings.key) {
            (Some(cert), Some(key)) => Source::Files {
                cert: cert.clone(),
                key: key.clone(),
            },
            _ if settings.self_signed => {
                Source::Own(SelfSigned::new(dir, &settings.names, address))
            }
            _ => return Ok(None),
        };
        let provider = Arc::new(ring::default_provider());
        let stamp = source.stamp();
        let (pair, notice) = source.read(&provider)?;
        let mut notices: Vec<String> = notice.into_iter().collect();
        notices.extend(source.warning(&pair));
        let current = Arc::new(Current(RwLock::new(pair)));
        let acceptor = acceptor(&provider, Arc::clone(&current)).map_err(TlsError::SetUp)?;
        let looked = Mutex::new(Looked {
            read: stamp,
            seen: stamp,
            trouble: None,
        });
        let shared = Shared {
            source,
            provider,
            current,
            acceptor,
            looked,
        };
        Ok(Some((Self(Arc::new(shared)), notices)))
    }

    /// Whether the files that `settings` name can be used; one of our own can always be made.
    pub(super) fn check(settings: &TlsSettings) -> Result<(), TlsError> {
        match (&settings.cert, &settings.key) {
            (Some(cert), Some(key)) => Pair::read(cert, key, &ring::default_provider()).map(drop),
            _ => Ok(()),
        }
    }

    /// The fingerprint of the certificate that is shown now.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        self.0.current.with(|pair| pair.fingerprint.clone())
    }

    /// Whether the hub made it itself.
    #[must_use]
    pub fn is_self_signed(&self) -> bool {
        matches!(self.0.source, Source::Own(_))
    }

    /// Until when it is valid, in Unix seconds.
    #[must_use]
    pub fn expires_at(&self) -> i64 {
        self.0.current.with(|pair| pair.expires_at)
    }

    /// Reads the certificate anew, and shows it from the next connection on; answers whether it is
    /// another one. Blocks the calling thread while it reads.
    ///
    /// # Errors
    /// [`TlsError`]; the certificate that was shown before is shown further.
    pub fn reload(&self) -> Result<bool, TlsError> {
        let stamp = self.0.source.stamp();
        let mut looked = self.looked();
        looked.read = stamp;
        looked.seen = stamp;
        looked.trouble = None;
        drop(looked);
        self.install()
    }

    /// Looks every so often whether the certificate has to be read anew, for as long as it is
    /// polled.
    pub(super) async fn follow(self) {
        loop {
            tokio::time::sleep(limits::CERTIFICATE_LOOK).await;
            let certificates = self.clone();
            if let Err(error) = tokio::task::spawn_blocking(move || certificates.look()).await {
                tracing::error!(%error, "nobody looked after the certificate");
            }
        }
    }

    /// Reads the certificate anew when its files have changed and nobody is writing them any more:
    /// they are as they were at the look before. One of our own, when it comes to its end.
    fn look(&self) {
        let stamp = self.0.source.stamp();
        let is_due = match &self.0.source {
            Source::Own(_) => self.0.current.with(|pair| self_signed::is_due(pair, now())),
            Source::Files { .. } => {
                let mut looked = self.looked();
                let is_quiet = looked.seen == stamp;
                looked.seen = stamp;
                is_quiet && std::mem::replace(&mut looked.read, stamp) != stamp
            }
        };
        if !is_due {
            return;
        }
        match self.install() {
            Ok(_) => self.looked().trouble = None,
            Err(error) => {
                let trouble = report(&error);
                let mut looked = self.looked();
                if looked.trouble.as_ref() != Some(&trouble) {
                    tracing::error!(
                        error = trouble,
                        "the new certificate cannot be used; the old one is shown further"
                    );
                    looked.trouble = Some(trouble);
                }
            }
        }
    }

    fn install(&self) -> Result<bool, TlsError> {
        let (pair, notice) = self.0.source.read(&self.0.provider)?;
        for said in notice.into_iter().chain(self.0.source.warning(&pair)) {
            tracing::warn!("{said}");
        }
        let fingerprint = pair.fingerprint.clone();
        let current = self.0.current.0.write();
        let mut current = current.unwrap_or_else(PoisonError::into_inner);
        let before = std::mem::replace(&mut *current, pair);
        let is_another = before.fingerprint != fingerprint;
        if is_another {
            tracing::info!(%fingerprint, "another certificate is shown from now on");
        }
        Ok(is_another)
    }

    fn looked(&self) -> std::sync::MutexGuard<'_, Looked> {
        self.0.looked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Source {
    fn read(&self, provider: &CryptoProvider) -> Result<(Pair, Option<String>), TlsError> {
        match self {
            Self::Files { cert, key } => Ok((Pair::read(cert, key, provider)?, None)),
            Self::Own(own) => own.load(provider, now()),
        }
    }

    /// What an operator should know about a certificate of theirs: only they can renew it.
    fn warning(&self, pair: &Pair) -> Option<String> {
        let Self::Files { cert, .. } = self else {
            return None;
        };
        let left = pair.expires_at.saturating_sub(now());
        match left / 86_400 {
            _ if left <= 0 => Some(format!("the certificate in {cert} has expired")),
            days if days < limits::CERTIFICATE_WARN_DAYS => {
                Some(format!("the certificate in {cert} expires in {days} days"))
            }
            _ => None,
        }
    }

    fn stamp(&self) -> Option<Stamp> {
        match self {
            Self::Files { cert, key } => Some([stamp(cert), stamp(key)]),
            Self::Own(_) => None,
        }
    }
}

/// What of a file differs once it was written or replaced; `None` when it cannot be looked at.
fn stamp(path: &Utf8Path) -> Option<(u64, u64, u64, i64, i64)> {
    let found: Metadata = fs_err::metadata(path).ok()?;
    Some((
        found.dev(),
        found.ino(),
        found.size(),
        found.mtime(),
        found.mtime_nsec(),
    ))
}

fn now() -> i64 {
    jiff::Timestamp::now().as_second()
}

fn acceptor(
    provider: &Arc<CryptoProvider>,
    current: Arc<Current>,
) -> Result<TlsAcceptor, rustls::Error> {
    let mut config = ServerConfig::builder_with_provider(Arc::clone(provider))
        .with_protocol_versions(VERSIONS)?
        .with_no_client_auth()
        .with_cert_resolver(current);
    config.alpn_protocols = vec![ALPN_HTTP2.to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

impl<I: Io> Handshake<I> for Certificates {
    type Io = TlsStream<I>;

    async fn shake(&self, io: I, peer: Peer) -> std::io::Result<(TlsStream<I>, Peer)> {
        match self.0.acceptor.accept(io).into_fallible().await {
            Ok(stream) => Ok((stream, peer.encrypted())),
            Err((error, io)) => {
                linger(io).await;
                Err(error)
            }
        }
    }
}

/// Waits a moment for whoever was refused to read why. A connection that is closed with bytes
/// unread is reset, and the alert on its way may be lost: a client that spoke in the clear would
/// not be told that TLS is spoken here.
async fn linger(mut io: impl Io) {
    let read = async {
        io.shutdown().await?;
        let mut bytes = [0; 1_024];
        let mut left = LINGER_MAX_READS;
        while left > 0 && io.read(&mut bytes).await? > 0 {
            left -= 1;
        }
        std::io::Result::Ok(())
    };
    // How it ends is all the same: it is over.
    drop(tokio::time::timeout(limits::HANDSHAKE_LINGER, read).await);
}
