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
use tower::ServiceExt as _;

use super::activity::Activity;
use super::coalesced::Coalesced;
use super::gate::{Gate, Place};
use super::incidents::Incident;
use super::incoming::{Clear, Handshake, Io, told};
use super::peer::Peer;
use super::proxies::TrustedProxies;
use super::router::Router;
use super::settings::Connections;
use super::shared::Shared;
use super::status::report;

/// What the connections of one door share.
pub(super) struct Serving<H> {
    pub(super) hub: Arc<Shared>,
    pub(super) router: Router,
    pub(super) handshake: H,
    pub(super) proxies: Arc<TrustedProxies>,
    pub(super) gate: Gate,
}

impl Serving<Clear> {
    /// The same, with a handshake before HTTP/2 begins.
    pub(super) fn shaking<H>(self, handshake: H) -> Serving<H> {
        let Self {
            hub,
            router,
            handshake: Clear,
            proxies,
            gate,
        } = self;
        Serving {
            hub,
            router,
            handshake,
            proxies,
            gate,
        }
    }
}

impl<H> Serving<H> {
    /// The peer at `address`, and the place that its connection has; `None` when there is none.
    pub(super) fn admit(&self, address: Option<SocketAddr>) -> Option<(Peer, Place)> {
        let peer = Peer::new(address, Arc::clone(&self.proxies));
        // Behind a proxy are many.
        let counted = address.filter(|_| !peer.is_proxy());
        match self.gate.enter(counted.map(|address| address.ip())) {
            Ok(place) => Some((peer, place)),
            Err(incident) => {
                self.hub.incidents.note(incident, address);
                None
            }
        }
    }

    /// Serves a connection that has its place, to its end. Once `stop` says so, it ends when the
    /// calls that are under way are answered.
    pub(super) async fn connection<I: Io>(
        self: Arc<Self>,
        io: I,
        peer: Peer,
        place: Place,
        stop: watch::Receiver<bool>,
    ) where
        H: Handshake<I>,
    {
        let address = peer.address();
        let limit = self.settings().handshake.get();
        match timeout(limit, self.handshake.shake(io, peer)).await {
            Ok(Ok((io, peer))) => self.http2(io, peer, stop).await,
            Ok(Err(error)) => {
                tracing::debug!(?address, %error, "handshake failed");
                self.hub.incidents.note(Incident::HandshakeFailed, address);
            }
            Err(_) => self.hub.incidents.note(Incident::HandshakeSlow, address),
        }
        drop(place);
    }

    async fn http2(&self, io: impl Io, peer: Peer, mut stop: watch::Receiver<bool>) {
        let address = peer.address();
        let activity = Arc::new(Activity::new(self.settings()));
        let line = peer.line().clone();
        let service = service_fn(|mut request: hyper::Request<hyper::body::Incoming>| {
            request.extensions_mut().insert(peer.clone());
            let call = activity.begin();
            let request = request.map(|body| call.question(body));
            let answering = self.router.clone().oneshot(request);
            async move { answering.await.map(|response| call.answered(response)) }
        });
        let builder = builder(self.settings());
        let mut connection =
            pin!(builder.serve_connection(TokioIo::new(Coalesced::new(io, line.clone())), service));
        let served = async {
            tokio::select! {
                ended = connection.as_mut() => ended,
                () = told(&mut stop) => {
                    connection.as_mut().graceful_shutdown();
                    connection.await
                }
                incident = activity.over(self.settings()) => {
                    self.hub.incidents.note(incident, address);
                    connection.as_mut().graceful_shutdown();
                    // What is not over then is cut off.
                    timeout(limits::CLOSING_GRACE, connection).await.unwrap_or(Ok(()))
                }
            }
        };
        let ended = tokio::select! {
            ended = served => ended,
            () = line.told() => return tracing::debug!("connection cut off"),
        };
        if let Err(error) = ended {
            tracing::debug!(error = report(&error), "connection ended");
        }
    }

    fn settings(&self) -> &Connections {
        &self.hub.connections
    }
}

/// HTTP/2 within the limits of `settings`. The other limits are those of hyper and h2: resets before a call was
/// looked at, streams that end in an error, frames that carry nothing, pieces of headers.
fn builder(settings: &Connections) -> http2::Builder<TokioExecutor> {
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .initial_connection_window_size(limits::CONNECTION_WINDOW_BYTES)
        .initial_stream_window_size(limits::CALL_WINDOW_BYTES)
        .max_concurrent_streams(settings.calls)
        .max_header_list_size(settings.headers_bytes)
        .keep_alive_interval(settings.ping_interval.get())
        .keep_alive_timeout(settings.ping_timeout.get());
    builder
}
