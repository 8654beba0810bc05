//! The host a request is for: from the target's authority or the `Host` field, exactly one.

use std::{cell::RefCell, net::IpAddr, sync::Arc};

use http::{HeaderMap, Uri, header::HOST};

use crate::message::error::ErrorKind;

/// A host and maybe a port, valid and in lower case. IPv6 literals are kept without brackets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    name: Arc<str>,
    port: Option<u16>,
}

impl Host {
    /// Parses `host`, `host:port`, `[v6]` or `[v6]:port`.
    pub fn parse(text: &str) -> Option<Self> {
        let (name, port) = split_port(text)?;
        let port = match port {
            None | Some("") => None,
            Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
                Some(digits.parse().ok()?)
            }
            Some(_) => return None,
        };
        let name: Arc<str> = match name.strip_prefix('[') {
            Some(rest) => {
                let literal = rest.strip_suffix(']')?;
                let address: std::net::Ipv6Addr = literal.parse().ok()?;
                address.to_string().into()
            }
            None if is_name(name) => lower_case(name.trim_end_matches('.')),
            None => return None,
        };
        (!name.is_empty()).then_some(Self { name, port })
    }

    /// Lower-case name or address.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Port, if one was written.
    pub fn port(&self) -> Option<u16> {
        self.port
    }

    /// The host of a request (RFC 9112 section 3.2, RFC 9113 section 8.3.1).
    ///
    /// # Errors
    /// More than one `Host` field, a malformed one, one that contradicts the target's authority, or none at all.
    pub fn of(uri: &Uri, headers: &HeaderMap) -> Result<Self, ErrorKind> {
        let mut fields = headers.get_all(HOST).iter();
        let field = fields.next();
        if fields.next().is_some() {
            return Err(ErrorKind::BadRequest("more than one Host field"));
        }
        let malformed = ErrorKind::BadRequest("the Host field is malformed");
        let field = match field {
            None => None,
            Some(value) => Some(value.to_str().ok().and_then(Self::parse).ok_or(malformed)?),
        };
        let authority = match uri.authority() {
            None => None,
            Some(authority) if authority.as_str().contains('@') => return Err(malformed),
            Some(authority) => Some(Self::parse(authority.as_str()).ok_or(malformed)?),
        };
        match (authority, field) {
            (Some(authority), Some(field)) if authority.name != field.name => Err(
                ErrorKind::BadRequest("the Host field contradicts the request target"),
            ),
            (Some(host), _) | (None, Some(host)) => Ok(host),
            (None, None) => Err(ErrorKind::BadRequest("the Host field is missing")),
        }
    }

    /// The address, when the host is one.
    pub fn address(&self) -> Option<IpAddr> {
        self.name.parse().ok()
    }
}

/// The host that the last request of a connection asked for. A client asks for the same one again and
/// again: then nothing is parsed and nothing is made.
#[derive(Debug, Default)]
pub struct Memory(RefCell<Option<(Box<[u8]>, Host)>>);

impl Memory {
    /// As [`Host::of`].
    ///
    /// # Errors
    /// As [`Host::of`].
    pub fn of(&self, uri: &Uri, headers: &HeaderMap) -> Result<Host, ErrorKind> {
        let Some(text) = only_source(uri, headers) else {
            return Host::of(uri, headers);
        };
        let mut memory = self.0.borrow_mut();
        if let Some((known, host)) = &*memory
            && **known == *text
        {
            return Ok(host.clone());
        }
        let host = Host::of(uri, headers)?;
        *memory = Some((text.into(), host.clone()));
        Ok(host)
    }
}

/// What names the host, where one thing alone does.
fn only_source<'a>(uri: &'a Uri, headers: &'a HeaderMap) -> Option<&'a [u8]> {
    let mut fields = headers.get_all(HOST).iter();
    match (uri.authority(), fields.next(), fields.next()) {
        (Some(authority), None, None) => Some(authority.as_str().as_bytes()),
        (None, Some(field), None) => Some(field.as_bytes()),
        _ => None,
    }
}

fn split_port(text: &str) -> Option<(&str, Option<&str>)> {
    if text.starts_with('[') {
        let end = text.find(']')? + 1;
        return match &text[end..] {
            "" => Some((text, None)),
            rest => Some((&text[..end], Some(rest.strip_prefix(':')?))),
        };
    }
    // A second colon is found in what should be a port.
    match memchr::memchr(b':', text.as_bytes()) {
        None => Some((text, None)),
        Some(colon) => Some((&text[..colon], Some(&text[colon + 1..]))),
    }
}

/// Nearly every client sends lower case: then there is one copy, not two.
fn lower_case(name: &str) -> Arc<str> {
    if name.bytes().any(|byte| byte.is_ascii_uppercase()) {
        name.to_ascii_lowercase().into()
    } else {
        name.into()
    }
}

/// Letters, digits, `-`, `.` and `_`: what resolves. Underscores occur in container names.
fn is_name(text: &str) -> bool {
    text.len() <= 255
        && !text.starts_with('.')
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_'))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn reads_names_ports_and_literals() {
        let host = Host::parse("Example.COM:8443").unwrap();
        assert_eq!((host.name(), host.port()), ("example.com", Some(8443)));
        assert_eq!(Host::parse("[::1]:443").unwrap().name(), "::1");
        assert_eq!(Host::parse("example.com.").unwrap().name(), "example.com");
        assert_eq!(Host::parse("example.com:").unwrap().port(), None);
    }

    #[test]
    fn refuses_what_is_not_a_host() {
        for text in [
            "", ":80", "a b", "a/b", "a@b", "a:b", "a:1:2", "[::1", "[::1]x", "[x]", "a,b", "é",
            ".a", "a:99999",
        ] {
            assert_eq!(Host::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn refuses_two_host_fields_and_none() {
        let mut headers = HeaderMap::new();
        let uri = Uri::from_static("/");
        assert!(Host::of(&uri, &headers).is_err());
        headers.append(HOST, HeaderValue::from_static("a"));
        assert_eq!(Host::of(&uri, &headers).unwrap().name(), "a");
        headers.append(HOST, HeaderValue::from_static("a"));
        assert!(Host::of(&uri, &headers).is_err());
    }

    #[test]
    fn refuses_a_host_field_that_contradicts_the_target() {
        let mut headers = HeaderMap::new();
        headers.insert(HOST, HeaderValue::from_static("evil.example"));
        let uri = Uri::from_static("http://good.example/x");
        assert!(Host::of(&uri, &headers).is_err());
    }

    #[test]
    fn remembers_a_host_and_no_refusal() {
        let memory = Memory::default();
        let uri = Uri::from_static("/");
        let of = |values: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(HOST, HeaderValue::from_static(value));
            }
            let host = memory.of(&uri, &headers);
            host.map(|host| (host.name().to_owned(), host.port())).ok()
        };
        let a = Some(("a.example".to_owned(), Some(8443)));
        assert_eq!(of(&["A.example:8443"]), a);
        assert_eq!(of(&["A.example:8443"]), a);
        assert_eq!(of(&["b.example"]), Some(("b.example".to_owned(), None)));
        assert_eq!(of(&["b.example", "b.example"]), None);
        assert_eq!(of(&["b@example"]), None);
        assert_eq!(of(&["b@example"]), None);
        assert_eq!(of(&["A.example:8443"]), a);
    }

    proptest::proptest! {
        #[test]
        fn never_panics_and_keeps_to_lower_case(text in "\\PC{0,40}") {
            if let Some(host) = Host::parse(&text) {
                proptest::prop_assert_eq!(host.name().to_ascii_lowercase(), host.name());
            }
        }
    }
}
