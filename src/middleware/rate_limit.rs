//! Asks the limiter; tells every client how much is left.
//!
//! `RateLimit` and `RateLimit-Policy` as in draft-ietf-httpapi-ratelimit-headers-10.

use std::{
    pin::Pin,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::BufMut as _;
use http::{HeaderMap, HeaderName, HeaderValue};
use tower::Service;

use crate::{
    config::limit::{self, RateKey},
    limiter::{Decision, Key, Limiter},
    message::{Call, Response, context::RequestContext, error::ErrorKind, text::push_decimal},
    middleware::error_response,
};

/// `"default";r=` and a `u32`, `;t=` and a `u64`.
const LONGEST_STATE: usize = 45;

const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// `route.rate_limit`, with the limiter that all workers share.
#[derive(Debug)]
pub struct Policy {
    limiter: Arc<Limiter>,
    key: RateKey,
    requests: u32,
    /// `RateLimit-Policy`: what the operator wrote, not the burst, which is no promise.
    field: HeaderValue,
}

impl Policy {
    /// The policy that `limit` asks for, counted by `limiter`.
    pub fn new(limit: &limit::RateLimit, limiter: Arc<Limiter>) -> Self {
        let window = limit.period.as_millis().div_ceil(1000).max(1);
        let field = format!("\"default\";q={};w={window}", limit.requests);
        Self {
            limiter,
            key: limit.key.clone(),
            requests: limit.requests,
            field: HeaderValue::try_from(field).expect("text and numbers are visible ASCII"),
        }
    }

    fn check(&self, call: &Call) -> Decision {
        let key = self.key(call);
        self.limiter.check(key, call.context.started)
    }

    fn key(&self, call: &Call) -> Key {
        let value = match &self.key {
            RateKey::Client => None,
            RateKey::Header(name) => call.request.headers().get(name),
        };
        match value {
            Some(value) => self.limiter.value_key(value.as_bytes()),
            None => self.limiter.address_key(call.context.client_address()),
        }
    }

    /// Sets the two fields unless the backend sent its own: it knows its users, this limit only addresses, and
    /// two generations of the draft in one list would be readable by nobody.
    fn add_to(&self, headers: &mut HeaderMap, decision: Decision) {
        if headers.contains_key(RATE_LIMIT) || headers.contains_key(RATE_LIMIT_POLICY) {
            return;
        }
        headers.insert(RATE_LIMIT_POLICY, self.field.clone());
        headers.insert(RATE_LIMIT, self.state(decision));
    }

    fn state(&self, decision: Decision) -> HeaderValue {
        let remaining = decision.remaining.min(self.requests);
        let reset = decision.reset.as_millis().div_ceil(1000).max(1);
        let mut text = [0; LONGEST_STATE];
        let mut rest = &mut text[..];
        rest.put_slice(b"\"default\";r=");
        push_decimal(&mut rest, remaining.into());
        rest.put_slice(b";t=");
        push_decimal(&mut rest, u64::try_from(reset).unwrap_or(u64::MAX));
        let unused = rest.len();
        let mut state = HeaderValue::from_bytes(&text[..LONGEST_STATE - unused])
            .expect("text and numbers are visible ASCII");
        // HTTP/2 would keep it in its table, where it pushes out what comes again.
        state.set_sensitive(true);
        state
    }
}

/// Lets through what the limiter allows. Without a policy it lets everything through.
#[derive(Debug, Clone)]
pub struct RateLimit<S> {
    policy: Option<Rc<Policy>>,
    inner: S,
}

impl<S> RateLimit<S> {
    /// Wraps `inner`.
    pub fn new(policy: Option<Rc<Policy>>, inner: S) -> Self {
        Self { policy, inner }
    }
}

impl<S> Service<Call> for RateLimit<S>
where
    S: Service<Call, Response = Response>,
    S::Future: Unpin,
{
    type Response = Response;
    type Error = S::Error;
    type Future = RateLimitFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, call: Call) -> Self::Future {
        let Some(policy) = &self.policy else {
            return RateLimitFuture::Unlimited(self.inner.call(call));
        };
        let policy = policy.clone();
        let decision = policy.check(&call);
        if decision.allowed {
            return RateLimitFuture::Allowed(self.inner.call(call), policy, decision);
        }
        call.context.limited.set(true);
        RateLimitFuture::Refused(call.context, policy, decision)
    }
}

/// The inner answer with the fields, or the refusal.
#[derive(Debug)]
#[expect(missing_docs, reason = "the names are the documentation")]
pub enum RateLimitFuture<F> {
    Unlimited(F),
    Allowed(F, Rc<Policy>, Decision),
    Refused(Rc<RequestContext>, Rc<Policy>, Decision),
}

impl<F, E> Future for RateLimitFuture<F>
where
    F: Future<Output = Result<Response, E>> + Unpin,
{
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let (mut result, policy, decision) = match &mut *self {
            Self::Unlimited(inner) => return Pin::new(inner).poll(cx),
            Self::Allowed(inner, policy, decision) => {
                (ready!(Pin::new(inner).poll(cx)), policy, *decision)
            }
            Self::Refused(context, policy, decision) => {
                let error = ErrorKind::RateLimited(decision.reset).into();
                (
                    Ok(error_response::answer(&error, context)),
                    policy,
                    *decision,
                )
            }
        };
        if let Ok(response) = &mut result {
            policy.add_to(response.headers_mut(), decision);
        }
        Poll::Ready(result)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn policy(requests: u32, period: Duration) -> Policy {
        let limit = limit::RateLimit {
            requests,
            period,
            burst: 5,
            key: RateKey::Client,
        };
        Policy::new(&limit, Arc::new(Limiter::new(&limit, 64)))
    }

    fn decision(remaining: u32, reset: Duration) -> Decision {
        Decision {
            allowed: true,
            remaining,
            reset,
        }
    }

    fn fields(policy: &Policy, decision: Decision) -> [String; 2] {
        let mut headers = HeaderMap::new();
        policy.add_to(&mut headers, decision);
        [RATE_LIMIT_POLICY, RATE_LIMIT].map(|name| headers[name].to_str().unwrap().to_owned())
    }

    #[test]
    fn writes_the_fields_of_the_draft() {
        let policy = policy(100, Duration::from_mins(1));
        let said = fields(&policy, decision(50, Duration::from_millis(29_001)));
        assert_eq!(said, ["\"default\";q=100;w=60", "\"default\";r=50;t=30"]);
    }

    #[test]
    fn promises_no_more_than_the_policy_and_no_zero_seconds() {
        let policy = policy(2, Duration::from_millis(200));
        let said = fields(&policy, decision(5, Duration::from_nanos(1)));
        assert_eq!(said, ["\"default\";q=2;w=1", "\"default\";r=2;t=1"]);
    }

    #[test]
    fn has_room_for_the_largest_numbers() {
        let policy = policy(u32::MAX, Duration::MAX);
        fields(&policy, decision(u32::MAX, Duration::MAX));
    }

    #[test]
    fn leaves_the_fields_that_the_backend_sent() {
        let mut headers = HeaderMap::new();
        headers.insert(
            RATE_LIMIT,
            HeaderValue::from_static("limit=10, remaining=5"),
        );
        policy(1, Duration::from_secs(1)).add_to(&mut headers, decision(1, Duration::ZERO));
        assert_eq!(headers.len(), 1);
    }
}
