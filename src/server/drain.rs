//! The end of the process, as the futures of one worker see it.
//!
//! Each connection waits for it beside everything else, and is asked at every step. So asking costs a
//! comparison: a waker is left once, and all are woken when the stage changes.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, Waker},
};

/// How far the end of the process has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// Serving.
    Serving,
    /// Finishing what is in flight.
    Draining,
    /// The deadline has passed: whatever is left is cut.
    Over,
}

/// Told once: finish what is in flight, take nothing new.
#[derive(Debug, Clone)]
pub struct Drain(Rc<State>);

#[derive(Debug)]
struct State {
    stage: Cell<Stage>,
    /// Whoever waits, by number.
    waiting: RefCell<BTreeMap<u64, Waker>>,
    next: Cell<u64>,
}

impl Default for Drain {
    fn default() -> Self {
        Self(Rc::new(State {
            stage: Cell::new(Stage::Serving),
            waiting: RefCell::default(),
            next: Cell::new(0),
        }))
    }
}

impl Drain {
    /// Tells everyone that the end has come as far as `stage`.
    pub fn advance(&self, stage: Stage) {
        self.0.stage.set(stage);
        for waker in self.0.waiting.borrow().values() {
            waker.wake_by_ref();
        }
    }

    /// Whether the deadline has passed.
    pub fn is_over(&self) -> bool {
        self.0.stage.get() == Stage::Over
    }

    /// Ready when draining has started.
    pub fn started(&self) -> Reached {
        self.reached(Stage::Draining)
    }

    /// Ready when the deadline has passed.
    pub fn over(&self) -> Reached {
        self.reached(Stage::Over)
    }

    fn reached(&self, wanted: Stage) -> Reached {
        Reached {
            state: self.0.clone(),
            wanted,
            place: None,
        }
    }
}

/// Ready at a stage.
#[derive(Debug)]
pub struct Reached {
    state: Rc<State>,
    wanted: Stage,
    /// The number that the waker was left under.
    place: Option<(u64, Waker)>,
}

impl Future for Reached {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.state.stage.get() >= self.wanted {
            return Poll::Ready(());
        }
        let place = self.place.as_ref();
        if !place.is_some_and(|(_, waker)| waker.will_wake(cx.waker())) {
            let number = place.map_or_else(|| self.state.number(), |(number, _)| *number);
            let mut waiting = self.state.waiting.borrow_mut();
            waiting.insert(number, cx.waker().clone());
            drop(waiting);
            self.place = Some((number, cx.waker().clone()));
        }
        Poll::Pending
    }
}

impl Drop for Reached {
    fn drop(&mut self) {
        if let Some((number, _)) = self.place {
            self.state.waiting.borrow_mut().remove(&number);
        }
    }
}

impl State {
    fn number(&self) -> u64 {
        let number = self.next.get();
        self.next.set(number + 1);
        number
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::{task::LocalSet, time::timeout};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn wakes_everyone_who_waits_for_a_stage_and_nobody_else() {
        let drain = Drain::default();
        let (started, over) = (drain.started(), drain.over());
        let tasks = LocalSet::new();
        let started = tasks.spawn_local(started);
        let over = tasks.spawn_local(over);
        let short = Duration::from_millis(1);
        assert!(
            tasks
                .run_until(timeout(short, drain.started()))
                .await
                .is_err()
        );
        drain.advance(Stage::Draining);
        tasks.run_until(started).await.unwrap();
        assert!(!over.is_finished());
        drain.advance(Stage::Over);
        tasks.run_until(over).await.unwrap();
        drain.started().await;
    }

    #[tokio::test(start_paused = true)]
    async fn forgets_whoever_no_longer_waits() {
        let drain = Drain::default();
        for _ in 0..3 {
            assert!(
                timeout(Duration::from_millis(1), drain.over())
                    .await
                    .is_err()
            );
        }
        assert!(drain.0.waiting.borrow().is_empty());
    }
}
