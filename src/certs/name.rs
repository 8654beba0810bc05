//! Names that a development certificate may carry.

use std::net::IpAddr;

use crate::certs::CertError;

/// `names` as a certificate holds them: lower case, without brackets and trailing dots, each once.
///
/// # Errors
/// There is none, or one of them cannot be in a certificate.
pub(crate) fn normalize(names: &[String]) -> Result<Vec<String>, CertError> {
    let mut normal = Vec::with_capacity(names.len());
    for name in names {
        let name = normalize_one(name)?;
        if !normal.contains(&name) {
            normal.push(name);
        }
    }
    if normal.is_empty() {
        return Err(CertError::NoNames);
    }
    Ok(normal)
}

fn normalize_one(given: &str) -> Result<String, CertError> {
    let bracketless = given
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    if let Ok(address) = bracketless.unwrap_or(given).parse::<IpAddr>() {
        return Ok(address.to_string());
    }
    let name = given
        .strip_suffix('.')
        .unwrap_or(given)
        .to_ascii_lowercase();
    match fault(&name) {
        None => Ok(name),
        Some(reason) => Err(CertError::Name {
            name: given.to_owned(),
            reason,
        }),
    }
}

/// Why `name` is neither a DNS name nor a wildcard for its first label.
fn fault(name: &str) -> Option<&'static str> {
    let rest = name.strip_prefix("*.").unwrap_or(name);
    if name.is_empty() {
        return Some("it is empty");
    }
    if name.contains("://") || name.contains('/') {
        return Some("it is a URL: give the host alone");
    }
    if name.contains(':') {
        return Some("it has a port: give the host alone, a certificate is good for every port");
    }
    if !name.is_ascii() {
        return Some("it has letters beyond ASCII: write it in its \"xn--\" form");
    }
    if name == "*" {
        return Some("a lone wildcard matches nothing: write \"*.\" and a domain");
    }
    if rest.contains('*') {
        return Some("a wildcard must be the whole first label, as in \"*.example.com\"");
    }
    if name.len() > 253 {
        return Some("it is longer than 253 characters");
    }
    rest.split('.').find_map(label_fault)
}

fn label_fault(label: &str) -> Option<&'static str> {
    if label.is_empty() {
        return Some("it has an empty label: two dots in a row or one in front");
    }
    if label.len() > 63 {
        return Some("a label is longer than 63 characters");
    }
    if label.starts_with('-') || label.ends_with('-') {
        return Some("a label begins or ends with a hyphen");
    }
    let known = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    (!label.bytes().all(known)).then_some("only letters, digits, hyphens and dots may be in a name")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(name: &str) -> Result<String, String> {
        normalize_one(name).map_err(|error| error.to_string())
    }

    #[test]
    fn takes_names_wildcards_and_addresses() {
        for (given, normal) in [
            ("Example.COM.", "example.com"),
            ("localhost", "localhost"),
            ("*.localhost", "*.localhost"),
            ("127.0.0.1", "127.0.0.1"),
            ("[::1]", "::1"),
            ("0:0:0:0:0:0:0:1", "::1"),
            ("my_db", "my_db"),
        ] {
            assert_eq!(one(given).as_deref(), Ok(normal), "{given}");
        }
    }

    #[test]
    fn says_what_is_wrong_with_a_name() {
        for (given, word) in [
            ("", "empty"),
            ("https://a.example", "URL"),
            ("a.example:8443", "port"),
            ("bücher.example", "xn--"),
            ("*", "lone wildcard"),
            ("a.*.example", "first label"),
            ("a..example", "empty label"),
            ("-a.example", "hyphen"),
            ("a b", "only letters"),
        ] {
            let message = one(given).unwrap_err();
            assert!(message.contains(word), "{given}: {message}");
        }
        assert!(one(&"a".repeat(64)).unwrap_err().contains("63"));
    }

    #[test]
    fn keeps_each_name_once_and_wants_one() {
        let names = ["a", "A", "b"].map(str::to_owned);
        assert_eq!(normalize(&names).unwrap(), ["a", "b"]);
        assert!(matches!(normalize(&[]), Err(CertError::NoNames)));
    }

    proptest::proptest! {
        #[test]
        fn never_panics_and_is_stable(name in "\\PC{0,80}") {
            if let Ok(normal) = normalize_one(&name) {
                proptest::prop_assert_eq!(normalize_one(&normal).unwrap(), normal);
            }
        }
    }
}
