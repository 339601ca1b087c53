//! A hub of a target: the whole of it, served on this machine, asked by any bytes.

use std::cell::Cell;
use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Once, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;
use camino::Utf8PathBuf;
use ctx_config::paths::DataDir;
use h2::client::SendRequest;
use http::{HeaderMap, Request};
use ipnet::IpNet;
use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

use super::letter::{Letter, framed};
use crate::server::{Hub, HubConfig};
use crate::wire::{json, method};

/// Longer than anything takes that does not hang.
const PATIENCE: Duration = Duration::from_secs(60);

/// The name of every thread of a hub that is asked.
const THREAD: &str = "asked-hub";

/// Panics in those threads: tokio catches them, and the connection ends as if nothing were wrong.
static PANICS: AtomicUsize = AtomicUsize::new(0);

/// A hub that is served until this is dropped, and whom it knows.
pub(super) struct Served {
    address: SocketAddr,
    /// Registered, and what nobody else knows.
    pub(super) owner: String,
    /// Registered, for requests that say `$CLIENT`.
    pub(super) client: String,
    /// For requests that say `$ADMIN`.
    pub(super) admin: String,
    /// Its entries and clients when it was looked at last.
    pub(super) seen: Cell<(u64, u64)>,
    handle: Handle,
    send: SendRequest<Bytes>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
    dir: Utf8PathBuf,
}

/// What came of a request.
pub(super) struct Answer {
    pub(super) http: u16,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
    pub(super) trailers: HeaderMap,
}

impl Answer {
    /// The number of the gRPC status, wherever it stands.
    pub(super) fn code(&self) -> Option<u32> {
        let name = "grpc-status";
        let value = self.trailers.get(name).or(self.headers.get(name))?;
        value.to_str().ok()?.parse().ok()
    }

    /// Everything in it, for a look at what it must not hold.
    pub(super) fn everything(&self) -> Vec<u8> {
        let mut all = self.body.clone();
        for (_, value) in self.headers.iter().chain(&self.trailers) {
            all.extend_from_slice(value.as_bytes());
        }
        all
    }
}

impl Served {
    /// Starts one; `None` where there is no room or no address for it, which says nothing about
    /// the hub.
    pub(super) fn start() -> Option<Self> {
        count_panics();
        let dir = super::own_directory()?;
        let mut config = HubConfig::new(DataDir::new(dir.join("data")), "0");
        // So that what is said of forwarding is read.
        config
            .settings
            .listen
            .trusted_proxies
            .push(IpNet::from(IpAddr::from(Ipv4Addr::LOCALHOST)).into());
        // A hub that refuses whoever asks too often would soon look at nothing any more.
        let limits = &mut config.settings.limits;
        (limits.failures_burst, limits.daily_bytes) = (0, 0);
        (limits.entries_per_second, limits.bytes_per_second) = (0, 0);
        let listener = TcpListener::bind(("127.0.0.1", 0)).ok()?;
        let address = listener.local_addr().ok()?;
        let (stop, stopped) = oneshot::channel::<()>();
        let (ready, begun) = mpsc::channel();
        let serve = move || {
            let Ok(runtime) = Builder::new_current_thread().enable_all().build() else {
                return;
            };
            let handle = runtime.handle().clone();
            runtime.block_on(async move {
                let hub = Hub::open(config, listener).await.ok()?;
                let admin = hub.admin_token()?.expose().to_owned();
                let connected = tokio::spawn(connect(address));
                let served = tokio::spawn(hub.serve(async { drop(stopped.await) }));
                let send = connected.await.ok()??;
                ready.send((admin, handle, send)).ok()?;
                served.await.ok()
            });
        };
        let named = std::thread::Builder::new().name(THREAD.to_owned());
        let thread = named.spawn(serve).ok()?;
        let (admin, handle, send) = begun.recv().ok()?;
        let mut served = Self {
            address,
            owner: String::new(),
            client: String::new(),
            admin,
            seen: Cell::default(),
            handle,
            send,
            stop: Some(stop),
            thread: Some(thread),
            dir,
        };
        served.owner = served.register("owner")?;
        served.client = served.register("client")?;
        served.seen.set((served.entries(), served.clients()));
        Some(served)
    }

    fn register(&self, project: &str) -> Option<String> {
        let admin = &self.admin;
        let message = format!(r#"{{"admin_token":"{admin}","project_name":"{project}"}}"#);
        let answer = self.ask(&json_call(method::REGISTER, "", &message), true)?;
        let (_, message) = answer.body.split_at_checked(5)?;
        let answer: crate::wire::generated::RegisterResponse = json::from_slice(message).ok()?;
        Some(answer.client_token)
    }

    /// Sends a request and reads the answer, to its end when it has one. `None` when there is no
    /// such request, or the hub reset it.
    pub(super) fn ask(&self, letter: &Letter, to_the_end: bool) -> Option<Answer> {
        let path = std::str::from_utf8(&letter.first).ok()?;
        let uri = http::Uri::builder()
            .scheme("http")
            .authority("hub")
            .path_and_query(path);
        let mut request = Request::post(uri.build().ok()?).body(()).ok()?;
        *request.headers_mut() = letter.headers.clone();
        let body = Bytes::from(letter.body.clone());
        let send = self.send.clone();
        let asked = async move {
            tokio::time::timeout(PATIENCE, exchange(send, request, body, to_the_end)).await
        };
        let (tell, told) = mpsc::channel();
        self.handle.spawn(async move { tell.send(asked.await) });
        match told.recv() {
            Ok(Ok(answer)) => answer,
            other => panic!("no answer and no end: {:?}", other.map(|_| ())),
        }
    }

    /// Opens a connection, sends `bytes` and reads to the end, which has to come: nobody writes
    /// there any more.
    pub(super) fn pour(&self, bytes: &[u8]) {
        let Ok(mut stream) = TcpStream::connect(self.address) else {
            panic!("the hub accepts nobody");
        };
        drop(stream.set_read_timeout(Some(PATIENCE)));
        drop(stream.set_write_timeout(Some(PATIENCE)));
        // A hub that has seen enough does not read the rest.
        drop(stream.write_all(bytes));
        drop(stream.shutdown(std::net::Shutdown::Write));
        let mut part = [0; 4_096];
        loop {
            match stream.read(&mut part) {
                Ok(0) => return,
                Ok(_) => {}
                Err(error) => {
                    let kind = error.kind();
                    let waited = [std::io::ErrorKind::WouldBlock, std::io::ErrorKind::TimedOut];
                    assert!(
                        !waited.contains(&kind),
                        "a connection without a peer is kept"
                    );
                    return;
                }
            }
        }
    }

    /// How many entries it has, asked by a client that behaves. Panics when that one is not served,
    /// or something in the hub has panicked.
    pub(super) fn entries(&self) -> u64 {
        let answer = self.ask(&json_call(method::STATUS, &self.owner, "{}"), true);
        assert_eq!(PANICS.load(Ordering::SeqCst), 0, "the hub panicked");
        let Some(answer) = answer else {
            panic!("a client that behaves is not served");
        };
        assert_eq!(answer.code(), Some(0), "a client that behaves is refused");
        let message = answer.body.get(5..).unwrap_or_default();
        match json::from_slice::<crate::wire::generated::StatusResponse>(message) {
            Ok(status) => status.total_entries,
            Err(error) => panic!("its figures cannot be read: {error}"),
        }
    }

    /// How many clients are registered and whether it goes on, asked by the operator.
    pub(super) fn clients(&self) -> u64 {
        let answer = self.ask(&json_call(method::HUB_STATUS, &self.admin, "{}"), true);
        let message = answer.map(|answer| answer.body).unwrap_or_default();
        let message = message.get(5..).unwrap_or_default();
        match json::from_slice::<crate::wire::generated::HubStatusResponse>(message) {
            Ok(status) => status.registered_clients,
            Err(error) => panic!("the operator is not served: {error}"),
        }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
        drop(fs_err::remove_dir_all(&self.dir));
    }
}

/// A call of a client that behaves.
fn json_call(path: &str, token: &str, message: &str) -> Letter {
    let headers = format!(
        "{path}\ncontent-type: application/grpc+json\nte: trailers\nauthorization: Bearer {token}\n\n"
    );
    let mut letter = Letter::read(headers.as_bytes());
    letter.body = framed(message.as_bytes());
    letter
}

async fn connect(address: SocketAddr) -> Option<SendRequest<Bytes>> {
    let io = tokio::net::TcpStream::connect(address).await.ok()?;
    let (send, connection) = h2::client::handshake(io).await.ok()?;
    tokio::spawn(connection);
    Some(send)
}

async fn exchange(
    send: SendRequest<Bytes>,
    request: Request<()>,
    body: Bytes,
    to_the_end: bool,
) -> Option<Answer> {
    let mut send = send.ready().await.ok()?;
    let (response, mut stream) = send.send_request(request, false).ok()?;
    stream.send_data(body, true).ok()?;
    let (parts, mut body) = response.await.ok()?.into_parts();
    let mut answer = Answer {
        http: parts.status.as_u16(),
        headers: parts.headers,
        body: Vec::new(),
        trailers: HeaderMap::new(),
    };
    if !to_the_end {
        return Some(answer);
    }
    while let Some(chunk) = body.data().await {
        let chunk = chunk.ok()?;
        drop(body.flow_control().release_capacity(chunk.len()));
        answer.body.extend_from_slice(&chunk);
    }
    answer.trailers = body.trailers().await.ok()?.unwrap_or_default();
    Some(answer)
}

/// Counts panics in the threads of hubs that are asked, and leaves the rest as it was.
fn count_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if std::thread::current().name() == Some(THREAD) {
                PANICS.fetch_add(1, Ordering::SeqCst);
            }
            before(info);
        }));
    });
}
