//! The HTTP/1.1 client to backends, driven inside the request's own future.
//!
//! There is no task per connection and no channel: whoever awaits the response writes the request
//! and reads the answer. So it is known exactly whether a byte was written, which safe replay
//! needs, and the bare stream can be handed to a tunnel. Only an upload whose answer has begun has a task, which writes
//! the rest.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Method, StatusCode};

use crate::{
    message::body::{Body, BodyError},
    upstream::{
        client::{
            body::ResponseBody,
            decode::{Head, Malformed, framing::Decoder},
            encode::{Framing, Outgoing},
            exchange::Exchange,
            timer::Timer,
        },
        connector::Stream,
        stopwatch::Stopwatch,
    },
};

pub mod body;
pub mod decode;
pub mod encode;
pub mod exchange;
mod kept;
mod timer;
mod upload;

/// Room for the field that frames a body, and the end of the head.
const FRAMING: usize = 64;

/// A connection to a backend, between two requests.
#[derive(Debug)]
pub struct Connection {
    /// The stream.
    pub stream: Stream,
    /// Bytes that were read and belong to nobody yet.
    pub buffer: BytesMut,
    /// It carried a request before.
    pub reused: bool,
    /// Deadlines of the exchange that it carries.
    timer: Timer,
}

impl Connection {
    /// A fresh connection.
    pub fn new(stream: Stream) -> Self {
        Self {
            stream,
            buffer: BytesMut::new(),
            reused: false,
            timer: Timer::default(),
        }
    }
}

/// Deadlines of one exchange.
#[derive(Debug, Clone, Copy)]
pub struct Deadlines {
    /// From the request sent to the response head; `None` for event streams.
    pub header: Option<Duration>,
    /// Between two pieces of a body, either way.
    pub idle: Duration,
    /// Between two pieces of the client's body.
    pub stall: Duration,
}

/// A request, ready to be written once or more.
#[derive(Debug)]
pub struct Request<'a> {
    /// Method.
    pub method: &'a Method,
    /// Request line and every field that the backend is to see, each with its line end; without those
    /// that frame the body, which are the client's to write.
    pub head: &'a [u8],
    /// Whether it asks for an upgrade, so that 101 is an answer.
    pub upgrade: bool,
    /// Whether sending it twice is like sending it once: more of its body is kept for another try then.
    pub is_repeatable: bool,
    /// An empty map whose memory may be used for the fields of the response.
    pub spare: HeaderMap,
}

/// What came back.
#[derive(Debug)]
pub enum Answer {
    /// A response that is here to its last byte, with the connection if it can carry another request.
    Whole(Head, Bytes, Option<Connection>),
    /// A response whose body owns the connection until its end.
    Streamed(Head, Box<ResponseBody>),
    /// 101: the connection is the caller's, with bytes that may have been read already.
    Upgraded(Head, Connection),
}

impl Answer {
    /// Its head.
    pub fn head(&self) -> &Head {
        match self {
            Self::Whole(head, ..) | Self::Streamed(head, _) | Self::Upgraded(head, _) => head,
        }
    }

    /// Its head; the rest is dropped.
    pub fn into_head(self) -> Head {
        match self {
            Self::Whole(head, ..) | Self::Streamed(head, _) | Self::Upgraded(head, _) => head,
        }
    }
}

/// Why no response head came.
#[derive(Debug)]
pub struct Failure {
    /// What happened.
    pub cause: Cause,
    /// The connection had carried a request before, so the backend may just have closed it.
    pub reused: bool,
    /// A byte of the request reached the socket.
    pub begun: bool,
    /// A byte of a response arrived.
    pub answered: bool,
    /// The body, if what was taken of it is at hand.
    pub body: Option<Body>,
}

/// What happened.
#[derive(Debug)]
pub enum Cause {
    /// The backend's side broke or closed.
    Backend(io::Error),
    /// The client's body failed.
    Client(BodyError),
    /// No response head in time.
    HeaderTimeout,
    /// The client sent nothing more of its body for too long.
    ClientStalled,
    /// The backend took nothing more of the request for too long.
    BackendStalled,
    /// The answer is not acceptable HTTP.
    Malformed(Malformed),
}

/// Sends `request` with `body` and waits for the response head.
pub fn send(
    connection: Connection,
    request: Request<'_>,
    body: Body,
    deadlines: Deadlines,
) -> Sending<'_> {
    let framing = Framing::of(request.method, &body);
    let mut head = BytesMut::with_capacity(request.head.len() + FRAMING);
    head.extend_from_slice(request.head);
    encode::end(&mut head, framing);
    let outgoing = Outgoing::new(head, body, framing, request.is_repeatable);
    let exchange = Exchange::new(connection, outgoing, request.spare, deadlines.idle);
    Sending {
        exchange: Some(exchange),
        method: request.method,
        upgrade: request.upgrade,
        deadlines,
        stopwatch: None,
    }
}

/// A request on its way, until its response head has come. An own future rather than an async block,
/// which would hold its arguments twice.
///
/// # Errors
/// A [`Failure`] that says what may be done next. The connection is closed then.
#[derive(Debug)]
pub struct Sending<'a> {
    exchange: Option<Exchange>,
    method: &'a Method,
    upgrade: bool,
    deadlines: Deadlines,
    stopwatch: Option<&'a Stopwatch>,
}

impl<'a> Sending<'a> {
    /// Resumes `stopwatch` once the whole request is sent: until then it is the client that takes its time.
    #[must_use]
    pub fn timed_by(self, stopwatch: &'a Stopwatch) -> Self {
        Self {
            stopwatch: Some(stopwatch),
            ..self
        }
    }
}

impl Future for Sending<'_> {
    type Output = Result<Answer, Failure>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let Some(exchange) = &mut this.exchange else {
            return Poll::Pending;
        };
        let result = exchange.poll_head(cx, this.upgrade, this.deadlines);
        if let Some(stopwatch) = this.stopwatch
            && result.is_pending()
            && exchange.is_sent()
        {
            stopwatch.resume();
        }
        let result = ready!(result);
        let Some(exchange) = this.exchange.take() else {
            return Poll::Pending;
        };
        let accepted = result.and_then(|head| {
            let decoder = Decoder::of(this.method, &head).map_err(Cause::Malformed)?;
            Ok((head, decoder))
        });
        Poll::Ready(match accepted {
            Ok((head, _)) if head.status == StatusCode::SWITCHING_PROTOCOLS => {
                Ok(Answer::Upgraded(head, exchange.connection))
            }
            Ok((head, decoder)) => Ok(exchange.answer(head, decoder)),
            Err(cause) => Err(exchange.fail(cause)),
        })
    }
}

#[cfg(test)]
mod tests;
