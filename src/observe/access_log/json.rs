//! A line as one JSON object. Every member is always there, `null` when it is unknown, but for
//! `query` (absent when the target has none) and `aborted` (only ever `true`).

use std::time::Duration;

use http::HeaderValue;

use crate::{
    message::{
        context::RequestContext,
        text::{push_address, push_decimal, push_padded},
    },
    observe::access_log::{
        Record, clock,
        escape::push_json,
        protocol,
        redact::{Queries, push_query, push_referer},
    },
};

/// Appends one line.
///
/// Keys are written with all that stands around them: one copy each.
pub(super) fn push_line(out: &mut Vec<u8>, record: &Record<'_>, queries: Queries) {
    let context = record.context;
    out.extend_from_slice(b"{\"time\":\"");
    clock::with_now(|now| now.push_rfc3339(out));
    out.push(b'"');
    push_text(out, ",\"request_id\":", field(context.request_id.get()));
    push(out, ",\"client\":\"");
    push_address(out, context.client_address());
    out.push(b'"');
    push(out, ",\"method\":\"");
    // A token (RFC 9110 section 5.6.2) has nothing to escape.
    push(out, context.method.as_str());
    push(out, "\"");
    let host = context.host.as_ref().map(|host| host.name().as_bytes());
    push_text(out, ",\"host\":", host);
    push_text(out, ",\"path\":", Some(context.uri.path().as_bytes()));
    if let Some(query) = context.uri.query() {
        push(out, ",\"query\":\"");
        push_query(out, query.as_bytes(), queries, push_json);
        out.push(b'"');
    }
    push(out, ",\"protocol\":\"");
    push(out, protocol(context.version));
    push(out, "\"");
    let tls = context.connection.tls.as_ref();
    push_text(out, ",\"tls\":", tls.map(|tls| tls.version.as_bytes()));
    push_number(out, ",\"status\":", record.status.into());
    push_number(out, ",\"bytes\":", record.bytes);
    push_seconds(out, ",\"duration\":", Some(record.duration));
    push_backend(out, context);
    let limited = context.limited.get();
    push(
        out,
        if limited {
            ",\"limited\":true"
        } else {
            ",\"limited\":false"
        },
    );
    push_text(out, ",\"error\":", context.error.get().map(str::as_bytes));
    if record.aborted {
        push(out, ",\"aborted\":true");
    }
    push_text(out, ",\"user_agent\":", field(context.user_agent.as_ref()));
    match &context.referer {
        None => push(out, ",\"referer\":null"),
        Some(referer) => {
            push(out, ",\"referer\":\"");
            push_referer(out, referer.as_bytes(), queries, push_json);
            out.push(b'"');
        }
    }
    push(out, "}\n");
}

fn push_backend(out: &mut Vec<u8>, context: &RequestContext) {
    let name = context.backend.borrow();
    let upstream = name.as_ref().map(|name| name.upstream.as_bytes());
    let backend = name.as_ref().map(|name| name.backend.as_bytes());
    push_text(out, ",\"upstream\":", upstream);
    push_text(out, ",\"backend\":", backend);
    push_number(out, ",\"attempts\":", context.attempts.get().into());
    push_seconds(out, ",\"upstream_connect\":", context.connect_time.get());
    push_seconds(
        out,
        ",\"upstream_first_byte\":",
        context.first_byte_time.get(),
    );
}

fn push(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(text.as_bytes());
}

fn push_text(out: &mut Vec<u8>, key: &str, text: Option<&[u8]>) {
    push(out, key);
    match text {
        None => push(out, "null"),
        Some(text) => {
            out.push(b'"');
            push_json(out, text);
            out.push(b'"');
        }
    }
}

fn push_number(out: &mut Vec<u8>, key: &str, number: u64) {
    push(out, key);
    push_decimal(out, number);
}

fn push_seconds(out: &mut Vec<u8>, key: &str, time: Option<Duration>) {
    push(out, key);
    match time {
        None => push(out, "null"),
        Some(time) => {
            push_decimal(out, time.as_secs());
            out.push(b'.');
            push_padded::<6>(out, time.subsec_micros().into());
        }
    }
}

fn field(value: Option<&HeaderValue>) -> Option<&[u8]> {
    value.map(HeaderValue::as_bytes)
}
