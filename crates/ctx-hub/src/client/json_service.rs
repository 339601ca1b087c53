//! A thin layer around the channel, for what tonic leaves to others.

use std::pin::Pin;
use std::task::{Context, Poll};

use ctx_config::wire::CONTENT_TYPE_JSON;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use tonic::Status;
use tonic::body::Body;
use tower::Service;

use super::error::Violation;
use crate::secret::presentable;

/// What a response of any gRPC server says it is.
const GRPC: &[u8] = b"application/grpc";

/// Trailer of details that we have no use for; tonic panics where it is not base64.
const STATUS_DETAILS: &str = "grpc-status-details-bin";

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Sends every request as JSON (tonic writes `application/grpc`, whatever the metadata say), and
/// refuses what does not come from a gRPC server.
#[derive(Clone, Debug)]
pub(super) struct JsonService<S> {
    inner: S,
}

impl<S> JsonService<S> {
    pub(super) fn new(inner: S) -> Self {
        Self { inner }
    }
}

impl<S> Service<Request<Body>> for JsonService<S>
where
    S: Service<Request<Body>, Response = Response<Body>>,
    S::Error: Into<BoxError>,
    S::Future: Send + 'static,
{
    type Response = Response<Body>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, BoxError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let json = HeaderValue::from_static(CONTENT_TYPE_JSON);
        request.headers_mut().insert(CONTENT_TYPE, json);
        let response = self.inner.call(request);
        Box::pin(async move {
            let mut response = response.await.map_err(Into::into)?;
            check(&response)?;
            response.headers_mut().remove(STATUS_DETAILS);
            Ok(response.map(|body| {
                Body::new(body.map_frame(|mut frame| {
                    frame.trailers_mut().and_then(|t| t.remove(STATUS_DETAILS));
                    frame
                }))
            }))
        })
    }
}

/// Lets answers of gRPC servers through. A proxy says with an HTTP status what is wrong; any other
/// answer comes from a server that is no hub.
fn check(response: &Response<Body>) -> Result<(), BoxError> {
    let content_type = response.headers().get(CONTENT_TYPE);
    if content_type.is_some_and(|value| value.as_bytes().starts_with(GRPC)) {
        return Ok(());
    }
    let http = response.status();
    let message = format!("HTTP status {http}");
    Err(match http {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Status::unauthenticated(message).into(),
        StatusCode::TOO_MANY_REQUESTS
        | StatusCode::BAD_GATEWAY
        | StatusCode::SERVICE_UNAVAILABLE
        | StatusCode::GATEWAY_TIMEOUT => Status::unavailable(message).into(),
        _ => {
            let content_type = describe(response.headers());
            Violation::NotGrpc {
                http: http.as_u16(),
                content_type,
            }
            .into()
        }
    })
}

fn describe(headers: &HeaderMap) -> String {
    match headers.get(CONTENT_TYPE).map(HeaderValue::to_str) {
        Some(Ok(text)) => presentable(text),
        Some(Err(_)) => "unreadable".to_owned(),
        None => "missing".to_owned(),
    }
}
