//! Cookies of a request (RFC 6265 section 4.2.1; over HTTP/2 one field may be several, RFC 9113 section 8.2.3).

use http::{HeaderMap, header::COOKIE};

/// The values that a request gives to the cookie `name`, without quotes, in order.
pub fn values<'a>(headers: &'a HeaderMap, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
    headers
        .get_all(COOKIE)
        .iter()
        .flat_map(|field| field.as_bytes().split(|byte| *byte == b';'))
        .filter_map(|pair| {
            let value = pair
                .trim_ascii()
                .strip_prefix(name.as_bytes())?
                .strip_prefix(b"=")?;
            let bare = value
                .strip_prefix(b"\"")
                .and_then(|it| it.strip_suffix(b"\""));
            Some(bare.unwrap_or(value))
        })
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn of(fields: &[&str], name: &str) -> Vec<String> {
        let mut headers = HeaderMap::new();
        for field in fields {
            headers.append(COOKIE, HeaderValue::from_str(field).unwrap());
        }
        values(&headers, name)
            .map(|value| String::from_utf8_lossy(value).into_owned())
            .collect()
    }

    #[test]
    fn finds_a_cookie_among_others_however_they_are_split() {
        for fields in [
            &["a=1; sid=x; b=2"][..],
            &["a=1", "sid=x", "b=2"],
            &["a=1;sid=x ;b=2"],
            &["sid=\"x\""],
        ] {
            assert_eq!(of(fields, "sid"), ["x"], "{fields:?}");
        }
        assert_eq!(of(&["sid=x; sid=y=z"], "sid"), ["x", "y=z"]);
    }

    #[test]
    fn takes_no_other_cookie_for_it() {
        for field in ["xsid=1", "sidx=1", "SID=1", "sid", "", "a=sid=1", "; ;"] {
            assert!(of(&[field], "sid").is_empty(), "{field}");
        }
        assert_eq!(of(&["sid="], "sid"), [""]);
        assert_eq!(of(&["sid=\""], "sid"), ["\""]);
    }

    proptest! {
        #[test]
        fn finds_what_was_written(before in "[a-r]{1,5}=[a-z]{0,5}", value in "[!#-+.-:<-~]{0,20}") {
            let field = format!("{before}; sid={value}; z=1");
            prop_assert_eq!(of(&[&field], "sid"), [value]);
        }

        #[test]
        fn no_field_is_too_strange(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            if let Ok(value) = HeaderValue::from_bytes(&bytes) {
                let headers = HeaderMap::from_iter([(COOKIE, value)]);
                prop_assert!(values(&headers, "sid").all(|it| it.len() < bytes.len()));
            }
        }
    }
}
