//! Compression of responses on their way: those that a handler makes or a backend sends.
//!
//! tower-http's layer was weighed: it makes an encoder for each response and bounds neither their number nor the work of
//! one poll, and it leaves a strong `ETag` strong.
//!
//! Requests go on as they came, with their `Accept-Encoding` too: a backend that compresses by itself is left to do so.
//! A strong `ETag` becomes weak, since the bytes are others; what a client asks by it later is compared weakly for GET
//! and HEAD (RFC 9110 section 13.1.2), so the backend answers 304 as before.

use std::{
    pin::Pin,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll, ready},
};

use http::{
    HeaderMap, HeaderValue, Method, StatusCode, Version,
    header::{ACCEPT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, IF_NONE_MATCH},
};
use http_body::Body as _;
use tower::Service;

use crate::{
    config::compress::{Compress, is_never_compressed},
    message::{
        Call, Response,
        body::Body,
        coding::{Coding, Weights},
    },
    middleware::compression::{
        body::Compressed,
        encoder::{Encoder, Encoders},
    },
};

mod body;
pub mod encoder;
mod head;

/// Largest body that is compressed in one go and gets a new `Content-Length`.
///
/// Nearly every answer of an application is smaller. A worker does nothing else for a few milliseconds with one of
/// this size.
const WHOLE: usize = 64 << 10;

/// `route.compress`, with the encoders of the worker.
#[derive(Debug)]
pub struct Policy {
    config: Arc<Compress>,
    encoders: Rc<Encoders>,
}

impl Policy {
    /// Compresses as `config` says.
    pub fn new(config: Arc<Compress>, encoders: Rc<Encoders>) -> Self {
        Self { config, encoders }
    }

    /// The coding for a client: its highest weight wins, then the order of the configuration. `None` is no coding,
    /// which a client gets that takes none of ours: an answer serves it better than a 406.
    fn choose(&self, weights: &Weights) -> Option<Coding> {
        let mut best = (0, None);
        for coding in &self.config.codings {
            let weight = weights.of(*coding);
            if weight > best.0 {
                best = (weight, Some(*coding));
            }
        }
        let (weight, coding) = best;
        coding.filter(|_| weights.identity.is_none_or(|identity| identity <= weight))
    }

    /// Whether a response is one to compress, for whoever takes it.
    fn suits(&self, response: &Response, is_head: bool) -> bool {
        !has_no_body(response.status())
            && size(response, is_head).is_none_or(|size| size > 0 && size >= self.config.min_size)
            && self.has_type(response.headers()) == Some(true)
            && !head::is_coded(response.headers())
            && !head::forbids_transform(response.headers())
    }

    /// `None` where the head has no type.
    fn has_type(&self, headers: &HeaderMap) -> Option<bool> {
        let value = headers.get(CONTENT_TYPE)?.as_bytes();
        let end = memchr::memchr(b';', value).unwrap_or(value.len());
        let media_type = value[..end].trim_ascii_end();
        let is_wanted = self.config.types.iter().any(|it| it.has(media_type));
        Some(is_wanted && !is_never_compressed(media_type))
    }
}

/// Nothing follows the head, or only a part of the representation does.
fn has_no_body(status: StatusCode) -> bool {
    status.is_informational() || matches!(status.as_u16(), 204 | 205 | 206 | 304)
}

/// Bytes of the body, or of that which GET would get; `None` when that is unknown.
fn size(response: &Response, is_head: bool) -> Option<u64> {
    let exact = response.body().size_hint().exact();
    exact.filter(|_| !is_head).or_else(|| {
        let length = response.headers().get(CONTENT_LENGTH)?;
        length.to_str().ok()?.parse().ok()
    })
}

/// Compresses what the inner service answers.
#[derive(Debug, Clone)]
pub struct Compression<S> {
    policy: Option<Rc<Policy>>,
    inner: S,
}

impl<S> Compression<S> {
    /// Wraps `inner`. Without a policy its answers stay as they are.
    pub fn new(policy: Option<Rc<Policy>>, inner: S) -> Self {
        Self { policy, inner }
    }
}

impl<S> Service<Call> for Compression<S>
where
    S: Service<Call, Response = Response>,
    S::Future: Unpin,
{
    type Response = Response;
    type Error = S::Error;
    type Future = CompressionFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, call: Call) -> Self::Future {
        let policy = self.policy.as_ref();
        CompressionFuture {
            wish: policy.and_then(|policy| Wish::of(policy, &call.request)),
            inner: self.inner.call(call),
        }
    }
}

/// The inner answer, compressed where that is wished for.
#[derive(Debug)]
pub struct CompressionFuture<F> {
    wish: Option<Wish>,
    inner: F,
}

impl<F, E> Future for CompressionFuture<F>
where
    F: Future<Output = Result<Response, E>> + Unpin,
{
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let result = ready!(Pin::new(&mut self.inner).poll(cx));
        Poll::Ready(match self.wish.take() {
            Some(wish) => result.map(|response| wish.fulfil(response)),
            None => result,
        })
    }
}

/// What a request says that matters for its response.
#[derive(Debug)]
struct Wish {
    policy: Rc<Policy>,
    /// `Accept-Encoding`, not read yet: most responses are not compressed whatever it says.
    accepted: Option<HeaderValue>,
    /// Further ones, which are rare.
    accepted_too: Vec<HeaderValue>,
    /// `If-None-Match`.
    condition: Option<HeaderValue>,
    is_head: bool,
    may_transform: bool,
}

impl Wish {
    /// `None` where nothing is to be compressed: in a tunnel; or over HTTP/1.0, where a body without a length ends as
    /// it breaks off.
    fn of(policy: &Rc<Policy>, request: &http::Request<Body>) -> Option<Self> {
        if request.method() == Method::CONNECT || request.version() < Version::HTTP_11 {
            return None;
        }
        let headers = request.headers();
        let mut accepted = headers.get_all(ACCEPT_ENCODING).iter().cloned();
        Some(Self {
            policy: policy.clone(),
            accepted: accepted.next(),
            accepted_too: accepted.collect(),
            condition: headers.get(IF_NONE_MATCH).cloned(),
            is_head: request.method() == Method::HEAD,
            may_transform: !head::forbids_transform(headers),
        })
    }

    fn fulfil(self, mut response: Response) -> Response {
        match response.status() {
            StatusCode::NOT_MODIFIED => {
                self.revise(response.headers_mut());
                return response;
            }
            // A part of what others get compressed (RFC 9110 section 15.3.7).
            StatusCode::PARTIAL_CONTENT => {
                if self.is_of_coded(response.headers()) {
                    head::vary(response.headers_mut());
                }
                return response;
            }
            _ => {}
        }
        if !self.policy.suits(&response, self.is_head) {
            return response;
        }
        head::vary(response.headers_mut());
        let Some(coding) = self.coding() else {
            return response;
        };
        if head::has_digest(response.headers()) {
            return response;
        }
        if self.is_head {
            // What GET would get, whose length nobody knows.
            head::mark(response.headers_mut(), coding);
            return response;
        }
        match self.policy.encoders.lend(coding) {
            Some(encoder) => compress(response, coding, encoder),
            None => response,
        }
    }

    fn coding(&self) -> Option<Coding> {
        let accepted = self.accepted.as_ref().filter(|_| self.may_transform)?;
        let weights = Weights::read(std::iter::once(accepted).chain(&self.accepted_too));
        self.policy.choose(&weights)
    }

    /// Whether the whole of it may have been compressed.
    fn is_of_coded(&self, headers: &HeaderMap) -> bool {
        !head::is_coded(headers)
            && !head::forbids_transform(headers)
            && self.policy.has_type(headers) != Some(false)
    }

    /// A 304 says what the 200 would (RFC 9110 section 15.4.5); which type that has it mostly does not say.
    fn revise(&self, headers: &mut HeaderMap) {
        if !self.is_of_coded(headers) {
            return;
        }
        head::vary(headers);
        if let Some(condition) = &self.condition
            && head::is_known_as_weak(headers, condition)
        {
            head::weaken(headers);
        }
    }
}

fn compress(mut response: Response, coding: Coding, mut encoder: Encoder) -> Response {
    let whole = response.body().as_bytes().filter(|it| it.len() <= WHOLE);
    let Some(whole) = whole else {
        head::mark(response.headers_mut(), coding);
        return response.map(|source| Body::boxed(Box::new(Compressed::new(source, encoder))));
    };
    match encoder.all(whole) {
        Ok(smaller) if smaller.len() < whole.len() => {
            let headers = response.headers_mut();
            head::mark(headers, coding);
            headers.insert(CONTENT_LENGTH, HeaderValue::from(smaller.len()));
            response.map(|_| Body::full(smaller))
        }
        // Random text, or what is compressed already under a type that hides it.
        Ok(_) => response,
        Err(error) => {
            tracing::error!(%error, coding = coding.as_str(), "a response is not compressed");
            response
        }
    }
}

#[cfg(test)]
mod tests;
