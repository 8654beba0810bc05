//! What may be sent again after a backend failed.

use http::{HeaderMap, HeaderName, Method, StatusCode, header};

use crate::upstream::client::{Cause, Failure, decode::Head};

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// Whether a request that ended in `failure` may be sent once more.
///
/// Only when the backend's side broke before a byte of an answer, the whole body is at hand, and
/// either nothing reached the socket or the request `is_repeatable`.
pub fn may_replay(is_repeatable: bool, failure: &Failure) -> bool {
    matches!(failure.cause, Cause::Backend(_))
        && !failure.answered
        && failure.body.is_some()
        && (!failure.begun || is_repeatable)
}

/// Whether doing it twice is the same as doing it once: by its method, or because the client gave it a key by which
/// the backend knows it again (draft-ietf-httpapi-idempotency-key-header).
pub fn is_repeatable(method: &Method, headers: &HeaderMap) -> bool {
    is_idempotent(method)
        || headers
            .get(IDEMPOTENCY_KEY)
            .is_some_and(|key| !key.is_empty())
}

/// Whether an answer says that the backend is about to end, and did not look at the request. Fastify, and so Nest on
/// it, says so on the connections that are left once `close` was called.
pub fn is_leaving(head: &Head) -> bool {
    head.status == StatusCode::SERVICE_UNAVAILABLE
        && !head.keep_alive
        && head.headers.contains_key(header::CONNECTION)
}

/// RFC 9110 section 9.2.2.
fn is_idempotent(method: &Method) -> bool {
    matches!(
        *method,
        Method::GET | Method::HEAD | Method::OPTIONS | Method::TRACE | Method::PUT | Method::DELETE
    )
}

#[cfg(test)]
mod tests {
    use std::io;

    use http::HeaderValue;

    use super::*;
    use crate::{message::body::Body, upstream::client::decode::Malformed};

    fn failure(cause: Cause) -> Failure {
        Failure {
            cause,
            reused: true,
            begun: true,
            answered: false,
            body: Some(Body::empty()),
        }
    }

    fn reset() -> Cause {
        Cause::Backend(io::ErrorKind::ConnectionReset.into())
    }

    #[test]
    fn replays_a_reset_before_the_first_byte_when_twice_is_like_once() {
        assert!(may_replay(true, &failure(reset())));
        assert!(!may_replay(false, &failure(reset())));
    }

    #[test]
    fn a_key_makes_a_post_repeatable() {
        let mut headers = HeaderMap::new();
        assert!(is_repeatable(&Method::PUT, &headers));
        assert!(!is_repeatable(&Method::POST, &headers));
        headers.insert(IDEMPOTENCY_KEY, HeaderValue::from_static(""));
        assert!(!is_repeatable(&Method::PATCH, &headers));
        headers.insert(IDEMPOTENCY_KEY, HeaderValue::from_static("\"8e03978e\""));
        assert!(is_repeatable(&Method::POST, &headers));
    }

    #[test]
    fn a_backend_leaves_that_is_unavailable_and_closes() {
        let head = |status: u16, connection: Option<&'static str>, keep_alive| {
            let value = connection.map(HeaderValue::from_static);
            Head {
                status: StatusCode::from_u16(status).unwrap(),
                headers: value
                    .map(|it| (header::CONNECTION, it))
                    .into_iter()
                    .collect(),
                keep_alive,
            }
        };
        assert!(is_leaving(&head(503, Some("close"), false)));
        assert!(!is_leaving(&head(503, Some("keep-alive"), true)));
        assert!(!is_leaving(&head(503, None, false)));
        assert!(!is_leaving(&head(500, Some("close"), false)));
    }

    #[test]
    fn replays_anything_of_which_nothing_was_sent() {
        assert!(may_replay(
            false,
            &Failure {
                begun: false,
                ..failure(reset())
            }
        ));
    }

    #[test]
    fn never_replays_after_an_answer_began_or_a_body_was_lost() {
        assert!(!may_replay(
            true,
            &Failure {
                answered: true,
                ..failure(reset())
            }
        ));
        assert!(!may_replay(
            true,
            &Failure {
                body: None,
                ..failure(reset())
            }
        ));
    }

    #[test]
    fn never_replays_a_timeout_or_a_malformed_answer() {
        assert!(!may_replay(true, &failure(Cause::HeaderTimeout)));
        assert!(!may_replay(
            true,
            &failure(Cause::Malformed(Malformed("x")))
        ));
    }
}
