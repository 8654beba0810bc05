//! `Body`: one type for both directions, streamed.
//!
//! Nothing collects a body but the bounded one of a CSP report. A limit and a watcher are part of
//! the type, so that neither costs another box.

use std::{
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};
use hyper::body::Incoming;

use crate::message::context::RequestContext;

/// A request or response body.
pub struct Body {
    kind: Kind,
    /// Bytes that may still come; `None` is unlimited.
    limit: Option<u64>,
    watch: Option<Rc<dyn Watch>>,
    /// Who is left what was not read of it.
    heir: Option<Rc<RequestContext>>,
}

enum Kind {
    Empty,
    Full(Bytes),
    Incoming(Incoming),
    Boxed(Pin<Box<dyn http_body::Body<Data = Bytes, Error = BodyError>>>),
}

/// Sees a body leave. Dropping the body reports its end.
pub trait Watch {
    /// The next frame is asked for.
    fn asked(&self) {}
    /// `count` bytes of payload were handed on.
    fn sent(&self, count: usize);
    /// The body is gone: at its end, broken by its source, or dropped before.
    fn ended(&self, end: End);
}

/// How a watched body ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Every frame was handed on.
    Complete,
    /// Its source failed.
    Failed,
    /// It was dropped before its end: the client left.
    Abandoned,
}

/// Why a body broke off.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// More bytes than the route allows.
    #[error("the request body is larger than this route allows")]
    TooLarge,
    /// More or fewer bytes than its `Content-Length` says.
    #[error("the body does not have the length that its head says")]
    Length,
    /// The peer sent nothing, or took nothing, for too long.
    #[error("the peer stalled")]
    Stalled,
    /// The client's side failed.
    #[error("the client's connection failed")]
    Client(#[source] hyper::Error),
    /// The backend's side failed.
    #[error("the backend's connection failed")]
    Backend(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// It could not be compressed.
    #[error("the body could not be compressed")]
    Coding(#[source] std::io::Error),
    /// Reading a file failed.
    #[error("a file could not be read")]
    File(#[source] std::io::Error),
}

impl BodyError {
    /// Whether the client went away, and did not send something malformed.
    pub fn is_departure(&self) -> bool {
        let Self::Client(error) = self else {
            return false;
        };
        let causes =
            std::iter::successors(Some(error as &(dyn std::error::Error + 'static)), |error| {
                error.source()
            });
        let mut io = causes.filter_map(|error| error.downcast_ref::<std::io::Error>());
        io.any(|error| {
            use std::io::ErrorKind as Io;
            matches!(
                error.kind(),
                Io::UnexpectedEof | Io::ConnectionReset | Io::ConnectionAborted | Io::BrokenPipe
            )
        })
    }
}

impl Body {
    /// No bytes.
    pub fn empty() -> Self {
        Self::new(Kind::Empty)
    }

    /// All bytes at once.
    pub fn full(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        if bytes.is_empty() {
            return Self::empty();
        }
        Self::new(Kind::Full(bytes))
    }

    /// Any other body.
    pub fn wrap(body: impl http_body::Body<Data = Bytes, Error = BodyError> + 'static) -> Self {
        Self::boxed(Box::new(body))
    }

    /// Any other body that has its place already.
    pub fn boxed(body: Box<dyn http_body::Body<Data = Bytes, Error = BodyError>>) -> Self {
        Self::new(Kind::Boxed(Box::into_pin(body)))
    }

    /// The same body, which fails with [`BodyError::TooLarge`] after `limit` bytes.
    #[must_use]
    pub fn limited(mut self, limit: u64) -> Self {
        self.limit = Some(limit);
        self
    }

    /// The same body, seen by `watch` from here on.
    #[must_use]
    pub fn watched(self, watch: Rc<dyn Watch>) -> Self {
        let mut body = if self.watch.is_some() {
            Self::wrap(self)
        } else {
            self
        };
        body.watch = Some(watch);
        body
    }

    /// The same body. If it is dropped before its end, what was not read of it is left in `context`: a stream of
    /// HTTP/2 is reset when nobody has its body any more.
    #[must_use]
    pub fn left_to(mut self, context: &Rc<RequestContext>) -> Self {
        if matches!(self.kind, Kind::Incoming(_)) {
            self.heir = Some(context.clone());
        }
        self
    }

    /// Bytes of a body that is complete in memory.
    pub fn as_bytes(&self) -> Option<&Bytes> {
        match &self.kind {
            Kind::Full(bytes) => Some(bytes),
            Kind::Empty | Kind::Incoming(_) | Kind::Boxed(_) => None,
        }
    }

    fn new(kind: Kind) -> Self {
        Self {
            kind,
            limit: None,
            watch: None,
            heir: None,
        }
    }

    fn poll_kind(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match &mut self.kind {
            Kind::Empty => Poll::Ready(None),
            Kind::Full(bytes) => {
                let frame = Frame::data(std::mem::take(bytes));
                self.kind = Kind::Empty;
                Poll::Ready(Some(Ok(frame)))
            }
            Kind::Incoming(body) => Pin::new(body)
                .poll_frame(cx)
                .map(|frame| frame.map(|frame| frame.map_err(BodyError::Client))),
            Kind::Boxed(body) => body.as_mut().poll_frame(cx),
        }
    }

    fn charge(&mut self, frame: &Frame<Bytes>) -> Result<(), BodyError> {
        let Some(data) = frame.data_ref() else {
            return Ok(());
        };
        if let Some(left) = &mut self.limit {
            *left = left
                .checked_sub(data.len() as u64)
                .ok_or(BodyError::TooLarge)?;
        }
        if let Some(heir) = &self.heir {
            heir.flow.came();
        }
        if let Some(watch) = &self.watch {
            watch.sent(data.len());
        }
        Ok(())
    }

    fn end(&mut self, end: End) {
        let kind = std::mem::replace(&mut self.kind, Kind::Empty);
        if let (Kind::Incoming(body), Some(heir)) = (kind, self.heir.take())
            && !http_body::Body::is_end_stream(&body)
        {
            heir.unread.replace(Some(body));
        }
        if let Some(watch) = self.watch.take() {
            watch.ended(end);
        }
    }
}

impl From<Incoming> for Body {
    fn from(body: Incoming) -> Self {
        if http_body::Body::is_end_stream(&body) {
            return Self::empty();
        }
        Self::new(Kind::Incoming(body))
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if let Some(watch) = &self.watch {
            watch.asked();
        }
        let Some(frame) = std::task::ready!(self.poll_kind(cx)) else {
            self.end(End::Complete);
            return Poll::Ready(None);
        };
        let charged = frame.and_then(|frame| self.charge(&frame).map(|()| frame));
        if charged.is_err() {
            self.end(End::Failed);
        }
        Poll::Ready(Some(charged))
    }

    fn is_end_stream(&self) -> bool {
        match &self.kind {
            Kind::Empty => true,
            Kind::Full(_) => false,
            Kind::Incoming(body) => body.is_end_stream(),
            Kind::Boxed(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::Empty => SizeHint::with_exact(0),
            Kind::Full(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Kind::Incoming(body) => body.size_hint(),
            Kind::Boxed(body) => body.size_hint(),
        }
    }
}

impl Drop for Body {
    fn drop(&mut self) {
        // hyper does not poll past `is_end_stream`, so an ended body is complete without a last `None`.
        let end = if http_body::Body::is_end_stream(self) {
            End::Complete
        } else {
            End::Abandoned
        };
        self.end(end);
    }
}

impl std::fmt::Debug for Body {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let kind = match &self.kind {
            Kind::Empty => "empty",
            Kind::Full(_) => "full",
            Kind::Incoming(_) => "incoming",
            Kind::Boxed(_) => "boxed",
        };
        f.debug_struct("Body")
            .field("kind", &kind)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};

    use http_body_util::BodyExt as _;

    use super::*;

    #[derive(Default)]
    struct Seen {
        bytes: Cell<usize>,
        ends: RefCell<Vec<End>>,
    }

    impl Watch for Seen {
        fn sent(&self, count: usize) {
            self.bytes.set(self.bytes.get() + count);
        }
        fn ended(&self, end: End) {
            self.ends.borrow_mut().push(end);
        }
    }

    #[tokio::test]
    async fn reports_bytes_and_one_end_when_read_to_the_end() {
        let seen = Rc::new(Seen::default());
        let body = Body::full("hello").watched(seen.clone());
        assert_eq!(body.collect().await.unwrap().to_bytes(), "hello");
        assert_eq!(seen.bytes.get(), 5);
        assert_eq!(*seen.ends.borrow(), [End::Complete]);
    }

    #[tokio::test]
    async fn reports_a_body_that_is_dropped_unread_as_abandoned() {
        let seen = Rc::new(Seen::default());
        drop(Body::full("hello").watched(seen.clone()));
        assert_eq!(*seen.ends.borrow(), [End::Abandoned]);
    }

    #[tokio::test]
    async fn fails_when_one_byte_over_its_limit() {
        assert!(Body::full("hello").limited(5).collect().await.is_ok());
        let error = Body::full("hello").limited(4).collect().await.unwrap_err();
        assert!(matches!(error, BodyError::TooLarge));
    }
}
