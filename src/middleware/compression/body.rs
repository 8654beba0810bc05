//! A body that is compressed as it passes.

use std::{
    io,
    pin::{Pin, pin},
    task::{Context, Poll},
};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body as _, Frame};

use crate::{
    message::body::{Body, BodyError},
    middleware::compression::encoder::Encoder,
};

/// Bytes that are compressed before other requests of the worker have their turn: a few milliseconds at most.
const STEP: usize = 64 << 10;
/// Bytes of output that are handed on without a wait for more: about a record of TLS.
const FRAME: usize = 16 << 10;

/// A compressed body. It is whole only when its source was: when that breaks off, so does this, without the end that
/// its coding has.
pub(super) struct Compressed {
    source: Body,
    /// `None` at the end; it is wanted elsewhere then.
    encoder: Option<Encoder>,
    /// What came of the source and is not compressed yet.
    input: Bytes,
    /// The encoder may hold back some of what it was given.
    is_pending: bool,
    /// Bytes compressed since others had their turn.
    spent: usize,
    trailers: Option<HeaderMap>,
    /// Why the source broke off; told when the client has all that came before.
    broken: Option<BodyError>,
}

impl Compressed {
    /// What `encoder` makes of `source`.
    pub(super) fn new(source: Body, encoder: Encoder) -> Self {
        Self {
            source,
            encoder: Some(encoder),
            input: Bytes::new(),
            is_pending: false,
            spent: 0,
            trailers: None,
            broken: None,
        }
    }

    /// The next frame; `None` from an encoder that has ended.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        loop {
            let Some(encoder) = &mut self.encoder else {
                let trailers = self.trailers.take();
                return Poll::Ready(trailers.map(|trailers| Ok(Frame::trailers(trailers))));
            };
            if encoder.ready() >= FRAME {
                return frame(encoder, Ok(()));
            }
            if self.spent >= STEP {
                self.spent = 0;
                return take_turns(cx);
            }
            if !self.input.is_empty() {
                let piece = self.input.split_to(self.input.len().min(STEP));
                self.spent += piece.len();
                self.is_pending = true;
                if let Err(error) = encoder.write(&piece) {
                    return frame(encoder, Err(error));
                }
                continue;
            }
            if let Some(error) = self.broken.take() {
                return Poll::Ready(Some(Err(error)));
            }
            match Pin::new(&mut self.source).poll_frame(cx) {
                Poll::Pending if self.is_pending => {
                    // The source pauses: all that it has said is for the client now.
                    self.is_pending = false;
                    let flushed = encoder.flush();
                    return frame(encoder, flushed);
                }
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Some(Err(error))) if self.is_pending => {
                    self.is_pending = false;
                    self.broken = Some(error);
                    let flushed = encoder.flush();
                    return frame(encoder, flushed);
                }
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Some(Err(error))),
                Poll::Ready(Some(Ok(next))) => match next.into_data() {
                    Ok(data) => self.input = data,
                    Err(other) => {
                        self.trailers = other.into_trailers().ok();
                        return self.finish();
                    }
                },
                Poll::Ready(None) => return self.finish(),
            }
        }
    }

    fn finish(&mut self) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let Some(mut encoder) = self.encoder.take() else {
            return Poll::Ready(None);
        };
        let finished = encoder.finish();
        frame(&mut encoder, finished)
    }
}

/// Lets all others go first, sockets that have become ready among them: a wake-up alone would let only those go that
/// were awake.
fn take_turns<T>(cx: &mut Context<'_>) -> Poll<T> {
    // It wakes this task by itself.
    let _ = pin!(tokio::task::yield_now()).poll(cx);
    Poll::Pending
}

fn frame(
    encoder: &mut Encoder,
    result: io::Result<()>,
) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
    Poll::Ready(Some(match result {
        Ok(()) => Ok(Frame::data(encoder.take())),
        Err(error) => Err(BodyError::Coding(error)),
    }))
}

impl http_body::Body for Compressed {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        self.poll(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.encoder.is_none() && self.trailers.is_none()
    }
}

#[cfg(test)]
mod tests;
