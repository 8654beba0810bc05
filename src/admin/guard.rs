//! Who may ask for what.

use http::{
    HeaderMap, HeaderName, HeaderValue, Uri,
    header::{AUTHORIZATION, HOST, ORIGIN},
};
use subtle::ConstantTimeEq as _;

use crate::{
    config::server::Admin,
    message::{error::ErrorKind, host::Host},
};

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

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

/// Whether a page of another origin made a browser send this. Programs send neither of the two fields
/// (Fetch standard, and Fetch Metadata).
pub(super) fn is_cross_site(headers: &HeaderMap) -> bool {
    let site = headers.get(SEC_FETCH_SITE);
    let is_foreign = site.is_some_and(|site| site != "same-origin" && site != "none");
    let host = headers.get(HOST).map(HeaderValue::as_bytes);
    let origin = headers.get(ORIGIN).map(HeaderValue::as_bytes);
    let is_own = |origin: &[u8]| {
        let authority = [&b"http://"[..], b"https://"]
            .iter()
            .find_map(|scheme| origin.strip_prefix(*scheme));
        authority.is_some() && authority == host
    };
    is_foreign || origin.is_some_and(|origin| !is_own(origin))
}

fn split_bearer(value: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = value.split_at_checked("Bearer ".len())?;
    scheme
        .eq_ignore_ascii_case(b"Bearer ")
        .then(|| token.trim_ascii())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::value::Secret;

    fn config(token: Option<&str>) -> Admin {
        Admin {
            address: "127.0.0.1:9090".parse().unwrap(),
            token: token.map(|token| Secret::new(token.to_owned())),
        }
    }

    fn headers(name: HeaderName, value: &str) -> HeaderMap {
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
    fn tells_a_foreign_page_from_a_program() {
        let shown = |fields: &[(HeaderName, &str)]| {
            let own = (HOST, "localhost:9090");
            let fields = fields.iter().chain([&own]);
            let value = |it: &str| HeaderValue::from_str(it).unwrap();
            is_cross_site(&fields.map(|(name, it)| (name.clone(), value(it))).collect())
        };
        assert!(!shown(&[]));
        assert!(!shown(&[(ORIGIN, "http://localhost:9090")]));
        assert!(!shown(&[(SEC_FETCH_SITE, "same-origin")]));
        for foreign in ["http://localhost:3000", "https://evil.example", "null", ""] {
            assert!(shown(&[(ORIGIN, foreign)]), "{foreign}");
        }
        for site in ["cross-site", "same-site", "x"] {
            assert!(shown(&[(SEC_FETCH_SITE, site)]), "{site}");
        }
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
