//! A timer for the waits of one connection, one after the other.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use tokio::time::{Instant, Sleep};

/// Costs nothing until it is waited for, and little after the first wait: its entry in the runtime's
/// wheel is moved, not made anew.
#[derive(Debug, Default)]
pub(super) struct Timer {
    sleep: Option<Pin<Box<Sleep>>>,
    /// What is waited for now, if anything is.
    limit: Option<Duration>,
}

impl Timer {
    /// Starts anew at the next wait.
    pub(super) fn clear(&mut self) {
        self.limit = None;
    }

    /// Ready when `limit` has passed since the first wait with this limit; never without one.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, limit: Option<Duration>) -> Poll<()> {
        let Some(limit) = limit else {
            return Poll::Pending;
        };
        // Another limit: what is waited for is another thing.
        if self.limit != Some(limit) {
            self.limit = Some(limit);
            let end = Instant::now() + limit;
            match &mut self.sleep {
                Some(sleep) => sleep.as_mut().reset(end),
                None => self.sleep = Some(Box::pin(tokio::time::sleep_until(end))),
            }
        }
        match &mut self.sleep {
            Some(sleep) => sleep.as_mut().poll(cx),
            None => Poll::Pending,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn counts_from_the_first_wait_after_each_clear() {
        let mut timer = Timer::default();
        let start = Instant::now();
        let limit = Some(Duration::from_secs(5));
        for round in 1..=3 {
            timer.clear();
            poll_fn(|cx| timer.poll(cx, limit)).await;
            assert_eq!(start.elapsed().as_secs(), 5 * round);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn begins_again_with_another_limit_also_a_shorter_one() {
        let mut timer = Timer::default();
        let start = Instant::now();
        let first = poll_fn(|cx| Poll::Ready(timer.poll(cx, Some(Duration::from_mins(1)))));
        assert!(first.await.is_pending());
        poll_fn(|cx| timer.poll(cx, Some(Duration::from_secs(1)))).await;
        assert_eq!(start.elapsed().as_secs(), 1);
    }
}
