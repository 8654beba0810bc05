//! What compression means for the head of a response.

use http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{
        ACCEPT_ENCODING, ACCEPT_RANGES, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, ETAG, VARY,
    },
};

use crate::message::coding::Coding;

/// Sums of the bytes that are sent (RFC 9530, and RFC 3230 and RFC 1864 before it). Whoever sends one wants it checked,
/// and it would not be right any more.
const DIGESTS: [HeaderName; 4] = [
    HeaderName::from_static("content-digest"),
    HeaderName::from_static("repr-digest"),
    HeaderName::from_static("digest"),
    HeaderName::from_static("content-md5"),
];

/// Whether a head has a digest of its body.
pub(super) fn has_digest(headers: &HeaderMap) -> bool {
    DIGESTS.iter().any(|name| headers.contains_key(name))
}

/// Whether a body has a coding already.
pub(super) fn is_coded(headers: &HeaderMap) -> bool {
    headers.contains_key(CONTENT_ENCODING)
}

/// `Cache-Control: no-transform`, which both sides may say (RFC 9111 sections 5.2.1.6 and 5.2.2.6).
pub(super) fn forbids_transform(headers: &HeaderMap) -> bool {
    has_element(headers, &CACHE_CONTROL, b"no-transform")
}

/// Says that the response is another for other clients, if it does not yet.
pub(super) fn vary(headers: &mut HeaderMap) {
    if !has_element(headers, &VARY, ACCEPT_ENCODING.as_str().as_bytes())
        && !has_element(headers, &VARY, b"*")
    {
        headers.append(VARY, HeaderValue::from_name(ACCEPT_ENCODING));
    }
}

/// Makes the head that of a body in `coding`, whose length is unknown.
///
/// Ranges would be cut from other bytes than these.
pub(super) fn mark(headers: &mut HeaderMap, coding: Coding) {
    headers.insert(CONTENT_ENCODING, coding.value());
    headers.remove(CONTENT_LENGTH);
    headers.remove(ACCEPT_RANGES);
    weaken(headers);
}

/// Makes a strong `ETag` weak: the bytes are others, what they mean is the same (RFC 9110 section 8.8.1).
pub(super) fn weaken(headers: &mut HeaderMap) {
    let Some(etag) = headers.get(ETAG).map(HeaderValue::as_bytes) else {
        return;
    };
    if etag.starts_with(b"W/") {
        return;
    }
    match HeaderValue::from_bytes(&[b"W/", etag].concat()) {
        Ok(weak) if etag.starts_with(b"\"") => headers.insert(ETAG, weak),
        // It is no entity tag, so nothing says how it is compared.
        _ => headers.remove(ETAG),
    };
}

/// Whether `If-None-Match` names the strong `ETag` of this head as a weak one, and not as what it is: the client has it
/// from us.
pub(super) fn is_known_as_weak(headers: &HeaderMap, condition: &HeaderValue) -> bool {
    let Some(etag) = headers.get(ETAG).map(HeaderValue::as_bytes) else {
        return false;
    };
    let condition = condition.as_bytes();
    let mut found = memchr::memmem::find_iter(condition, etag).peekable();
    etag.starts_with(b"\"")
        && found.peek().is_some()
        && found.all(|at| condition[..at].ends_with(b"W/"))
}

/// Whether a list that may come in several fields has an element, in any case.
fn has_element(headers: &HeaderMap, name: &HeaderName, wanted: &[u8]) -> bool {
    headers
        .get_all(name)
        .iter()
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
        .any(|element| element.trim_ascii().eq_ignore_ascii_case(wanted))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(fields: &[(HeaderName, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(name, HeaderValue::from_static(value));
        }
        headers
    }

    fn all<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Vec<&'a str> {
        let values = headers.get_all(name).iter();
        values.map(|value| value.to_str().unwrap()).collect()
    }

    #[test]
    fn says_once_that_the_response_varies() {
        for known in ["Origin, accept-Encoding", "*", "accept-encoding"] {
            let mut headers = head(&[(VARY, known)]);
            vary(&mut headers);
            assert_eq!(all(&headers, &VARY), [known]);
        }
        let mut headers = head(&[(VARY, "Origin"), (VARY, "Accept")]);
        vary(&mut headers);
        vary(&mut headers);
        assert_eq!(
            all(&headers, &VARY),
            ["Origin", "Accept", "accept-encoding"]
        );
    }

    #[test]
    fn takes_off_what_was_said_of_other_bytes() {
        let mut headers = head(&[
            (CONTENT_LENGTH, "5"),
            (ACCEPT_RANGES, "bytes"),
            (ETAG, "\"x\""),
        ]);
        mark(&mut headers, Coding::Gzip);
        assert_eq!(headers.len(), 2);
        assert_eq!(headers[CONTENT_ENCODING], "gzip");
        assert_eq!(headers[ETAG], "W/\"x\"");
    }

    #[test]
    fn weakens_a_strong_etag_once_and_drops_what_is_none() {
        for (etag, weak) in [
            ("\"x\"", Some("W/\"x\"")),
            ("W/\"x\"", Some("W/\"x\"")),
            ("x", None),
        ] {
            let mut headers = head(&[(ETAG, etag)]);
            weaken(&mut headers);
            assert_eq!(
                headers.get(ETAG).map(|it| it.to_str().unwrap()),
                weak,
                "{etag}"
            );
        }
        let mut headers = HeaderMap::new();
        weaken(&mut headers);
        assert!(headers.is_empty());
    }

    #[test]
    fn knows_an_etag_that_was_weakened_by_what_the_client_asks() {
        let known = |etag, condition| {
            let headers = head(&[(ETAG, etag)]);
            is_known_as_weak(&headers, &HeaderValue::from_static(condition))
        };
        assert!(known("\"x\"", "W/\"x\""));
        assert!(known("\"x\"", "\"y\", W/\"x\", W/\"x\""));
        for (etag, condition) in [
            ("\"x\"", "\"x\""),
            ("\"x\"", "W/\"x\", \"x\""),
            ("\"x\"", "W/\"y\""),
            ("\"x\"", "*"),
            ("W/\"x\"", "W/\"x\""),
        ] {
            assert!(!known(etag, condition), "{etag} {condition}");
        }
    }

    #[test]
    fn reads_no_transform_in_any_place_and_case() {
        let headers = head(&[
            (CACHE_CONTROL, "private"),
            (CACHE_CONTROL, "max-age=1 , No-Transform"),
        ]);
        assert!(forbids_transform(&headers));
        assert!(!forbids_transform(&head(&[(
            CACHE_CONTROL,
            "no-transformer, no-cache"
        )])));
    }
}
