use std::{fs, os::unix::fs::PermissionsExt, process::Command, thread};

use super::*;
use crate::certs::info::KeyKind;

fn owned(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[test]
fn makes_an_authority_once_and_keeps_it() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().join("deep/dev");
    let first = Authority::open(&dir).unwrap();
    let second = Authority::open(&dir).unwrap();
    assert_eq!(first.pem(), second.pem());
    assert_eq!(fs::read_to_string(first.path()).unwrap(), first.pem());
    let mode = |name: &str| fs::metadata(dir.join(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("ca.key"), mode("")), (0o600, 0o700));
}

#[test]
fn processes_that_start_together_agree_on_one_authority() {
    let dir = tempfile::tempdir().unwrap();
    let open = || {
        Authority::open(dir.path())
            .unwrap()
            .issue(&owned(&["localhost"]))
            .unwrap()
    };
    let chains: Vec<String> = thread::scope(|scope| {
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(open)).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap().chain_pem)
            .collect()
    });
    assert!(chains.iter().all(|chain| *chain == chains[0]));
}

#[test]
fn issues_what_clients_demand() {
    let dir = tempfile::tempdir().unwrap();
    let authority = Authority::open(dir.path()).unwrap();
    let issued = authority
        .issue(&owned(&["db", "*.db.localhost", "127.0.0.1", "::1"]))
        .unwrap();
    let info = &issued.pair.info;
    assert_eq!(info.names, ["db", "*.db.localhost", "127.0.0.1", "::1"]);
    assert_eq!(info.key, KeyKind::EcdsaP256);
    let life = info.not_after.duration_since(info.not_before).unwrap();
    assert!(life <= Duration::from_hours(397 * 24));
    assert!(issued.pair.warnings(SystemTime::now()).is_empty());
    assert!(!format!("{issued:?}").contains("PRIVATE"));
}

#[test]
fn openssl_accepts_a_leaf_of_an_authority_that_was_opened_again() {
    let dir = tempfile::tempdir().unwrap();
    Authority::open(dir.path()).unwrap();
    let issued = Authority::open(dir.path())
        .unwrap()
        .issue(&owned(&["app.localhost"]))
        .unwrap();
    let leaf = dir.path().join("leaf.pem");
    fs::write(&leaf, issued.chain_pem).unwrap();
    let run = |arguments: &[&str]| {
        let output = Command::new("openssl")
            .args(arguments)
            .arg(&leaf)
            .output()
            .unwrap();
        String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap()
    };
    let ca = dir.path().join("ca.pem");
    let ca = ca.to_str().unwrap();
    let verify = ["verify", "-x509_strict", "-purpose", "sslserver"];
    let verdict = run(&[
        &verify[..],
        &["-verify_hostname", "app.localhost", "-CAfile", ca],
    ]
    .concat());
    assert!(verdict.contains(": OK"), "{verdict}");
    let text = run(&["x509", "-noout", "-text", "-in"]);
    for part in [
        "CN = app.localhost",
        "TLS Web Server Authentication",
        "X509v3 Authority Key Identifier",
        "X509v3 Subject Key Identifier",
        "CA:FALSE",
    ] {
        assert!(text.contains(part), "{part} is missing in {text}");
    }
}

#[test]
fn uses_a_kept_leaf_for_the_same_names_only() {
    let dir = tempfile::tempdir().unwrap();
    let authority = Authority::open(dir.path()).unwrap();
    let first = authority
        .issue(&owned(&["a.localhost", "b.localhost"]))
        .unwrap();
    let again = authority
        .issue(&owned(&["b.localhost", "A.localhost"]))
        .unwrap();
    assert_ne!(
        first.chain_pem, again.chain_pem,
        "the first name is the common name"
    );
    let again = authority
        .issue(&owned(&["A.localhost", "b.localhost"]))
        .unwrap();
    assert_eq!(first.chain_pem, again.chain_pem);
    assert_eq!(first.key_pem.expose(), again.key_pem.expose());
    let other = authority.issue(&owned(&["a.localhost"])).unwrap();
    assert_ne!(first.chain_pem, other.chain_pem);
}

#[test]
fn replaces_a_kept_leaf_that_is_damaged_or_of_another_authority() {
    let dir = tempfile::tempdir().unwrap();
    let names = owned(&["localhost"]);
    let authority = Authority::open(dir.path()).unwrap();
    let first = authority.issue(&names).unwrap();
    for leaf in fs::read_dir(dir.path().join("leaves")).unwrap() {
        fs::write(leaf.unwrap().path(), "nonsense").unwrap();
    }
    let second = authority.issue(&names).unwrap();
    assert_ne!(first.chain_pem, second.chain_pem);
    fs::remove_file(dir.path().join("ca.pem")).unwrap();
    let third = Authority::open(dir.path()).unwrap().issue(&names).unwrap();
    assert_ne!(second.ca_pem, third.ca_pem);
    assert!(third.chain_pem.ends_with(&third.ca_pem));
}

#[test]
fn says_what_to_do_with_a_damaged_authority() {
    let dir = tempfile::tempdir().unwrap();
    Authority::open(dir.path()).unwrap();
    fs::write(dir.path().join("ca.key"), "nonsense").unwrap();
    let message = Authority::open(dir.path()).unwrap_err().to_string();
    assert!(message.contains("remove the folder"), "{message}");
}

#[test]
fn takes_names_that_no_common_name_or_file_name_can_hold() {
    let dir = tempfile::tempdir().unwrap();
    let authority = Authority::open(dir.path()).unwrap();
    let long = ["abcdefghij"; 6].join(".") + &".abcdefghij".repeat(16);
    let issued = authority.issue(std::slice::from_ref(&long)).unwrap();
    assert_eq!(issued.pair.info.names, [long]);
}
