//! Every table of the file, so that a key in the wrong one can be sent home.

use crate::config::{
    compress, headers, limit, listener, log, reader::table::Shape, route, server, site, tls,
    upstream,
};

/// The top of the file.
pub(crate) static ROOT: Shape = Shape {
    name: "",
    keys: &["server", "listener", "tls", "log", "upstream", "site"],
    reserved: &[
        "acme",
        "limiter",
        "cache",
        "discovery",
        "alerts",
        "telemetry",
    ],
};

static TABLES: [&Shape; 31] = [
    &ROOT,
    &server::SHAPE,
    &server::ADMIN,
    &listener::SHAPE,
    &tls::SHAPE,
    &tls::CERTIFICATE,
    &log::SHAPE,
    &log::ACCESS,
    &upstream::SHAPE,
    &upstream::BACKEND,
    &upstream::PROBE,
    &upstream::PROBE_HEADERS,
    &upstream::OUTLIER,
    &upstream::RETRY,
    &upstream::TIMEOUT,
    &upstream::LIMITS,
    &upstream::POOL,
    &upstream::TLS,
    &upstream::TLS_CERTIFICATE,
    &site::SHAPE,
    &headers::SHAPE,
    &headers::HSTS,
    &headers::csp::SHAPE,
    &route::SHAPE,
    &route::FILES,
    &route::RELEASES,
    &route::PROXY,
    &route::REDIRECT,
    &route::RESPOND,
    &limit::SHAPE,
    &compress::SHAPE,
];

/// Names of the tables that `key` belongs in.
pub(crate) fn homes(key: &str) -> Vec<&'static str> {
    TABLES
        .iter()
        .filter(|shape| shape.keys.contains(&key) && !shape.name.is_empty())
        .map(|shape| shape.name)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reference_names_every_key() {
        let reference = include_str!("../../config/reference.toml");
        for shape in TABLES {
            for key in shape.keys {
                let is_named = reference.lines().any(|line| {
                    let words =
                        line.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
                    words.into_iter().any(|word| word == *key)
                });
                assert!(is_named, "{key} of {}", shape.name);
            }
        }
    }

    #[test]
    fn every_key_fits_into_the_bits_of_what_was_asked_for() {
        assert!(TABLES.iter().all(|shape| shape.keys.len() < 63));
    }
}
