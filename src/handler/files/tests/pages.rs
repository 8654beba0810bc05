//! What pages are sent with, and what is not sent at all.

use http::header::LINK;

use super::*;

#[tokio::test]
async fn names_what_a_page_loads_where_the_whole_page_is_sent() {
    let (dir, files) = site();
    let page = format!("<script type=module crossorigin src=/{SCRIPT}></script>");
    fs::write(dir.path().join("index.html"), page).unwrap();
    let mut files = self::files(&dir, "/", files.fallback.as_deref());
    let link = format!("</{SCRIPT}>; rel=modulepreload; crossorigin");
    for path in ["/", "/users/42"] {
        let response = get(&files, path, &[]).await.unwrap();
        assert_eq!(field(&response, LINK), link);
        let head = send(&files, Method::HEAD, path, &[]).await.unwrap();
        assert_eq!(field(&head, LINK), link);
        for known in [(IF_NONE_MATCH, "*"), (RANGE, "bytes=0-1")] {
            let response = get(&files, path, &[known]).await.unwrap();
            assert!(!response.headers().contains_key(LINK));
        }
    }
    let script = get(&files, &format!("/{SCRIPT}"), &[]).await.unwrap();
    assert!(!script.headers().contains_key(LINK));
    files.preload = false;
    let response = get(&files, "/", &[]).await.unwrap();
    assert!(!response.headers().contains_key(LINK));
}

#[tokio::test]
async fn hides_source_maps_where_they_are_not_wanted() {
    let (dir, _) = site();
    for name in [
        "a.js.map",
        "a.js.map.br",
        "a.js.map.gz",
        "a.MAP",
        "site.map.html",
        "map",
    ] {
        fs::write(dir.path().join(name), "{}").unwrap();
    }
    let mut files = files(&dir, "/", Some("index.html"));
    assert_eq!(get(&files, "/a.js.map", &[]).await.unwrap().status(), 200);
    files.source_maps = false;
    for path in [
        "/a.js.map",
        "/a.js%2emap",
        "/a.js.map.br",
        "/a.js.map.gz",
        "/a.MAP",
        "/b.map",
    ] {
        let answer = get(&files, path, &[(ACCEPT, "text/html")]).await;
        assert_eq!(answer.unwrap_err(), ErrorKind::NoFile, "{path}");
    }
    for path in ["/site.map.html", "/map", &format!("/{SCRIPT}.br")] {
        assert_eq!(
            get(&files, path, &[]).await.unwrap().status(),
            200,
            "{path}"
        );
    }
}

#[tokio::test]
async fn appends_only_to_paths_that_may_name_a_file() {
    let (dir, _) = site();
    fs::write(dir.path().join("about.html"), "about").unwrap();
    fs::write(dir.path().join(".hidden.html"), "secret").unwrap();
    let suffixes = ["", ".html", "/index.html"].map(str::to_owned).to_vec();
    let options = Options {
        suffixes,
        ..Options::default()
    };
    let files = Files {
        store: Store::open(dir.path(), options).unwrap(),
        fallback: None,
        path: PathPattern::Prefix("/".into()),
        source_maps: true,
        preload: true,
    };
    for path in ["/about", "/about.html", "/%61bout", "/about?x=.."] {
        assert_eq!(
            body(get(&files, path, &[]).await.unwrap()).await,
            "about",
            "{path}"
        );
    }
    let redirect = get(&files, "/docs", &[]).await.unwrap();
    assert_eq!(field(&redirect, LOCATION), "/docs/");
    for path in [
        "/about/",
        "/.hidden",
        "/%2ehidden",
        "/about%2f",
        "//about",
        "/about.",
        "/about%20",
    ] {
        assert_eq!(
            get(&files, path, &[]).await.unwrap_err(),
            ErrorKind::NoFile,
            "{path}"
        );
    }
    for path in [
        "/../about",
        "/x/..%2fabout",
        "/%2e%2e/about",
        "/about%00",
        "/about%5c",
        "/..\\about",
    ] {
        let Ok(uri) = path.parse::<Uri>() else {
            continue;
        };
        let answer = get(&files, &uri.to_string(), &[]).await;
        assert!(matches!(answer, Err(ErrorKind::BadRequest(_))), "{path}");
    }
}
