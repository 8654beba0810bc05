//! The rest of a request whose answer has begun, sent by a task of its own.
//!
//! Nobody asks for more of an answer while the client does not take what it has. A client that uploads everything
//! before it reads would wait for ever then, if its upload waited too.

use std::{cell::RefCell, future::poll_fn, rc::Rc, task::Poll};

use tokio::task::{AbortHandle, spawn_local};

use crate::upstream::client::exchange::Exchange;

/// An exchange whose request goes on by itself. Dropping it ends both.
#[derive(Debug)]
pub(super) struct Upload {
    exchange: Rc<RefCell<Option<Exchange>>>,
    task: AbortHandle,
}

impl Upload {
    /// Sends the rest of the request of `exchange`.
    pub(super) fn start(mut exchange: Exchange) -> Self {
        exchange.is_uploading = true;
        let exchange = Rc::new(RefCell::new(Some(exchange)));
        let shared = exchange.clone();
        let task = spawn_local(poll_fn(move |cx| match &mut *shared.borrow_mut() {
            Some(exchange) => exchange.poll_upload(cx),
            None => Poll::Ready(()),
        }));
        Self {
            exchange,
            task: task.abort_handle(),
        }
    }

    /// Lets `act` on the exchange, which is there until it is taken.
    pub(super) fn with<T>(&mut self, act: impl FnOnce(&mut Exchange) -> T) -> Option<T> {
        self.exchange.borrow_mut().as_mut().map(act)
    }

    /// The exchange; nothing more is sent.
    pub(super) fn take(&mut self) -> Option<Exchange> {
        self.task.abort();
        self.exchange.take()
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        self.take();
    }
}
