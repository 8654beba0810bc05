//! The body of a backend's response, which owns the connection until its end.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Frame, SizeHint};

use crate::{
    message::body::BodyError,
    upstream::{
        client::{
            decode::framing::{Decoder, Piece},
            exchange::Exchange,
            upload::Upload,
        },
        lease::Lease,
    },
};

/// First and largest size of a read; it doubles while reads come back full.
const READ: std::ops::RangeInclusive<usize> = 16 * 1024..=256 * 1024;

/// A response body. While it is read, the rest of the request is still written.
#[derive(Debug)]
pub struct ResponseBody {
    /// `None` once the body is at its end or broken.
    exchange: Option<Held>,
    decoder: Decoder,
    /// The connection may be kept when the body has ended.
    keep_alive: bool,
    room: usize,
    home: Option<Home>,
}

/// An exchange.
#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "the large one is nearly always it, and the body has a box already"
)]
enum Held {
    /// Its request was written, as nearly always; or the rest is written while the body is read.
    Alone(Exchange),
    /// The rest of its request is written by a task.
    Uploading(Upload),
}

impl Held {
    fn with<T>(&mut self, act: impl FnOnce(&mut Exchange) -> T) -> Option<T> {
        match self {
            Self::Alone(exchange) => Some(act(exchange)),
            Self::Uploading(upload) => upload.with(act),
        }
    }

    fn take(self) -> Option<Exchange> {
        match self {
            Self::Alone(exchange) => Some(exchange),
            Self::Uploading(mut upload) => upload.take(),
        }
    }
}

/// Where a connection goes when its response has ended.
#[derive(Debug)]
struct Home {
    lease: Lease,
    worker: usize,
    idle_life: Duration,
}

impl ResponseBody {
    /// A body that `decoder` reads out of `exchange`.
    pub fn new(exchange: Exchange, decoder: Decoder, keep_alive: bool) -> Self {
        Self {
            exchange: Some(Held::Alone(exchange)),
            decoder,
            keep_alive,
            room: *READ.start(),
            home: None,
        }
    }

    /// Holds `lease` until the end, and gives the connection back to the pool of `worker` for
    /// `idle_life` then.
    pub fn hold(&mut self, lease: Lease, worker: usize, idle_life: Duration) {
        self.home = Some(Home {
            lease,
            worker,
            idle_life,
        });
    }

    /// Has the rest of the request, if there is some, written by a task of this worker, whether the body is read or
    /// not. The task ends with the body.
    pub fn send_rest(&mut self) {
        self.exchange = match self.exchange.take() {
            Some(Held::Alone(exchange)) if !exchange.is_sent() => {
                Some(Held::Uploading(Upload::start(exchange)))
            }
            other => other,
        };
    }

    /// Lets the backend be silent for `time` between two pieces.
    pub fn allow_silence(&mut self, time: Duration) {
        if let Some(exchange) = &mut self.exchange {
            exchange.with(|exchange| exchange.idle = time);
        }
    }

    /// The end: the connection goes home if it can carry another request.
    fn finish(&mut self) {
        let Some(Home {
            lease,
            worker,
            idle_life,
        }) = self.home.take()
        else {
            return;
        };
        let Some(exchange) = self.exchange.take().and_then(Held::take) else {
            return;
        };
        if let Some(connection) = exchange.release(self.keep_alive) {
            lease.give_back(connection, worker, idle_life);
        }
    }

    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Result<Piece, BodyError>> {
        let Some(exchange) = &mut self.exchange else {
            return Poll::Ready(Ok(Piece::End));
        };
        let (decoder, room) = (&mut self.decoder, &mut self.room);
        let polled = exchange.with(|exchange| poll_piece(exchange, decoder, room, cx));
        polled.unwrap_or(Poll::Ready(Ok(Piece::End)))
    }
}

/// The next piece that `exchange` brings, read in steps of `room`.
fn poll_piece(
    exchange: &mut Exchange,
    decoder: &mut Decoder,
    room: &mut usize,
    cx: &mut Context<'_>,
) -> Poll<Result<Piece, BodyError>> {
    loop {
        let piece = decoder.decode(&mut exchange.connection.buffer);
        match piece.map_err(|malformed| BodyError::Backend(malformed.into()))? {
            Piece::More => {}
            piece => {
                exchange.connection.timer.clear();
                return Poll::Ready(Ok(piece));
            }
        }
        if !exchange.is_uploading && exchange.poll_write(cx) {
            exchange.connection.timer.clear();
        }
        match exchange.poll_read(cx, *room) {
            Poll::Pending => {
                let idle = Some(exchange.idle);
                ready!(exchange.connection.timer.poll(cx, idle));
                return Poll::Ready(Err(BodyError::Stalled));
            }
            Poll::Ready(Err(error)) => {
                return Poll::Ready(Err(BodyError::Backend(error.into())));
            }
            Poll::Ready(Ok(0)) if decoder.is_until_close() => {
                return Poll::Ready(Ok(Piece::End));
            }
            Poll::Ready(Ok(0)) => {
                let error = io::Error::from(io::ErrorKind::UnexpectedEof);
                return Poll::Ready(Err(BodyError::Backend(error.into())));
            }
            Poll::Ready(Ok(count)) => {
                if count == *room {
                    *room = (*room * 2).min(*READ.end());
                }
            }
        }
    }
}

impl http_body::Body for ResponseBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let piece = ready!(self.poll_piece(cx));
        if self.decoder.is_end() || matches!(piece, Ok(Piece::End)) {
            self.finish();
        }
        match piece {
            Ok(Piece::Data(data)) => Poll::Ready(Some(Ok(Frame::data(data)))),
            Ok(Piece::Trailers(trailers)) => Poll::Ready(Some(Ok(Frame::trailers(trailers)))),
            Ok(Piece::End | Piece::More) => Poll::Ready(None),
            Err(error) => {
                // A backend may be silent because it waits for what its client does not send.
                let exchange = self.exchange.take();
                let is_starved = exchange
                    .and_then(Held::take)
                    .is_some_and(|it| it.is_starved());
                let is_to_blame = !(is_starved && matches!(error, BodyError::Stalled));
                if let Some(home) = self.home.take()
                    && is_to_blame
                {
                    home.lease.broke_off();
                }
                Poll::Ready(Some(Err(error)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.exchange.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        self.decoder
            .remaining()
            .map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}
