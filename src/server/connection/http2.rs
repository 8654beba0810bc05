//! HTTP/2 on one connection.

use std::{pin::Pin, time::Duration};

use hyper::server::conn::http2::{Builder, Connection};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::server::{
    connection::{FIRST_REQUEST, ended},
    service::Requests,
    stream::{Answered, Unstalled},
    unread::Places,
};

/// Requests at once on one connection; browsers use about 100.
const STREAMS: u32 = 128;
/// Upload window of one stream, and of a connection: what a client may make us hold.
const STREAM_WINDOW: u32 = 256 * 1024;
const CONNECTION_WINDOW: u32 = 1024 * 1024;
/// Response bytes that wait for one stream's window.
const SEND_BUFFER: usize = 128 * 1024;
/// Resets that we had to send, until the connection is closed.
const LOCAL_RESETS: usize = 256;
/// A connection that is silent is asked this often whether it lives, and has this long to say so.
const PING: Duration = Duration::from_secs(30);
const PONG: Duration = Duration::from_secs(20);
/// Looks at a quiet connection in the time that it may be idle.
const LOOKS: u32 = 4;

/// Boxed twice: hyper and h2 each have room for every move of a stream, and a frame for every move
/// of a connection.
type Conversation<S> = Pin<Box<Connection<TokioIo<Box<S>>, Requests, LocalTasks>>>;

/// Serves a connection to its end.
pub(super) fn serve<S>(
    stream: S,
    requests: Requests,
    stall_timeout: Duration,
) -> impl Future<Output = ()>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (_, head_limit) = requests.head_bounds();
    let tasks = LocalTasks {
        answered: requests.answered().clone(),
        places: Places::default(),
        stall_timeout,
    };
    let connection = Builder::new(tasks)
        .timer(TokioTimer::new())
        .enable_connect_protocol()
        .max_concurrent_streams(STREAMS)
        .max_header_list_size(u32::try_from(head_limit).unwrap_or(u32::MAX))
        .max_local_error_reset_streams(LOCAL_RESETS)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buf_size(SEND_BUFFER)
        .keep_alive_interval(PING)
        .keep_alive_timeout(PONG)
        .serve_connection(TokioIo::new(Box::new(stream)), requests.clone());
    converse(Box::pin(connection), requests, stall_timeout)
}

async fn converse<S>(mut connection: Conversation<S>, requests: Requests, stall_timeout: Duration)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let drain = requests.worker().drain.started();
    let (idle_timeout, _) = requests.head_bounds();
    tokio::select! {
        result = connection.as_mut() => return ended(result, &requests),
        () = drain => {}
        () = quiet(&requests, idle_timeout) => {}
    }
    connection.as_mut().graceful_shutdown();
    // A client that has no request has nothing to lose; what was answered may be on its way.
    let patience = if requests.count() == 0 {
        FIRST_REQUEST
    } else {
        stall_timeout
    };
    tokio::select! {
        result = connection => ended(result, &requests),
        () = quiet(&requests, patience) => {
            let peer = requests.peer();
            tracing::debug!(%peer, "the client did not let its connection end");
        }
    }
}

/// Ready when no request has come or gone on for `time`.
async fn quiet(requests: &Requests, time: Duration) {
    let mut looks = 0;
    let mut seen = requests.count();
    while looks <= LOOKS {
        tokio::time::sleep(time / LOOKS).await;
        if requests.are_done() && requests.count() == seen {
            looks += 1;
        } else {
            looks = 0;
            seen = requests.count();
        }
    }
}

/// HTTP/2 streams run on the worker that has the connection.
#[derive(Debug, Clone)]
struct LocalTasks {
    answered: Answered,
    places: Places,
    stall_timeout: Duration,
}

impl<F> hyper::rt::Executor<F> for LocalTasks
where
    F: Future + 'static,
{
    fn execute(&self, future: F) {
        // Ends with its connection: hyper resets the streams of a connection that is gone.
        let (answered, places) = (self.answered.clone(), self.places.clone());
        let stream = Unstalled::new(future, answered, places, self.stall_timeout);
        tokio::task::spawn_local(stream);
    }
}
