//! A client's stream that may not stall while it takes a response, and that can tell when bytes have come.
//!
//! hyper has no write timeout: a client that stops reading would hold a backend's response and its
//! memory for ever.

use std::{
    io,
    mem::MaybeUninit,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncBufRead as _, AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::{Instant, Sleep},
};

use crate::tls::{handshake::TlsStream, read_ahead::ReadAhead};

/// A stream that can tell that bytes have come without taking them.
pub trait Arriving {
    /// Ready when there is something to read: bytes, the end, or an error. May be wrong.
    fn poll_arrival(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()>;

    /// Asked after a read that was pending: whether another would be. Much cheaper than a read, and hyper asks four
    /// times for each request, mostly in vain.
    fn poll_hope(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()>;
}

impl Arriving for TcpStream {
    fn poll_arrival(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.poll_read_ready(cx).map(drop)
    }

    fn poll_hope(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<()> {
        Poll::Ready(())
    }
}

impl Arriving for TlsStream<ReadAhead> {
    fn poll_arrival(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        // The socket may be empty while what it gave has not been taken.
        self.poll_fill_buf(cx).map(drop)
    }

    fn poll_hope(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let (socket, session) = self.get_mut().get_mut();
        if session.wants_read() {
            socket.poll_hope(cx)
        } else {
            Poll::Ready(())
        }
    }
}

/// A stream whose writes fail with `TimedOut` when nothing was taken for a while.
#[derive(Debug)]
pub struct Unstalled<S> {
    stream: S,
    limit: Duration,
    /// The last read found nothing. After one that did, rustls may hold more, or an error.
    is_read_out: bool,
    /// Runs only while a write waits.
    timer: Option<Pin<Box<Sleep>>>,
}

impl<S> Unstalled<S> {
    /// `stream`, whose peer must take something every `limit`.
    pub fn new(stream: S, limit: Duration) -> Self {
        Self {
            stream,
            limit,
            is_read_out: false,
            timer: None,
        }
    }

    fn watch<T>(
        &mut self,
        cx: &mut Context<'_>,
        progress: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if progress.is_ready() {
            self.timer = None;
            return progress;
        }
        let limit = self.limit;
        let timer = self
            .timer
            .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(Instant::now() + limit)));
        ready!(timer.as_mut().poll(cx));
        Poll::Ready(Err(io::Error::new(
            io::ErrorKind::TimedOut,
            "the client took nothing for too long",
        )))
    }
}

impl<S: Arriving + Unpin> Arriving for Unstalled<S> {
    fn poll_arrival(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        Pin::new(&mut self.stream).poll_arrival(cx)
    }

    fn poll_hope(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        Pin::new(&mut self.stream).poll_hope(cx)
    }
}

impl<S: AsyncRead + Arriving + Unpin> AsyncRead for Unstalled<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let mut stream = Pin::new(&mut this.stream);
        if this.is_read_out {
            ready!(stream.as_mut().poll_hope(cx));
        }
        let before = buf.filled().len();
        let read = stream.poll_read(cx, buf);
        this.is_read_out = read.is_pending();
        if buf.filled().len() > before {
            // It sends: it may want to read only after that.
            this.timer = None;
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Unstalled<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let progress = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.watch(cx, progress)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let progress = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.watch(cx, progress)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let progress = Pin::new(&mut self.stream).poll_flush(cx);
        self.watch(cx, progress)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let progress = Pin::new(&mut self.stream).poll_shutdown(cx);
        self.watch(cx, progress)
    }
}

/// How long a client that still sends its request may hear why it is not wanted, and how much it
/// may send meanwhile.
pub(super) const FAREWELL: Duration = Duration::from_secs(5);
pub(super) const FAREWELL_BYTES: usize = 16 * 1024 * 1024;

/// The end of a connection whose client still sends: what comes is read and dropped. Closing over
/// unread bytes resets the connection, and the reset would overtake the answer.
#[derive(Debug, Default)]
pub struct Farewell {
    timer: Option<Pin<Box<Sleep>>>,
    dropped: usize,
}

impl Farewell {
    /// Ready when the client has ended too, or its time is over.
    pub fn poll(
        &mut self,
        cx: &mut Context<'_>,
        stream: &mut (impl AsyncRead + Unpin),
    ) -> Poll<()> {
        let timer = self
            .timer
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(FAREWELL)));
        let mut space = [const { MaybeUninit::uninit() }; 8 * 1024];
        while self.dropped < FAREWELL_BYTES {
            let mut buf = ReadBuf::uninit(&mut space);
            match Pin::new(&mut *stream).poll_read(cx, &mut buf) {
                Poll::Ready(Ok(())) if !buf.filled().is_empty() => {
                    self.dropped += buf.filled().len();
                }
                Poll::Ready(_) => return Poll::Ready(()),
                Poll::Pending => return timer.as_mut().poll(cx),
            }
        }
        Poll::Ready(())
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    impl Arriving for tokio::io::DuplexStream {
        fn poll_arrival(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<()> {
            Poll::Ready(())
        }

        fn poll_hope(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<()> {
            Poll::Ready(())
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_takes_nothing_is_cut_and_a_slow_one_is_not() {
        let (near, mut far) = tokio::io::duplex(4);
        let mut stream = Unstalled::new(near, Duration::from_mins(1));
        let slow = tokio::spawn(async move {
            for _ in 0..3 {
                tokio::time::sleep(Duration::from_secs(50)).await;
                far.read_exact(&mut [0; 4]).await.unwrap();
            }
            far
        });
        stream.write_all(&[0; 16]).await.unwrap();
        let _far = slow.await.unwrap();
        let error = stream.write_all(&[0; 16]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }
}
