//! A schedule of requests at a fixed rate, kept by a timer finer than tokio's millisecond.

use std::{cell::Cell, os::fd::OwnedFd, time::Duration};

use anyhow::Result;
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};
use tokio::{io::unix::AsyncFd, sync::Semaphore, time::Instant};

/// The shortest wait: below it several requests are let go at once.
const SHORTEST: Duration = Duration::from_micros(20);

/// When each of `total` requests is meant to be sent, and which of them is next.
#[derive(Debug)]
pub(crate) struct Schedule {
    start: Instant,
    rate: f64,
    total: u32,
    next: Cell<u32>,
    due: Semaphore,
}

impl Schedule {
    /// A schedule that starts now.
    pub(crate) fn new(rate: f64, total: u32) -> Self {
        Self {
            start: Instant::now(),
            rate,
            total,
            next: Cell::new(0),
            due: Semaphore::new(0),
        }
    }

    /// Waits for a request to be due, and returns when it was meant to be sent, which may be past;
    /// `None` once all are taken.
    pub(crate) async fn take(&self) -> Option<Instant> {
        self.due.acquire().await.ok()?.forget();
        let number = self.next.get();
        self.next.set(number + 1);
        if number + 1 == self.total {
            self.due.close();
        }
        Some(self.intended(number))
    }

    /// Lets requests go as they fall due.
    pub(crate) async fn keep(&self) -> Result<()> {
        let timer = Timer::new()?;
        let mut released = 0;
        while released < self.total {
            while released < self.total && self.intended(released) <= Instant::now() {
                self.due.add_permits(1);
                released += 1;
            }
            let wait = self.intended(released) - Instant::now();
            timer.wait(wait.max(SHORTEST)).await?;
        }
        Ok(())
    }

    /// The requests that nobody took.
    pub(crate) fn untaken(&self) -> impl Iterator<Item = Instant> {
        (self.next.get()..self.total).map(|number| self.intended(number))
    }

    /// How long the schedule lasts.
    pub(crate) fn length(&self) -> Duration {
        self.intended(self.total) - self.start
    }

    /// Time since the start.
    pub(crate) fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }

    fn intended(&self, number: u32) -> Instant {
        self.start + Duration::from_secs_f64(f64::from(number) / self.rate)
    }
}

/// The kernel's high-resolution timer, as a descriptor.
struct Timer(AsyncFd<OwnedFd>);

impl Timer {
    fn new() -> Result<Self> {
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let descriptor = timerfd_create(TimerfdClockId::Monotonic, flags)?;
        #[expect(
            deprecated,
            reason = "the new name is unsafe and asks for what holds here: an owned, valid descriptor"
        )]
        let timer = AsyncFd::new(descriptor)?;
        Ok(Self(timer))
    }

    async fn wait(&self, duration: Duration) -> Result<()> {
        let once = Itimerspec {
            it_interval: Timespec::default(),
            it_value: Timespec::try_from(duration)?,
        };
        timerfd_settime(self.0.get_ref(), TimerfdTimerFlags::empty(), &once)?;
        loop {
            let mut ready = self.0.readable().await?;
            let mut expirations = [0; 8];
            let read =
                ready.try_io(|timer| Ok(rustix::io::read(timer.get_ref(), &mut expirations)?));
            if let Ok(read) = read {
                read?;
                return Ok(());
            }
        }
    }
}
