//! One request and its answer, over one connection.

use std::{
    io,
    pin::pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::BufMut as _;
use http::{HeaderMap, StatusCode};
use tokio::io::AsyncReadExt as _;

use crate::upstream::client::{
    Answer, Cause, Connection, Deadlines, Failure,
    body::ResponseBody,
    decode::{self, Head, Malformed, framing::Decoder},
    encode::{Outgoing, WriteError},
};

/// First read of a response; most heads and small bodies fit.
const FIRST_READ: usize = 8 * 1024;

/// A request being written and a response being read, over one connection.
#[derive(Debug)]
pub struct Exchange {
    /// The connection.
    pub connection: Connection,
    pub(super) outgoing: Outgoing,
    /// An empty map, for the fields of the response.
    spare: HeaderMap,
    /// The request's side failed; what the backend already said may still be read.
    pub(super) broken: Option<WriteError>,
    answered: bool,
    pub(super) idle: Duration,
    /// The rest of the request is written by a task.
    pub(super) is_uploading: bool,
}

impl Exchange {
    /// Nothing of it is written or read so far. `spare` is an empty map for the fields of the response.
    pub(super) fn new(
        connection: Connection,
        outgoing: Outgoing,
        spare: HeaderMap,
        idle: Duration,
    ) -> Self {
        Self {
            connection,
            outgoing,
            spare,
            broken: None,
            answered: false,
            idle,
            is_uploading: false,
        }
    }

    /// The whole request was written.
    pub fn is_sent(&self) -> bool {
        self.broken.is_none() && self.outgoing.is_complete()
    }

    /// It waits for the client to send more of its body.
    pub fn is_starved(&self) -> bool {
        self.outgoing.is_starved()
    }

    /// The answer with this head. Most answers of an application come with their head in one read:
    /// they need no body that lives on, and the connection is free at once.
    pub(super) fn answer(mut self, head: Head, decoder: Decoder) -> Answer {
        self.connection.timer.clear();
        self.outgoing.settle();
        let keep_alive = head.keep_alive && !decoder.is_until_close();
        if let Some(body) = decoder.whole(&mut self.connection.buffer) {
            return Answer::Whole(head, body, self.release(keep_alive));
        }
        let body = ResponseBody::new(self, decoder, keep_alive);
        Answer::Streamed(head, Box::new(body))
    }

    /// The connection, after the end of a response, if it can carry another request.
    pub(super) fn release(self, keep_alive: bool) -> Option<Connection> {
        let is_clean = keep_alive && self.is_sent() && self.connection.buffer.is_empty();
        is_clean.then_some(self.connection)
    }

    pub(super) fn fail(self, cause: Cause) -> Failure {
        Failure {
            cause,
            reused: self.connection.reused,
            begun: self.outgoing.sent > 0,
            answered: self.answered,
            body: self.outgoing.reclaim(),
        }
    }

    pub(super) fn poll_head(
        &mut self,
        cx: &mut Context<'_>,
        upgrade: bool,
        deadlines: Deadlines,
    ) -> Poll<Result<Head, Cause>> {
        loop {
            let progress = self.poll_write(cx);
            if let Some(WriteError::Client(_)) = &self.broken
                && let Some(WriteError::Client(error)) = self.broken.take()
            {
                return Poll::Ready(Err(Cause::Client(error)));
            }
            match self.poll_read(cx, FIRST_READ) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(self.closed())),
                Poll::Ready(Ok(_)) => self.answered = true,
                Poll::Ready(Err(error)) => return Poll::Ready(Err(Cause::Backend(error))),
                Poll::Pending => {
                    if progress {
                        self.connection.timer.clear();
                    }
                    let (limit, cause) = if self.outgoing.is_complete() {
                        (deadlines.header, Cause::HeaderTimeout)
                    } else if self.outgoing.is_starved() {
                        (Some(deadlines.stall), Cause::ClientStalled)
                    } else {
                        (Some(deadlines.idle), Cause::BackendStalled)
                    };
                    ready!(self.connection.timer.poll(cx, limit));
                    return Poll::Ready(Err(cause));
                }
            }
            if let Some(head) = self.final_head(upgrade) {
                return Poll::Ready(head);
            }
        }
    }

    /// The final head, if it has come. hyper's server cannot send interim responses, so those
    /// before it end here, however many came in one read.
    fn final_head(&mut self, upgrade: bool) -> Option<Result<Head, Cause>> {
        loop {
            match decode::head(&mut self.connection.buffer, &mut self.spare) {
                Err(malformed) => return Some(Err(Cause::Malformed(malformed))),
                Ok(None) => return None,
                Ok(Some(head)) if head.status == StatusCode::SWITCHING_PROTOCOLS && !upgrade => {
                    let malformed = Malformed("the backend switched protocols unasked");
                    return Some(Err(Cause::Malformed(malformed)));
                }
                Ok(Some(head))
                    if head.status.is_informational()
                        && head.status != StatusCode::SWITCHING_PROTOCOLS =>
                {
                    self.spare = head.headers;
                    self.spare.clear();
                }
                Ok(Some(head)) => return Some(Ok(head)),
            }
        }
    }

    /// Why the backend's end of the stream matters: the write error that came before it, or the end itself.
    fn closed(&mut self) -> Cause {
        match self.broken.take() {
            Some(WriteError::Backend(error)) => Cause::Backend(error),
            Some(WriteError::Client(error)) => Cause::Client(error),
            None => Cause::Backend(io::ErrorKind::UnexpectedEof.into()),
        }
    }

    /// Writes what can be written; true when bytes moved. A failure is kept: the backend may have answered before it closed.
    pub fn poll_write(&mut self, cx: &mut Context<'_>) -> bool {
        if self.broken.is_some() || self.outgoing.is_complete() {
            return false;
        }
        let before = self.outgoing.sent;
        match self.outgoing.poll_send(cx, &mut self.connection.stream) {
            Poll::Ready(Err(error)) => self.broken = Some(error),
            Poll::Ready(Ok(())) | Poll::Pending => {}
        }
        before != self.outgoing.sent
    }

    /// Writes what can be written. Ready when nothing is left to write, or it cannot be.
    pub(super) fn poll_upload(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.poll_write(cx) {
            self.connection.timer.clear();
        }
        if self.broken.is_some() || self.outgoing.is_complete() {
            return Poll::Ready(());
        }
        Poll::Pending
    }

    /// Reads at most `room` bytes behind the buffer; 0 is the end of the stream.
    pub fn poll_read(&mut self, cx: &mut Context<'_>, room: usize) -> Poll<io::Result<usize>> {
        let Connection { stream, buffer, .. } = &mut self.connection;
        buffer.reserve(room);
        // The future keeps no state of its own, so it may be made anew at each poll.
        pin!(stream.read_buf(&mut buffer.limit(room))).poll(cx)
    }
}
