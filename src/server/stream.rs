//! An HTTP/2 stream that may not stall while its client takes a response, and that reads off what nobody wanted.
//!
//! A client that never opens a stream's window takes nothing, though its connection lives and no
//! write waits. hyper does not ask for more of the body then, so nothing behind it would notice
//! either, and a backend would be held for ever.

use std::{
    cell::RefCell,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
    time::Duration,
};

use pin_project_lite::pin_project;
use tokio::time::Sleep;

use crate::{
    message::context::RequestContext,
    server::unread::{Places, Unread},
};

/// Where the stream that runs leaves its request once it is answered. The streams of a connection
/// share it: they run one at a time.
#[derive(Debug, Clone, Default)]
pub struct Answered(Rc<RefCell<Option<Rc<RequestContext>>>>);

impl Answered {
    /// Says that the request of the stream that runs has its answer.
    pub fn leave(&self, context: &Rc<RequestContext>) {
        self.0.replace(Some(context.clone()));
    }
}

pin_project! {
    /// A stream that ends when its client has taken nothing for a while, and else after the rest of its request.
    #[derive(Debug)]
    pub struct Unstalled<F> {
        // `None` when it has sent its answer.
        #[pin]
        stream: Option<F>,
        // Boxed: it is rare, and every stream has room for it.
        unread: Option<Box<Unread>>,
        places: Places,
        answered: Answered,
        request: Option<Rc<RequestContext>>,
        wait: Wait,
        limit: Duration,
    }
}

impl<F> Unstalled<F> {
    /// `stream`, whose client must take something every `limit` once `answered` says that there is
    /// something to take.
    pub(super) fn new(stream: F, answered: Answered, places: Places, limit: Duration) -> Self {
        Self {
            stream: Some(stream),
            unread: None,
            places,
            answered,
            request: None,
            wait: Wait::default(),
            limit,
        }
    }
}

impl<F: Future> Future for Unstalled<F> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut this = self.project();
        if let Some(stream) = this.stream.as_mut().as_pin_mut() {
            let polled = stream.poll(cx);
            // In any case, so that it is not taken for the next stream's.
            let answered = this.answered.0.take();
            if answered.is_some() {
                *this.request = answered;
            }
            if polled.is_pending() {
                let request = this.request.as_ref();
                let untaken = request.and_then(|request| request.flow.untaken());
                return this.wait.poll(cx, untaken, *this.limit);
            }
            // The answer may still have had the body.
            this.stream.set(None);
            let rest = this.request.take().and_then(|it| it.unread.take());
            *this.unread = rest.and_then(|body| Unread::new(body, this.places).map(Box::new));
        }
        match this.unread {
            Some(unread) => unread.poll(cx),
            None => Poll::Ready(()),
        }
    }
}

/// The time since a piece was handed on after which none was asked for.
#[derive(Debug, Default)]
struct Wait {
    pieces: u64,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Wait {
    fn poll(&mut self, cx: &mut Context<'_>, untaken: Option<u64>, limit: Duration) -> Poll<()> {
        let Some(pieces) = untaken else {
            self.timer = None;
            return Poll::Pending;
        };
        if self.pieces != pieces {
            self.pieces = pieces;
            self.timer = None;
        }
        let timer = self
            .timer
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(limit)));
        timer.as_mut().poll(cx)
    }
}
