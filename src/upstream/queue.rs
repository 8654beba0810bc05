//! The waiting room of an upstream: requests for which no backend is ready, first come first served.

use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::{Mutex, MutexGuard, Notify, futures::Notified};

/// Requests that wait, in order.
///
/// Only the one at the front watches for a backend; all others wait for the front. So one wake-up
/// is enough for any event, nobody overtakes, and a place that is dropped is passed on.
#[derive(Debug)]
pub(in crate::upstream) struct Queue {
    capacity: usize,
    waiting: AtomicUsize,
    front: Mutex<()>,
    news: Notify,
}

/// One request's place; given up on drop.
#[derive(Debug)]
pub(in crate::upstream) struct Place<'a>(&'a Queue);

/// The place at the front; the next one moves up on drop.
#[derive(Debug)]
pub(in crate::upstream) struct Front<'a> {
    queue: &'a Queue,
    _turn: MutexGuard<'a, ()>,
}

/// Whether the capacity counts for a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::upstream) enum Entry {
    /// It comes for the first time.
    First,
    /// It waited before, and the backend that it then got was no good.
    Again,
}

impl Queue {
    pub(in crate::upstream) fn new(capacity: usize) -> Self {
        Self {
            capacity,
            waiting: AtomicUsize::new(0),
            front: Mutex::new(()),
            news: Notify::new(),
        }
    }

    /// Requests that wait.
    pub(in crate::upstream) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::SeqCst)
    }

    /// Takes a place, if there is one.
    pub(in crate::upstream) fn enter(&self, entry: Entry) -> Option<Place<'_>> {
        self.waiting
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |now| {
                (now < self.capacity || entry == Entry::Again).then_some(now + 1)
            })
            .ok()
            .map(|_| Place(self))
    }

    /// Says that a backend may be ready: a lease was given back, or a backend returned.
    ///
    /// Whoever calls changes its state before; whoever waits enters before it looks at that state.
    /// Both are sequentially consistent, so at least one of them sees the other.
    pub(in crate::upstream) fn announce(&self) {
        if self.waiting() > 0 {
            self.news.notify_one();
        }
    }
}

impl<'a> Place<'a> {
    /// Waits until all that came before have left.
    pub(in crate::upstream) async fn front(&self) -> Front<'a> {
        Front {
            queue: self.0,
            _turn: self.0.front.lock().await,
        }
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Front<'_> {
    /// The next announcement, counted from this call: look at the backends between this call and
    /// the `await`.
    pub(in crate::upstream) fn news(&self) -> Notified<'_> {
        self.queue.news.notified()
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Duration};

    use tokio::time::timeout;

    use super::*;

    #[test]
    fn has_only_so_many_places() {
        let queue = Queue::new(1);
        let place = queue.enter(Entry::First);
        assert!(place.is_some());
        assert!(queue.enter(Entry::First).is_none());
        assert!(queue.enter(Entry::Again).is_some());
        drop(place);
        assert!(queue.enter(Entry::First).is_some());
        assert_eq!(queue.waiting(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn serves_in_order_and_passes_a_dropped_place_on() {
        let queue = Arc::new(Queue::new(9));
        let (sender, mut order) = tokio::sync::mpsc::unbounded_channel();
        let mut tasks = Vec::new();
        for number in 0..4 {
            let (queue, sender) = (Arc::clone(&queue), sender.clone());
            tasks.push(tokio::spawn(async move {
                let place = queue.enter(Entry::First).unwrap();
                let front = place.front().await;
                front.news().await;
                sender.send(number).unwrap();
            }));
            tokio::task::yield_now().await;
        }
        tasks[0].abort();
        tasks[2].abort();
        tokio::time::sleep(Duration::from_millis(1)).await;
        assert_eq!(queue.waiting(), 2);
        for expected in [1, 3] {
            queue.announce();
            assert_eq!(order.recv().await, Some(expected));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn loses_no_announcement_made_before_the_wait() {
        let queue = Queue::new(9);
        let place = queue.enter(Entry::First).unwrap();
        let front = place.front().await;
        let news = front.news();
        queue.announce();
        assert!(timeout(Duration::from_secs(1), news).await.is_ok());
    }
}
