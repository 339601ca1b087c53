//! From a request to the call that answers it.
//!
//! There is no generated service: one handler a call, run with the JSON codec or the protobuf
//! codec. Credentials are checked before the message is read.

use std::convert::Infallible;
use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use ctx_config::wire::HUB_ID_HEADER;
use futures_util::TryFutureExt as _;
use http::{HeaderMap, HeaderValue};
use http_body_util::BodyExt as _;
use tonic::body::Body;
use tonic::service::Routes;
use tonic::{Code, Status};
use tower::{Service, ServiceExt as _};

use super::admin::{self, Door};
use super::audit::{self, Asked, CallTrail};
use super::auth::{self, Caller};
use super::call::{Call, ClientCall, OpenCall, OperatorCall};
use super::encoding::{Encoding, Unspoken};
use super::fanout::Wanted;
use super::handler::{Format, streaming, unary};
use super::message::Arriving;
use super::peer::Peer;
use super::shared::Shared;
use super::{deadline, service, status, tokens};
use crate::secret::TokenHash;
use crate::types::ClientId;
use crate::wire::generated as wire;

type HttpRequest = http::Request<Body>;
type HttpResponse = http::Response<Body>;

/// What answers the requests that come in at one door.
#[derive(Clone)]
pub(super) struct Router {
    hub: Arc<Shared>,
    door: Door,
    /// Health, reflection, and `UNIMPLEMENTED` for everything else.
    others: Routes,
}

/// A call whose caller has shown what it takes.
enum Admitted {
    /// The handler checks the admin token in the message.
    Open(OpenCall),
    Client(ClientCall, Caller),
    Operator(OperatorCall),
}

impl Router {
    pub(super) fn new(hub: Arc<Shared>, door: Door, others: Routes) -> Self {
        Self { hub, door, others }
    }

    async fn route(self, request: HttpRequest) -> HttpResponse {
        let limit = deadline::named(request.headers());
        match Call::at(request.uri().path()) {
            Some(call) => self.answer(call, limit, request).await,
            None => deadline::within(limit, self.answer_other(request)).await,
        }
    }

    /// Answers what takes no token and is none of our calls.
    async fn answer_other(self, request: HttpRequest) -> HttpResponse {
        let peer = request.extensions().get::<Peer>();
        let Ok(place) = self.hub.receiving.place(peer, request.headers()) else {
            return status::too_many_open().into_http();
        };
        let purse = self.hub.receiving.purse(None, peer, request.headers());
        let limit = self.hub.connections.message.get();
        let request = request.map(|body| Body::new(Arriving::new(body, limit, purse, None)));
        let Ok(response) = self.others.oneshot(request).await;
        response.map(|body| match place {
            // The place is taken for as long as the answer goes on.
            Some(place) => Body::new(body.map_frame(move |frame| {
                let _place = &place;
                frame
            })),
            None => body,
        })
    }

    /// Answers one of our calls, once its line is in the audit trail.
    async fn answer(
        &self,
        call: Call,
        limit: Option<Duration>,
        request: HttpRequest,
    ) -> HttpResponse {
        let _running = self.hub.calls.begin();
        let encoding = Encoding::of(request.headers());
        let trail = CallTrail::begin(&self.hub.audit, self.asked(call, &request)).await;
        let mut response = match trail {
            Ok(trail) => {
                // Within the deadline or not, what was answered is on record.
                let responding = self.respond(call, encoding, request);
                let response = trail.run(deadline::within(limit, responding)).await;
                trail.answered(response).await
            }
            Err(status) => status.into_http(),
        };
        if let Ok(encoding) = encoding {
            encoding.stamp(&mut response);
        }
        response
    }

    /// What is known of a call before it is looked at.
    fn asked<'a>(&self, call: Call, request: &'a HttpRequest) -> Asked<'a> {
        // Somebody has to be able to find out, and to stop it.
        let is_needed = matches!(
            call,
            Call::Operator(OperatorCall::HubStatus | OperatorCall::Shutdown)
        );
        let peer = request.extensions().get::<Peer>();
        Asked {
            door: self.door,
            path: request.uri().path(),
            address: client_address(request),
            encrypted: peer.is_some_and(Peer::is_encrypted),
            is_stream: call.is_stream(),
            is_exempt: is_needed && self.door == Door::Socket,
        }
    }

    async fn respond(
        &self,
        call: Call,
        encoding: Result<Encoding, Unspoken>,
        request: HttpRequest,
    ) -> HttpResponse {
        let started = Instant::now();
        let encoding = match encoding {
            Ok(encoding) => encoding,
            Err(unspoken) => return unspoken.into_response(),
        };
        let format = Format {
            encoding,
            max_bytes: call.message_max_bytes(&self.hub.limits),
        };
        let address = client_address(&request);
        let peer = request.extensions().get();
        let admitted = self.admit(call, address, request.headers(), peer).await;
        let client = match &admitted {
            Ok(Admitted::Client(_, caller)) => Some(caller.client.id.clone()),
            _ => None,
        };
        let request = self.measured(call, client.as_ref(), request, format.max_bytes);
        let known = matches!(admitted, Ok(Admitted::Client(..) | Admitted::Operator(_)));
        let mut response = match admitted {
            Ok(admitted) => self.run(admitted, address, format, request).await,
            Err(status) => status.into_http(),
        };
        status::relabel_oversized(&mut response, format.max_bytes);
        let code = status::code_of(&response);
        if known || code == Code::Ok {
            self.name_the_hub(&mut response);
        }
        // A stream that was opened writes its line when it is over.
        if code != Code::Ok || !call.is_stream() {
            let client = client.as_ref().map(tracing::field::display);
            let duration = started.elapsed();
            tracing::debug!(?call, client, ?code, ?duration, "call answered");
        }
        response
    }

    /// The request, whose message has to arrive in time and is paid for while it does.
    fn measured(
        &self,
        call: Call,
        client: Option<&ClientId>,
        request: HttpRequest,
        max_bytes: usize,
    ) -> HttpRequest {
        let peer = request.extensions().get::<Peer>();
        let purse = self.hub.receiving.purse(client, peer, request.headers());
        let limit = match call {
            Call::Client(ClientCall::Publish) => self.hub.connections.publish,
            _ => self.hub.connections.message,
        }
        .get();
        request.map(|body| Body::new(Arriving::new(body, limit, purse, Some(max_bytes))))
    }

    /// Lets a call in whose caller proves who it is, and is not over its limits already: what it
    /// has to say is read only then.
    async fn admit(
        &self,
        call: Call,
        from: Option<IpAddr>,
        headers: &HeaderMap,
        peer: Option<&Peer>,
    ) -> Result<Admitted, Status> {
        let (hub, presented) = (&self.hub, auth::presented(headers));
        match call {
            Call::Open(call) => Ok(Admitted::Open(call)),
            Call::Client(call) => {
                let caller = auth::caller(&*hub.store, headers, peer);
                let caller = hub.attempts.check(from, presented, caller).await?;
                hub.seen.note(&caller, hub.clock.unix());
                audit::tell(|record| {
                    record.client = Some(caller.client.id.as_str().to_owned());
                    record.project = Some(audit::bounded(caller.client.project.as_str()));
                });
                if call == ClientCall::Publish {
                    hub.budget.check(&caller.client.id)?;
                }
                Ok(Admitted::Client(call, caller))
            }
            Call::Operator(call) => {
                let checked = admin::check(hub, self.door, headers);
                hub.attempts.check(from, presented, checked).await?;
                Ok(Admitted::Operator(call))
            }
        }
    }

    async fn run(
        &self,
        call: Admitted,
        from: Option<IpAddr>,
        format: Format,
        request: HttpRequest,
    ) -> HttpResponse {
        match call {
            Admitted::Open(call) => self.run_open(call, from, format, request).await,
            Admitted::Client(call, caller) => self.run_client(call, &caller, format, request).await,
            Admitted::Operator(call) => self.run_operator(call, format, request).await,
        }
    }

    /// Calls whose credentials are in the message.
    async fn run_open(
        &self,
        call: OpenCall,
        from: Option<IpAddr>,
        format: Format,
        request: HttpRequest,
    ) -> HttpResponse {
        let hub = || Arc::clone(&self.hub);
        let attempts = &self.hub.attempts;
        match call {
            OpenCall::Register => {
                unary(format, request, |m: wire::RegisterRequest| {
                    let presented = match m.invitation.as_str() {
                        "" => TokenHash::of(&m.admin_token),
                        invitation => TokenHash::of(invitation),
                    };
                    let proposed = TokenHash::from_hex(&m.token_hash);
                    let registered = service::register(hub(), m);
                    let checked = attempts.check(from, Some(presented), registered);
                    // Whoever has just got a token here may use it here.
                    checked.inspect_ok(move |answer| {
                        let made = || TokenHash::of(&answer.get_ref().client_token);
                        attempts.issued(from, &proposed.unwrap_or_else(made));
                    })
                })
                .await
            }
            OpenCall::Revoke => {
                unary(format, request, |m: wire::RevokeRequest| {
                    let presented = TokenHash::of(&m.admin_token);
                    let revoked = service::revoke(hub(), m);
                    attempts.check(from, Some(presented), revoked)
                })
                .await
            }
        }
    }

    async fn run_client(
        &self,
        call: ClientCall,
        caller: &Caller,
        format: Format,
        request: HttpRequest,
    ) -> HttpResponse {
        let hub = || Arc::clone(&self.hub);
        match call {
            ClientCall::Publish => {
                unary(format, request, |m| {
                    service::publish(hub(), caller.clone(), m)
                })
                .await
            }
            ClientCall::Status => {
                unary(format, request, |_: wire::StatusRequest| {
                    service::figures(hub())
                })
                .await
            }
            ClientCall::RotateToken => {
                unary(format, request, |m| {
                    tokens::rotate(hub(), caller.clone(), m)
                })
                .await
            }
            ClientCall::Sync => {
                let handler = |m: wire::SyncRequest| {
                    let wanted = Wanted::sync(&m);
                    service::stream(hub(), caller.clone(), wanted, format.encoding)
                };
                streaming(format, request, handler).await
            }
            ClientCall::Listen => {
                let handler = |m: wire::ListenRequest| {
                    let wanted = Wanted::listen(&m);
                    service::stream(hub(), caller.clone(), wanted, format.encoding)
                };
                streaming(format, request, handler).await
            }
        }
    }

    async fn run_operator(
        &self,
        call: OperatorCall,
        format: Format,
        request: HttpRequest,
    ) -> HttpResponse {
        let (hub, door) = (|| Arc::clone(&self.hub), self.door);
        match call {
            OperatorCall::HubStatus => {
                unary(format, request, |_: wire::HubStatusRequest| {
                    admin::hub_status(hub())
                })
                .await
            }
            OperatorCall::ListClients => {
                unary(format, request, |_: wire::ListClientsRequest| {
                    admin::list_clients(hub())
                })
                .await
            }
            OperatorCall::RevokeClient => {
                unary(format, request, |m| admin::revoke_client(hub(), m)).await
            }
            OperatorCall::RotateAdminToken => {
                unary(format, request, |_: wire::RotateAdminTokenRequest| {
                    admin::rotate_admin_token(hub(), door)
                })
                .await
            }
            OperatorCall::CreateInvitation => {
                unary(format, request, |m| admin::create_invitation(hub(), m)).await
            }
            OperatorCall::ListInvitations => {
                unary(format, request, |_: wire::ListInvitationsRequest| {
                    admin::list_invitations(hub())
                })
                .await
            }
            OperatorCall::EndInvitation => {
                unary(format, request, |m| admin::end_invitation(hub(), m)).await
            }
            OperatorCall::Shutdown => {
                unary(format, request, |_: wire::ShutdownRequest| {
                    admin::shutdown(hub(), door)
                })
                .await
            }
        }
    }

    /// Says which log answers, so that a client notices when it is another one.
    fn name_the_hub(&self, response: &mut HttpResponse) {
        // 32 hex digits are always a valid header value.
        if let Ok(id) = HeaderValue::from_str(self.hub.store.hub_id().as_str()) {
            response.headers_mut().insert(HUB_ID_HEADER, id);
        }
    }
}

/// The address of whoever sent `request`; `None` on the admin socket.
fn client_address(request: &HttpRequest) -> Option<IpAddr> {
    let peer = request.extensions().get::<Peer>()?;
    peer.client_address(request.headers())
}

impl Service<HttpRequest> for Router {
    type Response = HttpResponse;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<HttpResponse, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: HttpRequest) -> Self::Future {
        let router = self.clone();
        Box::pin(async move { Ok(router.route(request).await) })
    }
}
