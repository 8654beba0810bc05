//! The proxy as a process: what it takes, and its end and return.

use std::fs;

use crate::harness::Proxy;

impl Proxy {
    /// Memory of the process, in MiB.
    pub(crate) fn resident_mib(&self) -> usize {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status
            .lines()
            .find(|line| line.starts_with("VmRSS"))
            .unwrap();
        line.split_whitespace()
            .nth(1)
            .unwrap()
            .parse::<usize>()
            .unwrap()
            / 1024
    }

    /// Ends the process, and starts another in the same folder.
    pub(crate) async fn restart(mut self) -> Self {
        self.signal("TERM");
        self.ended().await;
        let toml = fs::read_to_string(self.dir().join("portcullis.toml")).unwrap();
        let dir = std::mem::replace(&mut self.dir, tempfile::tempdir().unwrap());
        drop(self);
        Self::start_in(dir, &toml).await
    }
}
