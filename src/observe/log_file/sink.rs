//! The file behind the access log: whole writes, failures counted and told once a minute.

use std::{
    fs::{File, OpenOptions},
    io::{self, ErrorKind, Write as _},
    os::{fd::AsFd as _, unix::fs::OpenOptionsExt as _},
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use tokio::time::Instant;

/// At most one complaint in this time.
const REPORT_INTERVAL: Duration = Duration::from_mins(1);
/// How long a pipe that takes nothing is waited for, in steps of [`PIPE_STEP`].
const PIPE_STEPS: u32 = 100;
const PIPE_STEP: Duration = Duration::from_millis(10);

/// An open file, or standard output.
#[derive(Debug)]
pub(super) struct Sink {
    file: File,
    /// For messages.
    name: PathBuf,
    /// The last write ended inside a line.
    torn: bool,
    failure: Option<io::Error>,
    /// A failure was told, and no success since.
    failing: bool,
    reported_at: Option<Instant>,
    reported_lines: u64,
}

impl Sink {
    /// Opens `path` to append; standard output when there is none.
    pub(super) fn open(path: Option<&Path>) -> io::Result<Self> {
        let file = match path {
            // Client addresses are not for everyone's eyes.
            Some(path) => OpenOptions::new()
                .append(true)
                .create(true)
                .mode(0o640)
                .open(path)?,
            // A descriptor of its own: the batches are buffered already.
            None => File::from(io::stdout().as_fd().try_clone_to_owned()?),
        };
        Ok(Self {
            file,
            name: path.map_or_else(|| "standard output".into(), Path::to_owned),
            torn: false,
            failure: None,
            failing: false,
            reported_at: None,
            reported_lines: 0,
        })
    }

    /// Writes to the file of `next` from now on.
    pub(super) fn move_to(&mut self, next: Self) {
        self.file = next.file;
        self.name = next.name;
        self.torn = false;
    }

    /// Writes whole lines; returns how many of them were lost.
    pub(super) fn write(&mut self, batch: &[u8]) -> u64 {
        if batch.is_empty() {
            return 0;
        }
        let mut rest = batch;
        match self.write_all(&mut rest) {
            Ok(()) => {
                if std::mem::take(&mut self.failing) {
                    tracing::info!(file = %self.name.display(), "the access log is written again");
                }
                0
            }
            Err(error) => {
                self.failure = Some(error);
                memchr::memchr_iter(b'\n', rest).count() as u64
            }
        }
    }

    /// Tells of lost lines, given how many the process has lost so far.
    pub(super) fn report(&mut self, dropped: u64) {
        let lines = dropped.saturating_sub(self.reported_lines);
        let quiet = |at: Instant| at.elapsed() < REPORT_INTERVAL;
        if lines == 0 || self.reported_at.is_some_and(quiet) {
            return;
        }
        self.reported_at = Some(Instant::now());
        self.reported_lines = dropped;
        let file = self.name.display();
        if let Some(error) = self.failure.take() {
            self.failing = true;
            tracing::error!(%file, %error, lines, "access log lines were lost; free its disk or fix its path");
        } else {
            tracing::warn!(%file, lines, "access log lines were lost; its disk is slower than the traffic");
        }
    }

    fn write_all(&mut self, rest: &mut &[u8]) -> io::Result<()> {
        if self.torn {
            self.write_some(b"\n")?;
            self.torn = false;
        }
        while !rest.is_empty() {
            let count = self.write_some(rest)?;
            self.torn = rest[count - 1] != b'\n';
            *rest = &rest[count..];
        }
        Ok(())
    }

    /// At least one byte. Standard output may be a pipe that another process made non-blocking.
    fn write_some(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let patience = if self.failure.is_some() {
            0
        } else {
            PIPE_STEPS
        };
        let mut steps = 0;
        loop {
            match self.file.write(bytes) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(count) => return Ok(count),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock && steps < patience => {
                    steps += 1;
                    thread::park_timeout(PIPE_STEP);
                }
                Err(error) => return Err(error),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, pipe};

    use super::*;

    #[test]
    fn starts_a_new_line_after_a_torn_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let mut sink = Sink::open(Some(&path)).unwrap();
        sink.write(b"torn");
        assert_eq!(sink.write(b"whole\n"), 0);
        assert_eq!(std::fs::read(&path).unwrap(), b"torn\nwhole\n");
    }

    #[test]
    fn counts_a_line_whose_end_was_not_written_as_lost() {
        let (mut reader, writer) = pipe().unwrap();
        let mut sink = Sink::open(Some(Path::new("/dev/null"))).unwrap();
        sink.file = File::from(std::os::fd::OwnedFd::from(writer));
        assert_eq!(sink.write(b"one\n"), 0);
        let mut one = [0; 4];
        reader.read_exact(&mut one).unwrap();
        drop(reader);
        assert_eq!(sink.write(b"two\nthree\n"), 2);
    }

    #[test]
    fn complains_once_a_minute() {
        let mut sink = Sink::open(Some(Path::new("/dev/full"))).unwrap();
        assert_eq!(sink.write(b"one\n"), 1);
        sink.report(1);
        assert!(sink.failing && sink.failure.is_none());
        assert_eq!(sink.write(b"two\n"), 1);
        sink.report(2);
        assert!(sink.failure.is_some(), "kept for the next complaint");
    }
}
