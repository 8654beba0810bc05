//! One scripted answer, given to our client and to hyper's.

use std::{
    cell::Cell,
    convert::Infallible,
    error::Error as _,
    future::{pending, poll_fn},
    pin::pin,
};

use bytes::Bytes;
use http_body::Frame;
use http_body_util::BodyExt as _;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::task::yield_now;

use super::{super::*, script::Script};
use crate::upstream::pool::Demand;

/// What a client made of an answer.
#[derive(Debug)]
pub(super) enum Outcome {
    /// No head, and why.
    Refused(String),
    /// 101, with everything behind its head.
    Upgraded(HeaderMap, Vec<u8>),
    /// A response.
    Answered(Seen),
}

/// A response.
#[derive(Debug)]
pub(super) struct Seen {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
    pub(super) trailers: Option<HeaderMap>,
    pub(super) end: End,
}

/// How its body ended.
#[derive(Debug)]
pub(super) enum End {
    /// It broke, and why.
    Broken(String),
    /// The connection was kept for another request.
    Kept,
    /// The connection was not kept.
    Closed,
}

/// A request body: what is there at once, and whether anything follows.
pub(super) struct Upload {
    pub(super) ready: Option<Bytes>,
    pub(super) is_whole: bool,
}

impl http_body::Body for Upload {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match (self.ready.take(), self.is_whole) {
            (Some(data), _) => Poll::Ready(Some(Ok(Frame::data(data)))),
            (None, true) => Poll::Ready(None),
            (None, false) => Poll::Pending,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.is_whole && self.ready.is_none()
    }
}

/// The backend's side: waits for a request, says its pieces one by one, and ends.
async fn speak(mut far: UnixStream, script: &Script, said: &Cell<bool>) -> Infallible {
    let _ = far.read(&mut [0; 4096]).await;
    for piece in script.pieces() {
        // A client that has seen enough may be gone, or read no more.
        tokio::select! {
            biased;
            _ = far.write_all(piece) => {}
            () = turns(20) => {}
        }
        // One for the reactor, one for the client.
        turns(2).await;
    }
    said.set(true);
    turns(10).await;
    let _ = far.shutdown().await;
    // What is not read must not become a reset.
    pending().await
}

/// Lets the others go on, a few times.
async fn turns(count: usize) {
    for _ in 0..count {
        yield_now().await;
    }
}

/// The backend has said everything, and whoever listens has heard it, but it has not ended yet.
async fn heard(said: &Cell<bool>) {
    while !said.get() {
        yield_now().await;
    }
    turns(3).await;
}

pub(super) async fn ours(script: &Script) -> Outcome {
    let (connection, far) = pair();
    let said = Cell::new(false);
    let request = request(&script.method, script.wants_upgrade);
    let exchange = async {
        let body = Body::wrap(script.upload());
        match send(connection, request, body, DEADLINES).await {
            Err(failure) => Outcome::Refused(match failure.cause {
                Cause::Malformed(Malformed(reason)) => reason.to_owned(),
                cause => format!("{cause:?}"),
            }),
            Ok(Answer::Upgraded(head, mut connection)) => {
                let mut bytes = connection.buffer.to_vec();
                connection.stream.read_to_end(&mut bytes).await.unwrap();
                Outcome::Upgraded(head.headers, bytes)
            }
            Ok(Answer::Whole(head, body, connection)) => {
                Outcome::Answered(take(head, body, connection, &said).await)
            }
            Ok(Answer::Streamed(head, body)) => Outcome::Answered(read(head, body, &said).await),
        }
    };
    tokio::select! {
        biased;
        outcome = exchange => outcome,
        never = speak(far, script, &said) => match never {},
    }
}

/// An answer that came with its head. The connection is tried as the pool would.
async fn take(head: Head, body: Bytes, connection: Option<Connection>, said: &Cell<bool>) -> Seen {
    heard(said).await;
    let end = match connection.filter(|connection| connection.stream.is_quiet()) {
        Some(_) => End::Kept,
        None => End::Closed,
    };
    Seen {
        status: head.status,
        headers: head.headers,
        body: body.to_vec(),
        trailers: None,
        end,
    }
}

async fn read(head: Head, mut body: Box<ResponseBody>, said: &Cell<bool>) -> Seen {
    let lease = lease();
    let upstream = lease.upstream().clone();
    body.hold(lease, 0, LONG);
    let (body, trailers, broken) = drain(*body).await;
    let end = if let Some(reason) = broken {
        End::Broken(reason)
    } else {
        heard(said).await;
        match upstream.backends()[0].with_pool(0, |pool| pool.take(Demand::Alive)) {
            Some(_) => End::Kept,
            None => End::Closed,
        }
    };
    Seen {
        status: head.status,
        headers: head.headers,
        body,
        trailers,
        end,
    }
}

pub(super) async fn hypers(script: &Script) -> Outcome {
    let (near, far) = UnixStream::pair().unwrap();
    let said = Cell::new(false);
    let (mut sender, connection) = http1::Builder::new()
        // As many as ours: a limit is not a reading.
        .max_headers(128)
        .handshake(TokioIo::new(near))
        .await
        .unwrap();
    let request = http::Request::builder()
        .method(script.method.clone())
        .uri("/")
        .body(script.upload())
        .unwrap();
    let exchange = async {
        let mut response = match sender.send_request(request).await {
            Ok(response) => response,
            Err(error) => return Outcome::Refused(format!("{error:?}")),
        };
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            let upgraded = hyper::upgrade::on(&mut response).await.unwrap();
            let mut bytes = Vec::new();
            let mut stream = TokioIo::new(upgraded);
            stream.read_to_end(&mut bytes).await.unwrap();
            return Outcome::Upgraded(response.headers().clone(), bytes);
        }
        let (head, body) = response.into_parts();
        let (body, trailers, broken) = drain(body).await;
        let end = if let Some(reason) = broken {
            End::Broken(reason)
        } else {
            heard(&said).await;
            let ready = poll_fn(|cx| Poll::Ready(sender.poll_ready(cx))).await;
            if matches!(ready, Poll::Ready(Ok(()))) {
                End::Kept
            } else {
                End::Closed
            }
        };
        Outcome::Answered(Seen {
            status: head.status,
            headers: head.headers,
            body,
            trailers,
            end,
        })
    };
    let drive = async {
        let _ = connection.with_upgrades().await;
        pending::<Infallible>().await
    };
    tokio::select! {
        biased;
        outcome = exchange => outcome,
        never = drive => match never {},
        never = speak(far, script, &said) => match never {},
    }
}

/// Reads a body to its end, or until it breaks.
async fn drain<B>(body: B) -> (Vec<u8>, Option<HeaderMap>, Option<String>)
where
    B: http_body::Body<Data = Bytes, Error: std::error::Error + 'static>,
{
    let mut body = pin!(body);
    let (mut bytes, mut trailers) = (Vec::new(), None);
    while let Some(frame) = body.frame().await {
        match frame.map(Frame::into_data) {
            Ok(Ok(data)) => bytes.extend_from_slice(&data),
            Ok(Err(frame)) => trailers = frame.into_trailers().ok(),
            Err(error) => {
                let cause = error.source().map(ToString::to_string);
                return (bytes, trailers, Some(cause.unwrap_or_default()));
            }
        }
    }
    (bytes, trailers, None)
}
