//! `proxy`: lease a backend, send, and send again where that is safe.

use std::{rc::Rc, sync::Arc, time::Duration};

use http::{HeaderMap, Method, header, request::Parts};
use hyper::upgrade::OnUpgrade;
use tokio::time::Instant;

use crate::{
    config,
    handler::websocket,
    message::{
        Call, Response,
        body::{Body, BodyError},
        context::{BackendName, RequestContext},
        error::{ErrorKind, ProxyError},
        hop_by_hop,
    },
    observe::metrics::backend::{BackendMetrics, Outcome, RetryReason},
    upstream::{
        Upstream,
        client::{self, Answer, Cause, Connection, Deadlines, Failure, decode::Head},
        lease::{Lease, Unavailable, Wanted},
        pool::{self, Demand},
    },
};

pub mod replay;
pub mod request;
pub mod response;

/// What `Retry-After` says when there is no backend: as long as a restart usually takes.
const COME_BACK: Duration = Duration::from_secs(5);

/// Times a request may be sent again after it was on a wire.
const MAX_REPLAYS: u32 = 2;

/// Sends requests to an upstream.
#[derive(Debug)]
pub struct Proxy {
    upstream: Arc<Upstream>,
    /// The stripped prefix without the slash at its end.
    prefix: Option<String>,
    tunnel_timeout: Duration,
    stall_timeout: Duration,
}

/// A request while backends are tried.
struct Pending {
    parts: Parts,
    target: String,
    body: Body,
    /// The client's side, when it asks for a WebSocket.
    upgrade: Option<OnUpgrade>,
    context: Rc<RequestContext>,
    wanted: Wanted,
    demand: Demand,
}

impl Proxy {
    /// Sends to `upstream`, without `path` where that is to be stripped.
    pub fn new(
        upstream: Arc<Upstream>,
        route: &config::route::Proxy,
        path: &str,
        server: &config::server::Server,
    ) -> Self {
        let prefix = route
            .strip_prefix
            .then(|| path.trim_end_matches('/').to_owned());
        Self {
            upstream,
            prefix: prefix.filter(|prefix| !prefix.is_empty()),
            tunnel_timeout: server.tunnel_timeout,
            stall_timeout: server.stall_timeout,
        }
    }

    /// Answers with what a backend says.
    ///
    /// # Errors
    /// No backend gave an answer.
    pub async fn answer(&self, call: Call) -> Result<Response, ProxyError> {
        let mut pending = self.prepare(call)?;
        self.upstream.budget().deposit();
        let deadline = Instant::now() + self.upstream.config().retry.hold;
        let mut replays = 0;
        loop {
            let lease = self.lease(&mut pending, deadline).await?;
            let mut attempt = Attempt::on(&lease);
            let Some(connection) = self.connection(&mut pending, &lease).await else {
                attempt.outcome = Outcome::ConnectFailed;
                continue;
            };
            match self.exchange(&mut pending, connection).await {
                Ok(answer) => {
                    attempt.outcome = Outcome::Answered;
                    return Ok(self.finish(pending, lease, answer));
                }
                Err(mut failure) => {
                    attempt.outcome = outcome(&failure.cause);
                    let again = replays < MAX_REPLAYS
                        && replay::may_replay(&pending.parts.method, &failure)
                        && self.upstream.budget().withdraw();
                    let Some(body) = failure.body.take().filter(|_| again) else {
                        return Err(give_up(failure));
                    };
                    replays += 1;
                    self.replay(&mut pending, &lease, &failure);
                    pending.body = body;
                }
            }
        }
    }

    fn prepare(&self, call: Call) -> Result<Pending, ErrorKind> {
        let Call {
            mut request,
            context,
        } = call;
        let upgrade =
            hop_by_hop::wants_websocket(request.headers(), request.method(), request.version())
                .then(|| hyper::upgrade::on(&mut request));
        let (mut parts, body) = request.into_parts();
        let sticky = self
            .upstream
            .sticky()
            .filter(|sticky| sticky.applies(&parts.uri));
        let named = sticky.and_then(|sticky| sticky.read(&parts.headers));
        request::prepare(&mut parts.headers, &context)?;
        if upgrade.is_some() {
            websocket::ask(&mut parts.headers);
        }
        let target = request::target(&parts.uri, self.prefix.as_deref());
        let wanted = Wanted::new(context.client_address(), named);
        // What must not be sent twice takes no connection that the backend may be closing now.
        let demand = if replay::is_idempotent(&parts.method) && upgrade.is_none() {
            Demand::Alive
        } else {
            Demand::Fresh
        };
        Ok(Pending {
            parts,
            target,
            body,
            upgrade,
            context,
            wanted,
            demand,
        })
    }

    async fn lease(&self, pending: &mut Pending, deadline: Instant) -> Result<Lease, ErrorKind> {
        let lease = self
            .upstream
            .acquire(&mut pending.wanted, deadline)
            .await
            .map_err(|error| match error {
                Unavailable::Overloaded => ErrorKind::Overloaded(COME_BACK),
                Unavailable::Expired => ErrorKind::NoBackend(COME_BACK),
            })?;
        let context = &pending.context;
        context.attempts.set(context.attempts.get() + 1);
        context.backend.replace(Some(BackendName {
            upstream: self.upstream.name().clone(),
            backend: lease.backend().name().clone(),
        }));
        Ok(lease)
    }

    /// A used connection, or a new one; `None` when the backend cannot be connected to and another is to be tried.
    async fn connection(&self, pending: &mut Pending, lease: &Lease) -> Option<Connection> {
        let worker = pending.context.connection.worker;
        if let Some(connection) = lease.pooled(worker, pending.demand) {
            return Some(connection);
        }
        let start = Instant::now();
        match lease.connect().await {
            Ok(connection) => {
                pending.context.connect_time.set(Some(start.elapsed()));
                lease.reached();
                Some(connection)
            }
            Err(error) => {
                lease.unreachable(&error);
                self.upstream.metrics().retried(RetryReason::ConnectFailed);
                pending.wanted.tried.insert(lease.index());
                None
            }
        }
    }

    async fn exchange(
        &self,
        pending: &mut Pending,
        connection: Connection,
    ) -> Result<Answer, Failure> {
        let timeout = &self.upstream.config().timeout;
        let head = client::Request {
            method: &pending.parts.method,
            target: &pending.target,
            headers: &pending.parts.headers,
            upgrade: pending.upgrade.is_some(),
        };
        let deadlines = Deadlines {
            header: (!is_event_stream(&pending.parts)).then_some(timeout.header),
            idle: timeout.idle,
            stall: self.stall_timeout,
        };
        let body = std::mem::replace(&mut pending.body, Body::empty());
        client::send(connection, &head, body, deadlines).await
    }

    fn finish(&self, pending: Pending, mut lease: Lease, answer: Answer) -> Response {
        let context = &pending.context;
        context.first_byte_time.set(Some(context.started.elapsed()));
        match answer {
            Answer::Response(answer) => {
                let (head, body) = *answer;
                let mut response = self.respond(&pending, &lease, head);
                let life = pool::idle_life(
                    self.upstream.config().pool.idle,
                    response.headers_mut().remove("keep-alive").as_ref(),
                );
                self.tidy(&pending, &lease, &mut response);
                if is_event_stream_type(response.headers()) {
                    lease.linger();
                }
                let body = body.hold(lease, context.connection.worker, life);
                *response.body_mut() = Body::wrap(body);
                response
            }
            Answer::Upgraded(answer) => {
                let (head, connection) = *answer;
                let mut response = self.respond(&pending, &lease, head);
                self.tidy(&pending, &lease, &mut response);
                websocket::ask(response.headers_mut());
                lease.linger();
                if let Some(client) = pending.upgrade {
                    websocket::join(context, client, connection, lease, self.tunnel_timeout);
                }
                response
            }
        }
    }

    fn respond(&self, pending: &Pending, lease: &Lease, head: Head) -> Response {
        let mut response = http::Response::new(Body::empty());
        *response.status_mut() = head.status;
        *response.headers_mut() = head.headers;
        if let Some(sticky) = self.upstream.sticky()
            && sticky.applies(&pending.parts.uri)
            && let Some(cookie) = sticky.answer(
                pending.wanted.sticky,
                lease.index(),
                pending.context.scheme(),
            )
        {
            response
                .headers_mut()
                .append(header::SET_COOKIE, cookie.clone());
        }
        response
    }

    fn tidy(&self, pending: &Pending, lease: &Lease, response: &mut Response) {
        let mapping = response::Mapping {
            prefix: self.prefix.as_deref(),
            authority: Some(lease.backend().authority()),
        };
        response::prepare(response.headers_mut(), &mapping, &pending.context);
    }

    fn replay(&self, pending: &mut Pending, lease: &Lease, failure: &Failure) {
        self.upstream
            .metrics()
            .retried(RetryReason::StaleConnection);
        tracing::debug!(
            backend = %lease.backend().name(),
            reused = failure.reused,
            cause = ?failure.cause,
            "sending the request again"
        );
        // A used connection that died says little about the backend; a fresh one that died says
        // that another should be asked. Either way the pool is not trusted a second time.
        if failure.reused {
            pending.demand = Demand::None;
        } else {
            pending.wanted.tried.insert(lease.index());
        }
    }
}

fn give_up(failure: Failure) -> ProxyError {
    match failure.cause {
        Cause::Backend(error) => ProxyError::caused(ErrorKind::BackendReset, error),
        Cause::HeaderTimeout | Cause::BackendStalled => ErrorKind::BackendTimeout.into(),
        Cause::ClientStalled => ErrorKind::ClientTimeout.into(),
        Cause::Malformed(malformed) => {
            ProxyError::caused(ErrorKind::BackendProtocol(malformed.0), malformed)
        }
        Cause::Client(BodyError::TooLarge) => ErrorKind::BodyTooLarge.into(),
        Cause::Client(error) if error.is_departure() => {
            ProxyError::caused(ErrorKind::ClientLeft, error)
        }
        Cause::Client(error) => {
            ProxyError::caused(ErrorKind::BadRequest("the request body broke off"), error)
        }
    }
}

/// One try on a backend, counted until it is over; one that is dropped was abandoned by its client.
struct Attempt {
    metrics: Arc<BackendMetrics>,
    outcome: Outcome,
}

impl Attempt {
    fn on(lease: &Lease) -> Self {
        let metrics = lease.backend().metrics().clone();
        metrics.started();
        Self {
            metrics,
            outcome: Outcome::Abandoned,
        }
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        self.metrics.finished(self.outcome);
    }
}

fn outcome(cause: &Cause) -> Outcome {
    match cause {
        Cause::Backend(_) => Outcome::Reset,
        Cause::HeaderTimeout | Cause::BackendStalled => Outcome::Timeout,
        Cause::Malformed(_) => Outcome::Protocol,
        Cause::Client(_) | Cause::ClientStalled => Outcome::Abandoned,
    }
}

fn is_event_stream_type(headers: &HeaderMap) -> bool {
    headers
        .get(header::CONTENT_TYPE)
        .is_some_and(|value| value.as_bytes().starts_with(b"text/event-stream"))
}

/// Nest sends the head of an event stream with its first event, which may be long in coming.
fn is_event_stream(parts: &Parts) -> bool {
    parts.method == Method::GET
        && parts
            .headers
            .get_all(header::ACCEPT)
            .iter()
            .any(|value| memchr::memmem::find(value.as_bytes(), b"text/event-stream").is_some())
}
