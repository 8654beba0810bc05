//! What may be sent again after a backend failed.

use http::Method;

use crate::upstream::client::{Cause, Failure};

/// Whether a request that ended in `failure` may be sent once more.
///
/// Only when the backend's side broke before a byte of an answer, the body is still whole, and
/// either nothing reached the socket or doing it twice is the same as doing it once (RFC 9110
/// section 9.2.2).
pub fn may_replay(method: &Method, failure: &Failure) -> bool {
    matches!(failure.cause, Cause::Backend(_))
        && !failure.answered
        && failure.body.is_some()
        && (!failure.begun || is_idempotent(method))
}

/// RFC 9110 section 9.2.2.
pub fn is_idempotent(method: &Method) -> bool {
    matches!(
        *method,
        Method::GET | Method::HEAD | Method::OPTIONS | Method::TRACE | Method::PUT | Method::DELETE
    )
}

#[cfg(test)]
mod tests {
    use std::io;

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
        assert!(may_replay(&Method::GET, &failure(reset())));
        assert!(!may_replay(&Method::POST, &failure(reset())));
    }

    #[test]
    fn replays_anything_of_which_nothing_was_sent() {
        assert!(may_replay(
            &Method::POST,
            &Failure {
                begun: false,
                ..failure(reset())
            }
        ));
    }

    #[test]
    fn never_replays_after_an_answer_began_or_a_body_was_taken() {
        assert!(!may_replay(
            &Method::GET,
            &Failure {
                answered: true,
                ..failure(reset())
            }
        ));
        assert!(!may_replay(
            &Method::PUT,
            &Failure {
                body: None,
                ..failure(reset())
            }
        ));
    }

    #[test]
    fn never_replays_a_timeout_or_a_malformed_answer() {
        assert!(!may_replay(&Method::GET, &failure(Cause::HeaderTimeout)));
        assert!(!may_replay(
            &Method::GET,
            &failure(Cause::Malformed(Malformed("x")))
        ));
    }
}
