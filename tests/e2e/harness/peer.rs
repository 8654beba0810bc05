//! A script of `tests/peers` that goes on until it is dropped, and the lines that it prints.

use std::{
    path::Path,
    process::{Child, Command, Stdio},
};

use crate::harness::lines::Lines;

/// A running script.
pub(crate) struct Peer {
    child: Child,
    lines: Lines,
}

impl Peer {
    /// Starts `script` with `variables` in its environment.
    pub(crate) fn start(script: &str, variables: &[(&str, &str)]) -> Self {
        let peers = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers");
        let mut child = Command::new("node")
            .arg(script)
            .current_dir(peers)
            .envs(variables.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = Lines::follow(child.stdout.take().unwrap());
        Self { child, lines }
    }

    /// Waits until it has printed a line that begins with `what`; the rest of the line.
    pub(crate) async fn says(&self, what: &str) -> String {
        let line = self.lines.wait_for(&[what]).await;
        line.trim_start_matches(what).trim().to_owned()
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // Both fail only when it is gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
