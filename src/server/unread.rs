//! The rest of a request body that nobody wants, once its request is answered over HTTP/2.
//!
//! A stream is reset when its body is dropped, and some clients take the reset for the answer: curl 7.88 shows none when
//! both come in one read. So the rest is read and dropped for as long as at the end of an HTTP/1.1 connection, and
//! the reset comes after that.

use std::{
    cell::Cell,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
};

use http_body::Body as _;
use hyper::body::Incoming;
use tokio::time::Sleep;

use crate::server::io::{FAREWELL, FAREWELL_BYTES};

/// Streams of one connection whose rest is read at once; others are reset. A client that does not understand a
/// reset has one upload at a time, or few. What the others send is bounded by their windows, as ever.
const STREAMS: usize = 4;

/// How many streams of a connection are being read off.
#[derive(Debug, Clone, Default)]
pub(super) struct Places(Rc<Cell<usize>>);

#[derive(Debug)]
struct Place(Places);

impl Places {
    fn enter(&self) -> Option<Place> {
        let taken = self.0.get();
        (taken < STREAMS).then(|| {
            self.0.set(taken + 1);
            Place(self.clone())
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Self(Places(taken)) = self;
        taken.set(taken.get() - 1);
    }
}

/// A body that is read and dropped.
#[derive(Debug)]
pub(super) struct Unread {
    body: Incoming,
    timer: Pin<Box<Sleep>>,
    dropped: usize,
    _place: Place,
}

impl Unread {
    /// Reads `body` off, if there is a place.
    pub(super) fn new(body: Incoming, places: &Places) -> Option<Self> {
        Some(Self {
            body,
            timer: Box::pin(tokio::time::sleep(FAREWELL)),
            dropped: 0,
            _place: places.enter()?,
        })
    }

    /// Ready when the client has ended or reset the body, or its time or its bytes are over.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.timer.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        while self.dropped < FAREWELL_BYTES {
            match Pin::new(&mut self.body).poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => {
                    self.dropped += frame.data_ref().map_or(0, bytes::Bytes::len);
                }
                Poll::Ready(_) => return Poll::Ready(()),
                Poll::Pending => return Poll::Pending,
            }
        }
        Poll::Ready(())
    }
}
