//! hyper's timer of one HTTP/1.1 connection.
//!
//! hyper asks for a new timer at each request head, and drops it when the head has come. The entry in
//! the runtime's wheel is kept from one to the next and moved, which costs much less than making it.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use hyper::rt::{Sleep, Timer};
use tokio::time::Instant;

#[expect(clippy::disallowed_types, reason = "what hyper's timers are asked by")]
type StdInstant = std::time::Instant;
type Entry = Pin<Box<tokio::time::Sleep>>;

/// Gives out one timer at a time of always the same entry.
///
/// Behind a lock since hyper shares its timer between threads, though here one thread has both.
#[derive(Debug, Clone, Default)]
pub(super) struct ReusedTimer(Arc<Mutex<Option<Entry>>>);

#[derive(Debug)]
struct Running {
    entry: Option<Entry>,
    home: ReusedTimer,
}

impl ReusedTimer {
    fn entry(&self) -> MutexGuard<'_, Option<Entry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn start(&self, end: Instant) -> Pin<Box<dyn Sleep>> {
        let entry = match self.entry().take() {
            Some(mut entry) => {
                entry.as_mut().reset(end);
                entry
            }
            None => Box::pin(tokio::time::sleep_until(end)),
        };
        Box::pin(Running {
            entry: Some(entry),
            home: self.clone(),
        })
    }
}

impl Timer for ReusedTimer {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Sleep>> {
        self.start(Instant::now() + duration)
    }

    fn sleep_until(&self, deadline: StdInstant) -> Pin<Box<dyn Sleep>> {
        self.start(deadline.into())
    }

    fn now(&self) -> StdInstant {
        Instant::now().into()
    }
}

impl Future for Running {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        match &mut self.entry {
            Some(entry) => entry.as_mut().poll(cx),
            None => Poll::Pending,
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        *self.home.entry() = self.entry.take();
    }
}

impl Sleep for Running {}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn keeps_time_again_and_again() {
        let timer = ReusedTimer::default();
        let start = Instant::now();
        for second in 1..=3 {
            timer.sleep(Duration::from_secs(1)).await;
            assert_eq!(start.elapsed().as_secs(), second);
        }
        // One that is dropped early does not shorten the next.
        drop(timer.sleep(Duration::from_millis(1)));
        timer
            .sleep_until(timer.now() + Duration::from_secs(2))
            .await;
        assert_eq!(start.elapsed().as_secs(), 5);
    }
}
