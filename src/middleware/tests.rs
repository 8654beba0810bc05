//! The stack as a whole, around handlers that answer or fail.

use std::{
    cell::RefCell,
    convert::Infallible,
    net::SocketAddr,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use http::{HeaderMap, HeaderName, HeaderValue, Request, header};
use http_body_util::BodyExt as _;
use tower::{Service, ServiceExt as _};

use super::*;
use crate::{
    config::{
        headers::Headers,
        limit::{RateKey, RateLimit as Limit},
    },
    limiter::Limiter,
    message::{
        Call, Response,
        body::Body,
        context::{ConnectionInfo, RequestContext},
        error::{ErrorKind, ProxyError},
    },
    observe::metrics::Metrics,
};

/// A handler that notes what reaches it, reads the body and then does as it is told.
#[derive(Debug, Clone)]
struct Handler {
    fails: Option<ErrorKind>,
    seen: Rc<RefCell<Vec<HeaderMap>>>,
}

impl Service<Call> for Handler {
    type Response = Response;
    type Error = ProxyError;
    type Future = std::pin::Pin<Box<dyn Future<Output = Result<Response, ProxyError>>>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ProxyError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, call: Call) -> Self::Future {
        self.seen.borrow_mut().push(call.request.headers().clone());
        let fails = self.fails;
        Box::pin(async move {
            let read = call.request.into_body().collect().await;
            read.map_err(|_| ErrorKind::BodyTooLarge)?;
            let mut response = Response::new(Body::full("ok"));
            let own = HeaderValue::from_static("SAMEORIGIN");
            response.headers_mut().insert(header::X_FRAME_OPTIONS, own);
            fails.map_or(Ok(response), |kind| Err(kind.into()))
        })
    }
}

fn settings(limited: Option<u32>) -> Settings {
    let rate_limit = limited.map(|burst| {
        let limit = Limit {
            requests: 60,
            period: Duration::from_mins(1),
            burst,
            key: RateKey::Header(HeaderName::from_static("x-api-key")),
        };
        let limiter = Arc::new(Limiter::new(&limit, 64));
        Rc::new(rate_limit::Policy::new(&limit, limiter))
    });
    let headers = Headers {
        hsts: Some(HeaderValue::from_static("max-age=1")),
        content_type_options: Some(HeaderValue::from_static("nosniff")),
        frame_options: Some(HeaderValue::from_static("DENY")),
        referrer_policy: None,
        xss_protection: None,
        csp: None,
    };
    let observers = Observers {
        log: None,
        metrics: Metrics::new().route("site", "/"),
    };
    Settings {
        observers: Rc::new(observers),
        trusted: Rc::new(TrustedProxies::new(&["10.0.0.0/8".parse().unwrap()])),
        headers: Rc::new(security_headers::Fields::new(&headers)),
        rate_limit,
        body_limit: 4,
        compression: None,
    }
}

fn handler(fails: Option<ErrorKind>) -> Handler {
    Handler {
        fails,
        seen: Rc::default(),
    }
}

fn call(peer: [u8; 4], fields: &[(&'static str, &str)], body: Body) -> Call {
    let connection = ConnectionInfo {
        peer: SocketAddr::from((peer, 50000)),
        local: SocketAddr::from(([127, 0, 0, 1], 443)),
        worker: 0,
        tls: None,
    };
    let mut request = Request::new(body);
    for (name, value) in fields {
        let value = HeaderValue::from_str(value).unwrap();
        request.headers_mut().append(*name, value);
    }
    let context = RequestContext::new(Rc::new(connection), &request, None);
    Call {
        request,
        context: Rc::new(context),
    }
}

async fn send<S>(stack: &mut S, call: Call) -> Response
where
    S: Service<Call, Response = Response, Error = Infallible>,
{
    let Ok(response) = stack.ready().await.unwrap().call(call).await;
    response
}

#[tokio::test]
async fn answers_with_the_request_id_that_handlers_and_log_are_given() {
    let mut stack = stack(settings(None), handler(None));
    let forged = call(
        [203, 0, 113, 9],
        &[("x-request-id", "forged")],
        Body::empty(),
    );
    let context = forged.context.clone();
    let response = send(&mut stack, forged).await;
    let id = &response.headers()["x-request-id"];
    assert_eq!(id.len(), 32);
    assert_eq!(context.request_id.get(), Some(id));
    let fields = [
        ("x-request-id", "from-the-edge"),
        ("x-request-id", "second"),
    ];
    let response = send(&mut stack, call([10, 0, 0, 1], &fields, Body::empty())).await;
    assert_eq!(response.headers()["x-request-id"], "from-the-edge");
    let invalid = call([10, 0, 0, 1], &[("x-request-id", "a\"b")], Body::empty());
    assert_eq!(
        send(&mut stack, invalid).await.headers()["x-request-id"].len(),
        32
    );
}

#[tokio::test]
async fn puts_id_and_security_headers_on_errors_too() {
    let mut stack = stack(settings(None), handler(Some(ErrorKind::BackendReset)));
    let fields = [
        ("x-forwarded-for", "203.0.113.9"),
        ("x-forwarded-proto", "https"),
    ];
    let call = call([10, 0, 0, 1], &fields, Body::empty());
    let context = call.context.clone();
    let response = send(&mut stack, call).await;
    assert_eq!(response.status(), 502);
    assert_eq!(response.headers()["x-content-type-options"], "nosniff");
    assert_eq!(response.headers()["x-frame-options"], "DENY");
    assert_eq!(response.headers()["strict-transport-security"], "max-age=1");
    assert!(response.headers().contains_key("x-request-id"));
    assert_eq!(context.error.get(), Some("backend_reset"));
    assert_eq!(context.client_address().to_string(), "203.0.113.9");
}

#[tokio::test]
async fn leaves_the_fields_of_the_handler() {
    let mut stack = stack(settings(None), handler(None));
    let response = send(&mut stack, call([203, 0, 113, 9], &[], Body::empty())).await;
    assert_eq!(response.headers()["x-frame-options"], "SAMEORIGIN");
    assert!(!response.headers().contains_key("strict-transport-security"));
    assert!(!response.headers().contains_key("ratelimit"));
}

#[tokio::test]
async fn refuses_what_is_over_the_rate_and_tells_everyone_what_is_left() {
    let handler = handler(Some(ErrorKind::NoFile));
    let seen = handler.seen.clone();
    let mut stack = stack(settings(Some(1)), handler);
    let mut states = Vec::new();
    for _ in 0..3 {
        let call = call([203, 0, 113, 9], &[], Body::empty());
        let context = call.context.clone();
        let response = send(&mut stack, call).await;
        assert_eq!(
            response.headers()["ratelimit-policy"],
            "\"default\";q=60;w=60"
        );
        assert_eq!(response.headers()["x-content-type-options"], "nosniff");
        let state = response.headers()["ratelimit"].to_str().unwrap().to_owned();
        states.push((response.status().as_u16(), state, context.limited.get()));
        if context.limited.get() {
            assert_eq!(response.headers()["retry-after"], "1");
        }
    }
    let state =
        |status, remaining, limited| (status, format!("\"default\";r={remaining};t=1"), limited);
    assert_eq!(
        states,
        [
            state(404, 1, false),
            state(404, 0, false),
            state(429, 0, true)
        ]
    );
    assert_eq!(seen.borrow().len(), 2);
}

#[tokio::test]
async fn counts_by_header_where_it_is_sent_and_by_client_where_not() {
    let mut stack = stack(settings(Some(0)), handler(None));
    let peer = [203, 0, 113, 9];
    for (fields, status) in [
        (&[("x-api-key", "a")][..], 200),
        (&[("x-api-key", "a")], 429),
        (&[("x-api-key", "b")], 200),
        (&[], 200),
        (&[], 429),
    ] {
        let response = send(&mut stack, call(peer, fields, Body::empty())).await;
        assert_eq!(response.status(), status, "{fields:?}");
    }
}

#[tokio::test]
async fn refuses_an_announced_body_unread_and_any_other_at_the_limit() {
    let handler = handler(None);
    let seen = handler.seen.clone();
    let mut stack = stack(settings(None), handler);
    let peer = [203, 0, 113, 9];
    let announced = call(peer, &[("content-length", "5")], Body::full("12345"));
    assert_eq!(send(&mut stack, announced).await.status(), 413);
    assert!(seen.borrow().is_empty());
    let streamed = call(peer, &[], Body::full("12345"));
    assert_eq!(send(&mut stack, streamed).await.status(), 413);
    let fitting = call(peer, &[("content-length", "4")], Body::full("1234"));
    assert_eq!(send(&mut stack, fitting).await.status(), 200);
    assert_eq!(seen.borrow().len(), 2);
}
