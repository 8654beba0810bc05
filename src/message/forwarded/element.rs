//! The elements of `Forwarded` (RFC 7239 section 4), as far as `for` and `proto` go.

use std::net::IpAddr;

use http::{HeaderMap, header::FORWARDED};

use crate::message::{context::Scheme, forwarded};

/// What one proxy wrote about the hop in front of it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Element {
    /// `for`; `None` where it is absent, hidden or malformed.
    pub(super) node: Option<IpAddr>,
    /// `proto`.
    pub(super) scheme: Option<Scheme>,
}

/// Every element over all lines, from the left.
///
/// A malformed line tells nothing about who wrote which part of it: it and all lines before it are left out, and
/// an element without a node stands for them, at which the walk ends.
pub(super) fn parse_all(headers: &HeaderMap) -> Vec<Element> {
    let mut elements = Vec::new();
    for line in headers.get_all(FORWARDED) {
        if parse_line(line.as_bytes(), &mut elements).is_none() {
            elements.clear();
            elements.push(Element::default());
        }
    }
    elements
}

fn parse_line(line: &[u8], elements: &mut Vec<Element>) -> Option<()> {
    let mut rest = line.trim_ascii();
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix(b",") {
            rest = after.trim_ascii_start();
            continue;
        }
        let element;
        (element, rest) = parse_element(rest)?;
        elements.push(element);
    }
    Some(())
}

/// One element and what follows it, which is nothing or begins with a comma.
fn parse_element(text: &[u8]) -> Option<(Element, &[u8])> {
    let mut element = Element::default();
    let mut seen = (false, false);
    let mut rest = text;
    loop {
        let (name, after) = split_token(rest)?;
        let value;
        (value, rest) = parse_value(after.strip_prefix(b"=")?)?;
        if name.eq_ignore_ascii_case(b"for") {
            if std::mem::replace(&mut seen.0, true) {
                return None;
            }
            element.node = std::str::from_utf8(value)
                .ok()
                .and_then(forwarded::parse_address);
        } else if name.eq_ignore_ascii_case(b"proto") {
            if std::mem::replace(&mut seen.1, true) {
                return None;
            }
            element.scheme = std::str::from_utf8(value)
                .ok()
                .and_then(forwarded::parse_scheme);
        }
        rest = rest.trim_ascii_start();
        match rest.strip_prefix(b";") {
            Some(after) => rest = after.trim_ascii_start(),
            None if rest.is_empty() || rest.starts_with(b",") => return Some((element, rest)),
            None => return None,
        }
    }
}

/// A token or a quoted string. Escapes stay as they are: no address and no scheme contains one.
fn parse_value(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let Some(quoted) = text.strip_prefix(b"\"") else {
        return split_token(text);
    };
    let mut escaped = false;
    for (index, byte) in quoted.iter().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return Some((&quoted[..index], &quoted[index + 1..])),
            _ => {}
        }
    }
    None
}

fn split_token(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = text
        .iter()
        .position(|byte| !is_token_byte(*byte))
        .unwrap_or(text.len());
    (end > 0).then(|| text.split_at(end))
}

/// RFC 9110 section 5.6.2, and `:` with the brackets, which many write without the quotes they need.
fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~:[]".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Option<Vec<Element>> {
        let mut elements = Vec::new();
        parse_line(line.as_bytes(), &mut elements).map(|()| elements)
    }

    fn nodes(line: &str) -> Vec<Option<String>> {
        parse(line)
            .unwrap()
            .iter()
            .map(|element| element.node.map(|node| node.to_string()))
            .collect()
    }

    #[test]
    fn reads_the_examples_of_the_rfc() {
        assert_eq!(
            nodes("For=\"[2001:db8:cafe::17]:4711\"")[0].as_deref(),
            Some("2001:db8:cafe::17")
        );
        assert_eq!(
            nodes("for=192.0.2.60;proto=http;by=203.0.113.43")[0].as_deref(),
            Some("192.0.2.60")
        );
        assert_eq!(nodes("for=192.0.2.43, for=198.51.100.17").len(), 2);
        assert_eq!(nodes("for=\"_gazonk\", for=unknown"), [None, None]);
        assert_eq!(parse("proto=HTTPS").unwrap()[0].scheme, Some(Scheme::Https));
    }

    #[test]
    fn keeps_commas_and_semicolons_inside_quotes() {
        let elements = parse("host=\"a,b;c\\\"d\";for=192.0.2.1").unwrap();
        assert_eq!(elements.len(), 1);
        assert_eq!(elements[0].node, "192.0.2.1".parse().ok());
    }

    #[test]
    fn refuses_what_is_not_an_element() {
        for line in [
            "for",
            "for=",
            "=x",
            "for=\"x",
            "for=\"x\"y",
            "for=a b",
            "for=1.1.1.1;for=2.2.2.2",
            "é=1",
        ] {
            assert_eq!(parse(line), None, "{line}");
        }
    }

    proptest::proptest! {
        #[test]
        fn never_panics(line in proptest::collection::vec(proptest::num::u8::ANY, 0..80)) {
            parse_line(&line, &mut Vec::new());
        }
    }
}
