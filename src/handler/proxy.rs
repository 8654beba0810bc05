//! `proxy`: lease a backend, send, and send again where that is safe.

use std::{rc::Rc, sync::Arc, time::Duration};

use http::{HeaderName, Method, header};
use tokio::time::Instant;

use crate::{
    config,
    handler::{
        proxy::{
            attempt::{Attempt, give_up, is_farewell, outcome},
            event_stream::EventStream,
            pending::Pending,
        },
        websocket::{self, extended},
    },
    message::{
        Call, Response,
        body::Body,
        context::BackendName,
        error::{ErrorKind, ProxyError},
    },
    observe::metrics::backend::{Outcome, RetryReason},
    upstream::{
        Upstream,
        client::{self, Answer, Connection, Deadlines, Failure, Sending, decode::Head},
        lease::{Lease, Unavailable},
        pool::{self, Demand},
    },
};

mod attempt;
mod event_stream;
mod handshake;
mod pending;
pub mod replay;
pub mod request;
pub mod response;

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");

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
    /// What needs no wait is done before the future is made: it would hold the whole request until its end.
    ///
    /// # Errors
    /// No backend gave an answer.
    pub fn answer(
        self: Rc<Self>,
        call: Call,
    ) -> impl Future<Output = Result<Response, ProxyError>> {
        let mut pending = Pending::new(call, &self.upstream, self.prefix.as_deref());
        self.upstream.budget().deposit();
        let deadline = pending.context.started + self.upstream.config().retry.hold;
        let mut replays = 0;
        async move {
            loop {
                let mut lease = self.lease(&mut pending, deadline).await?;
                let mut attempt = Attempt::on(&lease);
                let Some(connection) = self.connection(&mut pending, &lease).await else {
                    attempt.outcome = Outcome::ConnectFailed;
                    continue;
                };
                match self.exchange(&mut pending, &lease, connection).await {
                    Ok(answer) => {
                        attempt.outcome = Outcome::Answered;
                        if let Some(key) = &pending.key {
                            key.check(&answer)?;
                        }
                        let again = is_farewell(&mut lease, &answer)
                            && replays < MAX_REPLAYS
                            && pending.is_bodyless
                            && pending.is_repeatable
                            && self.is_another_ready(&mut pending, &lease)
                            && self.upstream.budget().withdraw();
                        if !again {
                            let listener = handshake::listener(&pending, &lease);
                            let response = self.finish(pending, lease, answer);
                            return Ok(handshake::heard(response, listener));
                        }
                        replays += 1;
                        self.ask_another(&mut pending, answer);
                    }
                    Err(mut failure) => {
                        attempt.outcome = outcome(&lease, &failure);
                        let again = replays < MAX_REPLAYS
                            && replay::may_replay(pending.is_repeatable, &failure)
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
        if pending.header_timeout.is_none() || pending.upgrade.is_some() {
            lease.untimed();
        }
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
        match lease.connect(&pending.context).await {
            Ok(connection) => {
                pending.context.connect_time.set(Some(start.elapsed()));
                lease.reached();
                Some(connection)
            }
            Err(error) => {
                lease.unreachable(&error);
                self.upstream.metrics().retried(RetryReason::ConnectFailed);
                pending.wanted.tried.insert(lease.backend().id());
                None
            }
        }
    }

    fn exchange<'a>(
        &self,
        pending: &'a mut Pending,
        lease: &'a Lease,
        connection: Connection,
    ) -> Sending<'a> {
        let timeout = &self.upstream.config().timeout;
        let request = client::Request {
            method: &pending.method,
            head: &pending.head,
            upgrade: pending.upgrade.is_some(),
            is_repeatable: pending.is_repeatable,
            spare: std::mem::take(&mut pending.spare),
        };
        let deadlines = Deadlines {
            header: pending.header_timeout,
            idle: timeout.idle,
            stall: self.stall_timeout,
        };
        let body = std::mem::replace(&mut pending.body, Body::empty());
        let sending = client::send(connection, request, body, deadlines);
        if pending.is_bodyless || !lease.stopwatch().hold() {
            return sending;
        }
        sending.timed_by(lease.stopwatch())
    }

    fn finish(&self, pending: Pending, lease: Lease, answer: Answer) -> Response {
        let context = &pending.context;
        context.first_byte_time.set(Some(context.started.elapsed()));
        let worker = context.connection.worker;
        match answer {
            Answer::Whole(head, body, connection) => {
                let (mut response, life) = self.respond(&pending, &lease, head);
                *response.body_mut() = Body::full(body);
                if let Some(connection) = connection {
                    lease.give_back(connection, worker, life);
                }
                response
            }
            Answer::Streamed(head, mut body) => {
                let (mut response, life) = self.respond(&pending, &lease, head);
                let is_event_stream = event_stream::is_one(response.headers());
                if is_event_stream {
                    // It has as little to say as a tunnel.
                    body.allow_silence(self.tunnel_timeout);
                }
                let is_coded = response.headers().contains_key(header::CONTENT_ENCODING);
                let notice = (is_event_stream && pending.method == Method::GET)
                    .then(|| lease.backend().notice().heed());
                body.hold(lease, worker, life);
                body.send_rest();
                *response.body_mut() = match notice {
                    None => Body::boxed(body),
                    Some(notice) => Body::boxed(Box::new(EventStream::new(body, notice, is_coded))),
                };
                response
            }
            Answer::Upgraded(head, connection) => {
                let (mut response, _) = self.respond(&pending, &lease, head);
                if pending.key.is_some() {
                    *response.status_mut() = extended::accept(response.headers_mut());
                } else {
                    websocket::accept(response.headers_mut());
                }
                if let Some(client) = pending.upgrade {
                    websocket::join(context, client, connection, lease, self.tunnel_timeout);
                }
                response
            }
        }
    }

    /// The response without its body, and how long its connection may idle.
    fn respond(&self, pending: &Pending, lease: &Lease, head: Head) -> (Response, Duration) {
        let Head {
            status,
            mut headers,
            ..
        } = head;
        let life = pool::idle_life(self.upstream.config().pool.idle, headers.get(KEEP_ALIVE));
        let mapping = response::Mapping {
            prefix: self.prefix.as_deref(),
            authority: lease.backend().authority(),
        };
        response::prepare(&mut headers, &mapping, &pending.context);
        if let Some(sticky) = self.upstream.sticky()
            && pending.sticks
            && let Some(cookie) = sticky.answer(
                pending.wanted.sticky,
                lease.backend(),
                pending.context.scheme(),
            )
        {
            headers.append(header::SET_COOKIE, cookie.clone());
        }
        let mut response = http::Response::new(Body::empty());
        *response.status_mut() = status;
        *response.headers_mut() = headers;
        (response, life)
    }

    /// Whether a backend other than that of `lease` can be asked without a wait: an answer is at hand, and whoever
    /// waited would hold up the others.
    fn is_another_ready(&self, pending: &mut Pending, lease: &Lease) -> bool {
        pending.wanted.tried.insert(lease.backend().id());
        self.upstream.is_another_ready(&pending.wanted)
    }

    fn ask_another(&self, pending: &mut Pending, answer: Answer) {
        self.upstream.metrics().retried(RetryReason::Draining);
        pending.spare = answer.into_head().headers;
        pending.spare.clear();
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
        if !failure.reused {
            pending.wanted.tried.insert(lease.backend().id());
            return;
        }
        // The pool is not trusted a second time. A used connection that died may have been idle for too long, or its
        // backend may be gone: another one is asked if that costs no wait and no session.
        pending.demand = Demand::None;
        let id = lease.backend().id();
        if pending.wanted.sticky == Some(id) || !self.is_another_ready(pending, lease) {
            pending.wanted.tried.remove(id);
        }
    }
}
