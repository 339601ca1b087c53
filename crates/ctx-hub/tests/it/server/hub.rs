//! A hub of a test: on its own thread with its own runtime, on a free port of this machine.

use std::net::{SocketAddr, TcpListener};
use std::sync::mpsc;
use std::thread::JoinHandle;

use camino::{Utf8Path, Utf8PathBuf};
use ctx_config::paths::DataDir;
use ctx_hub::secret::AdminToken;
use ctx_hub::server::{Certificates, Hub, HubConfig, HubError};
use tokio::sync::oneshot;

/// What a hub of a test calls its version.
pub(crate) const VERSION: &str = "0.0.0-test";

/// A hub that serves, until it is stopped or dropped.
pub(crate) struct TestHub {
    data_dir: DataDir,
    running: Option<Running>,
    address: SocketAddr,
    token: Option<AdminToken>,
    certificates: Option<Certificates>,
    _temp: Option<tempfile::TempDir>,
}

struct Running {
    stop: oneshot::Sender<()>,
    kill: oneshot::Sender<()>,
    thread: JoinHandle<Result<(), HubError>>,
}

struct Opened {
    address: SocketAddr,
    token: Option<AdminToken>,
    certificates: Option<Certificates>,
}

impl TestHub {
    /// A hub in a temporary directory.
    pub(crate) fn start() -> Self {
        Self::start_with(|_| {})
    }

    /// A hub in a temporary directory that runs as `change` has set it.
    pub(crate) fn start_with(change: impl FnOnce(&mut HubConfig)) -> Self {
        let temp = tempfile::tempdir().unwrap();
        let path = Utf8PathBuf::from_path_buf(temp.path().join("data")).unwrap();
        let mut config = HubConfig::new(DataDir::new(path), VERSION);
        change(&mut config);
        let mut hub = Self::try_start(config).unwrap();
        hub._temp = Some(temp);
        hub
    }

    /// A hub in `path`, which is created when missing and stays.
    pub(crate) fn start_in(path: &Utf8Path) -> Self {
        Self::try_start_in(path).unwrap()
    }

    /// As [`TestHub::start_in`], for hubs that may refuse to start.
    pub(crate) fn try_start_in(path: &Utf8Path) -> Result<Self, HubError> {
        Self::try_start(HubConfig::new(DataDir::new(path), VERSION))
    }

    /// A hub that runs as `config` says.
    pub(crate) fn try_start(config: HubConfig) -> Result<Self, HubError> {
        let data_dir = config.data_dir.clone();
        let (running, opened) = launch(config, "127.0.0.1:0".parse().unwrap())?;
        Ok(Self {
            data_dir,
            running: Some(running),
            address: opened.address,
            token: opened.token,
            certificates: opened.certificates,
            _temp: None,
        })
    }

    /// Where it listens.
    pub(crate) fn socket_addr(&self) -> SocketAddr {
        self.address
    }

    /// The same, for our client.
    #[cfg(feature = "client")]
    pub(crate) fn address(&self) -> ctx_hub::client::HubAddress {
        self.address.to_string().parse().unwrap()
    }

    /// What registers projects.
    pub(crate) fn admin_token(&self) -> &AdminToken {
        self.token.as_ref().expect("it is new, or has the file")
    }

    /// What it ends TLS with.
    pub(crate) fn certificates(&self) -> &Certificates {
        self.certificates.as_ref().expect("it speaks TLS")
    }

    /// Where it keeps everything.
    pub(crate) fn data_dir(&self) -> &DataDir {
        &self.data_dir
    }

    /// Tells it to stop, and does not wait.
    pub(crate) fn begin_stop(&mut self) -> Stopping {
        let running = self.running.take().expect("it runs");
        running.stop.send(()).unwrap();
        Stopping(running.thread, running.kill)
    }

    /// Waits for a hub that was told to stop by other means.
    pub(crate) fn wait(&mut self) -> Result<(), HubError> {
        let running = self.running.take().expect("it runs");
        let ended = running.thread.join().unwrap();
        drop((running.stop, running.kill));
        ended
    }

    /// Cuts everything off at once: streams break without a word, calls get no answer. What it
    /// acknowledged is stored; its directory can be served again.
    pub(crate) fn kill(&mut self) {
        let running = self.running.take().expect("it runs");
        running.kill.send(()).ok();
        running.thread.join().unwrap().unwrap();
    }

    /// Stops it as SIGTERM does: drains, closes, releases.
    pub(crate) fn stop(&mut self) {
        self.begin_stop().wait().unwrap();
    }

    /// Stops it if it runs, and starts it again: same data directory, same address.
    pub(crate) fn restart(&mut self) {
        if self.running.is_some() {
            self.stop();
        }
        let config = HubConfig::new(self.data_dir.clone(), VERSION);
        let (running, opened) = launch(config, self.address).unwrap();
        // It is not known to a hub whose file of it is gone.
        if opened.token.is_some() {
            assert_eq!(opened.token, self.token, "the admin token stays");
        }
        self.running = Some(running);
    }
}

impl Drop for TestHub {
    fn drop(&mut self) {
        if let Some(running) = self.running.take() {
            // Not gently: the connections of a test that is over do not answer any more.
            running.kill.send(()).ok();
            let ended = running.thread.join();
            if !std::thread::panicking() {
                ended.unwrap().unwrap();
            }
        }
    }
}

/// A hub on its way out.
pub(crate) struct Stopping(JoinHandle<Result<(), HubError>>, oneshot::Sender<()>);

impl Stopping {
    /// Waits until it is gone.
    pub(crate) fn wait(self) -> Result<(), HubError> {
        let ended = self.0.join().unwrap();
        drop(self.1);
        ended
    }
}

fn launch(config: HubConfig, address: SocketAddr) -> Result<(Running, Opened), HubError> {
    let listener = TcpListener::bind(address).unwrap();
    let (stop, stopped) = oneshot::channel();
    let (kill, killed) = oneshot::channel::<()>();
    let (opened_tx, opened_rx) = mpsc::channel();
    let thread = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async move {
            let hub = match Hub::open(config, listener).await {
                Ok(hub) => hub,
                Err(error) => {
                    opened_tx.send(Err(error)).unwrap();
                    return Ok(());
                }
            };
            let address = hub.local_addr();
            let token = hub.admin_token().cloned();
            let certificates = hub.certificates().cloned();
            let opened = Opened {
                address,
                token,
                certificates,
            };
            opened_tx.send(Ok(opened)).unwrap();
            tokio::select! {
                ended = hub.serve(async { drop(stopped.await) }) => ended,
                _ = killed => Ok(()),
            }
        })
    });
    let opened = opened_rx.recv().unwrap()?;
    Ok((Running { stop, kill, thread }, opened))
}
