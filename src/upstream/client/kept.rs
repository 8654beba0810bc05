//! What was taken of a request's body, kept for another try.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::{Bytes, BytesMut};
use http_body::{Frame, SizeHint};

use crate::message::body::{Body, BodyError};

/// Most bytes that are kept of a body that may be sent twice. Forms and JSON fit; an upload does not, and its
/// client is better told than made to wait for it once more.
const MOST: usize = 64 * 1024;

/// Most bytes that are kept of any other body, until the first byte is on the wire.
const MOST_UNSENT: usize = 8 * 1024;

/// The beginning of a body, as far as it was taken. A copy: a small piece may lie in a large buffer of its
/// connection, and would hold it.
#[derive(Debug)]
pub(super) struct Kept {
    /// `None` when some of it is lost.
    bytes: Option<BytesMut>,
    /// Sending the request twice is like sending it once.
    is_repeatable: bool,
}

impl Kept {
    /// Nothing was taken.
    pub(super) fn new(is_repeatable: bool) -> Self {
        Self {
            bytes: Some(BytesMut::new()),
            is_repeatable,
        }
    }

    /// `data` was taken.
    pub(super) fn add(&mut self, data: &Bytes) {
        let most = if self.is_repeatable {
            MOST
        } else {
            MOST_UNSENT
        };
        self.bytes = self
            .bytes
            .take()
            .filter(|bytes| bytes.len() + data.len() <= most);
        if let Some(bytes) = &mut self.bytes {
            bytes.extend_from_slice(data);
        }
    }

    /// Something is on the wire.
    pub(super) fn sent(&mut self) {
        if !self.is_repeatable {
            self.lose();
        }
    }

    /// Something was taken that is not kept, or the memory is of no more use.
    pub(super) fn lose(&mut self) {
        self.bytes = None;
    }

    /// The whole body again: what was kept, then the `rest`, which is `None` when all was taken.
    pub(super) fn restore(self, rest: Option<Body>) -> Option<Body> {
        let kept = self.bytes?.freeze();
        Some(match rest {
            None => Body::full(kept),
            Some(rest) if kept.is_empty() => rest,
            Some(rest) => Body::wrap(Resumed { kept, rest }),
        })
    }
}

/// A body of which the beginning comes from memory.
struct Resumed {
    kept: Bytes,
    rest: Body,
}

impl http_body::Body for Resumed {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if !self.kept.is_empty() {
            let kept = std::mem::take(&mut self.kept);
            return Poll::Ready(Some(Ok(Frame::data(kept))));
        }
        Pin::new(&mut self.rest).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.kept.is_empty() && self.rest.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let kept = self.kept.len() as u64;
        let rest = self.rest.size_hint();
        let mut hint = SizeHint::new();
        hint.set_lower(rest.lower().saturating_add(kept));
        if let Some(upper) = rest.upper() {
            hint.set_upper(upper.saturating_add(kept));
        }
        hint
    }
}

#[cfg(test)]
mod tests {
    use http_body::Body as _;
    use http_body_util::BodyExt as _;

    use super::*;

    async fn read(body: Option<Body>) -> Bytes {
        body.unwrap().collect().await.unwrap().to_bytes()
    }

    #[tokio::test]
    async fn puts_what_was_taken_before_what_was_not() {
        let mut kept = Kept::new(true);
        kept.add(&Bytes::from("one "));
        kept.sent();
        kept.add(&Bytes::from("two "));
        let body = kept.restore(Some(Body::full("three")));
        assert_eq!(body.as_ref().unwrap().size_hint().exact(), Some(13));
        assert_eq!(read(body).await, "one two three");
    }

    #[tokio::test]
    async fn gives_an_untouched_body_back_as_it_is() {
        let body = Kept::new(false).restore(Some(Body::full("whole")));
        assert_eq!(body.unwrap().as_bytes().unwrap(), "whole");
        assert!(read(Kept::new(false).restore(None)).await.is_empty());
    }

    #[test]
    fn keeps_no_more_than_its_bound() {
        let piece = Bytes::from(vec![b'x'; MOST_UNSENT]);
        for (is_repeatable, pieces) in [(true, 8), (false, 1)] {
            let mut kept = Kept::new(is_repeatable);
            for _ in 0..pieces {
                kept.add(&piece);
            }
            assert!(kept.bytes.is_some());
            kept.add(&Bytes::from("x"));
            assert!(kept.restore(None).is_none());
        }
    }

    #[test]
    fn keeps_what_must_not_be_sent_twice_until_it_is_on_the_wire() {
        let piece = Bytes::from("x");
        let mut kept = Kept::new(false);
        kept.add(&piece);
        assert!(kept.bytes.is_some());
        kept.sent();
        kept.add(&piece);
        assert!(kept.restore(None).is_none());
    }
}
