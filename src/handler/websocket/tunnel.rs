//! Bytes both ways after an upgrade, until both sides have ended, nothing moves any more, or the tunnel has to end.

use std::{
    future::poll_fn,
    io,
    pin::pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::BytesMut;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::{Instant, sleep_until},
};

use crate::handler::websocket::{
    frames::{self, GOING_AWAY, SERVICE_RESTART},
    tunnel::direction::Direction,
};

mod direction;

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
    /// It had to end, and a side was in the middle of a frame until the deadline, or did not answer by then.
    Cut,
    /// A side failed.
    Failed(io::Error),
}

/// Relays between `client` and `backend`; `early` are bytes of the backend that were read already. When `moment` has
/// come both sides are sent a Close, each behind the frame that it is being sent, and have until the deadline that
/// `moment` gives to answer. Gives the bytes that the client got.
pub async fn relay<C, B>(
    mut client: C,
    mut backend: B,
    early: BytesMut,
    idle: Duration,
    moment: impl Future<Output = Instant>,
) -> (End, u64)
where
    C: AsyncRead + AsyncWrite + Unpin,
    B: AsyncRead + AsyncWrite + Unpin,
{
    let mut both = Both {
        up: Direction::default(),
        down: Direction::begun_with(early),
        is_parting: false,
    };
    let mut moment = pin!(moment);
    let mut deadline = pin!(sleep_until(Instant::now() + idle));
    let mut seen = 0;
    let end = poll_fn(|cx| {
        // What has come by its moment still goes.
        let mut polled = both.poll(cx, &mut client, &mut backend);
        if polled.is_ok()
            && !both.is_parting
            && let Poll::Ready(until) = moment.as_mut().poll(cx)
        {
            both.part();
            deadline.as_mut().reset(until);
            polled = both.poll(cx, &mut client, &mut backend);
        }
        if let Err(error) = polled {
            return Poll::Ready(End::Failed(error));
        }
        if both.up.is_ended() && both.down.is_ended() {
            return Poll::Ready(End::Closed);
        }
        let half_closed = both.up.is_ended() || both.down.is_ended();
        let moved = both.up.moved + both.down.moved + u64::from(half_closed);
        if moved != seen && !both.is_parting {
            seen = moved;
            let limit = if half_closed {
                HALF_CLOSED.min(idle)
            } else {
                idle
            };
            deadline.as_mut().reset(Instant::now() + limit);
        }
        ready!(deadline.as_mut().poll(cx));
        Poll::Ready(match (both.is_parting, half_closed) {
            (true, _) => End::Cut,
            (false, true) => End::Closed,
            (false, false) => End::Idle,
        })
    })
    .await;
    (end, both.down.moved)
}

/// Both directions.
struct Both {
    /// From the client to the backend.
    up: Direction,
    /// From the backend to the client.
    down: Direction,
    is_parting: bool,
}

impl Both {
    /// Begins to end. A side that has said Close by itself is being answered already.
    fn part(&mut self) {
        self.is_parting = true;
        if !self.up.is_said() && !self.down.is_said() {
            self.up.part(frames::masked_close(GOING_AWAY));
            self.down.part(frames::close(SERVICE_RESTART));
        }
    }

    /// Moves what can be moved.
    fn poll<C, B>(
        &mut self,
        cx: &mut Context<'_>,
        client: &mut C,
        backend: &mut B,
    ) -> io::Result<()>
    where
        C: AsyncRead + AsyncWrite + Unpin,
        B: AsyncRead + AsyncWrite + Unpin,
    {
        loop {
            let sides = [
                self.up.poll(cx, client, backend),
                self.down.poll(cx, backend, client),
            ];
            for side in sides {
                if let Poll::Ready(moved) = side {
                    moved?;
                }
            }
            // Who was sent a Close and has answered need not be kept.
            let client_left = self.up.is_said() && self.down.release();
            let backend_left = self.down.is_said() && self.up.release();
            if !client_left && !backend_left {
                return Ok(());
            }
        }
    }
}

#[cfg(test)]
mod tests;
