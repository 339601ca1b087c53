//! The two encodings of the wire, told apart by the content type of the request.

use ctx_config::wire::{CONTENT_TYPE_JSON, CONTENT_TYPE_PROTO, CONTENT_TYPE_PROTO_LONG};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, StatusCode};
use tonic::Status;
use tonic::body::Body;

/// How the messages of a call are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoding {
    Json,
    Proto,
    /// Protobuf, by its long name.
    ProtoLong,
}

/// A content type that is not answered here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unspoken {
    /// It is not gRPC at all.
    NotGrpc,
    /// It is gRPC in some other encoding.
    OtherEncoding,
}

impl Encoding {
    /// The encoding that a request names.
    pub(super) fn of(headers: &HeaderMap) -> Result<Self, Unspoken> {
        let value = headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes);
        let essence = value.and_then(|value| value.split(|byte| *byte == b';').next());
        let essence = essence.unwrap_or_default().trim_ascii();
        let named = [Self::Json, Self::Proto, Self::ProtoLong]
            .into_iter()
            .find(|encoding| essence.eq_ignore_ascii_case(encoding.content_type().as_bytes()));
        named.ok_or_else(|| Unspoken::of(essence))
    }

    /// The content type that is answered.
    pub(super) const fn content_type(self) -> &'static str {
        match self {
            Self::Json => CONTENT_TYPE_JSON,
            Self::Proto => CONTENT_TYPE_PROTO,
            Self::ProtoLong => CONTENT_TYPE_PROTO_LONG,
        }
    }

    /// Puts the content type on a response, over the one that tonic writes.
    pub(super) fn stamp(self, response: &mut http::Response<Body>) {
        let value = HeaderValue::from_static(self.content_type());
        response.headers_mut().insert(CONTENT_TYPE, value);
    }
}

impl Unspoken {
    fn of(essence: &[u8]) -> Self {
        let start = essence.get(..CONTENT_TYPE_PROTO.len());
        match start {
            Some(start) if start.eq_ignore_ascii_case(CONTENT_TYPE_PROTO.as_bytes()) => {
                Self::OtherEncoding
            }
            _ => Self::NotGrpc,
        }
    }

    /// What turns the request away: 415 as the specification of gRPC has it, or a gRPC status.
    pub(super) fn into_response(self) -> http::Response<Body> {
        match self {
            Self::OtherEncoding => Status::invalid_argument("unsupported content type").into_http(),
            Self::NotGrpc => {
                let mut response = http::Response::new(Body::empty());
                *response.status_mut() = StatusCode::UNSUPPORTED_MEDIA_TYPE;
                response
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(content_type: &'static str) -> Result<Encoding, Unspoken> {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        Encoding::of(&headers)
    }

    #[test]
    fn the_content_type_names_the_encoding_whatever_its_case_and_parameters() {
        assert_eq!(of("application/grpc+json").unwrap(), Encoding::Json);
        assert_eq!(of("application/grpc").unwrap(), Encoding::Proto);
        assert_eq!(of("application/grpc+proto").unwrap(), Encoding::ProtoLong);
        assert_eq!(
            of("Application/GRPC+json; charset=utf-8").unwrap(),
            Encoding::Json
        );
    }

    #[test]
    fn another_encoding_of_grpc_is_an_invalid_argument_and_anything_else_is_415() {
        let response = of("application/grpc+xml").unwrap_err().into_response();
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers().get("grpc-status").unwrap(), "3");
        for other in ["application/json", "text/html", "", "application"] {
            assert_eq!(of(other), Err(Unspoken::NotGrpc), "{other}");
        }
        let none = Encoding::of(&HeaderMap::new()).unwrap_err();
        let response = none.into_response();
        assert_eq!(response.status(), StatusCode::UNSUPPORTED_MEDIA_TYPE);
    }
}
