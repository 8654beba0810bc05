//! Lines of the access log, from the workers to a file, off the request path.
//!
//! Each worker appends to a buffer of its own; one thread takes the buffers several times a
//! second, or as soon as one is worth a write, and writes them. A worker never waits for the
//! disk: it holds its buffer's lock while it appends, the thread only while it swaps the buffer
//! for an empty one. A buffer that is full takes no more lines; they are counted and the log
//! says so. No worker has to run, or to end well, for its lines to be written.

use std::{
    io,
    path::Path,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle, Thread},
    time::Duration,
};

use prometheus_client::metrics::counter::Counter;
use tokio::time::Instant;

use crate::observe::log_file::sink::Sink;

mod sink;

/// A line waits at most this long for its write.
const FLUSH_INTERVAL: Duration = Duration::from_millis(250);
/// Bytes that are worth a write at once: waking the writer costs as much as some requests.
const BATCH: usize = 64 * 1024;
/// How long the end waits for the last write.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(3);
/// Bytes that a worker may have waiting.
const BUFFER_LIMIT: usize = 1024 * 1024;

/// An open log. Dropping it writes what waits and ends its thread.
#[derive(Debug)]
pub struct LogFile {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

/// Where workers put their lines.
#[derive(Debug, Clone)]
pub struct Lines(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    buffers: Box<[Buffer]>,
    dropped: Counter,
    /// A sink that takes over before the next write.
    next: Mutex<Option<Sink>>,
    stopping: AtomicBool,
    writer: OnceLock<Thread>,
}

/// Aligned so that two workers do not fight for one cache line.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Buffer(Mutex<Pending>);

#[derive(Debug, Default)]
struct Pending {
    bytes: Vec<u8>,
    closed: bool,
}

impl LogFile {
    /// Opens `path` to append, or standard output when there is none, and starts the thread.
    /// Lines that cannot be written are counted in `dropped`.
    ///
    /// # Errors
    /// The file cannot be opened (its folder is not created), or no thread can be started.
    pub fn open(path: Option<&Path>, workers: usize, dropped: Counter) -> io::Result<Self> {
        let sink = Sink::open(path)?;
        let shared = Arc::new(Shared {
            buffers: (0..workers.max(1)).map(|_| Buffer::default()).collect(),
            dropped,
            next: Mutex::default(),
            stopping: AtomicBool::new(false),
            writer: OnceLock::new(),
        });
        let thread = thread::Builder::new().name("access-log".into()).spawn({
            let shared = Arc::clone(&shared);
            move || write_until_stopped(&shared, sink)
        })?;
        shared.writer.get_or_init(|| thread.thread().clone());
        Ok(Self {
            shared,
            thread: Some(thread),
        })
    }

    /// Where workers put their lines.
    pub fn lines(&self) -> Lines {
        Lines(Arc::clone(&self.shared))
    }

    /// Opens `path` anew and writes there from now on: after a rotation, or to move the log.
    ///
    /// # Errors
    /// The file cannot be opened; the old one stays in use.
    pub fn reopen(&self, path: Option<&Path>) -> io::Result<()> {
        let sink = Sink::open(path)?;
        *lock(&self.shared.next) = Some(sink);
        self.shared.wake();
        Ok(())
    }
}

impl Drop for LogFile {
    fn drop(&mut self) {
        self.shared.stopping.store(true, Ordering::Release);
        self.shared.wake();
        let Some(thread) = self.thread.take() else {
            return;
        };
        let start = Instant::now();
        while !thread.is_finished() && start.elapsed() < CLOSE_TIMEOUT {
            thread::park_timeout(Duration::from_millis(2));
        }
        // A pipe that nobody reads must not keep the process from ending.
        if !thread.is_finished() {
            tracing::error!("the access log took no more lines, its last ones are lost");
        } else if thread.join().is_err() {
            tracing::error!("the access log's thread panicked");
        }
    }
}

impl Lines {
    /// Lets `format` append one line, its line feed included, to the buffer of `worker`.
    /// When the buffer is full, or the log closed, the line is counted instead.
    pub fn append(&self, worker: usize, format: impl FnOnce(&mut Vec<u8>)) {
        let shared = &self.0;
        let mut pending = lock(&shared.buffers[worker % shared.buffers.len()].0);
        if pending.closed || pending.bytes.len() >= BUFFER_LIMIT {
            drop(pending);
            shared.dropped.inc();
            return;
        }
        let before = pending.bytes.len();
        format(&mut pending.bytes);
        let full = before < BATCH && pending.bytes.len() >= BATCH;
        drop(pending);
        if full {
            shared.wake();
        }
    }
}

impl Shared {
    fn wake(&self) {
        if let Some(writer) = self.writer.get() {
            writer.unpark();
        }
    }
}

fn write_until_stopped(shared: &Shared, mut sink: Sink) {
    let mut batch = Vec::new();
    loop {
        let stopping = shared.stopping.load(Ordering::Acquire);
        if let Some(next) = lock(&shared.next).take() {
            sink.move_to(next);
        }
        for buffer in &shared.buffers {
            {
                let mut pending = lock(&buffer.0);
                pending.closed = stopping;
                std::mem::swap(&mut pending.bytes, &mut batch);
            }
            let lost = sink.write(&batch);
            shared.dropped.inc_by(lost);
            batch.clear();
            batch.shrink_to(4 * BATCH);
        }
        sink.report(shared.dropped.get());
        if stopping {
            return;
        }
        thread::park_timeout(FLUSH_INTERVAL);
    }
}

/// A poisoned buffer holds whole lines and maybe the start of one: better than none.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::{fs, os::fd::AsRawFd as _};

    use super::*;

    fn put(lines: &Lines, worker: usize, text: &str) {
        lines.append(worker, |buffer| buffer.extend_from_slice(text.as_bytes()));
    }

    /// Waits for a condition that another thread brings about.
    fn wait_until(mut holds: impl FnMut() -> bool) {
        let start = Instant::now();
        while !holds() {
            assert!(start.elapsed() < Duration::from_secs(10), "never held");
            thread::park_timeout(Duration::from_millis(5));
        }
    }

    #[test]
    fn writes_every_line_of_every_worker_before_it_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("access.log");
        let dropped = Counter::default();
        let log = LogFile::open(Some(&path), 4, dropped.clone()).unwrap();
        thread::scope(|scope| {
            for worker in 0..4 {
                let lines = log.lines();
                scope.spawn(move || {
                    for line in 0..5_000 {
                        put(&lines, worker, &format!("{worker} {line}\n"));
                    }
                });
            }
        });
        drop(log);
        let text = fs::read_to_string(&path).unwrap();
        for worker in 0..4 {
            let prefix = format!("{worker} ");
            let own: Vec<_> = text
                .lines()
                .filter_map(|l| l.strip_prefix(&prefix))
                .collect();
            let expected: Vec<_> = (0..5_000).map(|line| line.to_string()).collect();
            assert_eq!(own, expected);
        }
        assert_eq!(dropped.get(), 0);
    }

    #[test]
    fn writes_a_lone_line_without_being_asked() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("access.log");
        let log = LogFile::open(Some(&path), 1, Counter::default()).unwrap();
        put(&log.lines(), 0, "lone\n");
        wait_until(|| fs::read(&path).unwrap() == b"lone\n");
    }

    #[test]
    fn writes_to_the_new_file_after_a_rotation() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("access.log");
        let rotated = folder.path().join("access.log.1");
        let log = LogFile::open(Some(&path), 1, Counter::default()).unwrap();
        put(&log.lines(), 0, "old\n");
        wait_until(|| fs::read(&path).unwrap() == b"old\n");
        fs::rename(&path, &rotated).unwrap();
        log.reopen(Some(&path)).unwrap();
        put(&log.lines(), 0, "new\n");
        drop(log);
        assert_eq!(fs::read_to_string(&rotated).unwrap(), "old\n");
        assert_eq!(fs::read_to_string(&path).unwrap(), "new\n");
    }

    #[test]
    fn keeps_the_old_file_when_the_new_one_cannot_be_opened() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("access.log");
        let log = LogFile::open(Some(&path), 1, Counter::default()).unwrap();
        let nowhere = folder.path().join("missing/access.log");
        assert!(log.reopen(Some(&nowhere)).is_err());
        put(&log.lines(), 0, "still\n");
        drop(log);
        assert_eq!(fs::read_to_string(&path).unwrap(), "still\n");
    }

    #[test]
    fn counts_lines_while_the_disk_is_full_and_recovers() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("access.log");
        let dropped = Counter::default();
        let log = LogFile::open(Some(Path::new("/dev/full")), 1, dropped.clone()).unwrap();
        put(&log.lines(), 0, "one\ntwo\n");
        wait_until(|| dropped.get() == 2);
        log.reopen(Some(&path)).unwrap();
        put(&log.lines(), 0, "three\n");
        drop(log);
        assert_eq!(fs::read_to_string(&path).unwrap(), "three\n");
        assert_eq!(dropped.get(), 2);
    }

    #[test]
    fn drops_and_counts_what_does_not_fit() {
        let dropped = Counter::default();
        let shared = Arc::new(Shared {
            buffers: Box::new([Buffer::default()]),
            dropped: dropped.clone(),
            next: Mutex::default(),
            stopping: AtomicBool::new(false),
            writer: OnceLock::new(),
        });
        let lines = Lines(Arc::clone(&shared));
        let line = "x".repeat(BUFFER_LIMIT / 2);
        for _ in 0..5 {
            put(&lines, 0, &line);
        }
        assert_eq!(dropped.get(), 3);
        assert_eq!(lock(&shared.buffers[0].0).bytes.len(), BUFFER_LIMIT);
    }

    #[test]
    fn counts_lines_that_come_after_its_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("access.log");
        let dropped = Counter::default();
        let log = LogFile::open(Some(&path), 1, dropped.clone()).unwrap();
        let lines = log.lines();
        drop(log);
        put(&lines, 0, "late\n");
        assert_eq!(dropped.get(), 1);
    }
    #[test]
    fn ends_in_time_when_nobody_reads_its_pipe() {
        let (_reader, writer) = io::pipe().unwrap();
        let path = format!("/proc/self/fd/{}", writer.as_raw_fd());
        let log = LogFile::open(Some(Path::new(&path)), 1, Counter::default()).unwrap();
        put(&log.lines(), 0, &"more than a pipe holds\n".repeat(10_000));
        let start = Instant::now();
        drop(log);
        assert!(start.elapsed() < 2 * CLOSE_TIMEOUT);
    }
}
