//! What OpenSSL's own client gets.

use std::{net, path::Path, process::Command, thread};

use super::*;

/// What both ends say of one connection.
struct Seen {
    client: String,
    server: Result<String, &'static str>,
}

/// Connects `openssl s_client` once, with `arguments`.
fn connect(config: &Arc<ServerConfig>, arguments: &[&str]) -> Seen {
    let listener = net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let server = async {
        let (stream, _) = TcpListener::from_std(listener)
            .unwrap()
            .accept()
            .await
            .unwrap();
        let mut accepted = accept(stream, config, LIMIT)
            .await
            .map_err(|error| error.class())?;
        accepted.stream.write_all(b"hello").await.unwrap();
        accepted.stream.shutdown().await.unwrap();
        let _ = accepted.stream.read(&mut [0; 64]).await;
        Ok(format!("{:?} {:?}", accepted.info, accepted.protocol))
    };
    thread::scope(|scope| {
        let client = scope.spawn(|| {
            let mut command = Command::new("openssl");
            command
                .args(["s_client", "-ign_eof", "-connect", &address])
                .args(arguments);
            let output = command.output().expect("openssl is installed");
            String::from_utf8_lossy(&output.stdout).into_owned()
                + &String::from_utf8_lossy(&output.stderr)
        });
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let server = runtime.block_on(server);
        Seen {
            client: client.join().unwrap(),
            server,
        }
    })
}

#[test]
fn tls_1_1_is_refused_with_an_alert() {
    let server = Server::shared();
    let config = server.config(&policy());
    let seen = connect(&config, &["-tls1_1", "-cipher", "ALL:@SECLEVEL=0"]);
    assert_eq!(seen.server, Err("no_shared_version"));
    assert!(
        seen.client.contains("alert protocol version"),
        "{}",
        seen.client
    );
}

#[test]
fn our_order_of_suites_wins() {
    let server = Server::shared();
    let config = server.config(&policy());
    // OpenSSL offers AES-256 first.
    let seen = connect(&config, &["-servername", "A.Example."]);
    let info = seen.server.unwrap();
    assert!(info.contains("TLS_AES_128_GCM_SHA256"), "{info}");
    assert!(info.contains("\"a.example\""), "{info}");
    let seen = connect(&config, &["-tls1_2"]);
    assert!(
        seen.client.contains("ECDHE-ECDSA-AES128-GCM-SHA256"),
        "{}",
        seen.client
    );
    let seen = connect(&config, &["-ciphersuites", "TLS_CHACHA20_POLY1305_SHA256"]);
    assert!(seen.server.unwrap().contains("CHACHA20"));
}

#[test]
fn a_client_gets_the_certificate_it_can_verify() {
    let server = Server::shared();
    let config = server.config(&policy());
    for (arguments, kind) in [
        (&[][..], "ECDSA"),
        (&["-sigalgs", "rsa_pss_rsae_sha256"], "RSA-PSS"),
        (
            &["-tls1_2", "-cipher", "ECDHE-RSA-AES128-GCM-SHA256"],
            "RSA",
        ),
        (
            &["-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-GCM-SHA256"],
            "ECDSA",
        ),
    ] {
        let seen = connect(&config, arguments);
        let wanted = format!("Peer signature type: {kind}");
        assert!(
            seen.client.contains(&wanted),
            "{arguments:?}: {}",
            seen.client
        );
    }
    let rsa_only = [
        "-tls1_2",
        "-servername",
        "x.b.example",
        "-cipher",
        "ECDHE-RSA-AES128-GCM-SHA256",
    ];
    let seen = connect(&config, &rsa_only);
    assert!(seen.server.unwrap_err().starts_with("no_shared_"));
    assert!(
        seen.client.contains("alert handshake failure"),
        "{}",
        seen.client
    );
}

#[test]
fn the_whole_chain_verifies() {
    let server = Server::shared();
    let config = server.config(&policy());
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("root.pem");
    std::fs::write(&root, &server.pki.root_pem).unwrap();
    let trust = ["-CAfile", root.to_str().unwrap(), "-verify_return_error"];
    for name in ["a.example", "x.b.example"] {
        let named = ["-servername", name, "-verify_hostname", name];
        let seen = connect(&config, &[&trust[..], &named].concat());
        assert!(seen.client.contains("Verification: OK"), "{}", seen.client);
    }
}

#[test]
fn sessions_are_resumed_even_after_a_reload() {
    let server = Server::shared();
    let dir = tempfile::tempdir().unwrap();
    for version in ["-tls1_2", "-tls1_3"] {
        let file = dir.path().join(version);
        let file = file.to_str().unwrap();
        let first = connect(&server.config(&policy()), &[version, "-sess_out", file]);
        assert!(first.client.contains("New, TLS"), "{}", first.client);
        assert!(Path::new(file).exists(), "{}", first.client);
        let again = connect(&server.config(&policy()), &[version, "-sess_in", file]);
        assert!(again.client.contains("Reused, TLS"), "{}", again.client);
        let other = Server {
            tickets: Tickets::new().unwrap(),
            ..Server::new()
        };
        let elsewhere = connect(&other.config(&policy()), &[version, "-sess_in", file]);
        assert!(
            elsewhere.client.contains("New, TLS"),
            "{}",
            elsewhere.client
        );
    }
}

#[test]
fn no_early_data_and_no_renegotiation_are_offered() {
    let server = Server::shared();
    let config = server.config(&policy());
    let seen = connect(&config, &["-tls1_3"]);
    assert!(seen.client.contains("Max Early Data: 0"), "{}", seen.client);
}
