//! Server-sent events: how they are told from other answers, and that they end when their backend is drained.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{HeaderMap, Method, header};
use http_body::{Body, Frame};

use crate::{
    handler::websocket::moment,
    message::{
        body::BodyError,
        notice::{Heed, Notice},
    },
    upstream::client::{Answer, body::ResponseBody},
};

/// A stream of events. It ends as if the backend had said all when it is its turn to leave a backend that is drained:
/// an `EventSource` connects anew then, and comes to another one.
pub(super) struct EventStream {
    events: Box<ResponseBody>,
    turn: Pin<Box<dyn Future<Output = ()>>>,
    is_over: bool,
}

impl EventStream {
    /// Heeds the `notice` of the backend of `events`.
    pub(super) fn new(events: Box<ResponseBody>, notice: Heed) -> Self {
        let turn = async {
            // At the end of the process, what is left is cut with its connections.
            moment::come(Notice::default().heed(), notice).await;
        };
        Self {
            events,
            turn: Box::pin(turn),
            is_over: false,
        }
    }
}

impl Body for EventStream {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        // What has come is passed on first: an event is not torn.
        if let Poll::Ready(frame) = Pin::new(&mut self.events).poll_frame(cx) {
            return Poll::Ready(frame);
        }
        if self.turn.as_mut().poll(cx).is_ready() {
            self.is_over = true;
            return Poll::Ready(None);
        }
        Poll::Pending
    }

    fn is_end_stream(&self) -> bool {
        self.is_over || self.events.is_end_stream()
    }
}

/// Whether an answer goes on for as long as somebody listens: a stream of events, or a tunnel.
pub(super) fn lasts(answer: &Answer) -> bool {
    match answer {
        Answer::Whole(..) => false,
        Answer::Streamed(head, _) => is_one(&head.headers),
        Answer::Upgraded(..) => true,
    }
}

/// Whether an answer is a stream of events.
pub(super) fn is_one(headers: &HeaderMap) -> bool {
    headers
        .get(header::CONTENT_TYPE)
        .is_some_and(|value| value.as_bytes().starts_with(b"text/event-stream"))
}

/// Whether a request asks for one. Nest sends the head with the first event, which may be long in coming.
pub(super) fn is_asked_for(method: &Method, headers: &HeaderMap) -> bool {
    method == Method::GET
        && headers
            .get_all(header::ACCEPT)
            .iter()
            .any(|value| memchr::memmem::find(value.as_bytes(), b"text/event-stream").is_some())
}
