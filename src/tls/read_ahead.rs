//! A client's socket that is read ahead of rustls while the client sends in bulk.
//!
//! rustls asks for one record at a time. An upload of a mebibyte would take seventy system calls, and here
//! takes fourteen. Its bytes are copied once more, which is cheaper. A client that sends little never meets any of this.

use std::{
    io,
    pin::{Pin, pin},
    task::{Context, Poll, ready},
};

use bytes::{Buf as _, BytesMut};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf},
    net::TcpStream,
};

/// Largest payload of a record (RFC 8446 section 5.1). A read that brings less is not bulk.
const RECORD: usize = 16 * 1024;

/// Eight records of TLS 1.3, each with its header, content type and tag (RFC 8446 section 5.2). An upload
/// that waits for its backend holds as much. Half of it gains nothing: the kernel tells the client of new space
/// after every 64 KiB then.
const AHEAD: usize = 8 * (RECORD + 5 + 1 + 16);

/// A socket with what was read ahead of its reader.
#[derive(Debug)]
pub struct ReadAhead {
    stream: TcpStream,
    /// Has no memory unless there are bytes in it, or more are about to come.
    ahead: BytesMut,
    is_bulk: bool,
}

impl ReadAhead {
    /// `stream`, of which nothing was read ahead.
    pub fn new(stream: TcpStream) -> Self {
        Self {
            stream,
            ahead: BytesMut::new(),
            is_bulk: false,
        }
    }

    /// Pending when a read would be. May be ready when a read is not.
    pub fn poll_hope(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.ahead.is_empty() {
            self.stream.poll_read_ready(cx).map(drop)
        } else {
            Poll::Ready(())
        }
    }

    /// Reads for the reader alone, and learns whether the client sends in bulk.
    fn poll_little(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let space = buf.remaining();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        self.is_bulk = space >= RECORD && buf.remaining() == 0;
        Poll::Ready(Ok(()))
    }

    /// Reads ahead. Memory is taken when there is something to read, and not kept for a wait.
    fn poll_ahead(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let count = match self.poll_fill(cx) {
            Poll::Ready(Ok(count)) => count,
            other => {
                self.ahead = BytesMut::new();
                return other.map_ok(drop);
            }
        };
        self.is_bulk = count >= RECORD;
        Poll::Ready(Ok(()))
    }

    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        ready!(self.stream.poll_read_ready(cx))?;
        self.ahead.reserve(AHEAD);
        pin!(self.stream.read_buf(&mut self.ahead)).poll(cx)
    }
}

impl AsyncRead for ReadAhead {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.ahead.is_empty() {
            if !this.is_bulk {
                return this.poll_little(cx, buf);
            }
            ready!(this.poll_ahead(cx))?;
        }
        let count = this.ahead.len().min(buf.remaining());
        buf.put_slice(&this.ahead[..count]);
        this.ahead.advance(count);
        if this.ahead.is_empty() && !this.is_bulk {
            this.ahead = BytesMut::new();
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for ReadAhead {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::{io::AsyncWriteExt as _, net::TcpListener};

    use super::*;

    async fn pair() -> (TcpStream, ReadAhead) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (client, accepted) = tokio::join!(TcpStream::connect(address), listener.accept());
        (client.unwrap(), ReadAhead::new(accepted.unwrap().0))
    }

    /// A mebibyte in which no two places look alike.
    fn payload() -> Vec<u8> {
        (0..256 * 1024_u32).flat_map(u32::to_be_bytes).collect()
    }

    #[tokio::test]
    async fn brings_every_byte_of_a_bulk_in_order_and_then_the_end() {
        let (mut client, mut server) = pair().await;
        let sent = payload();
        let send = async {
            client.write_all(&sent).await.unwrap();
            client.shutdown().await.unwrap();
        };
        let receive = async {
            let (mut received, mut space) = (Vec::new(), vec![0; RECORD + 22]);
            let mut was_ahead = false;
            // As rustls does it: less than a record at first, then whole ones.
            let mut size = 4 * 1024;
            loop {
                let count = server.read(&mut space[..size]).await.unwrap();
                if count == 0 {
                    break;
                }
                was_ahead |= !server.ahead.is_empty();
                received.extend_from_slice(&space[..count]);
                size = space.len();
            }
            assert!(was_ahead, "read one record at a time");
            received
        };
        let ((), received) = tokio::join!(send, receive);
        assert!(received == sent);
        assert_eq!(server.ahead.capacity(), 0);
    }

    #[tokio::test]
    async fn holds_no_memory_while_it_waits() {
        let (mut client, mut server) = pair().await;
        let sent = &payload()[..2 * RECORD];
        client.write_all(sent).await.unwrap();
        let mut space = vec![0; 2 * RECORD];
        // All of it has come, or the last read would not look like bulk.
        while server.stream.peek(&mut space).await.unwrap() < sent.len() {
            tokio::task::yield_now().await;
        }
        for piece in sent.chunks(RECORD) {
            server.read_exact(&mut space[..RECORD]).await.unwrap();
            assert!(&space[..RECORD] == piece);
        }
        assert!(server.is_bulk, "the test wants a client that sent in bulk");
        {
            let mut wait = pin!(server.read(&mut space));
            assert!(poll_once(wait.as_mut()).await.is_pending());
        }
        assert_eq!(server.ahead.capacity(), 0);
        client.write_all(b"and on").await.unwrap();
        assert_eq!(server.read(&mut space).await.unwrap(), 6);
        assert_eq!(&space[..6], b"and on");
        assert!(!server.is_bulk);
    }

    /// One poll.
    async fn poll_once<F: Future + Unpin>(mut future: F) -> Poll<F::Output> {
        std::future::poll_fn(|cx| Poll::Ready(Pin::new(&mut future).poll(cx))).await
    }

    #[tokio::test]
    async fn reads_for_its_reader_alone_where_little_comes() {
        let (mut client, mut server) = pair().await;
        client.write_all(b"GET / HTTP/1.1").await.unwrap();
        let mut space = [0; 3];
        assert_eq!(server.read(&mut space).await.unwrap(), 3);
        assert_eq!(&space, b"GET");
        assert!(!server.is_bulk);
        assert!(server.ahead.is_empty());
    }
}
