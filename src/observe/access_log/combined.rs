//! A line in Apache's combined format: `%h - - %t "%r" %>s %b "%{Referer}i" "%{User-Agent}i"`.

use http::HeaderValue;

use crate::{
    message::text::{push_address, push_decimal},
    observe::access_log::{
        Record, clock,
        escape::push_apache,
        protocol,
        redact::{Queries, push_query, push_referer},
    },
};

/// Appends one line.
pub(super) fn push_line(out: &mut Vec<u8>, record: &Record<'_>, queries: Queries) {
    let context = record.context;
    push_address(out, context.client_address());
    out.extend_from_slice(b" - - [");
    clock::with_now(|now| now.push_common(out));
    out.extend_from_slice(b"] \"");
    push_apache(out, context.method.as_str().as_bytes());
    out.push(b' ');
    push_apache(out, context.uri.path().as_bytes());
    if let Some(query) = context.uri.query() {
        out.push(b'?');
        push_query(out, query.as_bytes(), queries, push_apache);
    }
    out.push(b' ');
    out.extend_from_slice(protocol(context.version).as_bytes());
    out.extend_from_slice(b"\" ");
    push_decimal(out, record.status.into());
    out.push(b' ');
    match record.bytes {
        0 => out.push(b'-'),
        bytes => push_decimal(out, bytes),
    }
    out.extend_from_slice(b" \"");
    match &context.referer {
        None => out.push(b'-'),
        Some(referer) => push_referer(out, referer.as_bytes(), queries, push_apache),
    }
    out.extend_from_slice(b"\" \"");
    let user_agent = context.user_agent.as_ref();
    push_apache(out, user_agent.map_or(b"-", HeaderValue::as_bytes));
    out.extend_from_slice(b"\"\n");
}
