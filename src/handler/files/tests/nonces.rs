//! Pages with a nonce.

use http::header::{IF_MODIFIED_SINCE, IF_NONE_MATCH};

use super::*;

const PLACEHOLDER: &str = "__CSP_NONCE__";

fn pages() -> (TempDir, Files) {
    let dir = tempfile::tempdir().unwrap();
    let head = format!("<meta property=csp-nonce nonce={PLACEHOLDER}><script nonce={PLACEHOLDER}>");
    let large = "x".repeat(100 << 10);
    for (name, text) in [
        ("index.html", format!("{head}1</script>")),
        ("index.html.br", "br".to_owned()),
        (
            "large.html",
            format!("{head}1</script>{large}{PLACEHOLDER}"),
        ),
        (
            "linked.html",
            format!("<link rel=modulepreload href=/b.js>{head}1</script>"),
        ),
        ("plain.html", "<script>alert(1)</script>".to_owned()),
        ("a.js", PLACEHOLDER.to_owned()),
    ] {
        fs::write(dir.path().join(name), text).unwrap();
    }
    let csp = Csp {
        nonce: Some(PLACEHOLDER.to_owned()),
        ..config::headers::Headers::default().csp.unwrap()
    };
    let files = files_under(&dir, csp, "/", Some("index.html"));
    (dir, files)
}

fn nonce(response: &Response) -> String {
    let policy = field(response, HeaderName::from_static("content-security-policy"));
    let found = policy.split("'nonce-").nth(1).unwrap();
    found.split('\'').next().unwrap().to_owned()
}

#[tokio::test]
async fn fills_the_nonce_of_the_header_in_wherever_the_page_has_a_place() {
    let (dir, files) = pages();
    for (uri, name) in [
        ("/", "index.html"),
        ("/users/42", "index.html"),
        ("/large.html", "large.html"),
    ] {
        let response = get(&files, uri, &[(ACCEPT_ENCODING, "br")]).await.unwrap();
        let nonce = nonce(&response);
        assert_eq!(nonce.len(), 24);
        let length = field(&response, CONTENT_LENGTH).to_owned();
        let written = fs::read_to_string(dir.path().join(name)).unwrap();
        let page = body(response).await;
        assert_eq!(page, written.replace(PLACEHOLDER, &nonce), "{uri}");
        assert_eq!(length, page.len().to_string());
    }
}

#[tokio::test]
async fn names_what_the_page_loads_first() {
    let (_dir, files) = pages();
    let response = get(&files, "/linked.html", &[]).await.unwrap();
    assert_eq!(
        field(&response, http::header::LINK),
        "</b.js>; rel=modulepreload"
    );
}

#[tokio::test]
async fn has_another_nonce_for_each_request_and_nothing_that_lets_one_be_kept() {
    let (_dir, files) = pages();
    let first = get(&files, "/", &[]).await.unwrap();
    for name in [ETAG, LAST_MODIFIED, ACCEPT_RANGES, CONTENT_ENCODING, VARY] {
        assert!(!first.headers().contains_key(&name), "{name}");
    }
    assert_eq!(field(&first, CACHE_CONTROL), "no-store");
    let conditions = [
        (IF_NONE_MATCH, "*"),
        (IF_MODIFIED_SINCE, "Fri, 01 Jan 2100 00:00:00 GMT"),
        (RANGE, "bytes=0-1"),
    ];
    let second = get(&files, "/", &conditions).await.unwrap();
    assert_eq!(second.status(), 200);
    assert_ne!(nonce(&first), nonce(&second));
}

#[tokio::test]
async fn tells_head_what_get_would_say() {
    let (_dir, files) = pages();
    let get = get(&files, "/", &[]).await.unwrap();
    let head = send(&files, Method::HEAD, "/", &[]).await.unwrap();
    assert_eq!(field(&head, CONTENT_LENGTH), field(&get, CONTENT_LENGTH));
    assert_eq!(nonce(&head).len(), 24);
    assert!(body(head).await.is_empty());
}

#[tokio::test]
async fn leaves_pages_without_a_place_and_other_files_as_they_are() {
    let (_dir, files) = pages();
    let csp = HeaderName::from_static("content-security-policy");
    let plain = get(&files, "/plain.html", &[]).await.unwrap();
    assert!(field(&plain, csp.clone()).contains("'sha256-bhHH"));
    assert!(!field(&plain, csp.clone()).contains("nonce"));
    assert!(plain.headers().contains_key(ETAG));
    let script = get(&files, "/a.js", &[]).await.unwrap();
    assert!(!script.headers().contains_key(csp));
    assert_eq!(body(script).await, PLACEHOLDER);
}
