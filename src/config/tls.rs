//! `[tls]` and `site.certificate`.

use std::{path::PathBuf, time::Duration};

use crate::config::{
    defaults,
    diagnostic::Diagnostic,
    reader::{
        Read, Value,
        file::ReadableFile,
        table::{Shape, Table, choice},
    },
    value::{Located, report_repeats},
};

mod cipher;

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

/// A certificate in PEM files. They existed when the configuration was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateFiles {
    /// Leaf first, then intermediates.
    pub chain: Located<PathBuf>,
    /// PKCS#8, PKCS#1 or SEC1.
    pub key: Located<PathBuf>,
}

/// `[tls]`.
pub(crate) static SHAPE: Shape = Shape {
    name: "tls",
    keys: &["min_version", "ciphers", "groups", "handshake_timeout"],
    reserved: &[],
};

/// `site.certificate`.
pub(crate) static CERTIFICATE: Shape = Shape {
    name: "site.certificate",
    keys: &["chain", "key", "dev"],
    reserved: &[],
};

impl Default for Tls {
    fn default() -> Self {
        Self {
            min_version: Version::Tls12,
            ciphers: defaults::CIPHERS.to_vec(),
            groups: defaults::GROUPS.to_vec(),
            handshake_timeout: defaults::HANDSHAKE_TIMEOUT,
        }
    }
}

impl Tls {
    /// Reads `[tls]`.
    pub(crate) fn read(table: &Table<'_>) -> Self {
        let default = Self::default();
        let versions = [("1.2", Version::Tls12), ("1.3", Version::Tls13)];
        let min_version = table.choose("min_version", default.min_version, &versions);
        let tls = Self {
            min_version,
            ciphers: read_ciphers(table, min_version),
            groups: read_groups(table),
            handshake_timeout: table.take_within(
                "handshake_timeout",
                default.handshake_timeout,
                &(Duration::from_millis(100)..=Duration::from_mins(10)),
            ),
        };
        table.finish();
        tls
    }
}

fn read_ciphers(table: &Table<'_>, min_version: Version) -> Vec<CipherSuite> {
    let Some(value) = table.value("ciphers") else {
        return defaults::CIPHERS.to_vec();
    };
    let example = "[\"TLS13_AES_128_GCM_SHA256\"]";
    let Some(items) = value.items("an array of cipher suites", example) else {
        return defaults::CIPHERS.to_vec();
    };
    let found: Vec<Located<CipherSuite>> = items.iter().filter_map(Read::read).collect();
    report_repeats(value.reader, &found, "cipher suite");
    let has_tls13 = found.iter().any(|suite| suite.value.is_tls13());
    if items.is_empty() {
        value.reject::<()>("`ciphers` names no suite", "leave it out for all suites");
    } else if found.len() == items.len() && !has_tls13 {
        let help = "add `\"TLS13_AES_128_GCM_SHA256\"`, or leave `ciphers` out for all suites";
        match min_version {
            Version::Tls13 => {
                let message = "`min_version` is 1.3, but every suite here is of TLS 1.2";
                value.reject::<()>(message, help);
            }
            Version::Tls12 => value.warn("no suite here is of TLS 1.3, so TLS 1.3 is off", help),
        }
    }
    found.into_iter().map(|suite| suite.value).collect()
}

fn read_groups(table: &Table<'_>) -> Vec<Group> {
    let names = [
        ("X25519MLKEM768", Group::X25519MlKem768),
        ("X25519", Group::X25519),
        ("secp256r1", Group::Secp256r1),
        ("secp384r1", Group::Secp384r1),
    ];
    let Some(value) = table.value("groups") else {
        return defaults::GROUPS.to_vec();
    };
    let Some(items) = value.items("an array of groups", "[\"X25519MLKEM768\", \"X25519\"]") else {
        return defaults::GROUPS.to_vec();
    };
    if items.is_empty() {
        value.reject::<()>("`groups` names no group", "leave it out for all groups");
    }
    let read = |item: &Value<'_>| {
        Some(Located {
            value: choice(item, &names)?,
            span: item.span(),
        })
    };
    let groups: Vec<Located<Group>> = items.iter().filter_map(read).collect();
    report_repeats(value.reader, &groups, "group");
    groups.into_iter().map(|group| group.value).collect()
}

impl Certificate {
    /// Reads one entry of `site.certificate`.
    pub(crate) fn read(table: &Table<'_>) -> Option<Self> {
        if table.has("acme") {
            let fault = Diagnostic::error("this version has no ACME yet")
                .at(table.span.clone())
                .help(
                    "name the files of a certificate with `chain` and `key`, or use `dev = true`",
                );
            table.reader.push(fault);
            return None;
        }
        let is_dev = table.take_or("dev", false);
        let certificate = if is_dev && !table.has("chain") && !table.has("key") {
            Some(Self::Dev)
        } else if is_dev {
            let fault =
                Diagnostic::error("a certificate is either made with `dev` or read from files")
                    .at(table.span.clone())
                    .help("keep `dev = true`, or `chain` and `key`");
            table.reader.push(fault);
            None
        } else {
            Self::read_files(table)
        };
        table.value("chain");
        table.value("key");
        table.finish();
        certificate
    }

    fn read_files(table: &Table<'_>) -> Option<Self> {
        let CertificateFiles { chain, key } = CertificateFiles::read(table)?;
        Some(Self::Files { chain, key })
    }
}

impl CertificateFiles {
    /// Reads `chain` and `key`, which `table` must have.
    pub(crate) fn read(table: &Table<'_>) -> Option<Self> {
        let chain: Option<Located<ReadableFile>> = table.require("chain", "\"/certs/site.pem\"");
        let key: Option<Located<ReadableFile>> = table.require("key", "\"/certs/site.key\"");
        Some(Self {
            chain: chain?.map(|file| file.0),
            key: key?.map(|file| file.0),
        })
    }
}
