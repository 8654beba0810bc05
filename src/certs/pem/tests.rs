use std::{
    os::unix::fs::PermissionsExt,
    process::Command,
    time::{Duration, SystemTime},
};

use super::*;
use crate::certs::{
    Warning,
    info::KeyKind,
    testing::{Kind, Pki, parse},
};

fn message(chain: &str, key: &str) -> String {
    parse(chain, key).unwrap_err().to_string()
}

/// Turns a key into another form with the tool that operators use.
fn openssl(arguments: &[&str], input: &str) -> Vec<u8> {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("in.pem");
    fs::write(&file, input).unwrap();
    let output = Command::new("openssl")
        .args(arguments)
        .arg("-in")
        .arg(&file)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    output.stdout
}

#[test]
fn reads_a_whole_chain_and_what_the_leaf_says() {
    let pki = Pki::new();
    let pair = pki.pair(Kind::Ecdsa, &["Example.com", "*.example.com", "127.0.0.1"]);
    assert_eq!(pair.chain.len(), 2);
    assert_eq!(
        pair.info.names,
        ["example.com", "*.example.com", "127.0.0.1"]
    );
    assert_eq!(pair.info.key, KeyKind::EcdsaP256);
    assert!(
        pair.info.subject.contains("CN=test leaf"),
        "{}",
        pair.info.subject
    );
    assert!(pair.info.issuer.contains("CN=test intermediate"));
    assert!(!pair.info.self_signed);
    assert!(pair.warnings(SystemTime::now()).is_empty());
    assert!(!format!("{pair:?}").contains("key: Pkcs8"));
}

#[test]
fn reads_every_kind_of_key_in_every_form() {
    let pki = Pki::new();
    for (kind, shown) in [
        (Kind::Rsa, "RSA 2048"),
        (Kind::Ecdsa, "ECDSA P-256"),
        (Kind::Ed25519, "Ed25519"),
    ] {
        let leaf = pki.leaf(kind, &["a.example"]);
        let pair = parse(&leaf.leaf_pem, &leaf.key_pem()).unwrap();
        assert_eq!(pair.info.key.to_string(), shown);
    }
    let rsa = pki.leaf(Kind::Rsa, &["a.example"]);
    let pkcs1 = openssl(&["rsa", "-traditional"], &rsa.key_pem());
    assert!(pkcs1.starts_with(b"-----BEGIN RSA PRIVATE KEY"));
    parse(&rsa.leaf_pem, str::from_utf8(&pkcs1).unwrap()).unwrap();
    let ecdsa = pki.leaf(Kind::Ecdsa, &["a.example"]);
    let sec1 = openssl(&["ec"], &ecdsa.key_pem());
    assert!(sec1.starts_with(b"-----BEGIN EC PRIVATE KEY"));
    parse(&ecdsa.leaf_pem, str::from_utf8(&sec1).unwrap()).unwrap();
}

#[test]
fn asks_for_the_password_to_be_removed_from_a_key() {
    let leaf = Pki::new().leaf(Kind::Rsa, &["a.example"]);
    let secret = ["-aes256", "-passout", "pass:secret"];
    let pkcs8 = openssl(&[&["pkey"], &secret[..]].concat(), &leaf.key_pem());
    let legacy = openssl(
        &[&["rsa", "-traditional"], &secret[..]].concat(),
        &leaf.key_pem(),
    );
    for key in [pkcs8, legacy] {
        let message = message(&leaf.leaf_pem, str::from_utf8(&key).unwrap());
        assert!(message.contains("openssl pkey -in key.pem"), "{message}");
    }
}

#[test]
fn refuses_a_key_of_another_certificate() {
    let pki = Pki::new();
    for kind in [Kind::Ecdsa, Kind::Rsa] {
        let leaf = pki.leaf(Kind::Ecdsa, &["a.example"]);
        let other = pki.leaf(kind, &["a.example"]);
        let error = parse(&leaf.leaf_pem, &other.key_pem()).unwrap_err();
        assert!(matches!(error, CertError::Mismatch { .. }), "{error}");
    }
}

#[test]
fn refuses_a_chain_out_of_order() {
    let pki = Pki::new();
    let leaf = pki.leaf(Kind::Ecdsa, &["a.example"]);
    let (first, second, root) = (&leaf.leaf_pem, &pki.intermediate_pem, &pki.root_pem);
    let error = parse(&[second.as_str(), first].concat(), &leaf.key_pem()).unwrap_err();
    assert!(
        matches!(error, CertError::LeafNotFirst { position: 2, .. }),
        "{error}"
    );
    let error = parse(&[first.as_str(), root, second].concat(), &leaf.key_pem()).unwrap_err();
    assert!(
        matches!(
            error,
            CertError::OutOfOrder {
                position: 1,
                issuer: 3,
                ..
            }
        ),
        "{error}"
    );
}

#[test]
fn serves_a_chain_without_strangers_and_names_them() {
    let pki = Pki::new();
    let leaf = pki.leaf(Kind::Ecdsa, &["a.example"]);
    let stranger = Pki::new().leaf(Kind::Ecdsa, &["b.example"]);
    let chain = [
        &leaf.leaf_pem,
        &pki.intermediate_pem,
        &pki.root_pem,
        &stranger.leaf_pem,
    ];
    let pair = parse(&chain.map(String::as_str).concat(), &leaf.key_pem()).unwrap();
    assert_eq!((pair.chain.len(), pair.unrelated.len()), (3, 1));
    let warnings = pair.warnings(SystemTime::now());
    assert!(
        matches!(warnings[..], [Warning::Unrelated { .. }]),
        "{warnings:?}"
    );
}

#[test]
fn warns_of_time_and_of_a_lone_leaf() {
    let pki = Pki::new();
    let leaf = pki.leaf_until(Kind::Ecdsa, &[], 2010);
    let pair = parse(&leaf.leaf_pem, &leaf.key_pem()).unwrap();
    let warnings = pair.warnings(SystemTime::now());
    assert!(
        matches!(
            warnings[..],
            [
                Warning::Expired { days: 5000.. },
                Warning::NoNames,
                Warning::LeafAlone { .. }
            ]
        ),
        "{warnings:?}"
    );
    let day = Duration::from_hours(24);
    let at = |time| pair.warnings(time).remove(0);
    assert_eq!(
        at(pair.info.not_before - day),
        Warning::NotYetValid { hours: 24 }
    );
    assert_eq!(
        at(pair.info.not_after - 9 * day),
        Warning::ExpiresSoon { days: 9 }
    );
    assert_eq!(at(pair.info.not_after - 31 * day), Warning::NoNames);
}

#[test]
fn says_what_a_wrong_file_holds() {
    let pki = Pki::new();
    let leaf = pki.leaf(Kind::Ecdsa, &["a.example"]);
    let (chain, key) = (leaf.leaf_pem.as_str(), leaf.key_pem());
    for (bad_chain, word) in [
        (key.as_str(), "swapped"),
        ("", "holds no certificate"),
        ("-----BEGIN CERTIFICATE-----\nAAAA\n", "END CERTIFICATE----"),
        (
            "-----BEGIN CERTIFICATE-----\n?\n-----END CERTIFICATE-----\n",
            "base64",
        ),
        (
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
            "certificate 1",
        ),
    ] {
        let message = message(bad_chain, &key);
        assert!(
            message.contains(word) && message.contains("chain.pem"),
            "{message}"
        );
    }
    for (bad_key, word) in [
        (chain, "swapped"),
        ("", "no private key"),
        (
            "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
            "must be RSA",
        ),
    ] {
        let message = message(chain, bad_key);
        assert!(
            message.contains(word) && message.contains("key.pem"),
            "{message}"
        );
    }
}

#[test]
fn says_how_to_convert_der() {
    let leaf = Pki::new().leaf(Kind::Rsa, &["a.example"]);
    let pair = parse(&leaf.leaf_pem, &leaf.key_pem()).unwrap();
    let (chain, key) = (Path::new("c"), Path::new("k"));
    let read = |chain_bytes: &[u8], key_bytes: &[u8]| {
        let chain = File {
            path: chain,
            bytes: chain_bytes,
        };
        parse_files(
            &chain,
            &File {
                path: key,
                bytes: key_bytes,
            },
        )
        .to_string()
    };
    let key_pem = leaf.key_pem();
    assert!(read(&pair.chain[0], key_pem.as_bytes()).contains("openssl x509 -inform der -in c"));
    let der = pair.key.secret_der();
    assert!(read(leaf.leaf_pem.as_bytes(), der).contains("openssl pkey -inform der -in k"));
}

fn parse_files(chain: &File<'_>, key: &File<'_>) -> CertError {
    super::parse(chain, key).unwrap_err()
}

#[test]
fn reads_files_with_byte_order_marks_and_windows_lines_and_both_in_one() {
    let leaf = Pki::new().leaf(Kind::Ecdsa, &["a.example"]);
    let both = format!("\u{feff}{}{}", leaf.leaf_pem, leaf.key_pem()).replace('\n', "\r\n");
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("both.pem");
    fs::write(&path, both).unwrap();
    load(&path, &path).unwrap();
}

#[test]
fn bounds_what_it_reads_and_names_the_file_that_is_missing() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.pem");
    let missing = load(&path, &path).unwrap_err().to_string();
    assert!(
        missing.contains("x.pem") && missing.contains("No such file"),
        "{missing}"
    );
    fs::write(&path, vec![b'-'; 2 * 1024 * 1024]).unwrap();
    assert!(matches!(load(&path, &path), Err(CertError::TooLarge(_))));
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
}

proptest::proptest! {
    #[test]
    fn never_panics_on_bytes(chain: Vec<u8>, key: Vec<u8>) {
        let chain = File { path: Path::new("c"), bytes: &chain };
        let _ = super::parse(&chain, &File { path: Path::new("k"), bytes: &key });
    }

    #[test]
    fn never_panics_on_damaged_files(at in 0usize..2000, byte: u8, cut in 0usize..2000) {
        static GOOD: std::sync::LazyLock<(String, String)> = std::sync::LazyLock::new(|| {
            let pki = Pki::new();
            let leaf = pki.leaf(Kind::Ecdsa, &["a.example"]);
            (leaf.leaf_pem.clone() + &pki.intermediate_pem, leaf.key_pem())
        });
        let damage = |text: &str| {
            let mut bytes = text.as_bytes().to_vec();
            if let Some(place) = bytes.get_mut(at) {
                *place = byte;
            }
            bytes.truncate(bytes.len().saturating_sub(cut.saturating_sub(1000)));
            bytes
        };
        let (chain, key) = (damage(&GOOD.0), damage(&GOOD.1));
        let chain = File { path: Path::new("c"), bytes: &chain };
        let _ = super::parse(&chain, &File { path: Path::new("k"), bytes: &key });
    }

    #[test]
    fn never_panics_on_a_damaged_certificate(at in 0usize..600, byte: u8) {
        static PAIR: std::sync::LazyLock<Pair> =
            std::sync::LazyLock::new(|| Pki::new().pair(Kind::Ecdsa, &["a.example"]));
        let mut der = PAIR.chain[0].to_vec();
        let length = der.len();
        der[at % length] = byte;
        if let Ok(certificate) = Certificate::from_der(&der) {
            let _ = Info::of(&certificate);
        }
    }
}
