//! The life of one connection: handshake, HTTP/2, end.

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;

use ctx_config::limits;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::sync::watch;
use tokio::time::timeout;
use tonic::body::Body;
use tower::ServiceExt as _;

use super::incoming::{Handshake, Io, told};
use super::peer::Peer;
use super::proxies::TrustedProxies;
use super::router::Router;
use super::status::report;

/// What the connections of one door share.
pub(super) struct Serving<H> {
    pub(super) router: Router,
    pub(super) handshake: H,
    pub(super) proxies: Arc<TrustedProxies>,
}

impl<H> Serving<H> {
    /// Serves a connection that was just accepted, to its end. Once `stop` says so, it ends when
    /// the calls that are under way are answered.
    pub(super) async fn connection<I: Io>(
        self: Arc<Self>,
        io: I,
        address: Option<SocketAddr>,
        stop: watch::Receiver<bool>,
    ) where
        H: Handshake<I>,
    {
        let peer = Peer::new(address, Arc::clone(&self.proxies));
        let shaken = timeout(limits::HANDSHAKE_LIMIT, self.handshake.shake(io, peer)).await;
        match shaken {
            Ok(Ok((io, peer))) => self.http2(io, peer, stop).await,
            Ok(Err(error)) => tracing::debug!(?address, %error, "handshake failed"),
            Err(_) => tracing::debug!(?address, "handshake took too long"),
        }
    }

    async fn http2(&self, io: impl Io, peer: Peer, mut stop: watch::Receiver<bool>) {
        let service = service_fn(|mut request: hyper::Request<hyper::body::Incoming>| {
            request.extensions_mut().insert(peer.clone());
            self.router.clone().oneshot(request.map(Body::new))
        });
        let mut builder = http2::Builder::new(TokioExecutor::new());
        builder
            .timer(TokioTimer::new())
            .max_concurrent_streams(limits::CONNECTION_MAX_CALLS)
            .keep_alive_interval(limits::PING_INTERVAL)
            .keep_alive_timeout(limits::PING_TIMEOUT);
        let mut connection = pin!(builder.serve_connection(TokioIo::new(io), service));
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = told(&mut stop) => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = ended {
            tracing::debug!(error = report(&error), "connection ended");
        }
    }
}
