//! An HTTP/2 stream that may not stall while its client takes a response.
//!
//! A client that never opens a stream's window takes nothing, though its connection lives and no
//! write waits. hyper does not ask for more of the body then, so nothing behind it would notice
//! either, and a backend would be held for ever.

use std::{
    cell::RefCell,
    future::poll_fn,
    pin::{Pin, pin},
    rc::Rc,
    task::Poll,
    time::Duration,
};

use tokio::time::Sleep;

use crate::message::context::RequestContext;

tokio::task_local! {
    /// The request of the stream that runs, once it is answered.
    static ANSWERED: RefCell<Option<Rc<RequestContext>>>;
}

/// Says that the request of the stream that runs has its answer.
pub fn answered(context: &Rc<RequestContext>) {
    // HTTP/1.1 has no streams; its writes wait where `Unstalled` sees them.
    let _ = ANSWERED.try_with(|answered| answered.replace(Some(context.clone())));
}

/// Runs `stream`, and resets it when its client has taken nothing for `limit`.
pub async fn unstalled<F: Future>(stream: F, limit: Duration) {
    ANSWERED
        .scope(RefCell::new(None), async move {
            let mut stream = pin!(stream);
            let mut wait = Wait::default();
            poll_fn(|cx| match stream.as_mut().poll(cx) {
                Poll::Ready(_) => Poll::Ready(()),
                Poll::Pending => wait.poll(cx, limit),
            })
            .await;
        })
        .await;
}

/// The time since a piece was handed on after which none was asked for.
#[derive(Default)]
struct Wait {
    pieces: u64,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Wait {
    fn poll(&mut self, cx: &mut std::task::Context<'_>, limit: Duration) -> Poll<()> {
        let untaken = ANSWERED.with(|answered| {
            let answered = answered.borrow();
            answered.as_ref().and_then(|context| context.flow.untaken())
        });
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
