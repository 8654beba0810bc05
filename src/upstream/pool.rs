//! Idle connections to one backend, of one worker.
//!
//! Node closes an idle connection after its keep-alive time, and a request sent at that moment is
//! lost. So idle life is shorter than the backend's own, the freshest connection is used first, and
//! one that has closed or spoken out of turn is never used.

use std::time::Duration;

use tokio::time::Instant;

use crate::upstream::client::Connection;

/// How long a connection that carries a request which must not be sent twice may have been idle.
///
/// Far below every keep-alive time in use, so the race with the backend's close is not entered.
const FRESH: Duration = Duration::from_millis(500);

/// Idle connections, oldest first.
#[derive(Debug, Default)]
pub struct Pool {
    idle: Vec<Idle>,
}

#[derive(Debug)]
struct Idle {
    connection: Connection,
    since: Instant,
    until: Instant,
}

/// What a request demands of a used connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Demand {
    /// Any that lives: the request can be sent again.
    Alive,
    /// One that was used a moment ago: the request must not be sent twice.
    Fresh,
    /// None: a used one has failed the request already.
    None,
}

impl Pool {
    /// The freshest connection that lives; dead ones met on the way are closed.
    pub fn take(&mut self, demand: Demand) -> Option<Connection> {
        if demand == Demand::None {
            return None;
        }
        let now = Instant::now();
        while let Some(idle) = self.idle.last() {
            let stale = demand == Demand::Fresh && now.duration_since(idle.since) > FRESH;
            if stale && now < idle.until {
                return None;
            }
            let mut idle = self.idle.pop()?;
            if now < idle.until && idle.connection.stream.is_quiet() {
                idle.connection.reused = true;
                return Some(idle.connection);
            }
        }
        None
    }

    /// Keeps `connection` for `life`; the oldest goes when there are more than `size`.
    pub fn put(&mut self, connection: Connection, life: Duration, size: usize) {
        if size == 0 {
            return;
        }
        if self.idle.len() >= size {
            self.idle.remove(0);
        }
        let now = Instant::now();
        self.idle.push(Idle {
            connection,
            since: now,
            until: now + life,
        });
    }

    /// Closes what has outlived its time or was closed by the backend.
    pub fn sweep(&mut self) {
        let now = Instant::now();
        self.idle
            .retain(|idle| now < idle.until && idle.connection.stream.is_quiet());
    }

    /// Idle connections.
    pub fn len(&self) -> usize {
        self.idle.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.idle.is_empty()
    }
}

/// How long a connection may idle: `configured`, or a second less than the backend's own
/// `Keep-Alive: timeout=N` where that is shorter. Zero: not at all.
pub fn idle_life(configured: Duration, keep_alive: Option<&http::HeaderValue>) -> Duration {
    let hint = keep_alive
        .and_then(|value| value.to_str().ok())
        .and_then(|text| {
            text.split(',').find_map(|part| {
                let (name, seconds) = part.split_once('=')?;
                let seconds = name
                    .trim()
                    .eq_ignore_ascii_case("timeout")
                    .then_some(seconds)?;
                seconds.trim().trim_matches('"').parse::<u32>().ok()
            })
        });
    match hint {
        Some(seconds) => configured.min(Duration::from_secs(u64::from(seconds.saturating_sub(1)))),
        None => configured,
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use tokio::{
        io::AsyncWriteExt as _,
        net::{TcpListener, TcpStream},
    };

    use super::*;
    use crate::upstream::connector::Stream;

    async fn pair() -> (Connection, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let near = TcpStream::connect(listener.local_addr().unwrap())
            .await
            .unwrap();
        let far = listener.accept().await.unwrap().0;
        (Connection::new(Stream::Tcp(near)), far)
    }

    async fn settle() {
        tokio::time::sleep(Duration::from_millis(30)).await;
    }

    const LIFE: Duration = Duration::from_secs(4);

    #[tokio::test]
    async fn gives_the_freshest_first_and_says_that_it_was_used() {
        let mut pool = Pool::default();
        let (first, _far1) = pair().await;
        let (second, _far2) = pair().await;
        let Stream::Tcp(stream) = &second.stream else {
            panic!()
        };
        let wanted = stream.local_addr().unwrap();
        pool.put(first, LIFE, 8);
        pool.put(second, LIFE, 8);
        let taken = pool.take(Demand::Alive).unwrap();
        let Stream::Tcp(stream) = &taken.stream else {
            panic!()
        };
        assert_eq!(stream.local_addr().unwrap(), wanted);
        assert!(taken.reused);
    }

    #[tokio::test]
    async fn never_gives_one_that_closed_or_spoke() {
        let mut pool = Pool::default();
        let (closed, far) = pair().await;
        let (spoke, mut chatty) = pair().await;
        pool.put(closed, LIFE, 8);
        pool.put(spoke, LIFE, 8);
        drop(far);
        chatty
            .write_all(b"HTTP/1.1 408 Request Timeout\r\n\r\n")
            .await
            .unwrap();
        settle().await;
        assert!(pool.take(Demand::Alive).is_none());
    }

    #[tokio::test]
    async fn forgets_the_oldest_when_full_and_the_overaged_when_swept() {
        let mut pool = Pool::default();
        let mut far = Vec::new();
        for _ in 0..3 {
            let (connection, end) = pair().await;
            far.push(end);
            pool.put(connection, Duration::from_millis(20), 2);
        }
        assert_eq!(pool.len(), 2);
        settle().await;
        pool.sweep();
        assert!(pool.is_empty());
    }

    #[tokio::test]
    async fn gives_no_stale_one_to_a_request_that_must_not_be_sent_twice() {
        let mut pool = Pool::default();
        let (connection, _far) = pair().await;
        pool.put(connection, LIFE, 8);
        assert_eq!(pool.len(), 1);
        pool.idle[0].since -= FRESH * 2;
        assert!(pool.take(Demand::Fresh).is_none());
        assert!(pool.take(Demand::Alive).is_some());
    }

    #[test]
    fn idle_life_is_a_second_less_than_the_hint() {
        let life = |hint: &str| idle_life(LIFE, HeaderValue::from_str(hint).ok().as_ref());
        assert_eq!(life("timeout=5"), LIFE);
        assert_eq!(life("timeout=3, max=100"), Duration::from_secs(2));
        assert_eq!(life("max=5, Timeout=2"), Duration::from_secs(1));
        assert_eq!(life("timeout=1"), Duration::ZERO);
        assert_eq!(life("timeout=x"), LIFE);
        assert_eq!(idle_life(LIFE, None), LIFE);
    }
}
