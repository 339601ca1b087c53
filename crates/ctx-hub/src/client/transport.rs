//! The connection under a client: dialling, deadlines, one call at a time.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use camino::Utf8Path;
use ctx_config::limits;
use ctx_config::wire::{AUTHORIZATION, BEARER_PREFIX};
use http::uri::PathAndQuery;
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;
use tokio::time::{Instant, timeout, timeout_at};
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Response, Streaming};
use zeroize::Zeroizing;

use super::address::Scheme;
use super::connector::{AnsweredTls, Connector};
use super::error::ClientError;
use super::json_service::JsonService;
use super::limited::Limited;
use super::route::Route;
use super::status::Context;
use super::{Peer, Timeouts};
use crate::wire::codec::JsonCodec;
use crate::wire::socket::short_socket_path;

/// Who we say we are.
const USER_AGENT: &str = concat!("ctx/", env!("CARGO_PKG_VERSION"));

/// What dialling is called in errors.
pub(super) const CONNECT: &str = "connect";

/// How far in the future a deadline lies whose wait is too long to be added to the clock: years.
const FAR: Duration = Duration::from_secs(1_000_000_000);

/// A call: its path on the wire, and its name in errors.
#[derive(Clone, Copy, Debug)]
pub(super) struct Call {
    pub(super) path: &'static str,
    pub(super) name: &'static str,
}

/// A credential as it stands in the metadata.
pub(super) type Bearer = MetadataValue<Ascii>;

/// A message that can be sent.
pub(super) trait Question: Serialize + Clone + Send + Sync + 'static {}
impl<T: Serialize + Clone + Send + Sync + 'static> Question for T {}

/// A message that can be received.
pub(super) trait Answer: DeserializeOwned + Send + Sync + 'static {}
impl<T: DeserializeOwned + Send + Sync + 'static> Answer for T {}

/// A connection to a hub, which dials again by itself when it broke. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Transport {
    channel: Channel,
    peer: Peer,
    timeouts: Timeouts,
    limited: Arc<Limited>,
    answered_tls: AnsweredTls,
}

/// What stands in `authorization` for a token.
pub(super) fn bearer(token: &str) -> Option<Bearer> {
    let text = Zeroizing::new(format!("{BEARER_PREFIX}{token}"));
    // A token is plain ASCII, so there is always a value.
    let mut value = Bearer::try_from(text.as_str()).ok()?;
    value.set_sensitive(true);
    Some(value)
}

impl Transport {
    /// Dials as `route` says.
    pub(super) async fn dial(route: Route, timeouts: Timeouts) -> Result<Self, ClientError> {
        let Dialler {
            endpoint,
            connector,
            peer,
            answered_tls,
        } = Dialler::new(route, timeouts)?;
        let dialled = endpoint.connect_with_connector(connector);
        Self::dialled(peer, timeouts, dialled, answered_tls).await
    }

    /// Will dial as `route` says when the first call is made.
    pub(super) fn lazy(route: Route, timeouts: Timeouts) -> Result<Self, ClientError> {
        let Dialler {
            endpoint,
            connector,
            peer,
            answered_tls,
        } = Dialler::new(route, timeouts)?;
        Ok(Self {
            channel: endpoint.connect_with_connector_lazy(connector),
            peer,
            timeouts,
            limited: Arc::default(),
            answered_tls,
        })
    }

    /// Dials the admin socket at `path`.
    pub(super) async fn dial_socket(
        path: &Utf8Path,
        timeouts: Timeouts,
    ) -> Result<Self, ClientError> {
        let peer = Peer::Socket(path.to_owned());
        let path = path.to_owned();
        let connector = tower::service_fn(move |_| {
            let path = path.clone();
            async move {
                let short = short_socket_path(&path)?;
                UnixStream::connect(short.path()).await.map(TokioIo::new)
            }
        });
        let dialled = async {
            // The name is only what stands in `:authority`.
            endpoint("http://localhost")?
                .connect_timeout(timeouts.connect)
                .connect_with_connector(connector)
                .await
        };
        Self::dialled(peer, timeouts, dialled, AnsweredTls::default()).await
    }

    async fn dialled(
        peer: Peer,
        timeouts: Timeouts,
        dialled: impl Future<Output = Result<Channel, tonic::transport::Error>>,
        answered_tls: AnsweredTls,
    ) -> Result<Self, ClientError> {
        let context = dialling(&peer, timeouts);
        let channel = match timeout(timeouts.connect, dialled).await {
            Ok(dialled) => dialled.map_err(|error| context.transport(error.into()))?,
            Err(_) => return Err(context.timeout()),
        };
        Ok(Self {
            channel,
            peer,
            timeouts,
            limited: Arc::default(),
            answered_tls,
        })
    }

    pub(super) const fn peer(&self) -> &Peer {
        &self.peer
    }

    pub(super) const fn timeouts(&self) -> &Timeouts {
        &self.timeouts
    }

    /// When a call that begins now has to be over.
    pub(super) fn deadline(&self) -> Instant {
        after(self.timeouts.call)
    }

    /// What an error of `call` says.
    pub(super) fn context(&self, call: Call, limit: Duration) -> Context<'_> {
        let connect = self.timeouts.connect;
        Context {
            peer: &self.peer,
            call: call.name,
            limit,
            connect,
            answered_tls: Some(&self.answered_tls),
        }
    }

    /// One question, one answer, before `deadline`. The hub is told how long there is.
    pub(super) async fn unary<Q: Question, A: Answer>(
        &self,
        call: Call,
        question: Q,
        bearer: Option<&Bearer>,
        deadline: Instant,
    ) -> Result<Response<A>, ClientError> {
        let context = self.context(call, self.timeouts.call);
        self.limited.check(context)?;
        let mut request = request(question, bearer);
        request.set_timeout(deadline.saturating_duration_since(Instant::now()));
        let answered = async {
            let mut grpc = self.ready(context).await?;
            grpc.unary(request, path(call), JsonCodec::default())
                .await
                .map_err(|status| context.error(status))
        };
        let answered = timeout_at(deadline, answered).await;
        let answered = answered.unwrap_or_else(|_| Err(context.timeout()));
        answered.inspect_err(|error| self.limited.note(error))
    }

    /// Opens a stream of answers, which has to begin before `deadline`; `limit` is what errors say
    /// of it. The hub is not told: it would end the whole stream by it.
    ///
    /// `Ok(None)` when the time is over.
    pub(super) async fn open<Q: Question, A: Answer>(
        &self,
        call: Call,
        question: Q,
        bearer: Option<&Bearer>,
        limit: Duration,
        deadline: Instant,
    ) -> Result<Option<Response<Streaming<A>>>, ClientError> {
        let context = self.context(call, limit);
        self.limited.check(context)?;
        let request = request(question, bearer);
        let opened = async {
            let mut grpc = self.ready(context).await?;
            grpc.server_streaming(request, path(call), JsonCodec::default())
                .await
                .map_err(|status| context.error(status))
        };
        let opened = timeout_at(deadline, opened).await.ok().transpose();
        opened.inspect_err(|error| self.limited.note(error))
    }

    /// A caller that may make one call: tonic panics where nobody waited for this.
    async fn ready(
        &self,
        context: Context<'_>,
    ) -> Result<tonic::client::Grpc<JsonService<Channel>>, ClientError> {
        let mut grpc = tonic::client::Grpc::new(JsonService::new(self.channel.clone()))
            .max_decoding_message_size(limits::CLIENT_MESSAGE_MAX_BYTES);
        grpc.ready()
            .await
            .map_err(|error| context.transport(error))?;
        Ok(grpc)
    }
}

/// The moment `wait` from now.
pub(super) fn after(wait: Duration) -> Instant {
    let now = Instant::now();
    now.checked_add(wait.min(FAR)).unwrap_or(now)
}

/// What it takes to dial.
struct Dialler {
    endpoint: Endpoint,
    connector: Connector,
    peer: Peer,
    answered_tls: AnsweredTls,
}

impl Dialler {
    /// Makes sure that the hub may be asked as `route` says, before anything is sent.
    fn new(route: Route, timeouts: Timeouts) -> Result<Self, ClientError> {
        let route = route.settled()?;
        let answered_tls = AnsweredTls::default();
        let connector = Connector::new(&route, timeouts.connect, answered_tls.clone())?;
        let authority = route.address.authority();
        let scheme = if route.is_encrypted() {
            Scheme::Tls
        } else {
            Scheme::Clear
        };
        let peer = Peer::Address(route.address);
        // tonic would refuse an https URI where it is built with TLS of its own; what the hub is
        // told of the scheme is the origin.
        let made = || -> Result<Endpoint, Box<dyn Error + Send + Sync>> {
            let origin = format!("{scheme}://{authority}").parse()?;
            Ok(endpoint(&format!("http://{authority}"))?.origin(origin))
        };
        let endpoint = made().map_err(|error| dialling(&peer, timeouts).transport(error))?;
        Ok(Self {
            endpoint,
            connector,
            peer,
            answered_tls,
        })
    }
}

/// What an error of dialling says.
fn dialling(peer: &Peer, timeouts: Timeouts) -> Context<'_> {
    Context {
        peer,
        call: CONNECT,
        limit: timeouts.connect,
        connect: timeouts.connect,
        answered_tls: None,
    }
}

fn endpoint(uri: &str) -> Result<Endpoint, tonic::transport::Error> {
    Endpoint::from_shared(uri.to_owned())?.user_agent(USER_AGENT)
}

fn request<Q>(question: Q, bearer: Option<&Bearer>) -> Request<Q> {
    let mut request = Request::new(question);
    if let Some(bearer) = bearer {
        request.metadata_mut().insert(AUTHORIZATION, bearer.clone());
    }
    request
}

fn path(call: Call) -> PathAndQuery {
    PathAndQuery::from_static(call.path)
}
