//! Backends that speak bytes: what no proper server would do.

use std::{io, sync::Arc, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    time::timeout,
};

use crate::harness::{
    PATIENCE,
    backend::{Backend, Seen, Serve},
    client::Stream,
};

/// One connection of a scripted backend.
pub(crate) struct Conn {
    stream: Box<dyn Stream>,
    read: Vec<u8>,
    seen: Seen,
}

impl Backend {
    /// Runs `script` on every connection.
    pub(crate) async fn scripted<F>(script: impl Fn(Conn) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = io::Result<()>> + Send + 'static,
    {
        let serve: Serve = Arc::new(move |stream, seen| {
            let run = script(Conn {
                stream,
                read: Vec::new(),
                seen,
            });
            Box::pin(async move {
                // The proxy may leave in the middle of any script.
                let _ = run.await;
            })
        });
        Self::listen("127.0.0.1:0".parse().unwrap(), serve).await
    }

    /// Answers every request with the same bytes and keeps the connection.
    pub(crate) async fn canned(answer: &'static str) -> Self {
        Self::scripted(move |mut conn| async move {
            while conn.head().await.is_some() {
                conn.write(answer).await?;
            }
            Ok(())
        })
        .await
    }

    /// Answers every request with the same bytes and closes.
    pub(crate) async fn canned_once(answer: &'static str) -> Self {
        Self::scripted(move |mut conn| async move {
            conn.head().await;
            conn.write(answer).await
        })
        .await
    }

    /// Echoes WebSocket messages.
    pub(crate) async fn websocket() -> Self {
        use futures_util::{SinkExt as _, StreamExt as _};
        Self::scripted(|conn| async move {
            let mut socket = tokio_tungstenite::accept_async(conn.stream)
                .await
                .map_err(io::Error::other)?;
            while let Some(Ok(message)) = socket.next().await {
                if message.is_text() || message.is_binary() {
                    socket.send(message).await.map_err(io::Error::other)?;
                }
            }
            Ok(())
        })
        .await
    }

    /// Closes idle connections after `idle`, says so in `Keep-Alive` as Node does, and answers 200.
    pub(crate) async fn node(idle: Duration, hint: &'static str) -> Self {
        Self::scripted(move |mut conn| async move {
            while let Ok(Some(_)) = timeout(idle, conn.head()).await {
                conn.write(&format!(
                    "HTTP/1.1 200 OK\r\n{hint}Content-Length: 2\r\n\r\nok"
                ))
                .await?;
            }
            Ok(())
        })
        .await
    }
}

impl Conn {
    /// The next request head; nothing at the end.
    pub(crate) async fn head(&mut self) -> Option<String> {
        loop {
            if let Some(at) = memchr::memmem::find(&self.read, b"\r\n\r\n") {
                let rest = self.read.split_off(at + 4);
                let head = std::mem::replace(&mut self.read, rest);
                let head = String::from_utf8_lossy(&head).into_owned();
                self.seen.requests.lock().unwrap().push(head.clone());
                return Some(head);
            }
            if !matches!(self.stream.read_buf(&mut self.read).await, Ok(1..)) {
                return None;
            }
        }
    }

    /// Bytes of a body, until there are `length`.
    pub(crate) async fn body(&mut self, length: usize) -> io::Result<Vec<u8>> {
        while self.read.len() < length {
            if self.stream.read_buf(&mut self.read).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        let rest = self.read.split_off(length);
        Ok(std::mem::replace(&mut self.read, rest))
    }

    /// Whatever has come up to and with `mark`.
    pub(crate) async fn until(&mut self, mark: &str) -> io::Result<String> {
        loop {
            if let Some(at) = memchr::memmem::find(&self.read, mark.as_bytes()) {
                let found = self.body(at + mark.len()).await?;
                return Ok(String::from_utf8_lossy(&found).into_owned());
            }
            if self.stream.read_buf(&mut self.read).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    /// Sends text.
    pub(crate) async fn write(&mut self, text: &str) -> io::Result<()> {
        self.stream.write_all(text.as_bytes()).await?;
        self.stream.flush().await
    }

    /// Waits until the proxy closes.
    pub(crate) async fn closed(&mut self) {
        let _ = timeout(PATIENCE, async {
            while matches!(self.stream.read_buf(&mut self.read).await, Ok(1..)) {}
        })
        .await;
    }
}
