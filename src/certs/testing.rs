//! A throw-away authority for tests.

use std::path::Path;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, PKCS_ECDSA_P256_SHA256,
    PKCS_ED25519, PKCS_RSA_SHA256, PublicKeyData, RsaKeySize, SignatureAlgorithm, date_time_ymd,
};

use crate::certs::{
    Pair,
    pem::{self, File},
};

/// Kinds of keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Rsa,
    Ecdsa,
    Ed25519,
}

/// Root, intermediate, and what they issue.
pub(crate) struct Pki {
    pub(crate) root_pem: String,
    pub(crate) intermediate_pem: String,
    intermediate: Issuer<'static, KeyPair>,
}

/// A leaf and its key as PEM, without its issuers.
pub(crate) struct Leaf {
    pub(crate) leaf_pem: String,
    pub(crate) key: KeyPair,
}

impl Leaf {
    pub(crate) fn key_pem(&self) -> String {
        self.key.serialize_pem()
    }
}

pub(crate) fn key(kind: Kind) -> KeyPair {
    let algorithm: &'static SignatureAlgorithm = match kind {
        Kind::Rsa => {
            return KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048).unwrap();
        }
        Kind::Ecdsa => &PKCS_ECDSA_P256_SHA256,
        Kind::Ed25519 => &PKCS_ED25519,
    };
    KeyPair::generate_for(algorithm).unwrap()
}

impl Pki {
    pub(crate) fn new() -> Self {
        let root_key = key(Kind::Ecdsa);
        let root = authority("test root", &root_key);
        let root_pem = root.self_signed(&root_key).unwrap().pem();
        let root = Issuer::new(root, root_key);
        let intermediate_key = key(Kind::Ecdsa);
        let intermediate = authority("test intermediate", &intermediate_key);
        let intermediate_pem = intermediate
            .signed_by(&intermediate_key, &root)
            .unwrap()
            .pem();
        Self {
            root_pem,
            intermediate_pem,
            intermediate: Issuer::new(intermediate, intermediate_key),
        }
    }

    pub(crate) fn leaf(&self, kind: Kind, names: &[&str]) -> Leaf {
        self.leaf_until(kind, names, 2040)
    }

    /// A leaf valid from the year 2000 to `year`.
    pub(crate) fn leaf_until(&self, kind: Kind, names: &[&str], year: i32) -> Leaf {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.not_before = date_time_ymd(2000, 1, 1);
        params.not_after = date_time_ymd(year, 1, 1);
        params
            .distinguished_name
            .push(DnType::CommonName, "test leaf");
        let key = key(kind);
        let leaf_pem = params.signed_by(&key, &self.intermediate).unwrap().pem();
        Leaf { leaf_pem, key }
    }

    /// A pair with its whole chain.
    pub(crate) fn pair(&self, kind: Kind, names: &[&str]) -> Pair {
        let leaf = self.leaf(kind, names);
        let chain = leaf.leaf_pem.clone() + &self.intermediate_pem;
        parse(&chain, &leaf.key_pem()).unwrap()
    }
}

/// Parses text as files named `chain.pem` and `key.pem`.
pub(crate) fn parse(chain: &str, key: &str) -> Result<Pair, crate::certs::CertError> {
    let chain = File {
        path: Path::new("chain.pem"),
        bytes: chain.as_bytes(),
    };
    pem::parse(
        &chain,
        &File {
            path: Path::new("key.pem"),
            bytes: key.as_bytes(),
        },
    )
}

/// Its name holds a part of its key: two authorities never have the same.
fn authority(name: &str, key: &KeyPair) -> CertificateParams {
    let mut params = CertificateParams::default();
    let name = format!("{name} {:02x?}", &key.der_bytes()[1..5]);
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params
}
