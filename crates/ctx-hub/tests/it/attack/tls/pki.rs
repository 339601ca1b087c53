//! Authorities, certificates, and those who stand in the middle with them.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use camino::{Utf8Path, Utf8PathBuf};
use ctx_hub::client::{CaCertificates, Trust};
use ctx_hub::types::Fingerprint;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{ServerConfig, SupportedProtocolVersion};
use tokio::io::{AsyncReadExt as _, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use crate::store::import::put;

/// Somebody who vouches for others.
pub(super) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

/// A certificate and its key.
#[derive(Clone)]
pub(super) struct Issued {
    pub(super) cert: String,
    pub(super) key: String,
}

impl Authority {
    pub(super) fn new(name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let pem = params.self_signed(&key).unwrap().pem();
        Self {
            issuer: Issuer::new(params, key),
            pem,
        }
    }

    /// What a client that trusts this authority alone is told.
    pub(super) fn trusted(&self) -> Trust {
        Trust::Authorities(CaCertificates::from_pem(&self.pem).unwrap())
    }

    /// A certificate for `name`, valid now.
    pub(super) fn issue(&self, name: &str) -> Issued {
        self.issue_between(name, 2020, 2099)
    }

    /// A certificate for `name`, valid from the beginning of a year to that of another.
    pub(super) fn issue_between(&self, name: &str, from: i32, to: i32) -> Issued {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.not_before = date_time_ymd(from, 1, 1);
        params.not_after = date_time_ymd(to, 1, 1);
        let cert = params.signed_by(&key, &self.issuer).unwrap();
        Issued {
            cert: cert.pem(),
            key: key.serialize_pem(),
        }
    }
}

impl Issued {
    pub(super) fn fingerprint(&self) -> Fingerprint {
        let der = CertificateDer::from_pem_slice(self.cert.as_bytes()).unwrap();
        Fingerprint::of(&der)
    }

    pub(super) fn pinned(&self) -> Trust {
        Trust::Pinned(self.fingerprint())
    }

    /// Writes both files, as an operator who renews them would.
    pub(super) fn put(&self, files: &Files) {
        put(&files.cert, &self.cert);
        put(&files.key, &self.key);
    }

    /// What a server shows that has this certificate, and the key of `signer`.
    pub(super) fn signed_by(&self, signer: &Self) -> Arc<CertifiedKey> {
        let chain = CertificateDer::pem_slice_iter(self.cert.as_bytes());
        let key = PrivateKeyDer::from_pem_slice(signer.key.as_bytes()).unwrap();
        let key = ring::sign::any_supported_type(&key).unwrap();
        Arc::new(CertifiedKey::new(chain.map(Result::unwrap).collect(), key))
    }
}

/// Where a hub finds its certificate.
pub(super) struct Files {
    pub(super) cert: Utf8PathBuf,
    pub(super) key: Utf8PathBuf,
    _temp: tempfile::TempDir,
}

impl Files {
    pub(super) fn new() -> Self {
        let temp = tempfile::tempdir().unwrap();
        let dir = Utf8Path::from_path(temp.path()).unwrap();
        Self {
            cert: dir.join("chain.pem"),
            key: dir.join("private.pem"),
            _temp: temp,
        }
    }
}

#[derive(Debug)]
struct Shows(Arc<CertifiedKey>);

impl ResolvesServerCert for Shows {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }
}

fn acceptor(
    shows: Arc<CertifiedKey>,
    versions: &[&'static SupportedProtocolVersion],
) -> TlsAcceptor {
    let provider = Arc::new(ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .unwrap()
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(Shows(shows)));
    config.alpn_protocols = vec![b"h2".to_vec()];
    TlsAcceptor::from(Arc::new(config))
}

/// Somebody who answers in a hub's place, and keeps every byte that he is sent.
pub(super) struct Middleman {
    pub(super) address: SocketAddr,
    dialled: Arc<AtomicUsize>,
    heard: Arc<Mutex<Vec<u8>>>,
}

impl Middleman {
    pub(super) async fn start(
        shows: Arc<CertifiedKey>,
        versions: &[&'static SupportedProtocolVersion],
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let acceptor = acceptor(shows, versions);
        let man = Self {
            address: listener.local_addr().unwrap(),
            dialled: Arc::default(),
            heard: Arc::default(),
        };
        let (dialled, heard) = (Arc::clone(&man.dialled), Arc::clone(&man.heard));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                dialled.fetch_add(1, Ordering::SeqCst);
                let (acceptor, heard) = (acceptor.clone(), Arc::clone(&heard));
                tokio::spawn(async move {
                    let Ok(mut stream) = acceptor.accept(stream).await else {
                        return;
                    };
                    let mut bytes = [0; 4_096];
                    // What comes first is enough; then he is gone, so that nobody waits for him.
                    if let Ok(read @ 1..) = stream.read(&mut bytes).await {
                        heard.lock().unwrap().extend_from_slice(&bytes[..read]);
                    }
                });
            }
        });
        man
    }

    /// How often he was dialled.
    pub(super) fn dialled(&self) -> usize {
        self.dialled.load(Ordering::SeqCst)
    }

    /// What came to him inside TLS.
    pub(super) fn heard(&self) -> Vec<u8> {
        self.heard.lock().unwrap().clone()
    }
}

/// A proxy that ends TLS and passes on what is in it to `hub`, which speaks in the clear.
pub(super) async fn relay(shows: Arc<CertifiedKey>, hub: SocketAddr) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let acceptor = acceptor(shows, rustls::DEFAULT_VERSIONS);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let mut outside = acceptor.accept(stream).await.unwrap();
                let mut inside = TcpStream::connect(hub).await.unwrap();
                copy_bidirectional(&mut outside, &mut inside).await.ok();
            });
        }
    });
    address
}
