//! Builds that come as their difference from the one that a browser has (RFC 9842).

use crate::harness::{
    Proxy,
    nest::client,
    pki::Pki,
    setup::{Setup, folder_with_spa},
};

const OLD: &str = "assets/index-B1c2D3e4.js";
const NEW: &str = "assets/index-F5g6H7i8.js";
const FILES: &str =
    "files = { root = \"@dir/www\", fallback = \"index.html\", dictionaries = true }";

/// Code that is not all alike, and says its release once.
fn code() -> String {
    let lines = (0..2000_u32).map(|at| format!("export const name{at} = {};\n", at * 7919 % 1013));
    lines.collect::<String>() + "globalThis.release = 'release 1';\n"
}

/// A browser wants a name that leads here: `localhost`.
async fn site() -> Proxy {
    let dir = folder_with_spa();
    std::fs::write(dir.path().join("www").join(OLD), code()).unwrap();
    Pki::get().write_leaf(dir.path(), "local", &["localhost"]);
    let site = format!(
        "[[site]]\nhosts = [\"localhost\"]\n\
         certificate = {{ chain = \"@dir/local.pem\", key = \"@dir/local.key\" }}\n\
         [[site.route]]\npath = \"/\"\n{FILES}"
    );
    Setup::new()
        .route("/", FILES)
        .more(&site)
        .start_in(dir)
        .await
}

#[tokio::test]
async fn chromium_gets_the_next_build_as_a_difference() {
    let proxy = site().await;
    let root = proxy.dir().join("www").display().to_string();
    let variables = [("ROOT", &*root), ("OLD", OLD), ("NEW", NEW)];
    client("dictionary.mjs", &proxy, &variables).await;
}

#[tokio::test]
async fn caches_are_told_what_an_answer_depends_on_from_the_start() {
    let proxy = site().await;
    let chunk = proxy.get(&format!("/{OLD}")).await;
    assert_eq!(chunk.header("use-as-dictionary"), "match=\"index-*.js\"");
    assert_eq!(
        chunk.header("vary"),
        "accept-encoding, available-dictionary"
    );
    let page = proxy.get("/").await;
    assert!(page.headers.get("use-as-dictionary").is_none());
}
