//! The content security policy at work: in a real browser, and where browsers send their reports.

use http::Version;
use tempfile::TempDir;

use crate::harness::{
    HOST, Proxy,
    command::portcullis,
    nest::client,
    pki::Pki,
    setup::{SPA, Setup, folder_with_spa},
};

const PAGE: &str = "<!doctype html><html><head><title>policy</title>\
    <meta property=\"csp-nonce\" nonce=\"__CSP_NONCE__\"><link rel=\"icon\" href=\"data:,\">\
    <script nonce=\"__CSP_NONCE__\">window.ran = ['first']</script>\
    <script>ran.push('second')</script>\
    <style nonce=\"__CSP_NONCE__\">#styled { color: rgb(1, 2, 3) }</style>\
    <script type=\"module\" src=\"/assets/index-B1c2D3e4.js\"></script></head>\
    <body><p id=\"styled\" style=\"margin-left: 7px\">styled</p><p id=\"later\">later</p></body></html>";

fn folder() -> TempDir {
    let dir = folder_with_spa();
    let www = dir.path().join("www");
    std::fs::write(www.join("index.html"), PAGE).unwrap();
    std::fs::write(
        www.join("assets/index-B1c2D3e4.js"),
        "ran.push('module');\n",
    )
    .unwrap();
    dir
}

async fn site(headers: &str) -> Proxy {
    Setup::new()
        .site(&format!("headers = {{ {headers} }}"))
        .route("/", SPA)
        .start_in(folder())
        .await
}

/// A browser wants a name that leads here: `localhost`.
async fn chromium(headers: &str, nonce: &str) -> Proxy {
    let dir = folder();
    Pki::get().write_leaf(dir.path(), "local", &["localhost"]);
    let site = format!(
        "[[site]]\nhosts = [\"localhost\"]\n\
         certificate = {{ chain = \"@dir/local.pem\", key = \"@dir/local.key\" }}\n\
         headers = {{ {headers} }}\n[[site.route]]\npath = \"/\"\n{SPA}"
    );
    let proxy = Setup::new()
        .route("/", "respond = { status = 200, body = \"another\" }")
        .more(&site)
        .start_in(dir)
        .await;
    let metrics = format!("http://{}/metrics", proxy.admin_address());
    client(
        "policy.mjs",
        &proxy,
        &[("NONCE", nonce), ("METRICS", &metrics)],
    )
    .await;
    proxy
}

#[tokio::test]
async fn chromium_runs_what_has_the_nonce_and_reports_what_has_none() {
    let proxy = chromium("csp = { nonce = true, report = \"/csp-report\" }", "1").await;
    let line = proxy
        .logged(&["a browser reports", "script-src-elem", "inline"])
        .await;
    assert!(line.contains("page=\"/\""), "{line}");
    assert!(line.contains("disposition=\"enforce\""), "{line}");
}

#[tokio::test]
async fn chromium_runs_what_has_a_hash_and_reports_what_has_none() {
    let policy = "preset = \"off\", csp = { default = [\"'self'\"], img = [\"data:\"], report = \"/csp-report\" }";
    chromium(policy, "0").await;
}

#[tokio::test]
async fn a_policy_on_trial_has_nonces_hashes_and_reports_too() {
    let proxy = site("csp = { nonce = true, report = \"/csp-report\", report_only = true }").await;
    let page = proxy.get("/").await;
    assert_eq!(page.count("content-security-policy"), 0);
    let policy = page.header("content-security-policy-report-only");
    for part in [
        "'nonce-",
        "'sha256-",
        "; report-uri /csp-report; report-to csp",
    ] {
        assert!(policy.contains(part), "{policy}");
    }
    assert_eq!(page.header("reporting-endpoints"), "csp=\"/csp-report\"");
}

#[tokio::test]
async fn no_other_answer_has_a_nonce() {
    let proxy = Setup::new()
        .site("headers = { csp = { nonce = true, report = \"/csp-report\" } }")
        .route("/", SPA)
        .route("=/fixed", "respond = { status = 200, body = \"x\" }")
        .start_in(folder())
        .await;
    for version in [Version::HTTP_11, Version::HTTP_2] {
        for (path, status) in [
            ("/assets/index-B1c2D3e4.js", 200),
            ("/assets/gone.js", 404),
            ("/fixed", 200),
            ("/csp-report", 405),
        ] {
            let reply = proxy.request("GET", path).version(version).send().await;
            assert_eq!(reply.status, status, "{path}");
            let policy = reply.header("content-security-policy");
            assert!(policy.contains("script-src 'self';"), "{policy}");
            assert!(policy.ends_with("report-to csp"), "{policy}");
        }
    }
}

#[tokio::test]
async fn reports_are_answered_by_what_they_are() {
    let proxy = site("csp = { report = \"/csp-report\" }").await;
    let large = format!("[\"{}\"]", "x".repeat(64 << 10));
    let report = r#"{"csp-report":{"document-uri":"https://localhost/p?secret","blocked-uri":"inline",
        "effective-directive":"img-src","script-sample":"a\nforged line"}}"#;
    let extension =
        r#"{"csp-report":{"blocked-uri":"chrome-extension","effective-directive":"img-src"}}"#;
    for (method, body, status) in [
        ("POST", report, 204),
        ("POST", extension, 204),
        ("POST", "[]", 204),
        ("POST", "not JSON", 400),
        ("POST", "", 400),
        ("POST", large.as_str(), 413),
        ("GET", "", 405),
        ("OPTIONS", "", 405),
    ] {
        let request = proxy.request(method, "/csp-report").body(body.to_owned());
        let reply = request.send().await;
        assert_eq!(reply.status, status, "{method} {body:.40}");
        if status == 405 {
            assert_eq!(reply.header("allow"), "POST");
        }
    }
    for directive in ["img-src", "extension"] {
        let labels = [
            &*format!("directive=\"{directive}\""),
            "disposition=\"enforce\"",
        ];
        let count = proxy.metric("portcullis_csp_reports_total", &labels).await;
        assert!((count - 1.0).abs() < 0.1, "{directive}: {count}");
    }
    let line = proxy.logged(&["a browser reports"]).await;
    assert!(
        line.contains("forged line") && !line.contains("secret"),
        "{line}"
    );
}

#[tokio::test]
async fn explain_knows_the_path_of_reports() {
    let dir = folder();
    let setup = Setup::new()
        .site("headers = { csp = { nonce = true, report = \"/csp-report\" } }")
        .route("/", SPA);
    let file = dir.path().join("portcullis.toml");
    let toml = setup.toml().replace("@dir", dir.path().to_str().unwrap());
    std::fs::write(&file, toml).unwrap();
    let url = format!("https://{HOST}/csp-report");
    for (method, status) in [("POST", "204"), ("GET", "405")] {
        let file = file.to_str().unwrap();
        let said = portcullis(&["explain", "--config", file, method, &url]).await;
        assert_eq!(said.code, Some(0), "{said:?}");
        for part in ["=/csp-report", "65536 bytes", "__CSP_NONCE__", status] {
            assert!(said.stdout.contains(part), "{part} in {}", said.stdout);
        }
    }
}

#[tokio::test]
async fn a_client_that_reports_too_much_is_refused() {
    let proxy = site("csp = { report = \"/csp-report\" }").await;
    let mut session = proxy.session2().await;
    let mut statuses = std::collections::BTreeMap::new();
    for _ in 0..200 {
        let request = proxy.request("POST", "/csp-report").body("{}").h2();
        let reply = session.send(request).await;
        *statuses.entry(reply.status.as_u16()).or_insert(0) += 1;
    }
    assert!(statuses[&204] >= 60, "{statuses:?}");
    assert!(statuses[&429] > 0, "{statuses:?}");
}
