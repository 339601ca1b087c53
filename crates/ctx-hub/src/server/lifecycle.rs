//! The life of a hub: open, serve, drain, close.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ctx_config::limits;
use ctx_config::paths::DataDir;
use ctx_io::Holder;
use sha2::{Digest as _, Sha256};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::audit::{self, Audit, AuditError};
use super::claim::Claim;
use super::doors::Doors;
use super::error::HubError;
use super::files;
use super::gate::Gate;
use super::phase::Phase;
use super::proxies::TrustedProxies;
use super::settings::{Connections, Network, Settings};
use super::shared::{About, Shared};
use super::status::report;
use super::tls::Certificates;
use super::token::{self, Settled};
use super::{seen, tokens};
use crate::clock::Clock;
use crate::secret::AdminToken;
use crate::store::{SqliteStore, StoreError};
use crate::types::HubId;

/// How a hub runs.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct HubConfig {
    /// Where it keeps everything.
    pub data_dir: DataDir,
    /// What an operator may set.
    pub settings: Settings,
    /// The version of the program, which it reports to operators.
    pub version: String,
    /// What limits go by, and what tokens expire by.
    pub clock: Clock,
    /// How long a stopping hub waits for calls under way; then it cuts them off.
    pub drain: Duration,
    /// That it may be reached from other machines without encryption.
    pub insecure: bool,
}

impl HubConfig {
    /// A hub in `data_dir`, with the default settings.
    #[must_use]
    pub fn new(data_dir: DataDir, version: impl Into<String>) -> Self {
        Self {
            data_dir,
            settings: Settings::default(),
            version: version.into(),
            clock: Clock::default(),
            drain: limits::DRAIN_LIMIT,
            insecure: false,
        }
    }

    /// Refuses to listen on `address` when everybody on the network could read tokens and entries
    /// there, unless [`insecure`](Self::insecure) allows it. [`Hub::open`] asks this too.
    ///
    /// # Errors
    /// [`HubError::Exposed`]
    pub fn refuse_exposure(&self, address: SocketAddr) -> Result<(), HubError> {
        if self.is_exposed_at(address) && !self.insecure {
            return Err(HubError::Exposed { address });
        }
        Ok(())
    }

    /// Whether a hub that listens on `address` speaks in the clear beyond this machine. An address
    /// that stands for all of a machine's is one of those.
    #[must_use]
    pub fn is_exposed_at(&self, address: SocketAddr) -> bool {
        !self.settings.tls.is_on() && !address.ip().to_canonical().is_loopback()
    }
}

/// A hub that has its data directory and its address, and is ready to serve.
///
/// Dropping it releases the directory, as if it had never been opened.
pub struct Hub {
    shared: Arc<Shared>,
    /// Dropped before the claim: nobody writes to the directory once it is released.
    trail: audit::Ending,
    claim: Claim,
    tcp: TcpListener,
    socket: UnixListener,
    local_addr: SocketAddr,
    token: Option<AdminToken>,
    notices: Vec<String>,
    certificates: Option<Certificates>,
    config: HubConfig,
}

impl std::fmt::Debug for Hub {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hub")
            .field("local_addr", &self.local_addr)
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

impl Hub {
    /// Opens the data directory, which is created when missing: takes its lock, takes from others
    /// what they may do with its files, writes the process id, opens the admin socket, and opens the
    /// store, which imports the files of an older hub at first start; makes an admin token at the
    /// first start, which stands in the data directory's file then. Connections to `listener` wait
    /// until [`Hub::serve`].
    ///
    /// Blocks the calling task while it works. It has to be called within a tokio runtime.
    ///
    /// # Errors
    /// [`HubError::Busy`] when another hub serves the directory; every other [`HubError`] names
    /// what could not be opened. Nothing is left behind but a store and an admin token.
    pub async fn open(
        config: HubConfig,
        listener: std::net::TcpListener,
    ) -> Result<Self, HubError> {
        let (tcp, local_addr) = adopt(listener).map_err(HubError::io("use", "the listener"))?;
        config.refuse_exposure(local_addr)?;
        let holder = Holder {
            command: "hub start",
            version: &config.version,
        };
        let mut claim = Claim::take(&config.data_dir, &holder)?;
        let mut notices = claim.notices().to_vec();
        claim.write_pid()?;
        let socket = claim.bind_socket()?;
        let tls = &config.settings.tls;
        let certificates = Certificates::open(tls, &config.data_dir, local_addr.ip())?;
        let certificates = certificates.map(|(certificates, said)| {
            notices.extend(said);
            certificates
        });
        let (store, said) = open_store(&config.data_dir, config.clock.clone())?;
        notices.extend(said);
        let registration = config.settings.registration.clone();
        let Settled {
            token,
            notices: said,
        } = token::settle(&claim, &store, registration.admin_token).await?;
        notices.extend(said);
        let about = About {
            version: config.version.clone(),
            pid: std::process::id(),
            started_at: config.clock.unix(),
            addresses: vec![local_addr.to_string()],
            data_dir: config.data_dir.clone(),
            public_address: config.settings.listen.public_address.clone(),
            certificates: certificates.clone(),
        };
        let trail = open_trail(&config)?;
        let shared = Shared::new(store, Arc::clone(&trail.0), registration, about);
        let shared = Arc::new(shared.within(&config.settings, &config.clock));
        started(&shared, &config).await;
        Ok(Self {
            shared,
            trail,
            claim,
            tcp,
            socket,
            local_addr,
            token,
            notices,
            certificates,
            config,
        })
    }

    /// The address that it listens on.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// The certificate that it ends TLS with; `None` when it speaks in the clear.
    #[must_use]
    pub fn certificates(&self) -> Option<&Certificates> {
        self.certificates.as_ref()
    }

    /// The token that registers projects, if it was made just now or stands in the data directory's
    /// file; of any other the hub has a hash alone.
    #[must_use]
    pub fn admin_token(&self) -> Option<&AdminToken> {
        self.token.as_ref()
    }

    /// How far it is in its life, from now on.
    #[must_use]
    pub fn phase(&self) -> watch::Receiver<Phase> {
        self.shared.phase.subscribe()
    }

    /// The identity of its log.
    #[must_use]
    pub fn hub_id(&self) -> &HubId {
        self.shared.store.hub_id()
    }

    /// What an operator should know about how it opened: an import, a recovery.
    #[must_use]
    pub fn notices(&self) -> &[String] {
        &self.notices
    }

    /// Serves until `shutdown` is ready or an operator asks it to stop. Then it accepts no more
    /// connections, ends the streams, lets calls under way finish within the drain limit, cuts
    /// off the connections that are left, closes the store and releases the data directory.
    /// Dropping the future cuts everything off at once; what was acknowledged is stored.
    ///
    /// # Errors
    /// The first thing that went wrong; it goes on closing all the same, and what else goes wrong
    /// is logged.
    pub async fn serve(self, shutdown: impl Future<Output = ()>) -> Result<(), HubError> {
        let address = self.local_addr.to_string();
        let dir = self.config.data_dir;
        let trail = self.trail;
        tracing::info!(address, data_dir = %dir.path(), "serving");
        let told = async {
            tokio::select! {
                () = shutdown => {}
                () = self.shared.stop.notified() => {}
            }
        };
        let settings = &self.config.settings;
        let proxies = settings.listen.trusted_proxies.iter().copied();
        let doors = Doors {
            network: self.tcp,
            socket: self.socket,
            gate: gate(&settings.connections),
            proxies: Arc::new(TrustedProxies::new(proxies.map(Network::get).collect())),
            certificates: self.certificates.clone(),
        };
        // Ends with this future, whatever that ends with.
        let mut following = JoinSet::new();
        let recent = Arc::clone(&self.shared.recent);
        following.spawn(async move { recent.follow().await });
        if let Some(certificates) = self.certificates {
            following.spawn(certificates.follow());
        }
        following.spawn(tokens::end_expired(Arc::clone(&self.shared)));
        following.spawn(seen::write_down(Arc::clone(&self.shared)));
        doors.serve(&self.shared, told, self.config.drain).await;
        drop(following);
        seen::flush(&self.shared).await;
        let closed = self.shared.store.close().await;
        let closed = closed.map_err(|source| store_failed(&dir, source));
        let audited = end_trail(&trail.0).await;
        let audited = audited.map_err(|source| audit_failed(&dir, source));
        drop(trail);
        let released = self.claim.release();
        tracing::info!("stopped");
        first_error([closed, audited, released])
    }
}

/// Lets in what the settings say, and what the open files of this process leave room for.
fn gate(settings: &Connections) -> Gate {
    let most = files::connections(settings.most);
    if most < settings.most {
        tracing::warn!(
            most,
            wanted = settings.most,
            "the limit of open files allows fewer connections"
        );
    }
    Gate::new(most, settings.per_address)
}

fn adopt(listener: std::net::TcpListener) -> std::io::Result<(TcpListener, SocketAddr)> {
    listener.set_nonblocking(true)?;
    let listener = TcpListener::from_std(listener)?;
    let address = listener.local_addr()?;
    Ok((listener, address))
}

/// Opens the store of a data directory and says what there is to know about it.
pub(super) fn open_store(
    dir: &DataDir,
    clock: Clock,
) -> Result<(SqliteStore, Vec<String>), HubError> {
    let (store, notices) =
        SqliteStore::open_with(dir, clock).map_err(|source| store_failed(dir, source))?;
    Ok((store, notices.iter().map(ToString::to_string).collect()))
}

/// Opens the audit trail. A hub without one does not start.
fn open_trail(config: &HubConfig) -> Result<audit::Ending, HubError> {
    let dir = &config.data_dir;
    let audit = Audit::start(dir, config.settings.audit);
    Ok(audit::Ending(
        audit.map_err(|source| audit_failed(dir, source))?,
    ))
}

/// Puts on record that a hub starts, and on what. When that fails, so does every call, until it can
/// be written; an operator can ask the hub, and stop it.
async fn started(hub: &Shared, config: &HubConfig) {
    let record = audit::AuditRecord {
        version: Some(config.version.clone()),
        hub_id: Some(hub.store.hub_id().as_str().to_owned()),
        pid: Some(hub.about.pid),
        settings: config
            .settings
            .to_toml()
            .ok()
            .map(|text| fingerprint(&text)),
        ..audit::AuditRecord::new("started")
    };
    hub.audit.write(record).await;
}

/// What tells whether a hub ran with the same settings as before.
fn fingerprint(settings: &str) -> String {
    let hash = Sha256::digest(settings);
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}

async fn end_trail(audit: &Audit) -> Result<(), AuditError> {
    audit.write(audit::AuditRecord::new("stopped")).await;
    audit.close().await
}

fn audit_failed(dir: &DataDir, source: AuditError) -> HubError {
    HubError::Audit {
        data_dir: dir.path().to_owned(),
        source,
    }
}

fn store_failed(dir: &DataDir, source: StoreError) -> HubError {
    HubError::Store {
        data_dir: dir.path().to_owned(),
        source,
    }
}

/// The first error is answered, the others are logged.
fn first_error<const N: usize>(results: [Result<(), HubError>; N]) -> Result<(), HubError> {
    let mut errors = results.into_iter().filter_map(Result::err);
    let first = errors.next();
    for other in errors {
        tracing::error!(error = report(&other), "closing failed further");
    }
    first.map_or(Ok(()), Err)
}
