//! The head that a backend sees: target, Host, and fields that are the truth.
//!
//! It is written as bytes in one walk over the client's fields. No map is edited, so a request that is
//! sent again says the same again.

use bytes::{BufMut as _, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, Uri, header};

use crate::{
    handler::websocket::extended,
    message::{
        context::RequestContext,
        forwarded,
        hop_by_hop::{self, Stopping},
    },
    upstream::client::encode::field,
};

/// Room for what is written beside the client's own fields.
const OWN_FIELDS: usize = 512;

/// Request line and fields for the backend, but for those that frame the body.
///
/// `prefix` is taken off the target. `upgrade` is asked for anew where the client asked for it.
pub fn head(
    headers: &HeaderMap,
    context: &RequestContext,
    prefix: Option<&str>,
    upgrade: Option<&'static str>,
) -> BytesMut {
    let uri = &context.uri;
    let target = uri
        .path_and_query()
        .map_or(1, |target| target.as_str().len());
    let fields: usize = headers
        .iter()
        .map(|(name, value)| name.as_str().len() + value.len() + 4)
        .sum();
    let mut out = BytesMut::with_capacity(target + fields + OWN_FIELDS);
    push_line(&mut out, context, prefix);
    if let Some(host) = host(uri, headers) {
        field(&mut out, "host", host);
    }
    let stopping = Stopping::of(headers);
    for (name, value) in headers {
        if !stopping.holds(name)
            && !is_written_apart(name)
            && !forwarded::is_replaced(name.as_str(), context)
        {
            field(&mut out, name.as_str(), value.as_bytes());
        }
    }
    push_cookies(&mut out, headers);
    if hop_by_hop::takes_trailers(headers) {
        field(&mut out, "te", b"trailers");
    }
    if let Some(protocol) = upgrade {
        field(&mut out, "connection", b"upgrade");
        field(&mut out, "upgrade", protocol.as_bytes());
    }
    if let Some(id) = context.request_id.get() {
        field(&mut out, "x-request-id", id.as_bytes());
    }
    forwarded::write(&mut out, context);
    out
}

fn push_line(out: &mut BytesMut, context: &RequestContext, prefix: Option<&str>) {
    out.put_slice(extended::method(&context.method).as_str().as_bytes());
    out.put_u8(b' ');
    push_target(out, &context.uri, prefix);
    out.put_slice(b" HTTP/1.1\r\n");
}

/// Path and query as received, without `prefix`.
fn push_target(out: &mut BytesMut, uri: &Uri, prefix: Option<&str>) {
    let whole = uri
        .path_and_query()
        .map_or("/", http::uri::PathAndQuery::as_str);
    let rest = prefix
        .and_then(|prefix| whole.strip_prefix(prefix))
        .unwrap_or(whole);
    if !rest.starts_with('/') && rest != "*" {
        out.put_u8(b'/');
    }
    out.put_slice(rest.as_bytes());
}

/// The host asked for, as the client wrote it. The target's authority comes before the field (RFC 9112
/// section 3.2.2); HTTP/2 has nothing else.
fn host<'a>(uri: &'a Uri, headers: &'a HeaderMap) -> Option<&'a [u8]> {
    match uri.authority() {
        Some(authority) => Some(authority.as_str().as_bytes()),
        None => headers.get(header::HOST).map(HeaderValue::as_bytes),
    }
}

/// Fields that have their own place in the head, that frame the body, or that were answered already:
/// `Expect` was, with 100, when the body is read.
fn is_written_apart(name: &HeaderName) -> bool {
    matches!(
        name.as_str(),
        "host" | "cookie" | "te" | "content-length" | "expect" | "x-request-id"
    )
}

/// HTTP/2 splits cookies for compression; a backend is to see one field (RFC 9113 section 8.2.3).
fn push_cookies(out: &mut BytesMut, headers: &HeaderMap) {
    let mut cookies = headers.get_all(header::COOKIE).iter();
    let Some(first) = cookies.next() else { return };
    out.put_slice(b"cookie: ");
    out.put_slice(first.as_bytes());
    for cookie in cookies {
        out.put_slice(b"; ");
        out.put_slice(cookie.as_bytes());
    }
    out.put_slice(b"\r\n");
}

#[cfg(test)]
mod tests;
