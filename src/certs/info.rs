//! What a certificate says: names, issuer, validity, key.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    time::SystemTime,
};

use x509_cert::{
    Certificate,
    der::{Decode, asn1::ObjectIdentifier, asn1::Uint},
    ext::pkix::{SubjectAltName, name::GeneralName},
    spki::SubjectPublicKeyInfoOwned,
};

/// What a certificate says about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Info {
    /// Subject alternative names: DNS names in lower case, addresses as text.
    pub names: Vec<String>,
    /// Distinguished name of the issuer (RFC 4514).
    pub issuer: String,
    /// Distinguished name of the subject (RFC 4514).
    pub subject: String,
    /// Start of the validity.
    pub not_before: SystemTime,
    /// End of the validity.
    pub not_after: SystemTime,
    /// Kind of the public key.
    pub key: KeyKind,
    /// Issuer and subject are the same.
    pub self_signed: bool,
}

/// Kind of a public key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyKind {
    /// RSA with so many bits.
    Rsa(u32),
    /// ECDSA on P-256.
    EcdsaP256,
    /// ECDSA on P-384.
    EcdsaP384,
    /// ECDSA on P-521.
    EcdsaP521,
    /// Ed25519.
    Ed25519,
    /// One that cannot be served.
    Other,
}

impl fmt::Display for KeyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rsa(bits) => write!(f, "RSA {bits}"),
            Self::EcdsaP256 => f.write_str("ECDSA P-256"),
            Self::EcdsaP384 => f.write_str("ECDSA P-384"),
            Self::EcdsaP521 => f.write_str("ECDSA P-521"),
            Self::Ed25519 => f.write_str("Ed25519"),
            Self::Other => f.write_str("unsupported"),
        }
    }
}

impl Info {
    /// Reads what `certificate` says.
    ///
    /// # Errors
    /// The subject alternative names cannot be decoded.
    pub(crate) fn of(certificate: &Certificate) -> Result<Self, x509_cert::der::Error> {
        let tbs = certificate.tbs_certificate();
        let names = match tbs.get_extension::<SubjectAltName>()? {
            Some((_, names)) => names.0.iter().filter_map(name).collect(),
            None => Vec::new(),
        };
        Ok(Self {
            names,
            issuer: tbs.issuer().to_string(),
            subject: tbs.subject().to_string(),
            not_before: tbs.validity().not_before.to_system_time(),
            not_after: tbs.validity().not_after.to_system_time(),
            key: key_kind(tbs.subject_public_key_info()),
            self_signed: tbs.issuer() == tbs.subject(),
        })
    }

    /// Whether a client that asks for `host` accepts the certificate (RFC 9525 section 6.3): a name
    /// or an address literally, or a wildcard that stands for the first label alone.
    ///
    /// The pattern `*.example.com` is covered by the same wildcard.
    pub fn covers(&self, host: &str) -> bool {
        let host = host.trim_end_matches('.').to_ascii_lowercase();
        let parent = match host.parse::<IpAddr>() {
            Ok(_) => None,
            Err(_) => host.split_once('.').map(|(_, parent)| parent),
        };
        self.names
            .iter()
            .any(|name| *name == host || parent.is_some() && name.strip_prefix("*.") == parent)
    }
}

/// A name that a host can be compared with. Text that looks like an address is not a DNS name.
fn name(name: &GeneralName) -> Option<String> {
    match name {
        GeneralName::DnsName(name) => {
            let name = name.as_str().trim_end_matches('.').to_ascii_lowercase();
            name.parse::<IpAddr>().is_err().then_some(name)
        }
        GeneralName::IpAddress(octets) => {
            let octets = octets.as_bytes();
            let v4 = <[u8; 4]>::try_from(octets).map(|octets| Ipv4Addr::from(octets).to_string());
            let v6 = <[u8; 16]>::try_from(octets).map(|octets| Ipv6Addr::from(octets).to_string());
            v4.or(v6).ok()
        }
        _ => None,
    }
}

const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const EC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
const P384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.34");
const P521: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.35");
const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");

fn key_kind(key: &SubjectPublicKeyInfoOwned) -> KeyKind {
    if key.algorithm.oid == RSA {
        return rsa_bits(key.subject_public_key.raw_bytes()).map_or(KeyKind::Other, KeyKind::Rsa);
    }
    if key.algorithm.oid == ED25519 {
        return KeyKind::Ed25519;
    }
    if key.algorithm.oid != EC {
        return KeyKind::Other;
    }
    let parameters = key.algorithm.parameters.as_ref();
    match parameters.and_then(|any| any.decode_as::<ObjectIdentifier>().ok()) {
        Some(P256) => KeyKind::EcdsaP256,
        Some(P384) => KeyKind::EcdsaP384,
        Some(P521) => KeyKind::EcdsaP521,
        _ => KeyKind::Other,
    }
}

/// Bits of the modulus. `RSAPublicKey` (RFC 8017 appendix A.1.1) is a sequence of two integers.
fn rsa_bits(key: &[u8]) -> Option<u32> {
    let integers = Vec::<Uint>::from_der(key).ok()?;
    let modulus = integers.first()?.as_bytes();
    let unused = modulus.first()?.leading_zeros();
    let bits = u32::try_from(modulus.len()).ok()?.checked_mul(8)?;
    Some(bits - unused)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(names: &[&str]) -> Info {
        Info {
            names: names.iter().map(|name| (*name).to_owned()).collect(),
            issuer: String::new(),
            subject: String::new(),
            not_before: SystemTime::UNIX_EPOCH,
            not_after: SystemTime::UNIX_EPOCH,
            key: KeyKind::EcdsaP256,
            self_signed: false,
        }
    }

    #[test]
    fn covers_names_literally_and_in_any_case() {
        let info = named(&["example.com", "127.0.0.1", "::1"]);
        for host in [
            "example.com",
            "EXAMPLE.com",
            "example.com.",
            "127.0.0.1",
            "::1",
        ] {
            assert!(info.covers(host), "{host}");
        }
        for host in ["www.example.com", "com", "", "127.0.0.2", "*.example.com"] {
            assert!(!info.covers(host), "{host}");
        }
    }

    #[test]
    fn covers_one_label_by_a_wildcard() {
        let info = named(&["*.example.com", "*.0.0.1"]);
        assert!(info.covers("a.example.com"));
        assert!(info.covers("*.example.com"));
        assert!(!info.covers("example.com"));
        assert!(!info.covers("a.b.example.com"));
        assert!(!info.covers("127.0.0.1"), "an address is no name");
    }
}
