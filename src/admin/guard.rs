//! Who may ask for what.

use http::{HeaderMap, Uri, header::AUTHORIZATION};
use subtle::ConstantTimeEq as _;

use crate::{
    config::server::Admin,
    message::{error::ErrorKind, host::Host},
};

/// What a request shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trust {
    /// The token, or none is needed: everything may be shown.
    Operator,
    /// No token, or a wrong one: health alone, without reasons.
    Stranger,
}

/// Compares the request's bearer token (RFC 6750 section 2.1) with the configured one, in a time
/// that does not tell where they differ.
pub(super) fn trust(config: &Admin, headers: &HeaderMap) -> Trust {
    let Some(expected) = &config.token else {
        return Trust::Operator;
    };
    let shown = headers
        .get(AUTHORIZATION)
        .and_then(|value| split_bearer(value.as_bytes()))
        .unwrap_or_default();
    if shown.ct_eq(expected.expose().as_bytes()).into() && !shown.is_empty() {
        Trust::Operator
    } else {
        Trust::Stranger
    }
}

/// Whether the request's host is this machine. Where a token is asked for, any host will do.
///
/// # Errors
/// The host is missing, malformed, or contradicts itself.
pub(super) fn names_this_machine(
    config: &Admin,
    uri: &Uri,
    headers: &HeaderMap,
) -> Result<bool, ErrorKind> {
    let host = Host::of(uri, headers)?;
    Ok(config.token.is_some()
        || host.name() == "localhost"
        || host
            .address()
            .is_some_and(|ip| ip.is_loopback() || ip == config.address.ip()))
}

fn split_bearer(value: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = value.split_at_checked("Bearer ".len())?;
    scheme
        .eq_ignore_ascii_case(b"Bearer ")
        .then(|| token.trim_ascii())
}

#[cfg(test)]
mod tests {
    use http::{HeaderValue, header::HOST};

    use super::*;
    use crate::config::value::Secret;

    fn config(token: Option<&str>) -> Admin {
        Admin {
            address: "127.0.0.1:9090".parse().unwrap(),
            token: token.map(|token| Secret::new(token.to_owned())),
        }
    }

    fn headers(name: http::HeaderName, value: &str) -> HeaderMap {
        let value = HeaderValue::from_str(value).unwrap();
        HeaderMap::from_iter([(name, value)])
    }

    #[test]
    fn trusts_the_token_alone_when_there_is_one() {
        let config = config(Some("s3cret"));
        for (value, expected) in [
            ("Bearer s3cret", Trust::Operator),
            ("bearer s3cret", Trust::Operator),
            ("Bearer s3cre", Trust::Stranger),
            ("Bearer s3crets", Trust::Stranger),
            ("Bearer ", Trust::Stranger),
            ("Basic s3cret", Trust::Stranger),
            ("s3cret", Trust::Stranger),
        ] {
            let headers = headers(AUTHORIZATION, value);
            assert_eq!(trust(&config, &headers), expected, "{value}");
        }
        assert_eq!(trust(&config, &HeaderMap::new()), Trust::Stranger);
    }

    #[test]
    fn never_takes_an_empty_token_for_the_right_one() {
        let headers = headers(AUTHORIZATION, "Bearer ");
        assert_eq!(trust(&config(Some("")), &headers), Trust::Stranger);
    }

    #[test]
    fn answers_to_names_of_this_machine_alone_without_a_token() {
        let uri = Uri::from_static("/metrics");
        let allowed =
            |config: &Admin, host| names_this_machine(config, &uri, &headers(HOST, host)).unwrap();
        let open = config(None);
        for host in [
            "localhost",
            "LOCALHOST:9090",
            "127.0.0.1:9090",
            "[::1]:9090",
        ] {
            assert!(allowed(&open, host), "{host}");
        }
        for host in ["rebound.example:9090", "10.0.0.1", "localhost.evil.example"] {
            assert!(!allowed(&open, host), "{host}");
        }
        assert!(allowed(&config(Some("t")), "metrics.example"));
        assert!(names_this_machine(&open, &uri, &HeaderMap::new()).is_err());
    }
}
