//! Files that are changed by the environment, and paths that lead to them.

use super::*;
use crate::assets::environment::Environment;

fn told(dir: &TempDir, values: &[(&str, &str)]) -> Options {
    assert!(dir.path().exists());
    let owned = values.iter().map(|(n, v)| (n.to_string(), v.to_string()));
    Options {
        environment: Environment::new(owned.collect()),
        ..at_once()
    }
}

fn build() -> TempDir {
    folder(&[
        (
            "index.html",
            "<head><script src=/assets/index-DiwrgTda.js></script>",
        ),
        (
            "assets/index-DiwrgTda.js",
            "fetch('%PUBLIC_API%') // and more, so that it shrinks",
        ),
        ("assets/index-DiwrgTda.js.br", "coded"),
        (
            "assets/other-DiwrgTdb.js",
            "no placeholder, but long enough",
        ),
        ("assets/other-DiwrgTdb.js.br", "coded"),
        ("data.json", "\"%PUBLIC_API%\""),
        ("style.css", "/*%PUBLIC_API%*/"),
    ])
}

#[test]
fn what_is_filled_in_has_its_own_validators_and_no_codings_of_the_build() {
    let dir = build();
    let plain = open(&dir);
    let options = told(&dir, &[("PUBLIC_API", "/v1")]);
    let store = Store::open(dir.path(), options).unwrap();
    let (plain, release) = (plain.release(), store.release());
    let script = release.file("assets/index-DiwrgTda.js").unwrap();
    let before = plain.file("assets/index-DiwrgTda.js").unwrap();
    assert!(
        text(&store, "assets/index-DiwrgTda.js")
            .unwrap()
            .starts_with("fetch('/v1')")
    );
    assert_eq!(script.cache_control(), "no-cache");
    assert_eq!(
        before.cache_control(),
        "public, max-age=31536000, immutable"
    );
    assert_ne!(script.identity().etag(), before.identity().etag());
    assert_eq!(
        script.identity().length(),
        &script.identity().size().to_string()
    );
    assert!(script.variants().is_empty() && before.variants().len() == 1);
    assert!(script.modified().is_none() && before.modified().is_some());
    assert!(script.is_hashed(), "it is kept for pages of earlier builds");
    let other = release.file("assets/other-DiwrgTdb.js").unwrap();
    assert_eq!(other.variants().len(), 1);
    assert_eq!(other.cache_control(), "public, max-age=31536000, immutable");
    assert_eq!(
        text(&store, "data.json").as_deref(),
        Some("\"%PUBLIC_API%\"")
    );
    assert_eq!(
        text(&store, "style.css").as_deref(),
        Some("/*%PUBLIC_API%*/")
    );
    assert!(
        text(&store, "")
            .unwrap()
            .contains("{\"PUBLIC_API\":\"/v1\"}")
    );
}

#[test]
fn the_policy_of_a_page_allows_the_script_that_tells_it() {
    let dir = folder(&[("index.html", "<head>")]);
    let policy = Policy::Directives(vec![("script-src".into(), vec!["'self'".into()])]);
    let csp = Csp {
        policy,
        report_only: false,
        nonce: None,
        report: None,
    };
    let options = Options {
        csp: Some(csp),
        ..told(&dir, &[("A", "1")])
    };
    let store = Store::open(dir.path(), options).unwrap();
    let page = text(&store, "").unwrap();
    let script = page
        .strip_prefix("<head><script>")
        .and_then(|rest| rest.strip_suffix("</script>"))
        .unwrap();
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, script.as_bytes());
    let hash = base64::Engine::encode(&base64::prelude::BASE64_STANDARD, digest);
    let release = store.release();
    let (_, value) = release.file("index.html").unwrap().csp().unwrap();
    assert_eq!(value, &format!("script-src 'self' 'sha256-{hash}'"));
}

#[test]
fn another_list_takes_nothing_over_that_was_filled_in() {
    let dir = build();
    let one = Store::open(dir.path(), told(&dir, &[("PUBLIC_API", "/v1")])).unwrap();
    let two = one
        .with_options(told(&dir, &[("PUBLIC_API", "/v2")]))
        .unwrap();
    let none = two.with_options(at_once()).unwrap();
    let script = |store: &Store| text(store, "assets/index-DiwrgTda.js").unwrap();
    assert!(script(&two).starts_with("fetch('/v2')"));
    assert!(script(&none).starts_with("fetch('%PUBLIC_API%')"));
    let etag = |store: &Store| store.release().file("").unwrap().identity().etag().clone();
    assert_ne!(etag(&one), etag(&two));
    assert_eq!(etag(&none), etag(&open(&dir)));
}

#[test]
fn a_script_of_an_earlier_build_stays_as_it_was_told() {
    let dir = build();
    let store = Store::open(dir.path(), told(&dir, &[("PUBLIC_API", "/v1")])).unwrap();
    fs::remove_file(dir.path().join("assets/index-DiwrgTda.js")).unwrap();
    write(&dir, "index.html", "<head>");
    assert!(matches!(store.refresh().unwrap(), Changed::Published(_)));
    assert!(
        text(&store, "assets/index-DiwrgTda.js")
            .unwrap()
            .starts_with("fetch('/v1')")
    );
}

#[test]
fn a_script_of_an_earlier_build_comes_from_disk_only_where_there_is_nothing_to_tell() {
    let (dir, state) = (build(), tempfile::tempdir().unwrap());
    write(&dir, "assets/plain-DiwrgTda.js", "plain");
    let options = Options {
        retired: 0,
        state: Some(state.path().to_owned()),
        ..told(&dir, &[("PUBLIC_API", "/v1")])
    };
    let store = Store::open(dir.path(), options).unwrap();
    store.precompress(&AtomicBool::new(false));
    fs::remove_dir_all(dir.path().join("assets")).unwrap();
    write(&dir, "index.html", "<head>");
    assert!(matches!(store.refresh().unwrap(), Changed::Published(_)));
    let release = store.release();
    assert!(release.file("assets/plain-DiwrgTda.js").is_some());
    assert!(release.file("assets/index-DiwrgTda.js").is_none());
}

fn trying(suffixes: &[&str]) -> Options {
    Options {
        suffixes: suffixes.iter().map(|it| (*it).to_owned()).collect(),
        ..at_once()
    }
}

#[test]
fn a_path_leads_to_the_first_file_of_the_order() {
    let dir = folder(&[
        ("about.html", "page"),
        ("about/index.html", "index"),
        ("blog.html", "blog"),
        ("blog/one.html", "one"),
        ("index.html", "root"),
        ("docs/index.html", "docs"),
        ("x", "bare"),
        ("x.html", "x"),
    ]);
    let store = |suffixes: &[&str]| Store::open(dir.path(), trying(suffixes)).unwrap();
    let next = store(&["", ".html", "/index.html"]);
    for (path, found) in [
        ("about", Some("page")),
        ("about/", Some("index")),
        ("about.html", Some("page")),
        ("blog", Some("blog")),
        ("blog/", None),
        ("blog/one", Some("one")),
        ("", Some("root")),
        ("index", Some("root")),
        ("docs/", Some("docs")),
        ("docs/index", Some("docs")),
        ("x", Some("bare")),
        ("about.html.html", None),
        (".html", None),
    ] {
        assert_eq!(text(&next, path).as_deref(), found, "{path:?}");
    }
    let is_folder = |store: &Store, path: &str| {
        matches!(store.release().find(path), Some(release::Entry::Folder))
    };
    assert!(is_folder(&next, "docs") && !is_folder(&next, "about"));
    let folders = store(&["", "/index.html", ".html"]);
    assert!(is_folder(&folders, "about"), "its index comes first");
    assert_eq!(text(&store(&[".html", ""]), "x").as_deref(), Some("x"));
    assert_eq!(text(&store(&[""]), ""), None, "no index is asked for");
    assert!(!is_folder(&store(&[""]), "docs"));
}
