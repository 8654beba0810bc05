//! `[tls]` and `site.certificate`.

use std::{path::PathBuf, time::Duration};

use crate::config::value::Located;

/// `[tls]`: the policy of every TLS listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tls {
    /// Lowest protocol version offered.
    pub min_version: Version,
    /// Cipher suites in server order, by their IANA names as rustls spells them.
    pub ciphers: Vec<CipherSuite>,
    /// Key exchange groups in order of preference.
    pub groups: Vec<Group>,
    /// Time for a whole handshake.
    pub handshake_timeout: Duration,
}

/// A TLS protocol version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// TLS 1.2.
    Tls12,
    /// TLS 1.3.
    Tls13,
}

/// A cipher suite that this build has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are the documentation")]
pub enum CipherSuite {
    Tls13Aes128GcmSha256,
    Tls13Aes256GcmSha384,
    Tls13Chacha20Poly1305Sha256,
    EcdheEcdsaAes128GcmSha256,
    EcdheEcdsaAes256GcmSha384,
    EcdheEcdsaChacha20Poly1305Sha256,
    EcdheRsaAes128GcmSha256,
    EcdheRsaAes256GcmSha384,
    EcdheRsaChacha20Poly1305Sha256,
}

/// A key exchange group that this build has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are the documentation")]
pub enum Group {
    X25519MlKem768,
    X25519,
    Secp256r1,
    Secp384r1,
}

/// One entry of `site.certificate`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Certificate {
    /// PEM files. They existed when the configuration was read; whether they parse and match is
    /// found when the snapshot is built.
    Files {
        /// Leaf first, then intermediates.
        chain: Located<PathBuf>,
        /// PKCS#8, PKCS#1 or SEC1.
        key: Located<PathBuf>,
    },
    /// Made by the local development authority for the site's hosts.
    Dev,
}
