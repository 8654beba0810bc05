//! Answers to handshakes of Socket.IO: the session that one opens is learned as the answer passes.
//!
//! Nothing is held back, and the client gets what the backend sent.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{HeaderMap, StatusCode, header::CONTENT_ENCODING};
use http_body::{Frame, SizeHint};

use crate::{
    handler::proxy::pending::Pending,
    message::{
        Response,
        body::{Body, BodyError},
    },
    upstream::{lease::Lease, sticky::sessions::Listener},
};

/// What listens to the answer of a request that opens a session.
pub(super) fn listener(pending: &Pending, lease: &Lease) -> Option<Listener> {
    let sticky = lease.upstream().sticky().filter(|_| pending.sticks)?;
    sticky.listener(&pending.context.uri, lease.backend())
}

/// `response`, whose body `listener` hears before the client does.
pub(super) fn heard(response: Response, listener: Option<Listener>) -> Response {
    let Some(listener) = listener else {
        return response;
    };
    if response.status() != StatusCode::OK || is_compressed(response.headers()) {
        return response;
    }
    if let Some(bytes) = response.body().as_bytes() {
        // It is all there is.
        drop(listener.hear(bytes));
        return response;
    }
    response.map(|body| {
        Body::wrap(Overheard {
            body,
            listener: Some(listener),
        })
    })
}

fn is_compressed(headers: &HeaderMap) -> bool {
    headers
        .get(CONTENT_ENCODING)
        .is_some_and(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"identity"))
}

/// A body whose beginning is listened to.
struct Overheard {
    body: Body,
    listener: Option<Listener>,
}

impl http_body::Body for Overheard {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        if let Some(Ok(frame)) = &frame
            && let Some(bytes) = frame.data_ref()
            && let Some(listener) = self.listener.take()
        {
            self.listener = listener.hear(bytes);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
