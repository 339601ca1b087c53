//! Connections as they come in: each is a task of its own from the moment it was accepted, so that
//! none holds up the next.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use ctx_config::limits;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::connection::Serving;
use super::peer::Peer;

/// What carries the bytes of a connection.
pub(super) trait Io: AsyncRead + AsyncWrite + Unpin + Send + 'static {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send + 'static> Io for T {}

/// Something that connections come from.
pub(super) trait Accept: Send {
    type Io: Io;

    /// The next connection and where it comes from.
    fn accept(&self) -> impl Future<Output = io::Result<(Self::Io, Option<SocketAddr>)>> + Send;
}

impl Accept for TcpListener {
    type Io = TcpStream;

    async fn accept(&self) -> io::Result<(TcpStream, Option<SocketAddr>)> {
        let (stream, address) = TcpListener::accept(self).await?;
        // Messages are small, and somebody waits for each. Where it cannot be had (a peer that is
        // gone already), serving the connection will tell.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "cannot set TCP_NODELAY");
        }
        Ok((stream, Some(address)))
    }
}

impl Accept for UnixListener {
    type Io = UnixStream;

    async fn accept(&self) -> io::Result<(UnixStream, Option<SocketAddr>)> {
        Ok((UnixListener::accept(self).await?.0, None))
    }
}

/// What is done on a connection before HTTP/2 begins on it. Runs on the connection's own task,
/// within the time that there is for it.
pub(super) trait Handshake<I>: Clone + Send + Sync + 'static {
    type Io: Io;

    /// The connection as it is after the handshake, and what is then known of its peer.
    fn shake(&self, io: I, peer: Peer)
    -> impl Future<Output = io::Result<(Self::Io, Peer)>> + Send;
}

/// No handshake: HTTP/2 begins with the first byte, in the clear.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clear;

impl<I: Io> Handshake<I> for Clear {
    type Io = I;

    async fn shake(&self, io: I, peer: Peer) -> io::Result<(I, Peer)> {
        Ok((io, peer))
    }
}

/// When a door stops: first it accepts no more connections, then it cuts off those that are left.
pub(super) struct Closing {
    pub(super) stop: watch::Receiver<bool>,
    pub(super) sever: watch::Receiver<bool>,
}

/// Serves what comes in at `listener` until told to stop and every connection is closed or cut off.
/// Dropping the future cuts them off at once.
pub(super) async fn serve<L: Accept, H: Handshake<L::Io>>(
    listener: L,
    serving: Serving<H>,
    mut closing: Closing,
) {
    let serving = Arc::new(serving);
    let mut open = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            () = told(&mut closing.stop) => break,
            Some(_) = open.join_next() => continue,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((io, address)) => {
                // Who is refused sees the connection close, and dials again after a while.
                if let Some((peer, place)) = serving.admit(address) {
                    let (serving, stop) = (Arc::clone(&serving), closing.stop.clone());
                    open.spawn(serving.connection(io, peer, place, stop));
                }
            }
            Err(error) => failed_to_accept(&error).await,
        }
    }
    // Whoever dials from now on is refused by the system.
    drop(listener);
    tokio::select! {
        () = async { while open.join_next().await.is_some() {} } => return,
        () = told(&mut closing.sever) => {}
    }
    open.shutdown().await;
}

/// Waits until `flag` is set; its sender going away means the same.
pub(super) async fn told(flag: &mut watch::Receiver<bool>) {
    drop(flag.wait_for(|told| *told).await);
}

/// The next one may do better. Without the pause, a lack of file descriptors would keep a processor
/// busy with failing; a peer that was gone before it was accepted is no reason for one.
async fn failed_to_accept(error: &io::Error) {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted};
    if matches!(
        error.kind(),
        ConnectionAborted | ConnectionReset | Interrupted
    ) {
        tracing::debug!(%error, "a connection was gone before it was accepted");
        return;
    }
    tracing::warn!(%error, "cannot accept a connection");
    tokio::time::sleep(limits::ACCEPT_PAUSE).await;
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use camino::Utf8Path;
    use ctx_config::paths::DataDir;
    use tokio::io::AsyncReadExt as _;
    use tonic::service::Routes;

    use super::super::admin::Door;
    use super::super::audit::Audit;
    use super::super::gate::Gate;
    use super::super::router::Router;
    use super::super::settings::{AuditSettings, HumanDuration, Registration};
    use super::super::shared::{About, Shared};
    use super::*;
    use crate::store::SqliteStore;

    /// A handshake that never comes to its end on the first connection.
    #[derive(Clone, Default)]
    struct StuckOnce(Arc<AtomicUsize>);

    impl<I: Io> Handshake<I> for StuckOnce {
        type Io = I;

        async fn shake(&self, io: I, peer: Peer) -> io::Result<(I, Peer)> {
            if self.0.fetch_add(1, Ordering::SeqCst) == 0 {
                std::future::pending::<()>().await;
            }
            Ok((io, peer.encrypted()))
        }
    }

    /// A door with that handshake, which may take so long.
    fn serving<H>(data_dir: &Utf8Path, handshake: H, limit: Duration) -> Serving<H> {
        let (store, _) = SqliteStore::open(&DataDir::new(data_dir)).unwrap();
        let about = About {
            version: String::new(),
            pid: 0,
            started_at: 0,
            addresses: Vec::new(),
            data_dir: DataDir::new(data_dir),
            public_address: None,
            certificates: None,
        };
        let audit = Audit::start(&DataDir::new(data_dir), AuditSettings::default()).unwrap();
        let mut hub = Shared::new(store, audit, Registration::default(), about);
        hub.connections.handshake = HumanDuration::new(limit);
        let hub = Arc::new(hub);
        Serving {
            router: Router::new(Arc::clone(&hub), Door::Network, Routes::default()),
            hub,
            handshake,
            proxies: Arc::default(),
            gate: Gate::new(4, 4),
        }
    }

    async fn soon<T>(future: impl Future<Output = T>) -> T {
        tokio::time::timeout(Duration::from_secs(30), future)
            .await
            .expect("it takes too long")
    }

    /// A call on a connection of its own, and what drives it.
    async fn called(address: SocketAddr) -> tokio::task::JoinHandle<Result<(), h2::Error>> {
        let io = TcpStream::connect(address).await.unwrap();
        let (send, connection) = soon(h2::client::handshake(io)).await.unwrap();
        let driven = tokio::spawn(connection);
        let mut send = soon(send.ready()).await.unwrap();
        let request = http::Request::post("http://hub/nothing").body(()).unwrap();
        let (response, _) = send.send_request(request, true).unwrap();
        soon(response).await.unwrap();
        driven
    }

    #[tokio::test]
    async fn a_handshake_that_does_not_end_holds_up_neither_the_next_connection_nor_the_end() {
        let temp = tempfile::tempdir().unwrap();
        let data_dir = Utf8Path::from_path(temp.path()).unwrap();
        let handshake = StuckOnce::default();
        let serving = serving(data_dir, handshake.clone(), Duration::from_secs(3_600));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, sever) = (watch::Sender::new(false), watch::Sender::new(false));
        let closing = Closing {
            stop: stop.subscribe(),
            sever: sever.subscribe(),
        };
        let served = tokio::spawn(serve(listener, serving, closing));

        let _stuck = TcpStream::connect(address).await.unwrap();
        soon(async {
            while handshake.0.load(Ordering::SeqCst) == 0 {
                tokio::task::yield_now().await;
            }
        })
        .await;
        let driven = called(address).await;

        stop.send_replace(true);
        soon(driven).await.unwrap().unwrap();
        assert!(!served.is_finished(), "the stuck one is still there");
        sever.send_replace(true);
        soon(served).await.unwrap();
    }

    #[tokio::test]
    async fn a_handshake_that_takes_too_long_is_given_up() {
        let temp = tempfile::tempdir().unwrap();
        let data_dir = Utf8Path::from_path(temp.path()).unwrap();
        let serving = serving(data_dir, StuckOnce::default(), Duration::from_millis(100));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let flag = watch::Sender::new(false);
        let closing = Closing {
            stop: flag.subscribe(),
            sever: flag.subscribe(),
        };
        let _served = tokio::spawn(serve(listener, serving, closing));
        let mut stuck = TcpStream::connect(address).await.unwrap();
        let read = soon(stuck.read(&mut [0])).await;
        assert_eq!(read.unwrap(), 0, "closed");
        called(address).await;
    }
}
