//! What a process writes, as lines that can be waited for.

use std::{
    io::{BufRead as _, BufReader, Read},
    sync::{Arc, Mutex},
};

use crate::harness::eventually;

/// Lines that a process has written so far.
#[derive(Clone, Default)]
pub(crate) struct Lines(Arc<Mutex<Vec<String>>>);

impl Lines {
    /// Reads `source` to its end on a thread of its own.
    pub(crate) fn follow(source: impl Read + Send + 'static) -> Self {
        let lines = Self::default();
        let sink = lines.clone();
        std::thread::spawn(move || {
            for line in BufReader::new(source).split(b'\n').map_while(Result::ok) {
                sink.0
                    .lock()
                    .unwrap()
                    .push(String::from_utf8_lossy(&line).into_owned());
            }
        });
        lines
    }

    /// All lines so far.
    pub(crate) fn all(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }

    /// Lines that hold `part`.
    pub(crate) fn count(&self, part: &str) -> usize {
        self.0
            .lock()
            .unwrap()
            .iter()
            .filter(|line| line.contains(part))
            .count()
    }

    /// Waits for a line that holds all of `parts`.
    pub(crate) async fn wait_for(&self, parts: &[&str]) -> String {
        eventually(&format!("a line with {parts:?}"), async || {
            self.all()
                .into_iter()
                .find(|line| parts.iter().all(|part| line.contains(part)))
        })
        .await
    }
}
