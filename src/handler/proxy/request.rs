//! The head that a backend sees: target, Host, and fields that are the truth.

use http::{HeaderMap, HeaderValue, Uri, header};

use crate::message::{context::RequestContext, error::ErrorKind, forwarded, hop_by_hop};

/// Turns the client's fields into the backend's, in place.
///
/// What concerns the client's connection is taken off first, so that no `Connection: X-Forwarded-For`
/// can strip what is written after it.
///
/// # Errors
/// The host cannot be written as a field.
pub fn prepare(headers: &mut HeaderMap, context: &RequestContext) -> Result<(), ErrorKind> {
    hop_by_hop::strip(headers);
    // hyper has answered it with 100 by the time the body is read.
    headers.remove(header::EXPECT);
    merge_cookies(headers);
    forwarded::write(headers, context);
    if let Some(authority) = context.uri.authority() {
        let host = HeaderValue::from_str(authority.as_str())
            .map_err(|_| ErrorKind::BadRequest("the host is malformed"))?;
        headers.insert(header::HOST, host);
    }
    Ok(())
}

/// Path and query as received, without `prefix`.
pub fn target(uri: &Uri, prefix: Option<&str>) -> String {
    let whole = uri
        .path_and_query()
        .map_or("/", http::uri::PathAndQuery::as_str);
    let rest = prefix
        .and_then(|prefix| whole.strip_prefix(prefix))
        .unwrap_or(whole);
    if rest.starts_with('/') || rest == "*" {
        return rest.to_owned();
    }
    let mut target = String::with_capacity(rest.len() + 1);
    target.push('/');
    target.push_str(rest);
    target
}

/// HTTP/2 splits cookies for compression; a backend is to see one field (RFC 9113 section 8.2.3).
fn merge_cookies(headers: &mut HeaderMap) {
    let mut fields = headers.get_all(header::COOKIE).iter();
    if fields.next().is_none() || fields.next().is_none() {
        return;
    }
    let mut merged = Vec::new();
    for field in headers.get_all(header::COOKIE) {
        if !merged.is_empty() {
            merged.extend_from_slice(b"; ");
        }
        merged.extend_from_slice(field.as_bytes());
    }
    if let Ok(merged) = HeaderValue::from_bytes(&merged) {
        headers.insert(header::COOKIE, merged);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strips_the_prefix_on_its_border_and_keeps_the_bytes() {
        let target = |text: &'static str, prefix| target(&Uri::from_static(text), prefix);
        assert_eq!(target("/api/a%2Fb?x=%20", Some("/api")), "/a%2Fb?x=%20");
        assert_eq!(target("/api", Some("/api")), "/");
        assert_eq!(target("/api?x", Some("/api")), "/?x");
        assert_eq!(target("/api/x", None), "/api/x");
        assert_eq!(target("https://a.example/api/x", Some("/api")), "/x");
    }

    #[test]
    fn merges_split_cookies_in_order() {
        let mut headers = HeaderMap::new();
        headers.append("cookie", HeaderValue::from_static("a=1"));
        headers.append("cookie", HeaderValue::from_static("b=2; c=3"));
        merge_cookies(&mut headers);
        assert_eq!(
            headers.get_all("cookie").iter().collect::<Vec<_>>(),
            ["a=1; b=2; c=3"]
        );
    }
}
