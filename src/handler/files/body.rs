//! A response body of pieces: bytes in memory, and ranges of a file that is read off the worker.

use std::{
    collections::VecDeque,
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::task::{JoinHandle, spawn_blocking};

use crate::{assets::content::OpenFile, message::body::BodyError};

/// Bytes read at once: few enough to be bounded, enough that the hop to another thread does not
/// show.
const CHUNK: u64 = 256 << 10;

/// A part of a body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Piece {
    /// These bytes.
    Bytes(Bytes),
    /// From here on, so many.
    File { offset: u64, length: u64 },
}

/// Sends pieces in order.
#[derive(Debug)]
pub(super) struct Pieces {
    queue: VecDeque<Piece>,
    left: u64,
    file: Option<OpenFile>,
    reading: Option<JoinHandle<io::Result<Bytes>>>,
}

impl Piece {
    /// Length in bytes.
    pub(super) fn len(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::File { length, .. } => *length,
        }
    }
}

impl Pieces {
    /// `file` is the one that pieces refer to.
    pub(super) fn new(queue: VecDeque<Piece>, file: Option<OpenFile>) -> Self {
        let left = queue.iter().map(Piece::len).sum();
        Self {
            queue,
            left,
            file,
            reading: None,
        }
    }

    /// Bytes of the next piece, or the start of reading them.
    fn advance(&mut self) -> Option<Bytes> {
        match self.queue.pop_front()? {
            Piece::Bytes(bytes) => Some(bytes),
            Piece::File { offset, length } => {
                let step = length.min(CHUNK);
                if length > step {
                    self.queue.push_front(Piece::File {
                        offset: offset + step,
                        length: length - step,
                    });
                }
                self.reading = self.file.clone().map(|file| read(file, offset, step));
                None
            }
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "reading from a disk blocks; each task reads one bounded chunk"
)]
fn read(file: OpenFile, offset: u64, length: u64) -> JoinHandle<io::Result<Bytes>> {
    spawn_blocking(move || file.read(offset, usize::try_from(length).map_err(io::Error::other)?))
}

impl Body for Pieces {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let bytes = loop {
            if let Some(reading) = &mut self.reading {
                let read = ready!(Pin::new(reading).poll(cx));
                self.reading = None;
                match read.map_err(io::Error::other).flatten() {
                    Ok(bytes) => break bytes,
                    Err(error) => return Poll::Ready(Some(Err(BodyError::File(error)))),
                }
            }
            match self.advance() {
                Some(bytes) => break bytes,
                None if self.reading.is_none() => return Poll::Ready(None),
                None => {}
            }
        };
        self.left = self.left.saturating_sub(bytes.len() as u64);
        Poll::Ready(Some(Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}
