//! The seed page, "Connection Security": every line of its four server blocks, by name.
//!
//! A test is called after the directive. Where the line is done otherwise, the test says how, and
//! the README's table says why.

use rustls::{
    CipherSuite, ClientConfig, ProtocolVersion, SupportedCipherSuite, SupportedProtocolVersion,
    crypto::aws_lc_rs,
};

use crate::harness::{
    Proxy,
    backend::Backend,
    client::{Request, Target},
    pki::{self, Pki},
    setup::{Setup, folder_with_spa},
};

mod apache_client;
mod apache_server;
mod nginx_client;
mod nginx_server;

const SITE: &str = "your-domain.com";
const API: &str = "api.your-domain.com";

/// The seed's client site and its API site, in one file, with an RSA and an ECDSA certificate each.
async fn both(backend: &Backend, headers: &str) -> Proxy {
    let dir = folder_with_spa();
    for (name, host) in [("client", SITE), ("api", API)] {
        Pki::get().write_leaf(dir.path(), name, &[host]);
        Pki::get()
            .rsa_leaf(&[host])
            .write(dir.path(), &format!("{name}-rsa"));
    }
    let url = backend.url();
    let site = |host: &str, name: &str, rest: &str| {
        format!(
            "[[site]]\nhosts = [\"{host}\"]\n\
             certificate = [{{ chain = \"@dir/{name}.pem\", key = \"@dir/{name}.key\" }}, \
             {{ chain = \"@dir/{name}-rsa.pem\", key = \"@dir/{name}-rsa.key\" }}]\n{rest}\n"
        )
    };
    let client = format!(
        "{headers}\n[[site.route]]\npath = \"/\"\nfiles = {{ root = \"@dir/www\", fallback = \"index.html\" }}"
    );
    let api = "[[site.route]]\npath = \"/\"\nproxy = { upstream = \"nestflux_server\" }";
    let upstream = format!("[upstream.nestflux_server]\nbackends = [\"{url}\"]\n");
    let rest = [
        upstream,
        site(SITE, "client", &client),
        site(API, "api", api),
    ]
    .join("\n");
    Setup::new()
        .route("/", "respond = { status = 200, body = \"neither\" }")
        .more(&rest)
        .start_in(dir)
        .await
}

fn request(proxy: &Proxy, host: &str, method: &str, path: &str) -> Request {
    Request::new(target(proxy, host), method, path).host(host)
}

fn target(proxy: &Proxy, host: &str) -> Target {
    proxy.target().name(host)
}

/// What the handshake agrees on with a client of these suites and versions.
async fn agreed(
    proxy: &Proxy,
    host: &str,
    suites: &[SupportedCipherSuite],
    versions: &[&'static SupportedProtocolVersion],
) -> Option<(ProtocolVersion, CipherSuite)> {
    let stream = target(proxy, host)
        .config(tls(suites, versions))
        .handshake()
        .await
        .ok()?;
    let connection = stream.get_ref().1;
    Some((
        connection.protocol_version()?,
        connection.negotiated_cipher_suite()?.suite(),
    ))
}

fn tls(
    suites: &[SupportedCipherSuite],
    versions: &[&'static SupportedProtocolVersion],
) -> ClientConfig {
    let mut provider = aws_lc_rs::default_provider();
    if !suites.is_empty() {
        provider.cipher_suites = suites.to_vec();
    }
    pki::client_with(provider, versions, &["h2", "http/1.1"])
}

/// `openssl s_client` with a version flag; whether the handshake was refused.
async fn openssl_is_refused(proxy: &Proxy, host: &str, version: &str) -> bool {
    let address = proxy.https().to_string();
    let args = [
        "s_client",
        "-connect",
        &address,
        "-servername",
        host,
        version,
        "-cipher",
        "ALL:@SECLEVEL=0",
    ];
    let said = crate::harness::command::run("openssl", &args, "").await;
    said.code != Some(0)
}
