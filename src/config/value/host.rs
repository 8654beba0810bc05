//! Hosts that a site answers to.

use crate::{
    config::{
        reader::{Read, Value, quoted},
        value::HostPattern,
    },
    message::host::Host,
};

impl Read for HostPattern {
    fn read(value: &Value<'_>) -> Option<Self> {
        let text = value.text("a host name", "\"example.com\"")?;
        parse(&text).or_else(|| {
            let (message, help) = explain(&text);
            value.reject(message, help)
        })
    }
}

/// A name, `*.name` or an address literal; `None` when it is none of them.
pub(crate) fn parse(text: &str) -> Option<HostPattern> {
    if let Ok(address) = text.parse::<std::net::Ipv6Addr>() {
        return Some(HostPattern::Exact(address.to_string()));
    }
    if let Some(parent) = text.strip_prefix("*.") {
        return bare(parent).map(HostPattern::Wildcard);
    }
    bare(text).map(HostPattern::Exact)
}

/// A name or address without port.
pub(crate) fn bare(text: &str) -> Option<String> {
    let host = Host::parse(text)?;
    let has_empty_label = host.name().contains("..");
    // `example.com:` has an empty port, which `Host` lets pass.
    let has_port = host.port().is_some() || text.ends_with(':');
    (!has_port && !has_empty_label).then(|| host.name().to_owned())
}

fn explain(text: &str) -> (String, String) {
    let shown = quoted(text);
    if text == "*" {
        return (
            format!("{shown} is no host"),
            String::from("name the hosts, and set `default_site` on the listener to one of them"),
        );
    }
    if let Some((_, rest)) = text.split_once("://") {
        let name = rest.split(['/', ':']).next().unwrap_or(rest);
        return (
            format!("{shown} has a scheme, a bare host is wanted"),
            format!("write `\"{name}\"`"),
        );
    }
    if let Some((name, rest)) = text.split_once('/') {
        return (
            format!("{shown} has a path, a bare host is wanted"),
            format!("write `\"{name}\"`, and a route with `path = \"/{rest}\"`"),
        );
    }
    if let Some(host) = Host::parse(text)
        && (host.port().is_some() || text.ends_with(':'))
    {
        return (
            format!("{shown} has a port, a bare host is wanted"),
            format!("write `\"{}\"`; ports belong to listeners", host.name()),
        );
    }
    if text.contains('*') {
        return (
            format!("{shown} has its wildcard in the wrong place"),
            String::from("a wildcard stands for whole labels in front: `\"*.example.com\"`"),
        );
    }
    if !text.is_ascii() {
        return (
            format!("{shown} is not written as browsers send it"),
            String::from("write the name in punycode, with labels like `xn--...`"),
        );
    }
    (
        format!("{shown} is no host name"),
        String::from("write a name like `\"example.com\"`, `\"*.example.com\"` or an address"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_names_wildcards_and_literals() {
        let exact = |text: &str| Some(HostPattern::Exact(text.to_owned()));
        assert_eq!(parse("Example.COM"), exact("example.com"));
        assert_eq!(parse("127.0.0.1"), exact("127.0.0.1"));
        assert_eq!(parse("[0:0::1]"), exact("::1"));
        assert_eq!(parse("::1"), exact("::1"));
        assert_eq!(
            parse("*.Example.com"),
            Some(HostPattern::Wildcard(String::from("example.com")))
        );
        for bad in [
            "", "*", "*.", "a:443", "a:", "http://a", "a/b", "a b", "w*.a", "é.fr", "a..b",
        ] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_wildcard_wants_a_label() {
        let wildcard = HostPattern::Wildcard(String::from("example.com"));
        assert!(wildcard.matches("a.b.example.com"));
        assert!(!wildcard.matches("example.com"));
        assert!(!wildcard.matches(".example.com"));
        assert!(!wildcard.matches("anexample.com"));
    }
}
