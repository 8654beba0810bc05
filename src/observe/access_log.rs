//! One line per request: what was asked, what was answered, how long it took.
//!
//! Whatever a client sends is escaped down to printable ASCII, so that no request can forge a
//! line or move a terminal's cursor. A line is written into the worker's buffer as it is made;
//! nothing else is allocated.
//!
//! `time` is when the response ended. `status` is what was sent; 499 means that the client left
//! before there was anything to send. A response that began and did not reach its end keeps its
//! status and is marked by `aborted` (JSON only).

use std::time::Duration;

use http::Version;

use crate::{
    config::log::{Access, Format},
    message::context::RequestContext,
    observe::{access_log::redact::Queries, log_file::Lines},
};

mod clock;
mod combined;
mod escape;
mod json;
mod redact;

/// The access log as one configuration wants it; shared by all workers.
#[derive(Debug, Clone)]
pub struct AccessLog {
    format: Format,
    queries: Queries,
    lines: Lines,
}

/// A request that is over.
#[derive(Debug)]
pub struct Record<'a> {
    /// What was noted on its way.
    pub context: &'a RequestContext,
    /// Status sent, or 499 when the client left before it.
    pub status: u16,
    /// Bytes of the response body that were handed to the connection.
    pub bytes: u64,
    /// From the complete request head to the last byte of the response.
    pub duration: Duration,
    /// The response began and did not reach its end.
    pub aborted: bool,
}

impl AccessLog {
    /// Writes to `lines` in the shape that `access` asks for.
    pub fn new(access: &Access, lines: Lines) -> Self {
        Self {
            format: access.format,
            queries: if access.redact {
                Queries::Redacted
            } else {
                Queries::Whole
            },
            lines,
        }
    }

    /// Hands a line to the writer. Never waits.
    pub fn write(&self, record: &Record<'_>) {
        let worker = record.context.connection.worker;
        self.lines.append(worker, |out| match self.format {
            Format::Json => json::push_line(out, record, self.queries),
            Format::Combined => combined::push_line(out, record, self.queries),
        });
    }
}

/// As it stands in a request line.
fn protocol(version: Version) -> &'static str {
    match version {
        Version::HTTP_09 => "HTTP/0.9",
        Version::HTTP_10 => "HTTP/1.0",
        Version::HTTP_2 => "HTTP/2.0",
        Version::HTTP_3 => "HTTP/3.0",
        _ => "HTTP/1.1",
    }
}

#[cfg(test)]
mod tests;
