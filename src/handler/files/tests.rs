//! What clients are answered.

use std::{fs, net::SocketAddr, rc::Rc};

use bytes::Bytes;
use http::{
    HeaderName, Request,
    header::{
        ACCEPT, ACCEPT_ENCODING, ACCEPT_RANGES, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE,
        ETAG, IF_NONE_MATCH, LAST_MODIFIED, RANGE, VARY,
    },
};
use http_body_util::BodyExt as _;
use tempfile::TempDir;

use super::*;
use crate::{
    assets::Options,
    config::{
        self,
        headers::{Csp, Policy},
        value::Located,
    },
    message::context::{ConnectionInfo, RequestContext},
};

mod nonces;
mod pages;
mod ranges;

const SCRIPT: &str = "assets/index-DiwrgTda.js";
const PAGE: &str = "<!doctype html><script>alert(1)</script>";

fn site() -> (TempDir, Files) {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in [
        ("index.html", PAGE),
        (SCRIPT, "0123456789"),
        ("assets/index-DiwrgTda.js.br", "01234"),
        ("assets/index-DiwrgTda.js.gz", "0123456"),
        ("docs/index.html", "docs"),
        ("sw.js", "worker"),
        ("a b.txt", "spaced"),
        (".env", "secret"),
        (".well-known/security.txt", "contact"),
    ] {
        let path = dir.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    fs::write(dir.path().join("large.bin"), vec![b'x'; 3 << 20]).unwrap();
    let files = files(&dir, "/", Some("index.html"));
    (dir, files)
}

fn files(dir: &TempDir, prefix: &str, fallback: Option<&str>) -> Files {
    let policy = Policy::Directives(vec![("script-src".into(), vec!["'self'".into()])]);
    let csp = Csp {
        policy,
        report_only: false,
        nonce: None,
        report: None,
    };
    files_under(dir, csp, prefix, fallback)
}

fn files_under(dir: &TempDir, csp: Csp, prefix: &str, fallback: Option<&str>) -> Files {
    let store = Store::open(
        dir.path(),
        Options {
            csp: Some(csp),
            ..Options::default()
        },
    )
    .unwrap();
    let root = Located {
        value: dir.path().to_owned(),
        span: 0..0,
    };
    let config = route::Files {
        root,
        fallback: fallback.map(str::to_owned),
        suffixes: Vec::new(),
        env: Vec::new(),
        source_maps: true,
        preload: true,
        dictionaries: false,
        releases: route::Releases::default(),
    };
    Files::new(store, &config, &PathPattern::Prefix(prefix.to_owned()))
}

async fn send(
    files: &Files,
    method: Method,
    uri: &str,
    fields: &[(HeaderName, &str)],
) -> Result<Response, ErrorKind> {
    let mut request = Request::new(Body::empty());
    *request.method_mut() = method;
    *request.uri_mut() = uri.parse().unwrap();
    for (name, value) in fields {
        request
            .headers_mut()
            .append(name, HeaderValue::from_str(value).unwrap());
    }
    let address = SocketAddr::from(([127, 0, 0, 1], 1));
    let connection = ConnectionInfo {
        peer: address,
        local: address,
        worker: 0,
        tls: None,
    };
    let context = Rc::new(RequestContext::new(Rc::new(connection), &request, None));
    files
        .answer(&Call { request, context })
        .await
        .map_err(|error| error.kind)
}

async fn get(
    files: &Files,
    uri: &str,
    fields: &[(HeaderName, &str)],
) -> Result<Response, ErrorKind> {
    send(files, Method::GET, uri, fields).await
}

async fn body(response: Response) -> Bytes {
    response.into_body().collect().await.unwrap().to_bytes()
}

fn field(response: &Response, name: HeaderName) -> &str {
    response
        .headers()
        .get(name)
        .map_or("", |value| value.to_str().unwrap())
}

#[tokio::test]
async fn serves_a_file_with_what_a_browser_needs() {
    let (_dir, files) = site();
    let response = get(&files, "/assets/index-DiwrgTda.js?v=1", &[])
        .await
        .unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(
        field(&response, CONTENT_TYPE),
        "text/javascript; charset=utf-8"
    );
    assert_eq!(field(&response, CONTENT_LENGTH), "10");
    assert_eq!(
        field(&response, CACHE_CONTROL),
        "public, max-age=31536000, immutable"
    );
    assert_eq!(field(&response, ACCEPT_RANGES), "bytes");
    assert_eq!(field(&response, VARY), "accept-encoding");
    assert!(
        field(&response, ETAG).starts_with('"') && field(&response, LAST_MODIFIED).ends_with("GMT")
    );
    assert_eq!(body(response).await, "0123456789");
}

#[tokio::test]
async fn asks_browsers_to_look_again_at_what_may_change() {
    let (_dir, files) = site();
    for path in ["/", "/index.html", "/sw.js", "/docs/", "/users/42"] {
        let response = get(&files, path, &[]).await.unwrap();
        assert_eq!(field(&response, CACHE_CONTROL), "no-cache", "{path}");
    }
}

#[tokio::test]
async fn answers_client_side_routes_with_the_fallback_and_nothing_else() {
    let (_dir, files) = site();
    for (path, accept, found) in [
        ("/users/42", "text/html,*/*;q=0.8", true),
        ("/users/42", "*/*", true),
        ("/a%2Fb", "text/html", true),
        ("/double//slash", "text/html", true),
        ("/users/42", "application/json", false),
        ("/users/42", "image/*", false),
        ("/assets/gone-DiwrgTda.js", "*/*", false),
        ("/assets/gone.js", "text/html", false),
        ("/gone%2ejs", "text/html", false),
        ("/.env", "text/html", false),
        ("/%2eenv", "text/html", false),
        ("/.git/config", "text/html", false),
        ("/%252e%252e/etc/passwd", "text/html", true),
    ] {
        let answer = get(&files, path, &[(ACCEPT, accept)]).await;
        match answer {
            Ok(response) if found => {
                assert_eq!(response.status(), 200);
                assert!(field(&response, CONTENT_TYPE).starts_with("text/html"));
                assert_eq!(body(response).await, PAGE);
            }
            Err(kind) if !found => assert_eq!(kind, ErrorKind::NoFile),
            other => panic!("{path} {accept}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn answers_no_miss_without_a_fallback() {
    let (dir, _) = site();
    let files = files(&dir, "/", None);
    assert_eq!(
        get(&files, "/users/42", &[]).await.unwrap_err(),
        ErrorKind::NoFile
    );
}

#[tokio::test]
async fn refuses_to_leave_the_root() {
    let (_dir, files) = site();
    for path in [
        "/../x",
        "/a/../../etc/passwd",
        "/%2e%2e/x",
        "/..%2fetc/passwd",
        "/..%5cx",
        "/a%00.js",
        "/%ff",
    ] {
        let answer = get(&files, path, &[(ACCEPT, "text/html")]).await;
        assert!(matches!(answer, Err(ErrorKind::BadRequest(_))), "{path}");
    }
}

#[tokio::test]
async fn decodes_names_once() {
    let (_dir, files) = site();
    assert_eq!(
        body(get(&files, "/a%20b.txt", &[]).await.unwrap()).await,
        "spaced"
    );
    assert_eq!(
        body(get(&files, "/.well-known/security.txt", &[]).await.unwrap()).await,
        "contact"
    );
}

#[tokio::test]
async fn knows_get_and_head_alone() {
    let (_dir, files) = site();
    for method in [
        Method::POST,
        Method::PUT,
        Method::DELETE,
        Method::OPTIONS,
        Method::TRACE,
    ] {
        assert_eq!(
            send(&files, method, "/", &[]).await.unwrap_err(),
            ErrorKind::Method("GET, HEAD")
        );
    }
}

#[tokio::test]
async fn answers_head_like_get_without_the_bytes() {
    let (_dir, files) = site();
    for path in ["/", "/large.bin", "/users/42", "/assets/index-DiwrgTda.js"] {
        let ranged = [(RANGE, "bytes=0-1")];
        let head = send(&files, Method::HEAD, path, &ranged).await.unwrap();
        let whole = get(&files, path, &[]).await.unwrap();
        assert_eq!(
            (head.status(), head.headers()),
            (whole.status(), whole.headers()),
            "{path}"
        );
        assert!(body(head).await.is_empty());
    }
}

#[tokio::test]
async fn sends_a_client_to_the_folder_so_that_relative_links_work() {
    let (dir, files) = site();
    let response = get(&files, "/docs?x=1", &[]).await.unwrap();
    assert_eq!(
        (response.status(), field(&response, LOCATION)),
        (StatusCode::PERMANENT_REDIRECT, "/docs/?x=1")
    );
    assert_eq!(
        get(&files, "/assets", &[(ACCEPT, "image/*")])
            .await
            .unwrap_err(),
        ErrorKind::NoFile
    );
    for prefix in ["/app/", "/app"] {
        let files = self::files(&dir, prefix, Some("index.html"));
        let response = get(&files, "/app", &[]).await.unwrap();
        assert_eq!(field(&response, LOCATION), "/app/", "{prefix}");
        assert_eq!(body(get(&files, "/app/", &[]).await.unwrap()).await, PAGE);
        assert_eq!(
            body(get(&files, "/app/sw.js", &[]).await.unwrap()).await,
            "worker"
        );
        assert_eq!(
            body(get(&files, "/app/users/42", &[]).await.unwrap()).await,
            PAGE
        );
    }
}

#[tokio::test]
async fn answers_an_exact_route_with_the_index() {
    let (dir, _) = site();
    let mut files = files(&dir, "/", None);
    files.path = PathPattern::Exact("/start".into());
    assert_eq!(body(get(&files, "/start", &[]).await.unwrap()).await, PAGE);
}

#[tokio::test]
async fn says_when_nothing_changed_with_the_policy_that_a_browser_would_replace() {
    let (_dir, files) = site();
    let csp = HeaderName::from_static("content-security-policy");
    for path in ["/", "/users/42"] {
        let full = get(&files, path, &[]).await.unwrap();
        assert!(field(&full, csp.clone()).contains("'sha256-bhHH"));
        let response = get(&files, path, &[(IF_NONE_MATCH, field(&full, ETAG))])
            .await
            .unwrap();
        assert_eq!(response.status(), 304);
        for name in [ETAG, CACHE_CONTROL, csp.clone()] {
            assert_eq!(field(&response, name.clone()), field(&full, name));
        }
        assert!(
            !response.headers().contains_key(CONTENT_LENGTH)
                && !response.headers().contains_key(CONTENT_TYPE)
        );
        assert!(body(response).await.is_empty());
    }
}

#[tokio::test]
async fn negotiates_codings_with_their_own_validators() {
    let (_dir, files) = site();
    let mut etags = Vec::new();
    for (accept, coding, bytes) in [
        ("gzip, deflate, br, zstd", "br", "01234"),
        ("gzip", "gzip", "0123456"),
        ("br;q=0.1, gzip;q=0.2", "gzip", "0123456"),
        ("br;q=0, *", "gzip", "0123456"),
        ("*", "br", "01234"),
        ("br;q=0.5, identity", "", "0123456789"),
        ("zstd", "", "0123456789"),
        ("identity;q=0, zstd", "", "0123456789"),
    ] {
        let response = get(
            &files,
            "/assets/index-DiwrgTda.js",
            &[(ACCEPT_ENCODING, accept)],
        )
        .await
        .unwrap();
        assert_eq!(field(&response, CONTENT_ENCODING), coding, "{accept}");
        assert_eq!(field(&response, CONTENT_LENGTH), bytes.len().to_string());
        etags.push(field(&response, ETAG).to_owned());
        assert_eq!(body(response).await, bytes);
    }
    etags.sort();
    etags.dedup();
    assert_eq!(etags.len(), 3);
    let response = get(&files, "/", &[(ACCEPT_ENCODING, "br")]).await.unwrap();
    assert!(!response.headers().contains_key(VARY));
}
