//! An HTTP/2 stream that may not stall while its client takes a response.
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

use crate::message::context::RequestContext;

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
    /// A stream that ends when its client has taken nothing for a while.
    #[derive(Debug)]
    pub struct Unstalled<F> {
        #[pin]
        stream: F,
        answered: Answered,
        request: Option<Rc<RequestContext>>,
        wait: Wait,
        limit: Duration,
    }
}

impl<F> Unstalled<F> {
    /// `stream`, whose client must take something every `limit` once `answered` says that there is
    /// something to take.
    pub fn new(stream: F, answered: Answered, limit: Duration) -> Self {
        Self {
            stream,
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
        let this = self.project();
        let polled = this.stream.poll(cx);
        // In any case, so that it is not taken for the next stream's.
        let answered = this.answered.0.take();
        if polled.is_ready() {
            return Poll::Ready(());
        }
        if answered.is_some() {
            *this.request = answered;
        }
        let request = this.request.as_ref();
        let untaken = request.and_then(|request| request.flow.untaken());
        this.wait.poll(cx, untaken, *this.limit)
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
