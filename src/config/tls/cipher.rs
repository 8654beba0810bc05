//! Names of cipher suites: as rustls, the IANA and OpenSSL spell them.

use super::CipherSuite::{
    self, EcdheEcdsaAes128GcmSha256, EcdheEcdsaAes256GcmSha384, EcdheEcdsaChacha20Poly1305Sha256,
    EcdheRsaAes128GcmSha256, EcdheRsaAes256GcmSha384, EcdheRsaChacha20Poly1305Sha256,
    Tls13Aes128GcmSha256, Tls13Aes256GcmSha384, Tls13Chacha20Poly1305Sha256,
};
use crate::config::reader::{Read, Value, quoted, suggest};

/// rustls, IANA, OpenSSL.
const NAMES: [(CipherSuite, [&str; 3]); 9] = [
    (
        Tls13Aes128GcmSha256,
        [
            "TLS13_AES_128_GCM_SHA256",
            "TLS_AES_128_GCM_SHA256",
            "TLS_AES_128_GCM_SHA256",
        ],
    ),
    (
        Tls13Aes256GcmSha384,
        [
            "TLS13_AES_256_GCM_SHA384",
            "TLS_AES_256_GCM_SHA384",
            "TLS_AES_256_GCM_SHA384",
        ],
    ),
    (
        Tls13Chacha20Poly1305Sha256,
        [
            "TLS13_CHACHA20_POLY1305_SHA256",
            "TLS_CHACHA20_POLY1305_SHA256",
            "TLS_CHACHA20_POLY1305_SHA256",
        ],
    ),
    (
        EcdheEcdsaAes128GcmSha256,
        [
            "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
            "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
            "ECDHE-ECDSA-AES128-GCM-SHA256",
        ],
    ),
    (
        EcdheEcdsaAes256GcmSha384,
        [
            "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
            "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
            "ECDHE-ECDSA-AES256-GCM-SHA384",
        ],
    ),
    (
        EcdheEcdsaChacha20Poly1305Sha256,
        [
            "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
            "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
            "ECDHE-ECDSA-CHACHA20-POLY1305",
        ],
    ),
    (
        EcdheRsaAes128GcmSha256,
        [
            "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
            "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
            "ECDHE-RSA-AES128-GCM-SHA256",
        ],
    ),
    (
        EcdheRsaAes256GcmSha384,
        [
            "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
            "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
            "ECDHE-RSA-AES256-GCM-SHA384",
        ],
    ),
    (
        EcdheRsaChacha20Poly1305Sha256,
        [
            "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
            "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
            "ECDHE-RSA-CHACHA20-POLY1305",
        ],
    ),
];

impl CipherSuite {
    /// Whether it is of TLS 1.3; the others are of TLS 1.2.
    pub fn is_tls13(self) -> bool {
        self.name().starts_with("TLS13_")
    }

    /// Its name as rustls spells it.
    pub fn name(self) -> &'static str {
        NAMES
            .iter()
            .find(|(suite, _)| *suite == self)
            .map_or("", |(_, names)| names[0])
    }
}

impl Read for CipherSuite {
    fn read(value: &Value<'_>) -> Option<Self> {
        let text = value.text("a cipher suite", "\"TLS13_AES_128_GCM_SHA256\"")?;
        let known = NAMES.iter().find(|(_, names)| names.contains(&&*text));
        if let Some((suite, _)) = known {
            return Some(*suite);
        }
        let (reason, meant) = explain(&text);
        let help = match meant {
            Some(name) => format!("write `\"{name}\"`, or leave `ciphers` out for all suites"),
            None => String::from("leave `ciphers` out for all suites, which are all safe"),
        };
        value.reject(format!("{} {reason}", quoted(&text)), help)
    }
}

/// Why there is no such suite here, and which one was probably meant.
fn explain(text: &str) -> (&'static str, Option<&'static str>) {
    let name = text.to_ascii_uppercase().replace('_', "-");
    let all = || NAMES.iter().flat_map(|(_, names)| *names);
    if name.contains(':') {
        return ("is a list in one string, an array is wanted", None);
    }
    if name.starts_with("DHE-") || name.starts_with("TLS-DHE-") || name.contains("EDH-") {
        let meant = all().find(|known| {
            let known = known.replace('_', "-");
            known.replace("ECDHE", "DHE") == name.replace("SHA512", "SHA384")
        });
        return ("is finite-field DHE, which this build does not have", meant);
    }
    if name.ends_with("GCM-SHA512") {
        let exact = name.replace("SHA512", "SHA384");
        let meant = all().find(|known| known.replace('_', "-") == exact);
        return (
            "does not exist: no cipher suite uses GCM with SHA512",
            meant,
        );
    }
    let is_aead = name.contains("GCM") || name.contains("POLY1305");
    if !is_aead && (name.contains("AES") || name.contains("DES") || name.contains("RC4")) {
        return ("is no AEAD suite; this build has only those", None);
    }
    match suggest::nearest(text, all()) {
        Some(name) => ("is no cipher suite of this build", Some(name)),
        None => ("is no cipher suite of this build", None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn explains_the_seeds_list() {
        let meant = |text| explain(text).1;
        assert_eq!(
            meant("ECDHE-RSA-AES256-GCM-SHA512"),
            Some("ECDHE-RSA-AES256-GCM-SHA384")
        );
        assert_eq!(
            meant("DHE-RSA-AES256-GCM-SHA384"),
            Some("ECDHE-RSA-AES256-GCM-SHA384")
        );
        assert_eq!(
            meant("DHE-RSA-AES256-GCM-SHA512"),
            Some("ECDHE-RSA-AES256-GCM-SHA384")
        );
        assert!(explain("ECDHE-RSA-AES128-SHA256").0.contains("AEAD"));
    }

    #[test]
    fn every_suite_has_a_name() {
        for suite in crate::config::defaults::CIPHERS {
            assert!(!suite.name().is_empty());
        }
        assert_eq!(
            NAMES.iter().filter(|(suite, _)| suite.is_tls13()).count(),
            3
        );
    }
}
