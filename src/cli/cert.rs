//! `portcullis cert`: development certificates.

use std::{
    fmt::Write,
    path::{Path, absolute},
};

use anyhow::Context;

use crate::certs::dev::{self, Authority, IssuedPair, Saved};

/// Where `cert dev` writes when it is not told.
const OUT: &str = "certs";

/// Makes a certificate for `names` in `out` (default `./certs`), and returns what the user reads.
///
/// # Errors
/// A name cannot be in a certificate, or a folder cannot be written.
pub fn dev(names: &[String], out: Option<&Path>) -> anyhow::Result<String> {
    dev_by(
        &dev::default_dir(),
        names,
        out.unwrap_or_else(|| Path::new(OUT)),
    )
}

fn dev_by(authority: &Path, names: &[String], out: &Path) -> anyhow::Result<String> {
    let out = absolute(out).with_context(|| format!("cannot resolve {}", out.display()))?;
    let issued = Authority::open(authority)?.issue(names)?;
    let saved = issued.save(&out)?;
    describe(&issued, &saved).context("cannot write the text")
}

fn describe(issued: &IssuedPair, saved: &Saved) -> anyhow::Result<String> {
    let mut text = String::new();
    let names = issued.names.join(", ");
    let until = httpdate::fmt_http_date(issued.pair.info.not_after);
    writeln!(
        text,
        "A development certificate for {names}, valid until {until}:\n"
    )?;
    writeln!(text, "  chain      {}", saved.chain.display())?;
    writeln!(
        text,
        "  key        {}  (readable by you alone)",
        saved.key.display()
    )?;
    writeln!(text, "  authority  {}\n", saved.ca.display())?;
    if issued.names.iter().any(|name| is_narrow_wildcard(name)) {
        writeln!(
            text,
            "Note: most clients refuse a wildcard directly below a single label, such as\n\
             \"*.localhost\". Name each host as well: \"app.localhost\".\n"
        )?;
    }
    text += &trust(&saved.ca);
    text += &use_it(issued, saved);
    Ok(text)
}

/// `*.label`, for which browsers and OpenSSL find no owner.
fn is_narrow_wildcard(name: &str) -> bool {
    name.strip_prefix("*.")
        .is_some_and(|rest| !rest.contains('.'))
}

/// How each kind of client is told to trust the authority at `ca`.
fn trust(ca: &Path) -> String {
    let ca = ca.display();
    format!(
        "Trust the authority once per machine (it is the same for every certificate made here):

  Debian, Ubuntu    sudo cp {ca} /usr/local/share/ca-certificates/portcullis-dev.crt
                    sudo update-ca-certificates
  macOS             sudo security add-trusted-cert -d -r trustRoot \\
                      -k /Library/Keychains/System.keychain {ca}
  Chromium (Linux)  certutil -d sql:$HOME/.pki/nssdb -A -t C,, -n portcullis-dev -i {ca}
                    (certutil comes with libnss3-tools)
  Firefox           Settings, Privacy & Security, View Certificates, Authorities, Import
  Node              export NODE_EXTRA_CA_CERTS={ca}
  curl              curl --cacert {ca} https://...

"
    )
}

/// How servers are given the certificate, and how their clients check it.
fn use_it(issued: &IssuedPair, saved: &Saved) -> String {
    let (chain, key) = (saved.chain.display(), saved.key.display());
    let ca = saved.ca.display();
    let host = issued.names.first().map_or("localhost", String::as_str);
    format!(
        "Portcullis, in a [[site]]:

  certificate = {{ chain = \"{chain}\", key = \"{key}\" }}

PostgreSQL, in postgresql.conf:

  ssl = on
  ssl_cert_file = '{chain}'
  ssl_key_file = '{key}'

  The server reads the key as its own user and refuses one that others can read. For the Docker
  image, give it a copy: sudo install -o 999 -g 999 -m 600 {key} server.key
  Its clients check the name with sslmode=verify-full:
  postgresql://USER@{host}:5432/DATABASE?sslmode=verify-full&sslrootcert={ca}
"
    )
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt};

    use super::*;
    use crate::certs::pem;

    fn owned(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn writes_chain_key_and_authority_and_says_how_to_use_them() {
        let dir = tempfile::tempdir().unwrap();
        let (authority, out) = (dir.path().join("dev"), dir.path().join("deep/certs"));
        let text = dev_by(&authority, &owned(&["db.localhost", "127.0.0.1"]), &out).unwrap();
        let (chain, key) = (out.join("db.localhost.pem"), out.join("db.localhost.key"));
        let pair = pem::load(&chain, &key).unwrap();
        assert!(pair.info.covers("127.0.0.1"));
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(
            (mode(&chain), mode(&key), mode(&out.join("ca.pem"))),
            (0o644, 0o600, 0o644)
        );
        for part in [
            chain.to_str().unwrap(),
            "update-ca-certificates",
            "NODE_EXTRA_CA_CERTS=",
            "ssl_key_file = '",
            "@db.localhost:5432",
        ] {
            assert!(text.contains(part), "{part} is missing in {text}");
        }
        assert!(!text.contains("Note:"));
    }

    #[test]
    fn writes_again_over_its_own_files_and_spares_others() {
        let dir = tempfile::tempdir().unwrap();
        let (authority, out) = (dir.path().join("dev"), dir.path().join("certs"));
        let names = owned(&["*.localhost", "::1"]);
        let text = dev_by(&authority, &names, &out).unwrap();
        assert!(text.contains("Note:"), "{text}");
        assert!(out.join("_wildcard.localhost.key").exists());
        dev_by(&authority, &names, &out).unwrap();
        fs::write(out.join("_wildcard.localhost.pem"), "mine").unwrap();
        let message = dev_by(&authority, &names, &out).unwrap_err().to_string();
        assert!(message.contains("in the way"), "{message}");
        assert_eq!(
            fs::read_to_string(out.join("_wildcard.localhost.pem")).unwrap(),
            "mine"
        );
    }

    #[test]
    fn keeps_a_host_called_ca_apart_from_the_authority() {
        let dir = tempfile::tempdir().unwrap();
        dev_by(dir.path(), &owned(&["ca"]), dir.path()).unwrap();
        pem::load(&dir.path().join("ca_.pem"), &dir.path().join("ca_.key")).unwrap();
    }

    #[test]
    fn says_why_a_name_is_bad() {
        let dir = tempfile::tempdir().unwrap();
        let message = dev_by(dir.path(), &owned(&["https://a.example"]), dir.path()).unwrap_err();
        assert!(
            message.to_string().contains("give the host alone"),
            "{message}"
        );
    }
}
