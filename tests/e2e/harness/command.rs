//! Other programs: the binary's own commands, `curl`, `openssl`.

use std::process::{Output, Stdio};

use tokio::{io::AsyncWriteExt as _, process::Command, time::timeout};

use crate::harness::{BINARY, PATIENCE};

/// How a program ended and what it said.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Said {
    /// Both streams.
    pub(crate) fn all(&self) -> String {
        format!("{}{}", self.stdout, self.stderr)
    }
}

/// Runs the proxy's own command line.
pub(crate) async fn portcullis(args: &[&str]) -> Said {
    run(BINARY, args, "").await
}

/// Runs a program with `input` on its standard input.
pub(crate) async fn run(program: &str, args: &[&str], input: &str) -> Said {
    let mut child = Command::new(program)
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap_or_else(|error| panic!("{program} does not start: {error}"));
    let mut stdin = child.stdin.take().unwrap();
    // A program that does not read has closed its end.
    let _ = stdin.write_all(input.as_bytes()).await;
    drop(stdin);
    let Output {
        status,
        stdout,
        stderr,
    } = timeout(PATIENCE, child.wait_with_output())
        .await
        .expect("the program does not end")
        .unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Said {
        code: status.code(),
        stdout: text(stdout),
        stderr: text(stderr),
    }
}
