//! `X-Request-Id`: one id per request, the same in the log, at the backend and in the response.

use std::{
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
};

use http::{HeaderMap, HeaderName, HeaderValue};
use tower::Service;

use crate::message::{Call, Response, context::RequestContext, forwarded::TrustedProxies};

/// `X-Request-Id`.
pub const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Longest id that is taken over.
const LONGEST: usize = 128;

/// Takes the id that a trusted proxy sent, or makes one.
///
/// Nobody else may choose it: who chooses ids can make his requests look like another's in every log behind.
#[derive(Debug, Clone)]
pub struct RequestId<S> {
    trusted: Rc<TrustedProxies>,
    inner: S,
}

impl<S> RequestId<S> {
    /// Wraps `inner`.
    pub fn new(trusted: Rc<TrustedProxies>, inner: S) -> Self {
        Self { trusted, inner }
    }
}

impl<S> Service<Call> for RequestId<S>
where
    S: Service<Call, Response = Response>,
    S::Future: Unpin,
{
    type Response = Response;
    type Error = S::Error;
    type Future = RequestIdFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, call: Call) -> Self::Future {
        let context = call.context.clone();
        context.request_id.get_or_init(|| {
            let trusted = self.trusted.contains(context.connection.peer.ip());
            let taken = trusted.then(|| take(call.request.headers())).flatten();
            taken.unwrap_or_else(make)
        });
        RequestIdFuture {
            inner: self.inner.call(call),
            context,
        }
    }
}

/// Adds the id to the response.
#[derive(Debug)]
pub struct RequestIdFuture<F> {
    inner: F,
    context: Rc<RequestContext>,
}

impl<F, E> Future for RequestIdFuture<F>
where
    F: Future<Output = Result<Response, E>> + Unpin,
{
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut result = ready!(Pin::new(&mut self.inner).poll(cx));
        if let (Ok(response), Some(id)) = (&mut result, self.context.request_id.get()) {
            let mut id = id.clone();
            // HTTP/2 would keep it in its table, where it pushes out what comes again.
            id.set_sensitive(true);
            response.headers_mut().insert(X_REQUEST_ID, id);
        }
        Poll::Ready(result)
    }
}

fn take(headers: &HeaderMap) -> Option<HeaderValue> {
    headers
        .get(X_REQUEST_ID)
        .filter(|id| is_valid(id.as_bytes()))
        .cloned()
}

/// Visible ASCII that means nothing in JSON, HTML or a quoted string, so that it can stand anywhere as it is.
fn is_valid(id: &[u8]) -> bool {
    (1..=LONGEST).contains(&id.len())
        && id
            .iter()
            .all(|byte| byte.is_ascii_graphic() && !b"\"'`\\<>&".contains(byte))
}

/// 128 random bits in hex. It need not be secret, only different.
fn make() -> HeaderValue {
    let mut text = [0; 32];
    let random = fastrand::u128(..).to_be_bytes();
    for (digits, byte) in text.chunks_exact_mut(2).zip(random) {
        digits[0] = DIGITS[usize::from(byte >> 4)];
        digits[1] = DIGITS[usize::from(byte & 0xf)];
    }
    HeaderValue::from_bytes(&text).expect("hex digits are visible ASCII")
}

const DIGITS: &[u8; 16] = b"0123456789abcdef";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn makes_different_ids_of_32_hex_digits() {
        let (first, second) = (make(), make());
        assert_ne!(first, second);
        assert_eq!(first.len(), 32);
        assert!(first.as_bytes().iter().all(u8::is_ascii_hexdigit));
    }

    #[test]
    fn takes_only_ids_that_can_stand_anywhere() {
        for good in [
            "a",
            "0af7651916cd43dd8448eb211c80319c",
            "Root=1-67891233-abcdef",
        ] {
            assert!(is_valid(good.as_bytes()), "{good}");
        }
        for bad in [
            "",
            "a b",
            "a\"b",
            "<b>",
            "a\\",
            "é",
            "a\n",
            &"a".repeat(129),
        ] {
            assert!(!is_valid(bad.as_bytes()), "{bad}");
        }
    }
}
