//! Variables of the environment told to a built client, so that one image serves every stage.

use std::{fs, path::Path};

use tempfile::TempDir;

use crate::harness::{
    HOST, Proxy,
    command::portcullis,
    nest::client,
    pki::Pki,
    setup::{Setup, folder_with_spa},
};

/// A value that breaks out of whatever is not escaped.
const HOSTILE: &str = "https://api.test/?a='\"</script><b>`${x}\\&amp;";

const ROUTE: &str = "files = { root = \"@dir/www\", fallback = \"index.html\", \
                     env = [\"PUBLIC_API_URL\", \"PUBLIC_STAGE:-production\"] }";

/// A client that is told, and what it is told.
fn folder(api_url: &str) -> TempDir {
    let dir = folder_with_spa();
    Pki::get().write_leaf(dir.path(), "site", &[HOST, "localhost"]);
    let www = dir.path().join("www");
    let page = "<!doctype html><html><head><meta charset=utf-8><link rel=icon href='data:,'>\
                <script>document.documentElement.dataset.inline = '%PUBLIC_API_URL%'</script>\
                <script type=module crossorigin src=/assets/index-B1c2D3e4.js></script>\
                <link rel=stylesheet crossorigin href=/assets/index-B1c2D3e5.css></head>\
                <body><p id=api title=\"%PUBLIC_API_URL%\">%PUBLIC_API_URL%</p></body></html>";
    fs::write(www.join("index.html"), page).unwrap();
    let script = "document.documentElement.dataset.template = `%PUBLIC_API_URL%`;\
                  document.documentElement.dataset.script = \"%PUBLIC_API_URL%\"; // %HOME%\n";
    fs::write(www.join("assets/index-B1c2D3e4.js"), script).unwrap();
    fs::write(www.join("assets/index-B1c2D3e4.js.gz"), "of the build").unwrap();
    fs::write(www.join("assets/index-B1c2D3e5.css"), "p { color: red }").unwrap();
    told(dir.path(), api_url);
    dir
}

fn told(dir: &Path, api_url: &str) {
    fs::write(
        dir.join("environment"),
        format!("PUBLIC_API_URL={api_url}\n"),
    )
    .unwrap();
}

async fn start(api_url: &str) -> Proxy {
    let setup = Setup::new().route("/", ROUTE);
    Proxy::start_in(
        folder(api_url),
        &setup.toml().replace(
            &format!("[\"{HOST}\"]"),
            &format!("[\"{HOST}\", \"localhost\"]"),
        ),
    )
    .await
}

#[tokio::test]
async fn one_build_serves_every_stage() {
    let test = start("https://test.example").await;
    let live = start("https://live.example").await;
    for (proxy, url) in [
        (&test, "https://test.example"),
        (&live, "https://live.example"),
    ] {
        let page = proxy.get("/").await;
        let told = format!(
            "<head><script>window.__ENV__=Object.freeze(\
             {{\"PUBLIC_API_URL\":\"{url}\",\"PUBLIC_STAGE\":\"production\"}})</script><meta"
        );
        assert!(page.text().contains(&told), "{}", page.text());
        assert_eq!(page.header("content-length"), page.body.len().to_string());
    }
    let script = "/assets/index-B1c2D3e4.js";
    let (one, two) = (test.get(script).await, live.get(script).await);
    assert!(one.text().contains("https://test.example") && one.text().contains("%HOME%"));
    assert_ne!(one.header("etag"), two.header("etag"));
    assert_eq!(one.header("cache-control"), "no-cache");
    let known = live.request("GET", script);
    let known = known
        .header("if-none-match", one.header("etag"))
        .send()
        .await;
    assert_eq!(known.status, 200, "the other stage's script is another");
    let coded = live
        .request("GET", script)
        .header("accept-encoding", "gzip");
    assert_ne!(coded.send().await.text(), "of the build");
    let style = live.get("/assets/index-B1c2D3e5.css").await;
    assert_eq!(
        style.header("cache-control"),
        "public, max-age=31536000, immutable"
    );
}

#[tokio::test]
async fn a_reload_with_another_list_tells_another_page() {
    let proxy = start("https://test.example").await;
    let before = proxy.get("/").await;
    let toml = Setup::new().route("/", &ROUTE.replace("PUBLIC_STAGE", "PUBLIC_NAME"));
    proxy.reload(&toml.toml()).await;
    let after = proxy.get("/").await;
    assert!(after.text().contains("\"PUBLIC_NAME\":\"production\""));
    assert!(!after.text().contains("PUBLIC_STAGE"));
    assert_ne!(before.header("etag"), after.header("etag"));
    proxy
        .reload(&Setup::new().route("/", crate::harness::setup::SPA).toml())
        .await;
    let plain = proxy.get("/").await;
    assert!(!plain.text().contains("__ENV__") && plain.text().contains("%PUBLIC_API_URL%"));
}

#[tokio::test]
async fn what_will_not_work_is_said() {
    let dir = folder("x");
    fs::write(dir.path().join("www/large.js"), vec![b' '; 2 << 20]).unwrap();
    let page = "<head><script src=/assets/index-B1c2D3e4.js integrity=sha256-x></script>";
    fs::write(dir.path().join("www/index.html"), page).unwrap();
    let proxy = Setup::new().route("/", ROUTE).start_in(dir).await;
    proxy.logged(&["too large", "large.js"]).await;
    proxy
        .logged(&["integrity", "index.html", "assets/index-B1c2D3e4.js"])
        .await;
}

#[tokio::test]
async fn a_variable_that_is_not_set_ends_the_start_and_explain_shows_no_value() {
    let dir = folder_with_spa();
    let route = ROUTE.replace("PUBLIC_API_URL", "PUBLIC_UNSET_IN_TESTS");
    let file = dir.path().join("portcullis.toml");
    let write = |route: &str| {
        let toml = Setup::new().route("/", route).toml();
        fs::write(&file, toml.replace("@dir", dir.path().to_str().unwrap())).unwrap();
    };
    write(&route);
    let name = file.to_str().unwrap();
    let said = portcullis(&["check", "--config", name]).await;
    assert!(
        said.code != Some(0) && said.stderr.contains("PUBLIC_UNSET_IN_TESTS"),
        "{said:?}"
    );
    write(&ROUTE.replace("PUBLIC_API_URL", "PUBLIC_UNSET_IN_TESTS:-value-of-it"));
    let said = portcullis(&["explain", "--config", name, "GET", "https://site.test/x"]).await;
    assert!(
        said.stdout.contains("PUBLIC_UNSET_IN_TESTS, PUBLIC_STAGE"),
        "{said:?}"
    );
    assert!(!said.stdout.contains("value-of-it"), "{said:?}");
}

#[tokio::test]
async fn chromium_is_told_whatever_the_value_under_the_strict_policy() {
    for value in ["https://api.test/v1", HOSTILE] {
        let proxy = start(value).await;
        client("told.mjs", &proxy, &[("API_URL", value)]).await;
    }
}
