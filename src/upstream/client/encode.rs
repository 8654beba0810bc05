//! A request written as HTTP/1.1: the fields that frame its body, and the body (RFC 9112 sections 6 and 7). The rest of the
//! head comes from the handler.

use std::{
    io::{self, IoSlice, Write as _},
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Buf as _, Bytes, BytesMut};
use http::{HeaderMap, Method};
use http_body::Body as _;
use tokio::io::AsyncWrite;

use crate::{
    message::{
        body::{Body, BodyError},
        hop_by_hop::may_trail,
        text::push_decimal,
    },
    upstream::client::kept::Kept,
};

/// How the end of a body is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// There is no body and nothing says so.
    None,
    /// `Content-Length`, with the bytes that are still to come.
    Length(u64),
    /// `Transfer-Encoding: chunked`.
    Chunked,
}

impl Framing {
    /// The framing of `body`: by length where it is known, else chunked.
    ///
    /// An empty body of a method that usually has one says `Content-Length: 0`.
    pub fn of(method: &Method, body: &Body) -> Self {
        match body.size_hint().exact() {
            Some(0) if matches!(*method, Method::POST | Method::PUT | Method::PATCH) => {
                Self::Length(0)
            }
            Some(0) => Self::None,
            Some(length) => Self::Length(length),
            None => Self::Chunked,
        }
    }
}

/// Appends the field that `framing` is told by, if one is, and the end of the head.
pub fn end(out: &mut BytesMut, framing: Framing) {
    match framing {
        Framing::None => {}
        Framing::Length(length) => {
            out.extend_from_slice(b"content-length: ");
            push_decimal(out, length);
            out.extend_from_slice(b"\r\n");
        }
        Framing::Chunked => field(out, "transfer-encoding", b"chunked"),
    }
    out.extend_from_slice(b"\r\n");
}

/// Appends one field.
pub fn field(out: &mut BytesMut, name: &str, value: &[u8]) {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

/// A request on its way to the socket: bytes that are framed, and the body they come from.
#[derive(Debug)]
pub struct Outgoing {
    /// Framed bytes: head, chunk sizes, small payloads.
    buffer: BytesMut,
    /// A payload too large to be copied; goes out after `buffer`.
    payload: Bytes,
    /// What follows `payload`.
    tail: &'static [u8],
    body: Option<Body>,
    framing: Framing,
    /// What was taken of the body.
    kept: Kept,
    /// Bytes that the socket took.
    pub sent: u64,
    flushed: bool,
    /// The body has nothing to give at the moment.
    starved: bool,
}

/// Payloads up to this are copied behind the head, so that one write carries both.
const COPY_LIMIT: usize = 8 * 1024;

/// Why a request could not be written to its end.
#[derive(Debug)]
pub enum WriteError {
    /// The backend's socket failed.
    Backend(io::Error),
    /// The client's body failed.
    Client(BodyError),
}

impl Outgoing {
    /// `head`, then `body` in `framing`. Of a body that `is_repeatable` more is kept for another try.
    pub fn new(head: BytesMut, body: Body, framing: Framing, is_repeatable: bool) -> Self {
        let body = if framing == Framing::None {
            None
        } else {
            Some(body)
        };
        Self {
            buffer: head,
            payload: Bytes::new(),
            tail: b"",
            body,
            framing,
            kept: Kept::new(is_repeatable),
            sent: 0,
            flushed: false,
            starved: false,
        }
    }

    /// Everything was written and flushed.
    pub fn is_complete(&self) -> bool {
        self.flushed && self.body.is_none()
    }

    /// Whose fault it is that nothing moves.
    pub fn is_starved(&self) -> bool {
        self.starved
    }

    /// There is an answer, so there will be no other try.
    pub fn settle(&mut self) {
        self.kept.lose();
    }

    /// The body, for another try; `None` when more of it was taken than is kept.
    pub fn reclaim(self) -> Option<Body> {
        self.kept.restore(self.body)
    }

    /// Writes what can be written now. Ready when the request is complete.
    ///
    /// # Errors
    /// The backend's socket, or the client's body.
    pub fn poll_send(
        &mut self,
        cx: &mut Context<'_>,
        stream: &mut (impl AsyncWrite + Unpin),
    ) -> Poll<Result<(), WriteError>> {
        loop {
            // A body that is ready joins the head in one write.
            self.starved = self.poll_fill(cx)?.is_pending();
            ready!(self.poll_drain(cx, stream)).map_err(WriteError::Backend)?;
            if self.body.is_none() && self.is_drained() {
                ready!(self.poll_flush(cx, stream)).map_err(WriteError::Backend)?;
                return Poll::Ready(Ok(()));
            }
            if self.starved {
                // The backend must see what the client has sent so far.
                ready!(self.poll_flush(cx, stream)).map_err(WriteError::Backend)?;
                return Poll::Pending;
            }
        }
    }

    fn is_drained(&self) -> bool {
        self.buffer.is_empty() && self.payload.is_empty() && self.tail.is_empty()
    }

    /// Takes frames of the body until one must wait for the socket.
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Result<Poll<()>, WriteError> {
        while self.payload.is_empty() && self.tail.is_empty() && self.buffer.len() < COPY_LIMIT {
            let Some(body) = &mut self.body else {
                return Ok(Poll::Ready(()));
            };
            let Poll::Ready(frame) = Pin::new(body).poll_frame(cx) else {
                return Ok(Poll::Pending);
            };
            match frame {
                None => self.finish(None)?,
                Some(Err(error)) => return Err(WriteError::Client(error)),
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => self.push(data)?,
                    Err(frame) => self.finish(frame.into_trailers().ok().as_ref())?,
                },
            }
        }
        Ok(Poll::Ready(()))
    }

    fn push(&mut self, data: Bytes) -> Result<(), WriteError> {
        if data.is_empty() {
            return Ok(());
        }
        self.kept.add(&data);
        match &mut self.framing {
            Framing::Length(left) => {
                *left = left
                    .checked_sub(data.len() as u64)
                    .ok_or_else(length_mismatch)?;
                self.payload = data;
                if *left == 0 {
                    self.body = None;
                }
            }
            Framing::Chunked => {
                let mut size = [0; 18];
                let mut rest = &mut size[..];
                // 16 hexadecimal digits and CRLF hold every length.
                let _ = write!(rest, "{:x}\r\n", data.len());
                let used = 18 - rest.len();
                self.buffer.extend_from_slice(&size[..used]);
                self.payload = data;
                self.tail = b"\r\n";
            }
            Framing::None => return Ok(()),
        }
        if self.payload.len() <= COPY_LIMIT {
            let payload = std::mem::take(&mut self.payload);
            self.buffer.extend_from_slice(&payload);
            self.buffer
                .extend_from_slice(std::mem::take(&mut self.tail));
        }
        Ok(())
    }

    fn finish(&mut self, trailers: Option<&HeaderMap>) -> Result<(), WriteError> {
        self.body = None;
        if trailers.is_some() {
            // They are not kept.
            self.kept.lose();
        }
        match self.framing {
            Framing::Length(0) | Framing::None => Ok(()),
            Framing::Length(_) => Err(length_mismatch()),
            Framing::Chunked => {
                self.buffer.extend_from_slice(b"0\r\n");
                for (name, value) in trailers.into_iter().flatten() {
                    if may_trail(name) {
                        field(&mut self.buffer, name.as_str(), value.as_bytes());
                    }
                }
                self.buffer.extend_from_slice(b"\r\n");
                Ok(())
            }
        }
    }

    fn poll_drain(
        &mut self,
        cx: &mut Context<'_>,
        stream: &mut (impl AsyncWrite + Unpin),
    ) -> Poll<io::Result<()>> {
        while !self.is_drained() {
            let slices = [
                IoSlice::new(&self.buffer),
                IoSlice::new(&self.payload),
                IoSlice::new(self.tail),
            ];
            let count = if self.payload.is_empty() && self.tail.is_empty() {
                ready!(Pin::new(&mut *stream).poll_write(cx, &self.buffer))?
            } else {
                ready!(Pin::new(&mut *stream).poll_write_vectored(cx, &slices))?
            };
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.sent += count as u64;
            self.kept.sent();
            self.flushed = false;
            self.advance(count);
        }
        Poll::Ready(Ok(()))
    }

    fn advance(&mut self, mut count: usize) {
        let part = count.min(self.buffer.len());
        self.buffer.advance(part);
        count -= part;
        let part = count.min(self.payload.len());
        self.payload.advance(part);
        count -= part;
        self.tail = &self.tail[count..];
    }

    fn poll_flush(
        &mut self,
        cx: &mut Context<'_>,
        stream: &mut (impl AsyncWrite + Unpin),
    ) -> Poll<io::Result<()>> {
        if !self.flushed {
            ready!(Pin::new(stream).poll_flush(cx))?;
            self.flushed = true;
        }
        Poll::Ready(Ok(()))
    }
}

fn length_mismatch() -> WriteError {
    WriteError::Client(BodyError::Length)
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt as _;

    use super::*;

    async fn written(method: Method, body: Body) -> String {
        let framing = Framing::of(&method, &body);
        let mut buffer = BytesMut::from(format!("{method} /x?y HTTP/1.1\r\nhost: a\r\n").as_str());
        end(&mut buffer, framing);
        let mut outgoing = Outgoing::new(buffer, body, framing, true);
        let (mut near, mut far) = tokio::io::duplex(1 << 20);
        std::future::poll_fn(|cx| outgoing.poll_send(cx, &mut near))
            .await
            .unwrap();
        assert!(outgoing.is_complete());
        drop(near);
        let mut text = String::new();
        far.read_to_string(&mut text).await.unwrap();
        text
    }

    /// A body whose length nobody knows.
    fn stream(parts: &[&'static str]) -> Body {
        let frames: Vec<_> = parts
            .iter()
            .map(|part| Ok(http_body::Frame::data(Bytes::from_static(part.as_bytes()))))
            .collect();
        Body::wrap(http_body_util::StreamBody::new(futures_util::stream::iter(
            frames,
        )))
    }

    #[tokio::test]
    async fn frames_by_length_where_it_is_known() {
        assert_eq!(
            written(Method::POST, Body::full("hello")).await,
            "POST /x?y HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nhello"
        );
    }

    #[tokio::test]
    async fn says_nothing_of_a_body_that_a_get_does_not_have() {
        assert_eq!(
            written(Method::GET, Body::empty()).await,
            "GET /x?y HTTP/1.1\r\nhost: a\r\n\r\n"
        );
        assert!(
            written(Method::POST, Body::empty())
                .await
                .contains("content-length: 0\r\n")
        );
    }

    #[tokio::test]
    async fn chunks_what_has_no_length() {
        assert_eq!(
            written(Method::POST, stream(&["hello", "", "you"])).await,
            "POST /x?y HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n3\r\nyou\r\n0\r\n\r\n"
        );
    }

    #[tokio::test]
    async fn writes_large_payloads_whole() {
        let large = "x".repeat(100_000);
        let text = written(Method::PUT, Body::full(large.clone())).await;
        assert!(text.ends_with(&format!("content-length: 100000\r\n\r\n{large}")));
    }

    #[tokio::test]
    async fn gives_an_untouched_body_back() {
        let (head, body) = (BytesMut::from("x"), Body::full("hello"));
        let outgoing = Outgoing::new(head, body, Framing::Length(5), false);
        assert_eq!(outgoing.reclaim().unwrap().as_bytes().unwrap(), "hello");
    }
}
