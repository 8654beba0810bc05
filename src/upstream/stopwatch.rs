//! What a backend takes for one request, measured where the balancer wants to know.

use std::{cell::Cell, time::Duration};

use tokio::time::Instant;

/// Runs from the lease to the head of the answer, but not while the client still has a body to send.
/// Where nobody wants to know it stands still, and costs no look at the clock.
#[derive(Debug, Default)]
pub struct Stopwatch(Cell<State>);

#[derive(Debug, Clone, Copy, Default)]
enum State {
    #[default]
    Off,
    Held,
    Since(Instant),
}

impl Stopwatch {
    /// One that runs from now on.
    pub(in crate::upstream) fn running() -> Self {
        Self(Cell::new(State::Since(Instant::now())))
    }

    /// Takes it back to the start until it is resumed; false when it did not run.
    pub fn hold(&self) -> bool {
        let is_running = matches!(self.0.get(), State::Since(_));
        if is_running {
            self.0.set(State::Held);
        }
        is_running
    }

    /// Starts it, if it is held.
    pub fn resume(&self) {
        if let State::Held = self.0.get() {
            self.0.set(State::Since(Instant::now()));
        }
    }

    /// Stops it for good; the time that it showed and the time that it is, if it ran.
    pub(in crate::upstream) fn stop(&self) -> Option<(Duration, Instant)> {
        let State::Since(since) = self.0.take() else {
            return None;
        };
        let now = Instant::now();
        Some((now.saturating_duration_since(since), now))
    }
}
