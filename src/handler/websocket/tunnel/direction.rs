//! One direction of a tunnel: bytes, and in the end perhaps a Close frame of our own.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Buf as _, BufMut as _, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite};

use crate::handler::websocket::frames::Frames;

/// Most bytes that wait in one direction.
const BUFFER: usize = 16 * 1024;

/// One direction of a tunnel.
#[derive(Debug, Default)]
pub(super) struct Direction {
    /// Read and not yet written. What has come is written whole, whatever happens.
    buffer: BytesMut,
    /// Frames that were read.
    frames: Frames,
    farewell: Farewell,
    /// The source has ended.
    finished: bool,
    /// The sink needs to hear no more after what waits for it.
    released: bool,
    /// The sink knows that nothing more comes.
    shut: bool,
    /// Written bytes are not flushed.
    dirty: bool,
    /// Bytes written so far.
    pub(super) moved: u64,
}

/// Whether the sink is told that the tunnel ends.
#[derive(Debug, Default)]
enum Farewell {
    #[default]
    None,
    /// By this frame, when the one that is open has ended.
    Due(Vec<u8>),
    /// It was. The source is read on for the sake of its own Close, and the rest is dropped.
    Said,
}

impl Direction {
    /// A direction whose first bytes were read already.
    pub(super) fn begun_with(early: BytesMut) -> Self {
        let mut frames = Frames::default();
        frames.follow(&early);
        Self {
            buffer: early,
            frames,
            ..Self::default()
        }
    }

    /// Whether the sink knows that nothing more comes.
    pub(super) fn is_ended(&self) -> bool {
        self.shut
    }

    /// Whether the source has said its last: a Close, or nothing any more.
    pub(super) fn is_said(&self) -> bool {
        self.finished || self.frames.is_closed()
    }

    /// Ends the stream of frames with `close`, behind the frame that is open.
    pub(super) fn part(&mut self, close: Vec<u8>) {
        if self.finished {
            return;
        }
        self.farewell = Farewell::Due(close);
        if self.frames.is_between() {
            self.say_farewell();
        }
    }

    /// Lets the sink go after the farewell, because it has answered. Whether that is news.
    pub(super) fn release(&mut self) -> bool {
        let is_news = matches!(self.farewell, Farewell::Said) && !self.released;
        self.released |= is_news;
        is_news
    }

    /// Whether the sink has all that it is to get. Who was sent a Close is not let go before it has answered: it may
    /// be in the middle of a frame, and would take a reset for a fault.
    fn is_over(&self) -> bool {
        match self.farewell {
            Farewell::Said => self.released,
            Farewell::None | Farewell::Due(_) => self.finished,
        }
    }

    fn say_farewell(&mut self) {
        if let Farewell::Due(close) = std::mem::replace(&mut self.farewell, Farewell::Said)
            && !self.frames.is_closed()
        {
            self.buffer.extend_from_slice(&close);
        }
    }

    /// Moves what can be moved. Ready when nothing more is to be done.
    pub(super) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        source: &mut (impl AsyncRead + Unpin),
        sink: &mut (impl AsyncWrite + Unpin),
    ) -> Poll<io::Result<()>> {
        loop {
            ready!(self.poll_write(cx, sink))?;
            if self.is_over() && !self.shut {
                ready!(Pin::new(&mut *sink).poll_shutdown(cx))?;
                self.shut = true;
            }
            if self.finished || (self.shut && self.is_said()) {
                return Poll::Ready(Ok(()));
            }
            self.buffer.reserve(BUFFER);
            let read =
                std::pin::pin!(source.read_buf(&mut (&mut self.buffer).limit(BUFFER))).poll(cx);
            match read {
                Poll::Ready(count) => {
                    self.finished = count? == 0;
                    self.follow();
                }
                Poll::Pending => {
                    // TLS keeps records back until it is flushed, and the peer may wait for them.
                    if self.dirty && !self.shut {
                        ready!(Pin::new(&mut *sink).poll_flush(cx))?;
                        self.dirty = false;
                    }
                    return Poll::Pending;
                }
            }
        }
    }

    /// Writes what waits.
    fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        sink: &mut (impl AsyncWrite + Unpin),
    ) -> Poll<io::Result<()>> {
        while !self.buffer.is_empty() {
            let count = ready!(Pin::new(&mut *sink).poll_write(cx, &self.buffer))?;
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.buffer.advance(count);
            self.moved += count as u64;
            self.dirty = true;
        }
        Poll::Ready(Ok(()))
    }

    /// Follows the frames in what was just read, which is all that the buffer has.
    fn follow(&mut self) {
        match self.farewell {
            Farewell::None => self.frames.follow(&self.buffer),
            Farewell::Due(_) => {
                let last = self.frames.finish(&self.buffer);
                if self.frames.is_between() {
                    let rest = self.buffer.split_off(last);
                    self.say_farewell();
                    self.frames.follow(&rest);
                }
            }
            Farewell::Said => {
                self.frames.follow(&self.buffer);
                self.buffer.clear();
            }
        }
    }
}
