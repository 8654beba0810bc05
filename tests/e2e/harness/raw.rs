//! A client that says whatever bytes it likes.

use std::io;

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    time::timeout,
};

use crate::harness::{
    PATIENCE,
    client::{Stream, Target},
};

/// A connection of bare bytes.
pub(crate) struct Raw {
    stream: Box<dyn Stream>,
    read: Vec<u8>,
}

impl Raw {
    /// Connects.
    pub(crate) async fn connect(target: &Target) -> io::Result<Self> {
        Ok(Self {
            stream: target.connect().await?,
            read: Vec::new(),
        })
    }

    /// The stream, when nothing was read too far.
    pub(crate) fn into_stream(self) -> Box<dyn Stream> {
        assert!(self.read.is_empty());
        self.stream
    }

    /// Sends bytes.
    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.try_send(bytes).await.unwrap();
    }

    /// Sends bytes that the other side may not want any more.
    pub(crate) async fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.stream.write_all(bytes.as_ref()).await?;
        self.stream.flush().await
    }

    /// Everything until the connection ends, cleanly or not.
    pub(crate) async fn read_to_end(&mut self) -> String {
        while self.fill().await {}
        String::from_utf8_lossy(&std::mem::take(&mut self.read)).into_owned()
    }

    /// Everything up to and with `mark`.
    pub(crate) async fn read_until(&mut self, mark: &str) -> String {
        loop {
            if let Some(at) = memchr::memmem::find(&self.read, mark.as_bytes()) {
                let rest = self.read.split_off(at + mark.len());
                let found = std::mem::replace(&mut self.read, rest);
                return String::from_utf8_lossy(&found).into_owned();
            }
            let came = String::from_utf8_lossy(&self.read).into_owned();
            assert!(
                self.fill().await,
                "the connection ended before {mark:?}, after {came:?}"
            );
        }
    }

    /// A response head.
    pub(crate) async fn head(&mut self) -> String {
        self.read_until("\r\n\r\n").await.to_ascii_lowercase()
    }

    /// A response whose body has a length: head and body.
    pub(crate) async fn response(&mut self) -> (String, String) {
        let head = self.head().await;
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "))
            .map_or(0, |length| length.trim().parse().unwrap());
        while self.read.len() < length {
            assert!(self.fill().await, "the body ended early");
        }
        let rest = self.read.split_off(length);
        let body = std::mem::replace(&mut self.read, rest);
        (head, String::from_utf8_lossy(&body).into_owned())
    }

    async fn fill(&mut self) -> bool {
        let read = timeout(PATIENCE, self.stream.read_buf(&mut self.read)).await;
        matches!(
            read.expect("the other side says nothing and does not close"),
            Ok(1..)
        )
    }
}

/// The status of a raw response.
pub(crate) fn status_of(response: &str) -> u16 {
    response
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok())
        .unwrap_or(0)
}
