//! HTTP/1.1 on one connection: hyper while there is something to do, next to nothing while not.
//!
//! hyper keeps two buffers of 8 KiB and a header map for as long as it has a connection, which is
//! twice what all the rest of an idle one takes. So a connection that has been idle for a moment is
//! taken from hyper, and given back when bytes come.

use std::{
    future::poll_fn,
    pin::{Pin, pin},
    task::Poll,
    time::Duration,
};

use hyper::server::conn::http1::{Builder, UpgradeableConnection};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt as _},
    time::{sleep, timeout},
};

use crate::server::{
    connection::{FIRST_REQUEST, ended, refused},
    framing::Followed,
    io::Arriving,
    lent::{Lent, lend},
    service::Requests,
    timer::ReusedTimer,
};

/// Largest read buffer; hyper's own default is 400 KiB each.
const BUFFER: usize = 64 * 1024;

/// Times between looks whether a connection is idle. The first is short, because most connections
/// carry a few requests and then nothing, and a busy one soon comes to the last.
const FIRST_LOOK: Duration = Duration::from_millis(100);
const LAST_LOOK: Duration = Duration::from_secs(4);

/// Boxed: a TLS stream is more than a kilobyte, and a frame has room for each of its moves.
type Stream<S> = Box<Followed<S>>;
type Conversation<S> = UpgradeableConnection<TokioIo<Lent<Stream<S>>>, Requests>;

/// An idle connection.
struct Idle<S> {
    stream: Stream<S>,
    /// It was idle for at least as long.
    since: Duration,
}

/// Serves a connection to its end.
pub(super) fn serve<S>(stream: S, requests: Requests) -> impl Future<Output = ()>
where
    S: AsyncRead + AsyncWrite + Arriving + Unpin + Send + 'static,
{
    let stream = Box::new(Followed::new(stream, requests.marks()));
    serve_followed(stream, requests)
}

async fn serve_followed<S>(mut stream: Stream<S>, requests: Requests)
where
    S: AsyncRead + AsyncWrite + Arriving + Unpin + Send + 'static,
{
    // Requests after which it may be taken from hyper. Bytes that bring none do not buy time: hyper's timer
    // for a head runs until one comes.
    let mut needed = 0;
    while let Some(mut idle) = converse(stream, &requests, needed).await {
        needed = requests.count() + 1;
        if !is_wanted(&mut idle, &requests).await {
            // The client has all it asked for: whether it hears the end changes nothing.
            let _ = idle.stream.shutdown().await;
            return;
        }
        stream = idle.stream;
    }
}

/// Serves requests until the connection ends or is idle.
async fn converse<S>(stream: Stream<S>, requests: &Requests, needed: u64) -> Option<Idle<S>>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let drain = requests.worker().drain.started();
    let (lent, loan) = lend(stream);
    let mut connection = begin(lent, requests);
    let result = tokio::select! {
        biased;
        result = connection.as_mut() => result,
        () = drain => if let Some(result) = first_request(connection.as_mut(), requests).await {
            result
        } else {
            connection.as_mut().graceful_shutdown();
            connection.await
        },
        since = idle(requests, needed) => {
            drop(connection);
            return loan.returned().map(|stream| Idle { stream, since });
        }
    };
    ended(result, requests);
    None
}

fn begin<S>(stream: Lent<Stream<S>>, requests: &Requests) -> Pin<Box<Conversation<S>>>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (head_timeout, head_limit) = requests.head_bounds();
    let connection = Builder::new()
        .timer(ReusedTimer::default())
        .header_read_timeout(head_timeout)
        .max_header_size(head_limit)
        .max_buf_size(BUFFER.max(head_limit))
        .half_close(false)
        .serve_connection(TokioIo::new(stream), requests.clone())
        .with_upgrades();
    Box::pin(connection)
}

/// Drives a connection until it has had a request or its time for one is over: hyper would close
/// it without a look. Its end, if it ends before.
async fn first_request<C: Future>(
    mut connection: Pin<&mut C>,
    requests: &Requests,
) -> Option<C::Output> {
    let mut time = pin!(sleep(FIRST_REQUEST));
    poll_fn(|cx| {
        if requests.count() > 0 {
            return Poll::Ready(None);
        }
        if let Poll::Ready(result) = connection.as_mut().poll(cx) {
            return Poll::Ready(Some(result));
        }
        if requests.count() > 0 {
            return Poll::Ready(None);
        }
        time.as_mut().poll(cx).map(|()| None)
    })
    .await
}

/// Ready when hyper holds nothing of the connection: every byte that came belonged to a request
/// that is over, and every byte of the answers has left. Not before `needed` requests. Gives the time
/// that it has been so.
async fn idle(requests: &Requests, needed: u64) -> Duration {
    let mut pause = FIRST_LOOK;
    loop {
        let seen = requests.count();
        sleep(pause).await;
        if seen >= needed
            && requests.count() == seen
            && requests.are_done()
            && requests.marks().are_settled(seen)
        {
            return pause;
        }
        pause = (pause * 2).min(LAST_LOOK);
    }
}

/// Waits for bytes on an idle connection. Whether some came before its time was over.
async fn is_wanted<S>(idle: &mut Idle<S>, requests: &Requests) -> bool
where
    S: Arriving + Unpin,
{
    let drain = requests.worker().drain.started();
    let (head_timeout, _) = requests.head_bounds();
    let time = head_timeout.saturating_sub(idle.since);
    let mut arrival = pin!(poll_fn(|cx| Pin::new(&mut *idle.stream).poll_arrival(cx)));
    let is_fresh = requests.count() == 0;
    tokio::select! {
        biased;
        () = arrival.as_mut() => true,
        () = drain => is_fresh && timeout(FIRST_REQUEST, arrival).await.is_ok(),
        () = sleep(time) => {
            if is_fresh {
                refused("head_timeout", &"no request came", requests);
            }
            false
        }
    }
}
