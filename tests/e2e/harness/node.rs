//! Backends of Node's own servers: the scripts of `tests/peers` that listen.

use std::{path::Path, process::Stdio};

use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::{Child, Command},
    time::timeout,
};

use crate::harness::PATIENCE;

/// A running script. Dropping it kills the process.
pub(crate) struct Node {
    _child: Child,
    port: u16,
}

impl Node {
    /// Starts `script` with `variables` and waits until it says where it listens.
    pub(crate) async fn start(script: &str, variables: &[(&str, &str)]) -> Self {
        let mut child = Command::new("node")
            .arg(script)
            .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers"))
            .envs(variables.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let line = timeout(PATIENCE * 4, lines.next_line())
            .await
            .expect("the backend starts");
        let line = line.unwrap().expect("the backend says where it listens");
        let ready: serde_json::Value = serde_json::from_str(&line).unwrap();
        let port = ready["listening"].as_u64().unwrap();
        Self {
            _child: child,
            port: port.try_into().unwrap(),
        }
    }

    /// For `upstream.backends`.
    pub(crate) fn url(&self, scheme: &str) -> String {
        format!("{scheme}://127.0.0.1:{}", self.port)
    }
}
