//! Conditional requests (RFC 9110 section 13).

use std::time::{Duration, SystemTime};

use http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE},
};

use crate::{assets::asset::Modified, message::error::ErrorKind};

/// What the selected representation is compared by.
#[derive(Debug, Clone, Copy)]
pub(super) struct Validators<'a> {
    /// Strong.
    pub(super) etag: &'a HeaderValue,
    pub(super) modified: Option<&'a Modified>,
}

/// How the request goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// With the representation.
    Send,
    /// The client has it already.
    NotModified,
}

/// Evaluates the preconditions of a GET or HEAD in the order of section 13.2.2.
///
/// # Errors
/// [`ErrorKind::Precondition`] when one does not hold.
pub(super) fn evaluate(
    headers: &HeaderMap,
    validators: Validators<'_>,
) -> Result<Verdict, ErrorKind> {
    if headers.contains_key(IF_MATCH) {
        if !names(headers, IF_MATCH, validators.etag, Compare::Strong) {
            return Err(ErrorKind::Precondition);
        }
    } else if validators.changed_since(date(headers, IF_UNMODIFIED_SINCE)) == Some(true) {
        return Err(ErrorKind::Precondition);
    }
    let fresh = if headers.contains_key(IF_NONE_MATCH) {
        names(headers, IF_NONE_MATCH, validators.etag, Compare::Weak)
    } else {
        validators.changed_since(date(headers, IF_MODIFIED_SINCE)) == Some(false)
    };
    Ok(if fresh {
        Verdict::NotModified
    } else {
        Verdict::Send
    })
}

/// Whether a range may be taken from what is here now (section 13.1.5).
pub(super) fn allows_range(headers: &HeaderMap, validators: Validators<'_>) -> bool {
    if !headers.contains_key(IF_RANGE) {
        return true;
    }
    let Some(field) = single(headers, IF_RANGE) else {
        return false;
    };
    if field.as_bytes().starts_with(b"\"") {
        return field == validators.etag;
    }
    // A date is a strong validator only when nothing can have changed within its second (section
    // 8.8.2.2).
    let old = |modified: &Modified| {
        modified
            .time
            .elapsed()
            .is_ok_and(|age| age > Duration::from_secs(1))
    };
    validators
        .modified
        .is_some_and(|modified| old(modified) && date(headers, IF_RANGE) == Some(modified.time))
}

impl Validators<'_> {
    fn changed_since(self, date: Option<SystemTime>) -> Option<bool> {
        Some(self.modified?.time > date?)
    }
}

/// How two entity tags are compared (section 8.8.3.2).
#[derive(Clone, Copy, PartialEq, Eq)]
enum Compare {
    Strong,
    Weak,
}

/// Whether a list of entity tags names `etag`; `*` names every one.
fn names(headers: &HeaderMap, field: HeaderName, etag: &HeaderValue, compare: Compare) -> bool {
    headers.get_all(field).iter().any(|list| {
        let list = list.as_bytes().trim_ascii();
        list == b"*"
            || Tags { rest: list }
                .any(|(weak, tag)| tag == etag.as_bytes() && !(weak && compare == Compare::Strong))
    })
}

/// Entity tags of a list, each with whether it is weak. Ends at the first fault.
struct Tags<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Tags<'a> {
    type Item = (bool, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let start = self
            .rest
            .iter()
            .position(|byte| !matches!(byte, b' ' | b'\t' | b','))?;
        let rest = &self.rest[start..];
        let (weak, rest) = match rest.strip_prefix(b"W/") {
            Some(rest) => (true, rest),
            None => (false, rest),
        };
        let inner = rest.strip_prefix(b"\"")?;
        let end = memchr::memchr(b'"', inner)? + 2;
        let (tag, rest) = rest.split_at(end);
        self.rest = rest;
        Some((weak, tag))
    }
}

/// A date that is malformed, or not the only one, counts as absent (sections 13.1.3 and 13.1.4).
fn date(headers: &HeaderMap, field: HeaderName) -> Option<SystemTime> {
    httpdate::parse_http_date(single(headers, field)?.to_str().ok()?).ok()
}

/// A field that is there once.
fn single(headers: &HeaderMap, field: HeaderName) -> Option<&HeaderValue> {
    let mut lines = headers.get_all(field).iter();
    lines.next().filter(|_| lines.next().is_none())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ETAG: HeaderValue = HeaderValue::from_static("\"a\"");
    const BEFORE: &str = "Sun, 06 Nov 1994 08:49:36 GMT";
    const EXACT: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
    const AFTER: &str = "Sun, 06 Nov 1994 08:49:38 GMT";

    fn modified() -> Modified {
        let time = httpdate::parse_http_date(EXACT).unwrap();
        Modified {
            time,
            value: HeaderValue::from_static(EXACT),
        }
    }

    fn headers(fields: &[(HeaderName, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(name, HeaderValue::from_static(value));
        }
        headers
    }

    fn verdict(fields: &[(HeaderName, &'static str)]) -> Result<Verdict, ErrorKind> {
        let modified = modified();
        evaluate(
            &headers(fields),
            Validators {
                etag: &ETAG,
                modified: Some(&modified),
            },
        )
    }

    #[test]
    fn compares_if_none_match_weakly() {
        for list in [
            "\"a\"",
            "W/\"a\"",
            "\"b\", \"a\"",
            "*",
            ",, \"x,y\" , \"a\"",
            "\"b\"\"a\"",
        ] {
            assert_eq!(
                verdict(&[(IF_NONE_MATCH, list)]),
                Ok(Verdict::NotModified),
                "{list}"
            );
        }
        for list in ["\"b\"", "a", "", "\"a", "W/a", "\"a-gzip\""] {
            assert_eq!(
                verdict(&[(IF_NONE_MATCH, list)]),
                Ok(Verdict::Send),
                "{list}"
            );
        }
    }

    #[test]
    fn compares_if_match_strongly() {
        for list in ["\"a\"", "*", "\"b\", \"a\""] {
            assert_eq!(verdict(&[(IF_MATCH, list)]), Ok(Verdict::Send), "{list}");
        }
        for list in ["W/\"a\"", "\"b\"", ""] {
            assert_eq!(
                verdict(&[(IF_MATCH, list)]),
                Err(ErrorKind::Precondition),
                "{list}"
            );
        }
    }

    #[test]
    fn compares_dates_by_the_second() {
        assert_eq!(
            verdict(&[(IF_MODIFIED_SINCE, EXACT)]),
            Ok(Verdict::NotModified)
        );
        assert_eq!(
            verdict(&[(IF_MODIFIED_SINCE, AFTER)]),
            Ok(Verdict::NotModified)
        );
        assert_eq!(verdict(&[(IF_MODIFIED_SINCE, BEFORE)]), Ok(Verdict::Send));
        assert_eq!(
            verdict(&[(IF_MODIFIED_SINCE, "yesterday")]),
            Ok(Verdict::Send)
        );
        assert_eq!(verdict(&[(IF_UNMODIFIED_SINCE, EXACT)]), Ok(Verdict::Send));
        assert_eq!(
            verdict(&[(IF_UNMODIFIED_SINCE, BEFORE)]),
            Err(ErrorKind::Precondition)
        );
    }

    #[test]
    fn takes_no_date_of_several() {
        for dates in [[EXACT, AFTER], [BEFORE, EXACT]] {
            let twice = |field: HeaderName| dates.map(|date| (field.clone(), date));
            assert_eq!(verdict(&twice(IF_MODIFIED_SINCE)), Ok(Verdict::Send));
            assert_eq!(verdict(&twice(IF_UNMODIFIED_SINCE)), Ok(Verdict::Send));
        }
        assert_eq!(
            verdict(&[(IF_NONE_MATCH, "\"b\""), (IF_NONE_MATCH, "\"a\"")]),
            Ok(Verdict::NotModified),
            "a list may come in lines"
        );
    }

    #[test]
    fn evaluates_in_order() {
        assert_eq!(
            verdict(&[(IF_UNMODIFIED_SINCE, BEFORE), (IF_NONE_MATCH, "\"a\"")]),
            Err(ErrorKind::Precondition)
        );
        assert_eq!(
            verdict(&[(IF_UNMODIFIED_SINCE, EXACT), (IF_NONE_MATCH, "*")]),
            Ok(Verdict::NotModified)
        );
        assert_eq!(
            verdict(&[(IF_MATCH, "*"), (IF_MODIFIED_SINCE, EXACT)]),
            Ok(Verdict::NotModified)
        );
    }

    #[test]
    fn prefers_entity_tags_to_dates() {
        assert_eq!(
            verdict(&[(IF_NONE_MATCH, "\"b\""), (IF_MODIFIED_SINCE, EXACT)]),
            Ok(Verdict::Send)
        );
        assert_eq!(
            verdict(&[(IF_MATCH, "\"a\""), (IF_UNMODIFIED_SINCE, BEFORE)]),
            Ok(Verdict::Send)
        );
        assert_eq!(
            verdict(&[(IF_MATCH, "\"b\""), (IF_NONE_MATCH, "\"a\"")]),
            Err(ErrorKind::Precondition)
        );
    }

    #[test]
    fn takes_a_range_only_from_the_same_bytes() {
        let modified = modified();
        let allowed = |value| {
            let validators = Validators {
                etag: &ETAG,
                modified: Some(&modified),
            };
            allows_range(&headers(&[(IF_RANGE, value)]), validators)
        };
        assert!(allowed("\"a\"") && allowed(EXACT));
        assert!(
            !allowed("\"b\"")
                && !allowed("W/\"a\"")
                && !allowed(AFTER)
                && !allowed(BEFORE)
                && !allowed("x")
                && !allowed("*")
                && !allowed("\"a\", \"b\"")
        );
        let twice = headers(&[(IF_RANGE, "\"a\""), (IF_RANGE, "\"a\"")]);
        let fresh = Modified {
            time: SystemTime::now(),
            value: HeaderValue::from_static(EXACT),
        };
        let now = HeaderValue::try_from(httpdate::fmt_http_date(fresh.time)).unwrap();
        let recent = HeaderMap::from_iter([(IF_RANGE, now)]);
        for (headers, modified) in [(&twice, &modified), (&recent, &fresh)] {
            let validators = Validators {
                etag: &ETAG,
                modified: Some(modified),
            };
            assert!(!allows_range(headers, validators), "{headers:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn never_panics_on_a_list_of_tags(list in "[\"Wa/, *]{0,20}") {
            let list = HeaderValue::try_from(list).unwrap();
            let headers = HeaderMap::from_iter([(IF_NONE_MATCH, list)]);
            names(&headers, IF_NONE_MATCH, &ETAG, Compare::Weak);
        }
    }
}
