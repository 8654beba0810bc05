//! Which certificate answers which server name.

use std::{collections::HashMap, sync::Arc};

use rustls::{
    SignatureAlgorithm, SignatureScheme,
    crypto::aws_lc_rs,
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};

use crate::{certs::Pair, config::value::HostPattern, tls::TlsError};

/// Certificates by server name: the exact name, then the longest wildcard, then the default.
#[derive(Debug)]
pub struct CertTable {
    exact: HashMap<Box<str>, Keys>,
    /// By what follows `*.`.
    wildcard: HashMap<Box<str>, Keys>,
    /// Of the first site.
    default: Keys,
}

/// Certificates of one site, at least one, ECDSA before RSA.
type Keys = Arc<[Arc<CertifiedKey>]>;

impl CertTable {
    /// A table of `sites`, each with its hosts and its certificates. The first site is the default.
    ///
    /// # Errors
    /// There is no site with a certificate, or a key cannot be used.
    pub fn build(
        sites: impl IntoIterator<Item = (Vec<HostPattern>, Vec<Pair>)>,
    ) -> Result<Self, TlsError> {
        let (mut exact, mut wildcard, mut default) = (HashMap::new(), HashMap::new(), None);
        for (hosts, pairs) in sites {
            if pairs.is_empty() {
                continue;
            }
            let keys = certify(pairs)?;
            default.get_or_insert_with(|| Arc::clone(&keys));
            for host in hosts {
                let (map, name) = match host {
                    HostPattern::Exact(name) => (&mut exact, name),
                    HostPattern::Wildcard(parent) => (&mut wildcard, parent),
                };
                let name = name.to_ascii_lowercase().into_boxed_str();
                map.entry(name).or_insert_with(|| Arc::clone(&keys));
            }
        }
        let default = default.ok_or(TlsError::NoCertificate)?;
        Ok(Self {
            exact,
            wildcard,
            default,
        })
    }

    /// The certificate for `name`, of the kind that the client can verify.
    fn choose(&self, name: Option<&str>, schemes: &[SignatureScheme]) -> Arc<CertifiedKey> {
        let keys = name.map_or(&self.default, |name| self.keys(name));
        let verifiable = keys
            .iter()
            .find(|key| key.key.choose_scheme(schemes).is_some());
        // With none, the first one: the handshake then fails for the true reason.
        Arc::clone(verifiable.unwrap_or(&keys[0]))
    }

    /// `name` in any case, with or without the dot of the root.
    fn keys(&self, name: &str) -> &Keys {
        let name = name.strip_suffix('.').unwrap_or(name);
        let lower;
        let name = if name.bytes().any(|byte| byte.is_ascii_uppercase()) {
            lower = name.to_ascii_lowercase();
            &lower
        } else {
            name
        };
        if let Some(keys) = self.exact.get(name) {
            return keys;
        }
        let mut parents = std::iter::successors(parent(name), |name| parent(name));
        parents
            .find_map(|parent| self.wildcard.get(parent))
            .unwrap_or(&self.default)
    }
}

impl ResolvesServerCert for CertTable {
    fn resolve(&self, client_hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.choose(client_hello.server_name(), client_hello.signature_schemes()))
    }
}

/// What follows the first label.
fn parent(name: &str) -> Option<&str> {
    name.split_once('.').map(|(_, parent)| parent)
}

/// The pairs as rustls wants them: ECDSA first, whose signature costs a fraction of RSA's.
fn certify(pairs: Vec<Pair>) -> Result<Keys, TlsError> {
    let provider = aws_lc_rs::default_provider();
    let mut keys = Vec::with_capacity(pairs.len());
    for pair in pairs {
        let names = pair.info.names.join(", ");
        let key = CertifiedKey::from_der(pair.chain, pair.key, &provider)
            .map_err(|source| TlsError::Certificate { names, source })?;
        keys.push(Arc::new(key));
    }
    keys.sort_by_key(|key| match key.key.algorithm() {
        SignatureAlgorithm::ECDSA => 0,
        SignatureAlgorithm::ED25519 => 1,
        _ => 2,
    });
    Ok(keys.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::certs::testing::{Kind, Pki};

    const BOTH: &[SignatureScheme] = &[
        SignatureScheme::RSA_PSS_SHA256,
        SignatureScheme::ECDSA_NISTP256_SHA256,
    ];

    fn exact(name: &str) -> HostPattern {
        HostPattern::Exact(name.to_owned())
    }

    fn wildcard(parent: &str) -> HostPattern {
        HostPattern::Wildcard(parent.to_owned())
    }

    /// A table, and for each of its sites the leaf of the first certificate.
    fn table(sites: Vec<Vec<HostPattern>>) -> (CertTable, Vec<Vec<u8>>) {
        let pki = Pki::new();
        let pairs: Vec<Pair> = sites
            .iter()
            .map(|_| pki.pair(Kind::Ecdsa, &["x"]))
            .collect();
        let leaves = pairs.iter().map(|pair| pair.chain[0].to_vec()).collect();
        let pairs = pairs.into_iter().map(|pair| vec![pair]);
        (
            CertTable::build(sites.into_iter().zip(pairs)).unwrap(),
            leaves,
        )
    }

    #[test]
    fn finds_the_exact_name_then_the_longest_wildcard_then_the_default() {
        let (table, leaves) = table(vec![
            vec![exact("first.example")],
            vec![wildcard("example.com"), exact("example.com")],
            vec![wildcard("deep.example.com")],
            vec![exact("a.deep.example.com")],
        ]);
        for (name, site) in [
            ("first.example", 0),
            ("example.com", 1),
            ("a.example.com", 1),
            ("a.b.example.com", 1),
            ("b.deep.example.com", 2),
            ("deep.example.com", 1),
            ("a.deep.example.com", 3),
            ("A.Deep.Example.Com.", 3),
            ("unknown.example", 0),
            ("xexample.com", 0),
            ("com", 0),
            ("", 0),
        ] {
            let chosen = table.choose(Some(name), BOTH);
            assert_eq!(chosen.cert[0].as_ref(), leaves[site], "{name}");
        }
        assert_eq!(table.choose(None, BOTH).cert[0].as_ref(), leaves[0]);
    }

    #[test]
    fn prefers_ecdsa_and_gives_rsa_to_those_who_know_only_that() {
        let pki = Pki::new();
        let pairs = vec![pki.pair(Kind::Rsa, &["x"]), pki.pair(Kind::Ecdsa, &["x"])];
        let table = CertTable::build([(vec![exact("x")], pairs)]).unwrap();
        let algorithm = |schemes: &[_]| table.choose(Some("x"), schemes).key.algorithm();
        assert_eq!(algorithm(BOTH), SignatureAlgorithm::ECDSA);
        assert_eq!(algorithm(&BOTH[..1]), SignatureAlgorithm::RSA);
        assert_eq!(algorithm(&BOTH[1..]), SignatureAlgorithm::ECDSA);
        assert_eq!(
            algorithm(&[SignatureScheme::ED25519]),
            SignatureAlgorithm::ECDSA
        );
    }

    #[test]
    fn needs_a_certificate() {
        let none = CertTable::build([(vec![exact("x")], Vec::new())]);
        assert!(matches!(none, Err(TlsError::NoCertificate)));
    }
}
