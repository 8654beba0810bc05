//! What the operator's listener answers.

use std::{convert::Infallible, future, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{
    HeaderValue, Method, Request, Response, StatusCode,
    header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS},
};
use http_body_util::Full;
use serde_json::json;
use tower::{Service, ServiceBuilder, service_fn};
use tower_http::{set_header::SetResponseHeaderLayer, timeout::TimeoutLayer};

use crate::{
    admin::{
        State, backends,
        guard::{Trust, is_cross_site, names_this_machine, trust},
    },
    config::server::Admin,
    observe::metrics::Metrics,
    upstream::Upstream,
};

/// Time for an answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// Prometheus' text format.
const EXPOSITION: &str = "text/plain; version=0.0.4; charset=utf-8";

/// A response of the operator's listener.
pub(super) type Answer = Response<Full<Bytes>>;

/// Everything an answer is made of.
#[derive(Clone)]
pub(super) struct Answers(Arc<Sources>);

struct Sources {
    config: Admin,
    metrics: Arc<Metrics>,
    state: Arc<dyn State>,
}

impl Answers {
    pub(super) fn new(config: Admin, metrics: Arc<Metrics>, state: Arc<dyn State>) -> Self {
        Self(Arc::new(Sources {
            config,
            metrics,
            state,
        }))
    }

    /// The service of one request.
    pub(super) fn stack<B: Send + 'static>(
        &self,
    ) -> impl Service<Request<B>, Response = Answer, Error = Infallible, Future: Send> + use<B>
    {
        let sources = Arc::clone(&self.0);
        ServiceBuilder::new()
            // Outermost, so that a timeout carries them too.
            .layer(SetResponseHeaderLayer::overriding(
                CACHE_CONTROL,
                HeaderValue::from_static("no-store"),
            ))
            .layer(SetResponseHeaderLayer::overriding(
                X_CONTENT_TYPE_OPTIONS,
                HeaderValue::from_static("nosniff"),
            ))
            .layer(TimeoutLayer::with_status_code(
                StatusCode::SERVICE_UNAVAILABLE,
                ANSWER_TIMEOUT,
            ))
            .service(service_fn(move |request: Request<B>| {
                future::ready(Ok(sources.answer(&request)))
            }))
    }
}

impl Sources {
    fn answer<B>(&self, request: &Request<B>) -> Answer {
        match names_this_machine(&self.config, request.uri(), request.headers()) {
            Ok(true) => {}
            Ok(false) => {
                let message = "ask for localhost or the listener's address, or configure a token";
                return refuse(StatusCode::FORBIDDEN, message);
            }
            Err(kind) => return refuse(kind.status(), kind.message()),
        }
        let Some(page) = Page::at(request.uri().path()) else {
            return refuse(StatusCode::NOT_FOUND, "nothing is here");
        };
        if !page.allows(request.method()) {
            let message = "this method is not allowed here";
            let mut answer = refuse(StatusCode::METHOD_NOT_ALLOWED, message);
            let methods = HeaderValue::from_static(page.methods());
            answer.headers_mut().insert(ALLOW, methods);
            return answer;
        }
        let trust = trust(&self.config, request.headers());
        if trust == Trust::Stranger && !page.is_open() {
            let message = "the admin token is needed: Authorization: Bearer TOKEN";
            let mut answer = refuse(StatusCode::UNAUTHORIZED, message);
            let challenge = HeaderValue::from_static("Bearer");
            answer.headers_mut().insert(WWW_AUTHENTICATE, challenge);
            return answer;
        }
        if request.method() == Method::POST && is_cross_site(request.headers()) {
            return refuse(
                StatusCode::FORBIDDEN,
                "a page of another origin may not do this",
            );
        }
        let query = request.uri().query().unwrap_or_default();
        match page {
            Page::Live => answer_json(StatusCode::OK, &json!({ "status": "up" })),
            Page::Ready => self.readiness(trust),
            Page::Metrics => answer(StatusCode::OK, EXPOSITION, self.metrics.encode()),
            Page::Upstreams => answer_json(StatusCode::OK, &backends::all(&self.state.upstreams())),
            Page::Drain => self.order(query, Upstream::drain),
            Page::Undrain => self.order(query, Upstream::undrain),
        }
    }

    fn order(&self, query: &str, carry_out: fn(&Upstream, &Arc<str>)) -> Answer {
        match backends::order(&self.state.upstreams(), query, carry_out) {
            Ok(body) => answer_json(StatusCode::OK, &body),
            Err(unknown) => refuse(StatusCode::NOT_FOUND, &unknown.to_string()),
        }
    }

    fn readiness(&self, trust: Trust) -> Answer {
        let readiness = self.state.readiness();
        let (status, word) = if readiness.is_ready() {
            (StatusCode::OK, "up")
        } else {
            (StatusCode::SERVICE_UNAVAILABLE, "down")
        };
        match trust {
            Trust::Operator => {
                let body = json!({ "status": word, "faults": readiness.faults });
                answer_json(status, &body)
            }
            Trust::Stranger => answer_json(status, &json!({ "status": word })),
        }
    }
}

/// What can be asked for.
#[derive(Debug, Clone, Copy)]
enum Page {
    Live,
    Ready,
    Metrics,
    Upstreams,
    Drain,
    Undrain,
}

impl Page {
    fn at(path: &str) -> Option<Self> {
        Some(match path {
            "/health/live" => Self::Live,
            "/health/ready" => Self::Ready,
            "/metrics" => Self::Metrics,
            "/api/upstreams" => Self::Upstreams,
            "/api/drain" => Self::Drain,
            "/api/undrain" => Self::Undrain,
            _ => return None,
        })
    }

    /// For `Allow`.
    fn methods(self) -> &'static str {
        match self {
            Self::Live | Self::Ready | Self::Metrics | Self::Upstreams => "GET, HEAD",
            Self::Drain | Self::Undrain => "POST",
        }
    }

    fn allows(self, method: &Method) -> bool {
        self.methods().split(", ").any(|it| it == method)
    }

    /// Whether strangers may have it: orchestrators have no token.
    fn is_open(self) -> bool {
        matches!(self, Self::Live | Self::Ready)
    }
}

/// An error in the shape that the proxy's other errors have.
fn refuse(status: StatusCode, message: &str) -> Answer {
    let error = status.canonical_reason().unwrap_or("Error");
    let body = json!({ "statusCode": status.as_u16(), "error": error, "message": message });
    answer_json(status, &body)
}

fn answer_json(status: StatusCode, body: &serde_json::Value) -> Answer {
    answer(status, "application/json", body.to_string())
}

fn answer(status: StatusCode, content_type: &'static str, body: String) -> Answer {
    let mut answer = Response::new(Full::new(Bytes::from(body)));
    *answer.status_mut() = status;
    let content_type = HeaderValue::from_static(content_type);
    answer.headers_mut().insert(CONTENT_TYPE, content_type);
    answer
}
