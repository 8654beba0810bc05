//! What of a request is hashed, as one number, the same in every process.

use http::{HeaderMap, HeaderValue, header};

use crate::{
    config::upstream::HashKey,
    message::{context::RequestContext, cookie},
    upstream::balancer::hash,
};

/// The key of a request with these `headers`; that of its client address where it has none of its own.
pub(super) fn of(key: &HashKey, headers: &HeaderMap, context: &RequestContext) -> u64 {
    let value = match key {
        HashKey::Client => None,
        // HTTP/2 has it elsewhere.
        HashKey::Header(header::HOST) => context.host.as_ref().map(|host| host.name().as_bytes()),
        HashKey::Header(name) => headers.get(name).map(HeaderValue::as_bytes),
        HashKey::Cookie(name) => cookie::values(headers, name).next(),
    };
    match value {
        // An empty one tells nobody from anybody.
        None | Some([]) => hash::client(context.client_address()),
        Some(value) => hash::text(value),
    }
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use http::{HeaderName, Request};

    use super::*;
    use crate::message::{context::ConnectionInfo, host::Host};

    /// The key of a request of `client` with these fields.
    fn key_of(key: &HashKey, client: &str, fields: &[(&str, &str)]) -> u64 {
        let mut request = Request::new(());
        for (name, value) in fields {
            let name = HeaderName::try_from(*name).unwrap();
            let value = HeaderValue::try_from(*value).unwrap();
            request.headers_mut().append(name, value);
        }
        let connection = ConnectionInfo {
            peer: format!("{client}:1").parse().unwrap(),
            local: "127.0.0.1:443".parse().unwrap(),
            worker: 0,
            tls: None,
        };
        let host = Host::parse("Shop.example:8443");
        let context = RequestContext::new(Rc::new(connection), &request, host);
        of(key, request.headers(), &context)
    }

    fn header(name: &str) -> HashKey {
        HashKey::Header(HeaderName::try_from(name).unwrap())
    }

    #[test]
    fn a_header_or_a_cookie_counts_whoever_sends_it() {
        for (key, field, other) in [
            (header("x-tenant"), ("x-tenant", "a"), ("x-tenant", "b")),
            (
                HashKey::Cookie("sid".to_owned()),
                ("cookie", "z=1; sid=a"),
                ("cookie", "sid=b; z=1"),
            ),
        ] {
            let one = key_of(&key, "192.0.2.1", &[field]);
            assert_eq!(one, key_of(&key, "192.0.2.2", &[field]), "{key}");
            assert_ne!(one, key_of(&key, "192.0.2.1", &[other]), "{key}");
        }
    }

    #[test]
    fn without_it_the_client_address_counts() {
        let client = key_of(&HashKey::Client, "192.0.2.1", &[]);
        assert_ne!(client, key_of(&HashKey::Client, "192.0.2.2", &[]));
        for key in [header("x-tenant"), HashKey::Cookie("sid".to_owned())] {
            for fields in [
                &[][..],
                &[("x-tenant", ""), ("cookie", "sid=")],
                &[("cookie", "SID=a")],
            ] {
                assert_eq!(
                    key_of(&key, "192.0.2.1", fields),
                    client,
                    "{key} {fields:?}"
                );
            }
        }
    }

    #[test]
    fn a_cookie_counts_however_its_field_is_split() {
        let key = HashKey::Cookie("sid".to_owned());
        let whole = key_of(&key, "192.0.2.1", &[("cookie", "a=1; sid=x; b=2")]);
        let crumbs = [("cookie", "a=1"), ("cookie", "sid=x"), ("cookie", "b=2")];
        assert_eq!(whole, key_of(&key, "192.0.2.1", &crumbs));
    }

    #[test]
    fn the_host_counts_in_every_version_of_http() {
        let with_field = key_of(&header("host"), "192.0.2.1", &[("host", "SHOP.example")]);
        assert_eq!(with_field, key_of(&header("host"), "192.0.2.2", &[]));
        assert_eq!(with_field, hash::text(b"shop.example"));
    }
}
