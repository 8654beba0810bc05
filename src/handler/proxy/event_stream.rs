//! Server-sent events: how they are told from other answers, and that they end when their backend is drained.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{HeaderMap, Method, header};
use http_body::{Body, Frame};
use tokio::time::{Instant, Sleep, sleep_until};

use crate::{
    handler::websocket::moment,
    message::{
        body::BodyError,
        notice::{Heed, Notice},
    },
    upstream::client::{Answer, body::ResponseBody},
};

/// A stream of events. It ends as if the backend had said all when it is its turn to leave a backend that is drained:
/// an `EventSource` connects anew then, and comes to another one. Not for an answer to anything but GET, which no
/// `EventSource` asks with: whoever reads that takes its end for the whole.
pub(super) struct EventStream {
    events: Box<ResponseBody>,
    turn: Turn,
    tail: Tail,
    /// Nobody here can tell where an event ends.
    is_coded: bool,
}

/// The last bytes of a stream: a blank line ends an event.
struct Tail([u8; 4]);

/// Its turn to leave.
enum Turn {
    Awaited(Pin<Box<dyn Future<Output = Instant>>>),
    /// It leaves with the event that is under way, or at this time: an event that is torn then is one that its reader
    /// passes over.
    Come(Pin<Box<Sleep>>),
    Over,
}

impl EventStream {
    /// Heeds the `notice` of the backend of `events`, which may have a content coding.
    pub(super) fn new(events: Box<ResponseBody>, notice: Heed, is_coded: bool) -> Self {
        // At the end of the process, what is left is cut with its connections.
        let turn = moment::come(Notice::default().heed(), notice);
        Self {
            events,
            turn: Turn::Awaited(Box::pin(turn)),
            tail: Tail::default(),
            is_coded,
        }
    }

    fn is_over(&self) -> bool {
        matches!(self.turn, Turn::Over)
    }

    /// Moves on to its turn, and to its end. Each time, also where the next event is here already: a stream that never
    /// rests ends too.
    fn poll_turn(&mut self, cx: &mut Context<'_>) {
        if let Turn::Awaited(turn) = &mut self.turn
            && let Poll::Ready(deadline) = turn.as_mut().poll(cx)
        {
            self.turn = Turn::Come(Box::pin(sleep_until(deadline)));
        }
        if let Turn::Come(end) = &mut self.turn {
            let is_between = !self.is_coded && self.tail.is_between_events();
            if is_between || end.as_mut().poll(cx).is_ready() {
                self.turn = Turn::Over;
            }
        }
    }
}

impl Default for Tail {
    /// Before the first event.
    fn default() -> Self {
        Self(*b"\n\n\n\n")
    }
}

impl Tail {
    fn follow(&mut self, data: &[u8]) {
        let Self(tail) = self;
        let last = &data[data.len().saturating_sub(tail.len())..];
        tail.rotate_left(last.len());
        let keep = tail.len() - last.len();
        tail[keep..].copy_from_slice(last);
    }

    /// HTML Living Standard, section 9.2.5: lines end by CR LF, LF or CR.
    fn is_between_events(&self) -> bool {
        let Self(tail) = self;
        tail.ends_with(b"\n\n") || tail.ends_with(b"\r\r") || tail == b"\r\n\r\n"
    }
}

impl Body for EventStream {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        self.poll_turn(cx);
        if self.is_over() {
            return Poll::Ready(None);
        }
        let Poll::Ready(frame) = Pin::new(&mut self.events).poll_frame(cx) else {
            if self.is_coded && matches!(self.turn, Turn::Come(_)) {
                // Whoever codes events sends each as a whole.
                self.turn = Turn::Over;
                return Poll::Ready(None);
            }
            return Poll::Pending;
        };
        if let Some(Ok(frame)) = &frame
            && let Some(data) = frame.data_ref()
        {
            self.tail.follow(data);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.is_over() || self.events.is_end_stream()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_whether_an_event_is_under_way_however_it_is_cut() {
        for (event, end) in [
            ("data: 1", "\n\n"),
            ("data: 1", "\r\r"),
            ("data: 1", "\r\n\r\n"),
        ] {
            let whole = format!("{event}{end}");
            for step in 1..=whole.len() {
                let mut tail = Tail::default();
                assert!(tail.is_between_events());
                for piece in whole.as_bytes().chunks(step) {
                    tail.follow(piece);
                }
                assert!(tail.is_between_events(), "{whole:?} by {step}");
                tail.follow(b"d");
                assert!(!tail.is_between_events());
            }
        }
        let mut tail = Tail::default();
        tail.follow(b"");
        assert!(tail.is_between_events());
        tail.follow(b"data: 1\n");
        assert!(!tail.is_between_events(), "one line more may come");
    }
}
