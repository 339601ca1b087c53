//! `grpc-timeout`: how long a caller waits for an answer to begin.

use std::future::Future;
use std::time::Duration;

use http::HeaderMap;
use tonic::Status;
use tonic::body::Body;

const HEADER: &str = "grpc-timeout";

/// Most digits of a timeout, as the specification of gRPC has it.
const MAX_DIGITS: usize = 8;

/// Longest wait that a caller is held to: a clock cannot be set to some of the longer ones.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// What `answering` answers, or that there was no answer within `limit`. What has been
/// begun by then is dropped, as when the caller had gone.
pub(super) async fn within(
    limit: Option<Duration>,
    answering: impl Future<Output = http::Response<Body>>,
) -> http::Response<Body> {
    match limit {
        Some(limit) => tokio::time::timeout(limit, answering)
            .await
            .unwrap_or_else(|_| {
                Status::deadline_exceeded("no answer within grpc-timeout").into_http()
            }),
        None => answering.await,
    }
}

/// The timeout that a caller names. What is not written as the specification has it is no timeout.
pub(super) fn named(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(HEADER)?.to_str().ok()?;
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.len() > MAX_DIGITS || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let count: u64 = digits.parse().ok()?;
    let timeout = match unit {
        "H" => Duration::from_secs(count.saturating_mul(60 * 60)),
        "M" => Duration::from_secs(count.saturating_mul(60)),
        "S" => Duration::from_secs(count),
        "m" => Duration::from_millis(count),
        "u" => Duration::from_micros(count),
        "n" => Duration::from_nanos(count),
        _ => return None,
    };
    Some(timeout.min(LONGEST))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn a_timeout_is_read_as_the_specification_has_it_and_anything_else_is_none() {
        let read = |text: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(HEADER, HeaderValue::from_static(text));
            named(&headers)
        };
        assert_eq!(read("3S"), Some(Duration::from_secs(3)));
        assert_eq!(read("2M"), Some(Duration::from_secs(120)));
        assert_eq!(read("7m"), Some(Duration::from_millis(7)));
        assert_eq!(read("0n"), Some(Duration::ZERO));
        assert_eq!(read("99999999u"), Some(Duration::from_micros(99_999_999)));
        assert_eq!(read("99999999H"), Some(LONGEST));
        for wrong in [
            "",
            "S",
            "3",
            "3s",
            "-3S",
            "+3S",
            "3 S",
            "999999999S",
            "3.5S",
            "0x3S",
        ] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
        assert_eq!(named(&HeaderMap::new()), None);
    }
}
