//! Header fields that concern one connection and stop here (RFC 9110 section 7.6.1).
//!
//! They are taken from what the client sent before anything is added: `Connection` may name any field, and a
//! client that names `X-Forwarded-Host` must not get ours removed.

use std::collections::HashSet;

use http::{
    HeaderMap, HeaderName, Method, Version,
    header::{CONNECTION, TE, UPGRADE},
};

/// The fields of one message that stop here: `Connection`, with every field it names except those
/// that frame or explain the message, and those that concern a connection in any case.
///
/// `TE` is not among them, see [`takes_trailers`]. `Trailer` is not either, since trailers are passed on.
#[derive(Debug)]
pub struct Stopping {
    /// A set: the peer may name thousands. Most name nothing, and then there is none.
    named: Option<HashSet<HeaderName>>,
}

impl Stopping {
    /// Those of `headers`.
    pub fn of(headers: &HeaderMap) -> Self {
        let mut named = named_by_connection(headers).peekable();
        Self {
            named: named.peek().is_some().then(|| named.collect()),
        }
    }

    /// Whether the field `name` stops here.
    pub fn holds(&self, name: &HeaderName) -> bool {
        let named = self.named.as_ref();
        is_hop_by_hop(name.as_str()) || named.is_some_and(|named| named.contains(name))
    }
}

/// Whether the sender of `headers` takes trailers: the one coding of `TE` that is passed on.
pub fn takes_trailers(headers: &HeaderMap) -> bool {
    lists(headers, &TE, "trailers")
}

/// Removes the fields of a response that stop here.
pub fn strip(headers: &mut HeaderMap) {
    for name in Stopping::of(headers).named.into_iter().flatten() {
        headers.remove(name);
    }
    // Means nothing in a response.
    headers.remove(TE);
    // One walk over the few fields that are there is cheaper than asking the map for each of many names.
    let stops = |name: &&HeaderName| is_hop_by_hop(name.as_str());
    while let Some(name) = headers.keys().find(stops).cloned() {
        headers.remove(name);
    }
}

/// Whether the request asks for a WebSocket over HTTP/1.1 (RFC 6455 section 4.1).
///
/// `websocket` must be the only protocol in `Upgrade`: a list would let a client smuggle another one, such
/// as `h2c`, past this proxy.
pub fn wants_websocket(headers: &HeaderMap, method: &Method, version: Version) -> bool {
    let mut upgrades = headers.get_all(UPGRADE).iter();
    let only_websocket = upgrades
        .next()
        .is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"websocket"))
        && upgrades.next().is_none();
    only_websocket
        && *method == Method::GET
        && version == Version::HTTP_11
        && lists(headers, &CONNECTION, "upgrade")
}

fn is_hop_by_hop(name: &str) -> bool {
    matches!(
        name,
        "connection"
            | "keep-alive"
            | "proxy-connection"
            | "transfer-encoding"
            | "upgrade"
            | "proxy-authenticate"
            | "proxy-authorization"
            | "http2-settings"
    )
}

/// Whether a field may stand behind a body (RFC 9110 section 6.5.1).
///
/// What frames, routes, authenticates or says who asks must be known before the body; a receiver that merges trailers into
/// the head would believe them.
pub fn may_trail(name: &HeaderName) -> bool {
    let name = name.as_str();
    let explains = matches!(
        name,
        "te" | "trailer" | "expect" | "range" | "max-forwards" | "forwarded" | "x-real-ip"
    );
    !(explains
        || is_hop_by_hop(name)
        || is_end_to_end(name)
        || name.starts_with("if-")
        || name.starts_with("x-forwarded-"))
}

/// Fields that `Connection` cannot remove: they frame or explain the body, name the target, or carry who
/// asks. Without them the backend would read another message than the one that was matched and limited.
fn is_end_to_end(name: &str) -> bool {
    matches!(
        name,
        "host"
            | "content-length"
            | "content-type"
            | "content-encoding"
            | "content-range"
            | "cache-control"
            | "authorization"
            | "cookie"
            | "set-cookie"
            | "origin"
            | "x-request-id"
    )
}

/// What `Connection` names beyond the fields that go in any case: most often nothing, which costs no memory.
fn named_by_connection(headers: &HeaderMap) -> impl Iterator<Item = HeaderName> {
    tokens(headers, &CONNECTION)
        .filter(|token| !matches!(*token, b"keep-alive" | b"close" | b"Upgrade" | b"upgrade"))
        .filter_map(|token| HeaderName::from_bytes(token).ok())
        .filter(|name| !is_end_to_end(name.as_str()) && *name != TE)
}

fn lists(headers: &HeaderMap, name: &HeaderName, token: &str) -> bool {
    tokens(headers, name).any(|found| {
        let name = found.split(|byte| *byte == b';').next().unwrap_or(found);
        name.trim_ascii_end().eq_ignore_ascii_case(token.as_bytes())
    })
}

fn tokens<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a [u8]> {
    headers
        .get_all(name)
        .iter()
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
        .map(<[u8]>::trim_ascii)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn headers(fields: &[(&str, &str)]) -> HeaderMap {
        fields
            .iter()
            .map(|(name, value)| {
                (
                    HeaderName::from_bytes(name.as_bytes()).unwrap(),
                    HeaderValue::from_str(value).unwrap(),
                )
            })
            .collect()
    }

    fn names(headers: &HeaderMap) -> Vec<&str> {
        let mut names: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        names
    }

    #[test]
    fn removes_every_field_of_the_connection() {
        let mut headers = headers(&[
            ("connection", "keep-alive"),
            ("keep-alive", "timeout=5"),
            ("proxy-connection", "keep-alive"),
            ("proxy-authenticate", "Basic"),
            ("proxy-authorization", "Basic x"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "h2c"),
            ("http2-settings", "AAMAAABkAARAAAAAAAIAAAAA"),
            ("trailer", "x-sum"),
            ("accept", "*/*"),
        ]);
        strip(&mut headers);
        assert_eq!(names(&headers), ["accept", "trailer"]);
    }

    #[test]
    fn removes_what_connection_names_in_any_of_its_fields() {
        let mut headers = headers(&[
            ("connection", "close, X-One"),
            ("connection", "x-two ,, not a name"),
            ("x-one", "1"),
            ("x-two", "2"),
            ("x-three", "3"),
        ]);
        strip(&mut headers);
        assert_eq!(names(&headers), ["x-three"]);
    }

    #[test]
    fn counts_a_name_once_however_often_it_is_said() {
        let list = "x-one, ".repeat(10_000);
        let mut headers = headers(&[("connection", &list), ("x-one", "1"), ("te", "gzip")]);
        assert_eq!(Stopping::of(&headers).named.unwrap().len(), 1);
        strip(&mut headers);
        assert!(headers.is_empty());
    }

    #[test]
    fn keeps_what_connection_must_not_name() {
        let mut headers = headers(&[
            (
                "connection",
                "host, content-length, cookie, authorization, origin",
            ),
            ("host", "a"),
            ("content-length", "3"),
            ("cookie", "a=b"),
            ("authorization", "Bearer x"),
            ("origin", "https://a"),
        ]);
        strip(&mut headers);
        assert_eq!(
            names(&headers),
            [
                "authorization",
                "content-length",
                "cookie",
                "host",
                "origin"
            ]
        );
    }

    #[test]
    fn finds_trailers_among_the_codings_of_te() {
        assert!(takes_trailers(&headers(&[("te", "gzip, Trailers;q=1")])));
        assert!(!takes_trailers(&headers(&[("te", "gzip")])));
        assert!(!takes_trailers(&headers(&[])));
    }

    #[test]
    fn lets_nothing_trail_that_had_to_be_known_before() {
        for name in [
            "content-length",
            "host",
            "x-forwarded-for",
            "if-match",
            "cookie",
            "upgrade",
        ] {
            assert!(!may_trail(&HeaderName::from_static(name)), "{name}");
        }
        for name in ["x-checksum", "server-timing", "grpc-status", "digest"] {
            assert!(may_trail(&HeaderName::from_static(name)), "{name}");
        }
    }

    #[test]
    fn knows_a_websocket_request() {
        let good = headers(&[
            ("connection", "keep-alive, Upgrade"),
            ("upgrade", "WebSocket"),
        ]);
        assert!(wants_websocket(&good, &Method::GET, Version::HTTP_11));
        assert!(!wants_websocket(&good, &Method::POST, Version::HTTP_11));
        assert!(!wants_websocket(&good, &Method::GET, Version::HTTP_10));
        for fields in [
            &[("connection", "upgrade"), ("upgrade", "websocket, h2c")][..],
            &[("connection", "upgrade"), ("upgrade", "h2c")],
            &[("connection", "keep-alive"), ("upgrade", "websocket")],
            &[
                ("connection", "upgrade"),
                ("upgrade", "websocket"),
                ("upgrade", "h2c"),
            ],
            &[("connection", "upgrade")],
        ] {
            assert!(!wants_websocket(
                &headers(fields),
                &Method::GET,
                Version::HTTP_11
            ));
        }
    }

    proptest::proptest! {
        #[test]
        fn leaves_no_connection_field_whatever_it_names(value in "[ -~]{0,60}") {
            let mut headers = headers(&[("connection", &value), ("host", "a"), ("upgrade", "x")]);
            strip(&mut headers);
            proptest::prop_assert_eq!(names(&headers), ["host"]);
        }
    }
}
