//! TLS to backends that want to know who asks, and files that change under the same name.

use std::fs;

use tempfile::TempDir;

use crate::harness::{
    Proxy, backend::Backend, command::portcullis, eventually, folder, node::Node, pki::Pki,
    setup::Setup,
};

const SHOWN: &str = "tls = { ca = \"@dir/ca.pem\", certificate = { chain = \"@dir/client.pem\", key = \"@dir/client.key\" } }";

/// A folder for a mutual backend and a client that is called `alice`.
fn prepared() -> TempDir {
    let dir = folder();
    Pki::get().write_leaf(dir.path(), "backend", &["127.0.0.1"]);
    Pki::get().write_client(dir.path(), "client", "alice");
    dir
}

async fn mutual(dir: &TempDir, variables: &[(&str, &str)]) -> Node {
    let own = [("DIR", dir.path().to_str().unwrap())];
    Node::start("mutual.mjs", &[&own[..], variables].concat()).await
}

fn setup(backend: &Node, keys: &str) -> Setup {
    Setup::to_urls(&[backend.url("https")])
        .threads(1)
        .upstream(keys)
        .route("/", "proxy = { upstream = \"app\" }")
}

async fn answers(proxy: &Proxy, wanted: &str) {
    eventually(&format!("an answer for {wanted}"), async || {
        (proxy.get("/").await.text() == wanted).then_some(())
    })
    .await;
}

#[tokio::test]
async fn shows_its_certificate_to_requests_and_probes_and_another_one_after_a_reload() {
    for version in ["TLSv1.2", "TLSv1.3"] {
        let dir = prepared();
        let backend = mutual(&dir, &[("MAX_VERSION", version)]).await;
        let setup = setup(
            &backend,
            &format!("{SHOWN}\nprobe = {{ path = \"/\", contains = \"alice\", fall = 1 }}"),
        );
        let proxy = setup.start_in(dir).await;
        assert_eq!(proxy.get("/").await.text(), "alice");
        eventually("a good probe", async || {
            let up = proxy.metric("portcullis_backend_up", &["\"app\""]).await;
            (up > 0.5).then_some(())
        })
        .await;
        assert_eq!(proxy.log().count("unhealthy"), 0);
        Pki::get().write_client(proxy.dir(), "client", "bob");
        proxy.reload(&setup.toml()).await;
        answers(&proxy, "bob").await;
        // The probe still looks for alice.
        proxy.logged(&["unhealthy", "does not contain"]).await;
    }
}

#[tokio::test]
async fn says_that_a_backend_wants_a_certificate() {
    let dir = prepared();
    let backend = mutual(&dir, &[]).await;
    let proxy = setup(&backend, "tls = { ca = \"@dir/ca.pem\" }")
        .upstream("probe = { path = \"/\", fall = 1 }")
        .start_in(dir)
        .await;
    assert_eq!(proxy.get("/").await.status, 502);
    let wanted = "the backend wants a client certificate: set the upstream's tls.certificate";
    proxy.logged(&["request failed", wanted]).await;
    proxy.logged(&["unhealthy", wanted]).await;
}

#[tokio::test]
async fn a_reload_reads_the_authorities_anew_and_keeps_what_did_not_change() {
    let leaf = Pki::get().leaf(&["127.0.0.1"]);
    let backend = Backend::echo_tls(leaf.server()).await;
    let setup = Setup::to(&[&backend])
        .threads(1)
        .upstream("tls = { ca = \"@dir/ca.pem\" }\nretry = { hold = \"100ms\" }");
    let proxy = setup.start().await;
    assert_eq!(proxy.get("/").await.status, 200);
    proxy.reload(&setup.toml()).await;
    assert_eq!(proxy.get("/").await.status, 200);
    assert_eq!(backend.connections(), 1, "the pool was carried over");
    let ca = proxy.dir().join("ca.pem");
    fs::write(&ca, Pki::new().ca_pem()).unwrap();
    proxy.reload(&setup.toml()).await;
    eventually("the backend to be refused", async || {
        let status = proxy.get("/").await.status.as_u16();
        [502, 503].contains(&status).then_some(())
    })
    .await;
    fs::write(&ca, Pki::get().ca_pem()).unwrap();
    proxy.reload(&setup.toml()).await;
    eventually("the backend to be trusted", async || {
        (proxy.get("/").await.status == 200).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_key_of_another_certificate_is_a_fault_at_its_place_and_refuses_the_reload() {
    let dir = prepared();
    let backend = mutual(&dir, &[]).await;
    let proxy = setup(&backend, SHOWN).start_in(dir).await;
    assert_eq!(proxy.get("/").await.text(), "alice");
    let key = proxy.dir().join("client.key");
    let stranger = Pki::get().write_client(proxy.dir(), "stranger", "eve");
    drop(stranger);
    fs::copy(proxy.dir().join("stranger.key"), &key).unwrap();
    let file = proxy.dir().join("portcullis.toml");
    let checked = portcullis(&["check", "--config", file.to_str().unwrap()]).await;
    assert_eq!(checked.code, Some(78), "{checked:?}");
    assert!(
        checked.stderr.contains("does not belong to"),
        "{}",
        checked.stderr
    );
    assert!(
        checked.stderr.contains("key = \"") && checked.stderr.contains("^^^"),
        "{}",
        checked.stderr
    );
    proxy.signal("HUP");
    proxy.logged(&["ERROR", "does not belong to"]).await;
    proxy.logged(&["reload refused"]).await;
    assert_eq!(proxy.get("/").await.text(), "alice");
}
