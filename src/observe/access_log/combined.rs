//! A line in Apache's combined format: `%h - - %t "%r" %>s %b "%{Referer}i" "%{User-Agent}i"`.

use std::io::Write as _;

use http::HeaderValue;

use crate::observe::access_log::{
    Record, clock,
    escape::push_apache,
    redact::{Queries, push_query, push_referer},
};

/// Appends one line.
pub(super) fn push_line(out: &mut Vec<u8>, record: &Record<'_>, queries: Queries) {
    let context = record.context;
    // A vector takes every write.
    let _ = write!(out, "{} - - [", context.client_address());
    clock::with_now(|now| now.push_common(out));
    out.extend_from_slice(b"] \"");
    push_apache(out, context.method.as_str().as_bytes());
    out.push(b' ');
    push_apache(out, context.uri.path().as_bytes());
    if let Some(query) = context.uri.query() {
        out.push(b'?');
        push_query(out, query.as_bytes(), queries, push_apache);
    }
    let _ = write!(out, " {:?}\" {} ", context.version, record.status);
    match record.bytes {
        0 => out.push(b'-'),
        bytes => {
            let _ = write!(out, "{bytes}");
        }
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
