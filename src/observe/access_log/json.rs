//! A line as one JSON object. Every member is always there, `null` when it is unknown, but for
//! `query` (absent when the target has none) and `aborted` (only ever `true`).

use std::{fmt::Display, io::Write as _, time::Duration};

use http::HeaderValue;

use crate::{
    message::context::RequestContext,
    observe::access_log::{
        Record, clock,
        escape::push_json,
        redact::{Queries, push_query, push_referer},
    },
};

/// Appends one line.
pub(super) fn push_line(out: &mut Vec<u8>, record: &Record<'_>, queries: Queries) {
    let context = record.context;
    out.extend_from_slice(b"{\"time\":\"");
    clock::with_now(|now| now.push_rfc3339(out));
    out.push(b'"');
    push_text(out, "request_id", field(context.request_id.get()));
    push_display(
        out,
        "client",
        format_args!("\"{}\"", context.client_address()),
    );
    push_text(out, "method", Some(context.method.as_str().as_bytes()));
    let host = context.host.as_ref().map(|host| host.name().as_bytes());
    push_text(out, "host", host);
    push_text(out, "path", Some(context.uri.path().as_bytes()));
    if let Some(query) = context.uri.query() {
        push_key(out, "query");
        out.push(b'"');
        push_query(out, query.as_bytes(), queries, push_json);
        out.push(b'"');
    }
    push_display(out, "protocol", format_args!("\"{:?}\"", context.version));
    let tls = context.connection.tls.as_ref();
    push_text(out, "tls", tls.map(|tls| tls.version.as_bytes()));
    push_display(out, "status", record.status);
    push_display(out, "bytes", record.bytes);
    push_seconds(out, "duration", Some(record.duration));
    push_backend(out, context);
    push_display(out, "limited", context.limited.get());
    push_text(out, "error", context.error.get().map(str::as_bytes));
    if record.aborted {
        push_display(out, "aborted", true);
    }
    push_text(out, "user_agent", field(context.user_agent.as_ref()));
    push_key(out, "referer");
    match &context.referer {
        None => out.extend_from_slice(b"null"),
        Some(referer) => {
            out.push(b'"');
            push_referer(out, referer.as_bytes(), queries, push_json);
            out.push(b'"');
        }
    }
    out.extend_from_slice(b"}\n");
}

fn push_backend(out: &mut Vec<u8>, context: &RequestContext) {
    let name = context.backend.borrow();
    let upstream = name.as_ref().map(|name| name.upstream.as_bytes());
    let backend = name.as_ref().map(|name| name.backend.as_bytes());
    push_text(out, "upstream", upstream);
    push_text(out, "backend", backend);
    push_display(out, "attempts", context.attempts.get());
    push_seconds(out, "upstream_connect", context.connect_time.get());
    push_seconds(out, "upstream_first_byte", context.first_byte_time.get());
}

fn push_key(out: &mut Vec<u8>, key: &str) {
    out.extend_from_slice(b",\"");
    out.extend_from_slice(key.as_bytes());
    out.extend_from_slice(b"\":");
}

fn push_text(out: &mut Vec<u8>, key: &str, text: Option<&[u8]>) {
    push_key(out, key);
    match text {
        None => out.extend_from_slice(b"null"),
        Some(text) => {
            out.push(b'"');
            push_json(out, text);
            out.push(b'"');
        }
    }
}

/// `value` must print as JSON.
fn push_display(out: &mut Vec<u8>, key: &str, value: impl Display) {
    push_key(out, key);
    // A vector takes every write.
    let _ = write!(out, "{value}");
}

fn push_seconds(out: &mut Vec<u8>, key: &str, time: Option<Duration>) {
    match time {
        None => push_text(out, key, None),
        Some(time) => {
            let (seconds, micros) = (time.as_secs(), time.subsec_micros());
            push_display(out, key, format_args!("{seconds}.{micros:06}"));
        }
    }
}

fn field(value: Option<&HeaderValue>) -> Option<&[u8]> {
    value.map(HeaderValue::as_bytes)
}
