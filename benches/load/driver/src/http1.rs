//! HTTP/1.1, one request at a time on one connection.

use anyhow::{Context, Result, bail, ensure};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::arguments::Arguments;

/// How much is read at once.
const BUFFER: usize = 16 * 1024;

/// The request that is sent again and again, and the body that must come back.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    head: Vec<u8>,
    bytes: usize,
}

impl Request {
    /// A GET for `--path`, answered by `--bytes` bytes. `more` are further header lines.
    pub(crate) fn new(arguments: &Arguments, more: &str) -> Result<Self> {
        let path: String = arguments.value("path")?;
        let port: u16 = arguments.value("port")?;
        let head = format!(
            "GET {path} HTTP/1.1\r\nHost: localhost:{port}\r\nUser-Agent: load-driver\r\n{more}\r\n"
        );
        Ok(Self {
            head: head.into_bytes(),
            bytes: arguments.value("bytes")?,
        })
    }
}

/// A connection, with what was read and not used yet.
#[derive(Debug)]
pub(crate) struct Connection<S> {
    stream: S,
    buffer: Vec<u8>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    /// A connection on which nothing was said so far.
    pub(crate) fn new(stream: S) -> Self {
        Self {
            stream,
            buffer: Vec::with_capacity(BUFFER),
        }
    }

    /// Sends the request, and takes the whole response; whatever is not a 2xx is an error.
    pub(crate) async fn exchange(&mut self, request: &Request) -> Result<()> {
        self.stream.write_all(&request.head).await?;
        self.stream.flush().await?;
        let (head, length) = loop {
            if let Some(found) = parse(&self.buffer)? {
                break found;
            }
            self.more().await?;
        };
        ensure!(
            length == request.bytes,
            "a body of {length} bytes instead of {}",
            request.bytes
        );
        let mut missing = (head + length).saturating_sub(self.buffer.len());
        self.buffer.drain(..(head + length).min(self.buffer.len()));
        while missing > 0 {
            self.more().await?;
            let taken = missing.min(self.buffer.len());
            self.buffer.drain(..taken);
            missing -= taken;
        }
        Ok(())
    }

    /// Waits until the server closes. Being told so politely is not asked for.
    pub(crate) async fn closed(mut self) -> Result<()> {
        self.buffer.clear();
        match self.stream.read_buf(&mut self.buffer).await {
            Ok(0) | Err(_) => Ok(()),
            Ok(_) => bail!("bytes after the response"),
        }
    }

    /// The stream itself.
    pub(crate) fn into_stream(self) -> S {
        self.stream
    }

    async fn more(&mut self) -> Result<()> {
        self.buffer.reserve(BUFFER);
        let read = self.stream.read_buf(&mut self.buffer).await?;
        ensure!(read > 0, "closed before the response was whole");
        Ok(())
    }
}

/// Length of the head and of the body that follows it, once the head is whole.
fn parse(bytes: &[u8]) -> Result<Option<(usize, usize)>> {
    let mut headers = [httparse::EMPTY_HEADER; 48];
    let mut response = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(head) = response.parse(bytes)? else {
        return Ok(None);
    };
    let code = response.code.context("no status")?;
    ensure!((200..300).contains(&code), "status {code}");
    let length = response
        .headers
        .iter()
        .find(|header| header.name.eq_ignore_ascii_case("content-length"))
        .context("no content-length")?;
    let length = std::str::from_utf8(length.value)?.trim().parse()?;
    Ok(Some((head, length)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_body_behind_the_head() {
        let head = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n";
        let bytes = format!("{head}hello");
        assert_eq!(parse(bytes.as_bytes()).unwrap(), Some((head.len(), 5)));
        assert_eq!(parse(&bytes.as_bytes()[..20]).unwrap(), None);
    }

    #[test]
    fn refuses_what_is_not_a_success() {
        let refused = parse(b"HTTP/1.1 429 Too Many Requests\r\nContent-Length: 0\r\n\r\n");
        assert_eq!(refused.unwrap_err().to_string(), "status 429");
    }
}
