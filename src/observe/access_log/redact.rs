//! Queries without their values: the codes and tokens of sign-ins travel there.

use crate::observe::access_log::escape::Escape;

/// The longest part of a query without `=` that is still taken for a name.
const LONGEST_NAME: usize = 24;

/// How queries are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Queries {
    /// Names stay, values become `*`.
    Redacted,
    /// As received.
    Whole,
}

/// Appends what follows the `?`.
pub(super) fn push_query(out: &mut Vec<u8>, query: &[u8], queries: Queries, escape: Escape) {
    if queries == Queries::Whole {
        return escape(out, query);
    }
    for (index, part) in query.split(|byte| *byte == b'&').enumerate() {
        if index > 0 {
            out.push(b'&');
        }
        match memchr::memchr(b'=', part) {
            Some(end) => {
                escape(out, &part[..end]);
                out.extend_from_slice(b"=*");
            }
            None if is_name(part) => escape(out, part),
            // `?eyJhbGci...`: a value that came without a name.
            None => out.push(b'*'),
        }
    }
}

/// Appends a `Referer`, whose query holds values too. A fragment is all value.
pub(super) fn push_referer(out: &mut Vec<u8>, referer: &[u8], queries: Queries, escape: Escape) {
    if queries == Queries::Whole {
        return escape(out, referer);
    }
    let (rest, fragment) = split_at_byte(referer, b'#');
    let (path, query) = split_at_byte(rest, b'?');
    escape(out, path);
    if let Some(query) = query {
        out.push(b'?');
        push_query(out, query, queries, escape);
    }
    if fragment.is_some() {
        out.extend_from_slice(b"#*");
    }
}

fn is_name(part: &[u8]) -> bool {
    part.len() <= LONGEST_NAME
        && part
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.'))
}

fn split_at_byte(text: &[u8], byte: u8) -> (&[u8], Option<&[u8]>) {
    match memchr::memchr(byte, text) {
        Some(at) => (&text[..at], Some(&text[at + 1..])),
        None => (text, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::access_log::escape::push_json;

    fn query(text: &str) -> String {
        let mut out = Vec::new();
        push_query(&mut out, text.as_bytes(), Queries::Redacted, push_json);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn keeps_names_and_hides_values() {
        assert_eq!(query("code=abc&state=d=e"), "code=*&state=*");
        assert_eq!(query("a=&=b&&debug"), "a=*&=*&&debug");
        assert_eq!(query(""), "");
    }

    #[test]
    fn hides_a_value_that_has_no_name() {
        assert_eq!(query("eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.e30.x"), "*");
        assert_eq!(query("a%20b"), "*");
    }

    #[test]
    fn hides_the_query_and_the_fragment_of_a_referer() {
        let shown = |text: &str, queries| {
            let mut out = Vec::new();
            push_referer(&mut out, text.as_bytes(), queries, push_json);
            String::from_utf8(out).unwrap()
        };
        let referer = "https://a.b/_callback?code=x#token=y";
        assert_eq!(
            shown(referer, Queries::Redacted),
            "https://a.b/_callback?code=*#*"
        );
        assert_eq!(shown(referer, Queries::Whole), referer);
        assert_eq!(shown("https://a.b/", Queries::Redacted), "https://a.b/");
    }
}
