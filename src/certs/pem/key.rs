//! Private keys: their kinds, their forms, and their public halves.

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, ECDSA_P521_SHA512_ASN1_SIGNING,
    EcdsaKeyPair, Ed25519KeyPair, KeyPair, RsaKeyPair,
};
use rustls_pki_types::{PrivateKeyDer, pem::SectionKind};

pub(super) fn is_key(kind: SectionKind) -> bool {
    use SectionKind::{EcPrivateKey, PrivateKey, RsaPrivateKey};
    matches!(kind, PrivateKey | RsaPrivateKey | EcPrivateKey)
}

/// PKCS#8 says so in its label, the older forms in a header (RFC 1421 section 4.6.1.1).
pub(super) fn is_encrypted(bytes: &[u8]) -> bool {
    let has = |needle: &[u8]| memchr::memmem::find(bytes, needle).is_some();
    has(b"-----BEGIN ENCRYPTED PRIVATE KEY-----") || has(b"Proc-Type: 4,ENCRYPTED")
}

/// The public half, as a certificate holds it.
pub(super) fn public_key(key: &PrivateKeyDer<'_>) -> Option<Vec<u8>> {
    fn bytes(pair: &impl KeyPair) -> Vec<u8> {
        pair.public_key().as_ref().to_vec()
    }
    let ecdsa = |der: &[u8]| {
        [
            &ECDSA_P256_SHA256_ASN1_SIGNING,
            &ECDSA_P384_SHA384_ASN1_SIGNING,
            &ECDSA_P521_SHA512_ASN1_SIGNING,
        ]
        .into_iter()
        .find_map(|curve| EcdsaKeyPair::from_private_key_der(curve, der).ok())
        .map(|pair| bytes(&pair))
    };
    match key {
        PrivateKeyDer::Pkcs1(key) => RsaKeyPair::from_der(key.secret_pkcs1_der())
            .ok()
            .map(|pair| bytes(&pair)),
        PrivateKeyDer::Sec1(key) => ecdsa(key.secret_sec1_der()),
        PrivateKeyDer::Pkcs8(key) => {
            let der = key.secret_pkcs8_der();
            let rsa = || RsaKeyPair::from_pkcs8(der).ok().map(|pair| bytes(&pair));
            let ed25519 = || {
                Ed25519KeyPair::from_pkcs8(der)
                    .ok()
                    .map(|pair| bytes(&pair))
            };
            ecdsa(der).or_else(rsa).or_else(ed25519)
        }
        _ => None,
    }
}
