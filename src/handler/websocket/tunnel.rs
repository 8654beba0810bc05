//! Bytes both ways after an upgrade, until both sides have ended or nothing moves any more.

use std::{
    future::poll_fn,
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::{Buf as _, BufMut as _, BytesMut};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite},
    time::{Instant, sleep_until},
};

/// Most bytes that wait in one direction.
const BUFFER: usize = 16 * 1024;

/// How long the other direction may go on after one side has ended: a peer that is gone for good
/// often says so on one side only.
const HALF_CLOSED: Duration = Duration::from_secs(10);

/// How a tunnel ended.
#[derive(Debug)]
pub enum End {
    /// Both sides ended, or one did and the other was given its time.
    Closed,
    /// No byte moved for the idle time.
    Idle,
    /// A side failed.
    Failed(io::Error),
}

/// Relays between `client` and `backend`; `early` are bytes of the backend that were read already.
/// Gives the bytes that the client got.
pub async fn relay<C, B>(
    mut client: C,
    mut backend: B,
    early: BytesMut,
    idle: Duration,
) -> (End, u64)
where
    C: AsyncRead + AsyncWrite + Unpin,
    B: AsyncRead + AsyncWrite + Unpin,
{
    let mut up = Direction::default();
    let mut down = Direction {
        buffer: early,
        ..Direction::default()
    };
    let mut deadline = Box::pin(sleep_until(Instant::now() + idle));
    let mut seen = 0;
    let end = poll_fn(|cx| {
        let sides = [
            up.poll(cx, &mut client, &mut backend),
            down.poll(cx, &mut backend, &mut client),
        ];
        for side in sides {
            if let Poll::Ready(Err(error)) = side {
                return Poll::Ready(End::Failed(error));
            }
        }
        if up.is_ended() && down.is_ended() {
            return Poll::Ready(End::Closed);
        }
        let half_closed = up.is_ended() || down.is_ended();
        let moved = up.moved + down.moved + u64::from(half_closed);
        if moved != seen {
            seen = moved;
            let limit = if half_closed {
                HALF_CLOSED.min(idle)
            } else {
                idle
            };
            deadline.as_mut().reset(Instant::now() + limit);
        }
        ready!(deadline.as_mut().poll(cx));
        Poll::Ready(if half_closed { End::Closed } else { End::Idle })
    })
    .await;
    (end, down.moved)
}

/// One direction of a tunnel.
#[derive(Debug, Default)]
struct Direction {
    buffer: BytesMut,
    /// The source has ended.
    finished: bool,
    /// The sink knows.
    shut: bool,
    /// Written bytes are not flushed.
    dirty: bool,
    /// Bytes written so far.
    moved: u64,
}

impl Direction {
    fn is_ended(&self) -> bool {
        self.shut
    }

    /// Moves what can be moved. Ready when the direction has ended.
    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        source: &mut (impl AsyncRead + Unpin),
        sink: &mut (impl AsyncWrite + Unpin),
    ) -> Poll<io::Result<()>> {
        loop {
            while !self.buffer.is_empty() {
                let count = ready!(Pin::new(&mut *sink).poll_write(cx, &self.buffer))?;
                if count == 0 {
                    return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
                }
                self.buffer.advance(count);
                self.moved += count as u64;
                self.dirty = true;
            }
            if self.finished {
                if !self.shut {
                    ready!(Pin::new(&mut *sink).poll_shutdown(cx))?;
                    self.shut = true;
                }
                return Poll::Ready(Ok(()));
            }
            self.buffer.reserve(BUFFER);
            let read =
                std::pin::pin!(source.read_buf(&mut (&mut self.buffer).limit(BUFFER))).poll(cx);
            match read {
                Poll::Ready(count) => self.finished = count? == 0,
                Poll::Pending => {
                    // TLS keeps records back until it is flushed, and the peer may wait for them.
                    if self.dirty {
                        ready!(Pin::new(&mut *sink).poll_flush(cx))?;
                        self.dirty = false;
                    }
                    return Poll::Pending;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

    use super::*;

    const IDLE: Duration = Duration::from_mins(5);

    #[tokio::test(start_paused = true)]
    async fn carries_bytes_both_ways_early_ones_first() {
        let (mut browser, client) = duplex(64);
        let (mut node, backend) = duplex(64);
        let tunnel = tokio::spawn(relay(client, backend, BytesMut::from("early "), IDLE));
        browser.write_all(b"question").await.unwrap();
        node.write_all(b"answer").await.unwrap();
        let mut text = [0; 12];
        browser.read_exact(&mut text).await.unwrap();
        assert_eq!(&text, b"early answer");
        let mut text = [0; 8];
        node.read_exact(&mut text).await.unwrap();
        assert_eq!(&text, b"question");
        drop((browser, node));
        let (end, bytes) = tunnel.await.unwrap();
        assert!(matches!(end, End::Closed | End::Failed(_)));
        assert_eq!(bytes, 12);
    }

    #[tokio::test(start_paused = true)]
    async fn ends_when_no_byte_moves_for_the_idle_time() {
        let (mut browser, client) = duplex(64);
        let (_node, backend) = duplex(64);
        let start = Instant::now();
        let tunnel = tokio::spawn(relay(client, backend, BytesMut::new(), IDLE));
        tokio::time::sleep(Duration::from_secs(200)).await;
        browser.write_all(b"x").await.unwrap();
        assert!(matches!(tunnel.await.unwrap().0, End::Idle));
        assert!(start.elapsed() >= Duration::from_secs(500));
    }

    #[tokio::test(start_paused = true)]
    async fn gives_the_other_side_its_time_when_one_has_ended() {
        let (browser, client) = duplex(64);
        let (mut node, backend) = duplex(64);
        let tunnel = tokio::spawn(relay(client, backend, BytesMut::new(), IDLE));
        drop(browser);
        let mut rest = Vec::new();
        node.read_to_end(&mut rest).await.unwrap();
        assert!(matches!(tunnel.await.unwrap().0, End::Closed));
    }
}
