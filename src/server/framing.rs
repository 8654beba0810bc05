//! Request heads of HTTP/1.1 that say both `Content-Length` and `Transfer-Encoding`, and where requests end.
//!
//! hyper takes the length away when a transfer coding is there too, so nobody behind it can refuse
//! the request (RFC 9112 section 6.1). This follows the bytes that hyper reads by the same rules,
//! looks at the first letter of each line of a head, and skips bodies. It only ever marks a
//! request: where it loses its way it marks none, and hyper's own rules stand.
//!
//! It also says when hyper holds nothing of a connection, which may be taken from hyper then. A wrong answer would lose
//! bytes; where it has lost its way there is none.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::server::io::{Arriving, Farewell};

/// Longest line that is kept while its end has not come; hyper refuses heads of this size.
const LONGEST_LINE: usize = 64 * 1024;

/// What a stream says about the requests that it has carried.
///
/// Shared with the stream, which must be `Send` for hyper's sake, though one thread has both.
#[derive(Debug, Clone, Default)]
pub struct Marks(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    /// The request that is ambiguous, if one is: such a request is the last.
    ambiguous: AtomicU64,
    /// Requests so far, while nothing is under way on the stream.
    settled: AtomicU64,
}

/// [`Shared::ambiguous`] while no head is.
const NONE: u64 = 0;
/// [`Shared::ambiguous`] when the bytes are no more HTTP.
const UPGRADED: u64 = u64::MAX;
/// [`Shared::settled`] while a request is incomplete, or bytes of an answer wait for the socket.
const UNSETTLED: u64 = u64::MAX;

impl Marks {
    /// Whether the request `number`, counted from 1, is ambiguous.
    pub fn is_ambiguous(&self, number: u64) -> bool {
        self.0.ambiguous.load(Ordering::Relaxed) == number
    }

    /// Whether exactly `count` requests have come, the last of them to its last byte, and whatever
    /// was written has left.
    pub fn are_settled(&self, count: u64) -> bool {
        self.0.settled.load(Ordering::Relaxed) == count
    }

    /// From now on the bytes are a tunnel's.
    pub fn upgraded(&self) {
        self.0.ambiguous.store(UPGRADED, Ordering::Relaxed);
    }
}

/// A stream whose incoming bytes are followed.
#[derive(Debug)]
pub struct Followed<S> {
    stream: S,
    requests: Requests,
    marks: Marks,
    farewell: Farewell,
}

impl<S> Followed<S> {
    /// Follows what comes by `stream`, and says so in `marks`.
    pub fn new(stream: S, marks: Marks) -> Self {
        Self {
            stream,
            requests: Requests::default(),
            marks,
            farewell: Farewell::default(),
        }
    }

    fn settle(&self) {
        let settled = if self.requests.are_whole() {
            self.requests.count
        } else {
            UNSETTLED
        };
        self.marks.0.settled.store(settled, Ordering::Relaxed);
    }

    fn unsettle(&self) {
        self.marks.0.settled.store(UNSETTLED, Ordering::Relaxed);
    }
}

impl<S: Arriving + Unpin> Arriving for Followed<S> {
    fn poll_arrival(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        Pin::new(&mut self.stream).poll_arrival(cx)
    }

    fn poll_hope(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        Pin::new(&mut self.stream).poll_hope(cx)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Followed<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        ready!(Pin::new(&mut this.stream).poll_read(cx, buf))?;
        // Settled again by the flush that ends an answer.
        this.unsettle();
        if this.marks.is_ambiguous(NONE)
            && let Some(number) = this.requests.follow(&buf.filled()[before..])
        {
            this.marks.0.ambiguous.store(number, Ordering::Relaxed);
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Followed<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.unsettle();
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.unsettle();
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
        self.settle();
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.unsettle();
        ready!(Pin::new(&mut this.stream).poll_shutdown(cx))?;
        if this.requests.are_whole() || this.marks.is_ambiguous(UPGRADED) {
            return Poll::Ready(Ok(()));
        }
        this.farewell.poll(cx, &mut this.stream).map(Ok)
    }
}

/// The requests of one connection, as far as their bytes have come.
#[derive(Debug, Default)]
struct Requests {
    /// Heads that are complete.
    count: u64,
    place: Place,
    head: Head,
    /// The beginning of a line whose end is in another read.
    line: Vec<u8>,
    /// Empty lines came, which a request line is to follow: hyper holds them as the start of a head.
    follows_blank: bool,
}

/// Where the next byte lies.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// In the request line, or in an empty line before it.
    #[default]
    RequestLine,
    /// In a field line, or in the empty line behind them.
    Fields,
    /// In a body or a chunk, with the bytes still to come.
    Body(u64),
    /// In a chunk and its line end, with the bytes still to come.
    Chunk(u64),
    /// In the line with a chunk's size.
    ChunkSize,
    /// In the trailer section.
    Trailers,
    /// hyper will refuse what was read.
    Lost,
}

/// What the fields of a head say about its body.
#[derive(Debug, Default, Clone, Copy)]
struct Head {
    length: Option<u64>,
    has_transfer_encoding: bool,
}

impl Requests {
    /// Whether no request is incomplete.
    fn are_whole(&self) -> bool {
        self.place == Place::RequestLine && self.line.is_empty() && !self.follows_blank
    }

    /// Goes on by `bytes`; the number of a request that is ambiguous.
    fn follow(&mut self, mut bytes: &[u8]) -> Option<u64> {
        while !bytes.is_empty() && self.place != Place::Lost {
            if let Place::Body(left) | Place::Chunk(left) = &mut self.place {
                let skipped = usize::try_from(*left)
                    .unwrap_or(usize::MAX)
                    .min(bytes.len());
                bytes = &bytes[skipped..];
                *left -= skipped as u64;
                self.leave_body();
                continue;
            }
            let Some(end) = memchr::memchr(b'\n', bytes) else {
                self.keep(bytes);
                return None;
            };
            let (line, rest) = bytes.split_at(end);
            bytes = &rest[1..];
            let ended = if self.line.is_empty() {
                self.end_line(line)
            } else {
                self.keep(line);
                let whole = std::mem::take(&mut self.line);
                self.end_line(&whole)
            };
            if ended == Ended::Ambiguous {
                self.place = Place::Lost;
                return Some(self.count);
            }
        }
        None
    }

    fn keep(&mut self, part: &[u8]) {
        if self.line.len() + part.len() > LONGEST_LINE {
            self.place = Place::Lost;
            self.line = Vec::new();
        } else {
            self.line.extend_from_slice(part);
        }
    }

    fn leave_body(&mut self) {
        match self.place {
            Place::Body(0) => self.place = Place::RequestLine,
            Place::Chunk(0) => self.place = Place::ChunkSize,
            _ => {}
        }
    }

    fn end_line(&mut self, line: &[u8]) -> Ended {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        match self.place {
            Place::RequestLine if line.is_empty() => self.follows_blank = true,
            Place::RequestLine => {
                self.follows_blank = false;
                self.head = Head::default();
                self.place = Place::Fields;
            }
            Place::Fields if line.is_empty() => return self.end_head(),
            Place::Fields => {
                if self.head.read(line).is_none() {
                    self.place = Place::Lost;
                }
            }
            Place::ChunkSize => {
                self.place = match chunk_size(line) {
                    None => Place::Lost,
                    Some(0) => Place::Trailers,
                    // The line end behind a chunk is two bytes.
                    Some(size) => Place::Chunk(size.saturating_add(2)),
                }
            }
            Place::Trailers if line.is_empty() => self.place = Place::RequestLine,
            Place::Trailers | Place::Body(_) | Place::Chunk(_) | Place::Lost => {}
        }
        Ended::Plain
    }

    fn end_head(&mut self) -> Ended {
        self.count += 1;
        self.place = match self.head {
            Head {
                length: Some(_),
                has_transfer_encoding: true,
            } => return Ended::Ambiguous,
            Head {
                has_transfer_encoding: true,
                ..
            } => Place::ChunkSize,
            Head {
                length: None | Some(0),
                ..
            } => Place::RequestLine,
            Head {
                length: Some(length),
                ..
            } => Place::Body(length),
        };
        Ended::Plain
    }
}

/// What a line was the end of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ended {
    /// Nothing to be told.
    Plain,
    /// A head that is ambiguous.
    Ambiguous,
}

impl Head {
    /// Reads a field line; `None` when it is one that hyper refuses.
    fn read(&mut self, line: &[u8]) -> Option<()> {
        if !matches!(line.first(), Some(b'c' | b'C' | b't' | b'T')) {
            return Some(());
        }
        if value(line, b"transfer-encoding").is_some() {
            self.has_transfer_encoding = true;
        } else if let Some(digits) = value(line, b"content-length") {
            // Behind a transfer coding hyper does not even look at it.
            let length = decimal(digits).or_else(|| self.has_transfer_encoding.then_some(0))?;
            self.length = Some(length);
        }
        Some(())
    }
}

/// The value of the field `name`, if `line` is one.
fn value<'a>(line: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let (found, rest) = line.split_at_checked(name.len())?;
    found
        .eq_ignore_ascii_case(name)
        .then(|| rest.strip_prefix(b":"))?
        .map(<[u8]>::trim_ascii)
}

fn decimal(digits: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(digits).ok()?;
    digits
        .iter()
        .all(u8::is_ascii_digit)
        .then(|| text.parse().ok())?
}

fn chunk_size(line: &[u8]) -> Option<u64> {
    let end = line
        .iter()
        .position(|byte| !byte.is_ascii_hexdigit())
        .unwrap_or(line.len());
    let digits = std::str::from_utf8(&line[..end]).ok()?;
    u64::from_str_radix(digits, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: &str = "GET / HTTP/1.1\r\nHost: a\r\ncookie: Content-Length: 3\r\n\r\n";
    const LENGTH: &str = "POST / HTTP/1.1\r\nContent-Length: 38\r\n\r\n\
                          Transfer-Encoding: chunked\r\nGET / HT\n\n";
    const CHUNKED: &str = "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n\
                           5;x=y\r\n\r\n\r\n!\r\n1C\r\nContent-Length: 3\r\nGET / HTT\r\n\
                           0\r\nContent-Length: 3\r\n\r\n";
    const BOTH: &str = "POST / HTTP/1.1\r\ncontent-LENGTH:\t6 \r\ntransfer-ENCODING: x\r\n\r\n";

    /// What is found when the bytes come in pieces of `size`.
    fn found(text: &str, size: usize) -> Option<u64> {
        let mut requests = Requests::default();
        text.as_bytes()
            .chunks(size)
            .find_map(|piece| requests.follow(piece))
    }

    #[test]
    fn finds_the_ambiguous_request_among_others_however_its_bytes_come() {
        let text = format!("{PLAIN}\r\n{LENGTH}{CHUNKED}{PLAIN}{BOTH}0\r\n\r\n{PLAIN}");
        for size in 1..text.len() {
            assert_eq!(found(&text, size), Some(5), "in pieces of {size}");
        }
    }

    #[test]
    fn finds_it_in_either_order_and_with_bare_line_feeds() {
        let head = |fields: &str| found(&format!("POST / HTTP/1.1\n{fields}\n\n"), 7);
        assert_eq!(
            head("Transfer-Encoding: chunked\nContent-Length: 6"),
            Some(1)
        );
        assert_eq!(
            head("Content-Length: 6\nTransfer-Encoding: chunked"),
            Some(1)
        );
        assert_eq!(
            head("Transfer-Encoding: chunked\nContent-Length: x"),
            Some(1)
        );
    }

    #[test]
    fn marks_none_that_says_one_of_them() {
        let text = [PLAIN, LENGTH, CHUNKED].concat().repeat(3);
        for size in 1..text.len() {
            assert_eq!(found(&text, size), None, "in pieces of {size}");
        }
    }

    #[test]
    fn keeps_no_endless_line_and_gives_up_on_what_hyper_refuses() {
        let mut requests = Requests::default();
        for _ in 0..100 {
            assert_eq!(requests.follow(&[b'x'; 1024]), None);
        }
        assert_eq!(requests.place, Place::Lost);
        assert_eq!(requests.line.capacity(), 0);
        assert_eq!(
            found(
                &format!("POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n{BOTH}"),
                9
            ),
            None
        );
    }

    proptest::proptest! {
        #[test]
        fn never_panics(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..300), size in 1..40_usize) {
            let mut requests = Requests::default();
            for piece in bytes.chunks(size) {
                requests.follow(piece);
            }
        }
    }
}
