//! A single-page application as it is built: pages, assets, and what is neither.

use std::{
    collections::BTreeSet,
    os::unix::fs::DirEntryExt as _,
    path::{Path, PathBuf},
};

use http::Version;

use crate::harness::{
    HOST, Proxy, eventually,
    raw::status_of,
    setup::{SPA, Setup, folder_with_spa},
};

async fn spa() -> Proxy {
    Setup::new()
        .route("/", SPA)
        .start_in(folder_with_spa())
        .await
}

#[tokio::test]
async fn a_navigation_gets_the_page_and_nothing_else_does() {
    let proxy = spa().await;
    let page = async |method: &str, path: &str, accept: &str| {
        let request = proxy.request(method, path).header("accept", accept);
        request.send().await.status.as_u16()
    };
    assert_eq!(page("GET", "/users/42", "text/html,*/*;q=0.8").await, 200);
    assert_eq!(page("HEAD", "/users/42", "text/html").await, 200);
    assert_eq!(
        page("GET", "/_callback/auth?code=x", "text/html").await,
        200
    );
    assert_eq!(page("GET", "/users/42", "application/json").await, 404);
    assert_eq!(page("GET", "/assets/old-a1b2c3d4.js", "*/*").await, 404);
    assert_eq!(page("GET", "/photo.png", "text/html").await, 404);
    assert_eq!(page("POST", "/users/42", "text/html").await, 405);
}

#[tokio::test]
async fn pages_are_asked_for_again_and_hashed_assets_are_not() {
    let proxy = spa().await;
    for path in ["/", "/index.html"] {
        let page = proxy.get(path).await;
        assert_eq!(page.header("cache-control"), "no-cache", "{path}");
        assert!(page.header("etag").starts_with('"'), "{page:?}");
    }
    let asset = proxy.get("/assets/index-B1c2D3e4.js").await;
    assert_eq!(
        asset.header("cache-control"),
        "public, max-age=31536000, immutable"
    );
    let missing = proxy.get("/assets/gone-a1b2c3d4.js").await;
    assert_eq!(missing.header("cache-control"), "no-store");
}

#[tokio::test]
async fn media_types_are_right() {
    let dir = folder_with_spa();
    let www = dir.path().join("www");
    for (name, _) in TYPES {
        std::fs::write(www.join(name), "x").unwrap();
    }
    let proxy = Setup::new().route("/", SPA).start_in(dir).await;
    for (name, wanted) in TYPES {
        let reply = proxy.get(&format!("/{name}")).await;
        assert!(
            reply.header("content-type").starts_with(wanted),
            "{name}: {reply:?}"
        );
    }
}

const TYPES: [(&str, &str); 8] = [
    ("a.css", "text/css"),
    ("a.mjs", "text/javascript"),
    ("a.svg", "image/svg+xml"),
    ("a.wasm", "application/wasm"),
    ("a.woff2", "font/woff2"),
    ("a.json", "application/json"),
    ("manifest.webmanifest", "application/manifest+json"),
    ("unknown.zzz", "application/octet-stream"),
];

#[tokio::test]
async fn what_did_not_change_is_304() {
    let proxy = spa().await;
    for version in [Version::HTTP_11, Version::HTTP_2] {
        let first = proxy.request("GET", "/").version(version).send().await;
        let etag = first.header("etag");
        for known in [etag, "*", &format!("\"other\", W/{etag}")] {
            let request = proxy.request("GET", "/").version(version);
            let reply = request.header("if-none-match", known).send().await;
            assert_eq!(reply.status, 304, "{known}");
            assert_eq!((reply.header("etag"), reply.body.len()), (etag, 0));
        }
        let request = proxy.request("GET", "/").version(version);
        let reply = request.header("if-none-match", "\"other\"").send().await;
        assert_eq!(reply.status, 200);
    }
}

#[tokio::test]
async fn head_is_get_without_its_body() {
    let proxy = spa().await;
    let get = proxy.get("/robots.txt").await;
    let head = proxy.request("HEAD", "/robots.txt").send().await;
    assert_eq!(head.status, 200);
    assert!(head.body.is_empty());
    for name in ["content-length", "content-type", "etag", "cache-control"] {
        assert_eq!(head.header(name), get.header(name), "{name}");
    }
}

#[tokio::test]
async fn parts_are_served_as_they_are_asked_for() {
    let proxy = spa().await;
    let part = async |range: &str| {
        let request = proxy.request("GET", "/robots.txt");
        request.header("range", range).send().await
    };
    let whole = proxy.get("/robots.txt").await.text();
    let first = part("bytes=0-3").await;
    assert_eq!((first.status.as_u16(), &*first.text()), (206, &whole[..4]));
    let span = format!("bytes 0-3/{}", whole.len());
    assert_eq!(first.header("content-range"), span);
    assert_eq!(part("bytes=-2").await.text(), whole[whole.len() - 2..]);
    assert_eq!(part("bytes=5-").await.text(), whole[5..]);
    let beyond = part("bytes=9999-").await;
    assert_eq!(beyond.status, 416);
    let length = format!("bytes */{}", whole.len());
    assert_eq!(beyond.header("content-range"), length);
    assert_eq!(part("lines=1-2").await.status, 200);
}

#[tokio::test]
async fn an_inline_script_of_the_page_is_allowed_by_its_hash() {
    let dir = folder_with_spa();
    let page = "<!doctype html><script>window.env = {}</script><title>SPA</title>";
    std::fs::write(dir.path().join("www/index.html"), page).unwrap();
    let proxy = Setup::new().route("/", SPA).start_in(dir).await;
    let reply = proxy.get("/").await;
    let policy = reply.header("content-security-policy");
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, b"window.env = {}");
    let hash = base64::Engine::encode(&base64::prelude::BASE64_STANDARD, digest);
    assert!(policy.contains(&format!("'sha256-{hash}'")), "{policy}");
    assert!(!policy.contains("script-src 'self' 'unsafe-inline'"));
}

#[tokio::test]
async fn a_route_below_a_path_serves_what_follows_it() {
    let proxy = Setup::new()
        .route("/app/", SPA)
        .start_in(folder_with_spa())
        .await;
    assert_eq!(proxy.get("/app/robots.txt").await.text(), "User-agent: *\n");
    assert_eq!(proxy.get("/robots.txt").await.status, 404);
    let request = proxy.request("GET", "/app/deep/link");
    let deep = request.header("accept", "text/html").send().await;
    assert!(deep.text().contains("<title>SPA"));
}

#[tokio::test]
async fn without_a_fallback_a_miss_is_404() {
    let proxy = Setup::new()
        .route("/", "files = { root = \"@dir/www\" }")
        .start_in(folder_with_spa())
        .await;
    let request = proxy.request("GET", "/deep/link");
    let reply = request.header("accept", "text/html").send().await;
    assert_eq!(reply.status, 404);
}

#[tokio::test]
async fn an_asset_is_compressed_in_the_background_and_not_again_after_a_restart() {
    let dir = folder_with_spa();
    let script = "export const answer = 42;\n".repeat(200);
    std::fs::write(dir.path().join("www/app.js"), &script).unwrap();
    let proxy = Setup::new().route("/", SPA).start_in(dir).await;
    let coded = async |proxy: &Proxy, coding: &str| {
        let request = proxy.request("GET", "/app.js");
        let reply = request.header("accept-encoding", coding).send().await;
        assert_eq!(reply.header("vary"), "accept-encoding");
        let is_coded = reply.headers.contains_key("content-encoding");
        is_coded.then(|| (reply.header("etag").to_owned(), reply.body.to_vec()))
    };
    let mut first = Vec::new();
    for coding in ["br", "zstd", "gzip"] {
        first.push(eventually(coding, async || coded(&proxy, coding).await).await);
    }
    let before = kept(proxy.dir());
    let entries = before
        .iter()
        .filter(|(path, _)| path.parent().unwrap().ends_with("coded"));
    assert_eq!(entries.count(), 3, "one entry for each coding");
    let proxy = proxy.restart().await;
    for (coding, first) in ["br", "zstd", "gzip"].into_iter().zip(first) {
        let again = eventually(coding, async || coded(&proxy, coding).await).await;
        assert_eq!(again, first, "{coding}");
    }
    assert_eq!(kept(proxy.dir()), before, "nothing was written");
}

#[tokio::test]
async fn a_page_of_an_earlier_build_keeps_working_after_a_restart() {
    let dir = folder_with_spa();
    let old = "assets/index-B1c2D3e4.js";
    let proxy = Setup::new().route("/", SPA).start_in(dir).await;
    let before = proxy.get(&format!("/{old}")).await;
    eventually("the copy of the build", async || {
        (kept(proxy.dir()).iter())
            .any(|(path, _)| path.ends_with("index.json"))
            .then_some(())
    })
    .await;
    std::fs::remove_file(proxy.dir().join("www").join(old)).unwrap();
    let page = "<script type=module src=/assets/index-B1c2D3e5.js></script>";
    std::fs::write(proxy.dir().join("www/assets/index-B1c2D3e5.js"), "2").unwrap();
    std::fs::write(proxy.dir().join("www/index.html"), page).unwrap();
    let proxy = proxy.restart().await;
    assert_eq!(proxy.get("/").await.text(), page);
    let after = proxy.get(&format!("/{old}")).await;
    assert_eq!((after.status.as_u16(), after.text()), (200, before.text()));
    for name in ["etag", "content-type", "cache-control", "last-modified"] {
        assert_eq!(after.header(name), before.header(name), "{name}");
    }
}

/// Name and inode of each file that outlives a restart.
fn kept(dir: &Path) -> BTreeSet<(PathBuf, u64)> {
    let mut folders = vec![dir.join("state")];
    let mut kept = BTreeSet::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            if entry.file_type().unwrap().is_dir() {
                folders.push(entry.path());
            } else {
                kept.insert((entry.path(), entry.ino()));
            }
        }
    }
    kept
}

#[tokio::test]
async fn files_are_not_left_by_any_path() {
    let dir = folder_with_spa();
    std::fs::write(dir.path().join("www/.env"), "SECRET=1").unwrap();
    std::os::unix::fs::symlink(dir.path().join("site.key"), dir.path().join("www/link.txt"))
        .unwrap();
    let proxy = Setup::new()
        .route("/", "files = { root = \"@dir/www\" }")
        .start_in(dir)
        .await;
    for path in [
        "/../site.key",
        "/%2e%2e/site.key",
        "/..%2fsite.key",
        "/%2e%2e%2fsite.key",
        "/assets/../../site.key",
        "/..%5csite.key",
        "/%252e%252e/site.key",
        "/.env",
        "/%2eenv",
        "/assets/..%2f.env",
        "/link.txt",
        "/index.html%00.js",
        "//etc/passwd",
        "/%2fetc%2fpasswd",
        "/%ff%fe",
    ] {
        let mut raw = proxy.raw().await;
        raw.send(format!(
            "GET {path} HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n"
        ))
        .await;
        let answer = raw.read_to_end().await;
        assert!(
            [400, 403, 404].contains(&status_of(&answer)),
            "{path}: {answer}"
        );
        assert!(
            !answer.contains("SECRET") && !answer.contains("PRIVATE KEY"),
            "{path}"
        );
    }
}
