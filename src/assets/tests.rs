//! What a folder is read into.

use std::{
    ffi::OsStr,
    fs,
    os::unix::{ffi::OsStrExt as _, fs::symlink, net::UnixListener},
    time::SystemTime,
};

use http::HeaderValue;
use tempfile::TempDir;

use super::{content::Source, *};
use crate::config::headers::{Csp, Policy};

mod archive;
mod deltas;
mod precompress;
mod refresh;
mod told;
mod watch;

/// A folder with these files.
fn folder(files: &[(&str, &str)]) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in files {
        write(&dir, name, text);
    }
    dir
}

fn write(dir: &TempDir, name: &str, text: &str) {
    let path = dir.path().join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

/// Takes every change for settled.
fn at_once() -> Options {
    Options {
        settle: Duration::ZERO,
        ..Options::default()
    }
}

fn open(dir: &TempDir) -> Arc<Store> {
    Store::open(dir.path(), at_once()).unwrap()
}

fn text(store: &Store, path: &str) -> Option<String> {
    let release = store.release();
    let asset = release.file(path)?;
    Some(match asset.identity().source() {
        Source::Memory(bytes) => String::from_utf8(bytes.to_vec()).unwrap(),
        Source::Disk(file) => {
            let size = usize::try_from(asset.identity().size()).unwrap();
            let bytes = file.open().unwrap().read(0, size).unwrap();
            String::from_utf8(bytes.to_vec()).unwrap()
        }
    })
}

#[test]
fn finds_files_and_indexes() {
    let dir = folder(&[
        ("index.html", "root"),
        ("docs/index.html", "docs"),
        ("img/a.png", "a"),
    ]);
    let store = open(&dir);
    assert_eq!(text(&store, "").as_deref(), Some("root"));
    assert_eq!(text(&store, "docs/").as_deref(), Some("docs"));
    assert_eq!(text(&store, "img/a.png").as_deref(), Some("a"));
    let release = store.release();
    assert!(matches!(release.find("docs"), Some(release::Entry::Folder)));
    assert!(release.find("img").is_none() && release.find("img/").is_none());
    assert_eq!(release.len(), 3);
}

#[test]
fn leaves_out_dotfiles_but_not_well_known() {
    let dir = folder(&[
        (".env", "x"),
        ("a/.git/config", "x"),
        (".well-known/security.txt", "ok"),
        ("a/.well-known/x", "x"),
    ]);
    let store = open(&dir);
    assert_eq!(store.release().len(), 1);
    assert!(text(&store, ".well-known/security.txt").is_some());
}

#[test]
fn follows_links_inside_the_root_and_no_others() {
    let outside = folder(&[("secret.txt", "x"), ("sub/secret.txt", "x")]);
    let dir = folder(&[
        ("real/a.js", "a"),
        (".env", "x"),
        ("..data/env.js", "mounted"),
    ]);
    let link = |target: &Path, name: &str| symlink(target, dir.path().join(name)).unwrap();
    link(&outside.path().join("secret.txt"), "secret.txt");
    link(&outside.path().join("sub"), "sub");
    link(
        Path::new("../../../../../../../../etc/hostname"),
        "relative.txt",
    );
    link(Path::new(".env"), "env.txt");
    link(Path::new("nothing"), "dangling.txt");
    link(Path::new("real/a.js"), "b.js");
    link(Path::new("real"), "alias");
    link(Path::new("..data/env.js"), "env.js");
    let store = open(&dir);
    for name in ["real/a.js", "b.js", "alias/a.js", "env.js"] {
        assert!(text(&store, name).is_some(), "{name}");
    }
    assert_eq!(store.release().len(), 4);
    assert_eq!(store.release().skipped.count, 5);
}

#[test]
fn leaves_out_what_is_no_file_or_cannot_be_asked_for() {
    let dir = folder(&[("a.js", "a")]);
    let _socket = UnixListener::bind(dir.path().join("socket")).unwrap();
    fs::write(dir.path().join(OsStr::from_bytes(b"\xff.js")), "x").unwrap();
    let store = open(&dir);
    assert_eq!(
        (store.release().len(), store.release().skipped.count),
        (1, 2)
    );
}

#[test]
fn ends_link_loops() {
    let dir = folder(&[("a/x", "x"), ("b/y", "y")]);
    symlink("..", dir.path().join("a/up")).unwrap();
    symlink("../b", dir.path().join("a/b")).unwrap();
    symlink("../a", dir.path().join("b/a")).unwrap();
    let store = open(&dir);
    assert!(text(&store, "a/b/y").is_some() && text(&store, "b/a/x").is_some());
    assert!(text(&store, "a/b/a/x").is_none());
}

#[test]
fn refuses_more_files_than_its_bound() {
    let dir = folder(&[("a", ""), ("b", ""), ("c", "")]);
    let options = Options {
        files: 2,
        ..at_once()
    };
    assert!(matches!(
        Store::open(dir.path(), options),
        Err(AssetError::TooMany { limit: 2, .. })
    ));
}

#[test]
fn says_which_folder_is_not_there() {
    let error = Store::open(Path::new("/nonexistent/dist"), at_once()).unwrap_err();
    assert_eq!(error.to_string(), "cannot read \"/nonexistent/dist\"");
}

#[test]
fn keeps_small_files_in_memory_and_large_ones_on_disk() {
    let dir = folder(&[
        ("small", "abc"),
        ("medium", "abcdef"),
        ("large", "abcdefghijkl"),
    ]);
    let options = Options {
        in_memory: 8,
        memory: 8,
        ..at_once()
    };
    let store = Store::open(dir.path(), options).unwrap();
    let release = store.release();
    let in_memory = |name| {
        matches!(
            release.file(name).unwrap().identity().source(),
            Source::Memory(_)
        )
    };
    assert!(in_memory("small") && !in_memory("medium") && !in_memory("large"));
    assert_eq!(text(&store, "large").as_deref(), Some("abcdefghijkl"));
}

#[test]
fn tells_versions_apart_by_content_and_not_by_time() {
    let dir = folder(&[("a.txt", "same"), ("b.txt", "same"), ("c.txt", "other")]);
    let store = open(&dir);
    let release = store.release();
    let etag = |name| release.file(name).unwrap().identity().etag().clone();
    assert_eq!(etag("a.txt"), etag("b.txt"));
    assert_ne!(etag("a.txt"), etag("c.txt"));
}

#[test]
fn offers_ready_made_variants_smallest_first() {
    let dir = folder(&[
        ("a.js", "0123456789"),
        ("a.js.gz", "01234"),
        ("a.js.br", "012"),
        ("a.js.zst", "larger than it"),
        ("b.js", "0123456789"),
        ("b.js.gz", "01234"),
    ]);
    let stale = fs::File::options()
        .write(true)
        .open(dir.path().join("b.js.gz"))
        .unwrap();
    stale
        .set_modified(SystemTime::now() - Duration::from_hours(1))
        .unwrap();
    let store = open(&dir);
    let release = store.release();
    let codings = |name| {
        release
            .file(name)
            .unwrap()
            .variants()
            .iter()
            .map(|variant| variant.coding.as_str())
            .collect::<Vec<_>>()
    };
    assert_eq!(codings("a.js"), ["br", "gzip"]);
    assert_eq!(codings("b.js"), [""; 0], "a variant of an earlier build");
    assert_eq!(
        text(&store, "a.js.gz").as_deref(),
        Some("01234"),
        "it is a file, too"
    );
}

#[test]
fn adds_hashes_of_inline_scripts_to_the_policy_of_a_page() {
    let dir = folder(&[
        ("index.html", "<script>alert(1)</script>"),
        ("plain.html", "<p>"),
    ]);
    let policy = Policy::Directives(vec![("script-src".into(), vec!["'self'".into()])]);
    let options = Options {
        csp: Some(Csp {
            policy,
            report_only: false,
            nonce: None,
            report: None,
        }),
        ..at_once()
    };
    let store = Store::open(dir.path(), options).unwrap();
    let release = store.release();
    let (name, value) = release.file("index.html").unwrap().csp().unwrap();
    assert_eq!(name, "content-security-policy");
    assert_eq!(
        value,
        HeaderValue::from_static(
            "script-src 'self' 'sha256-bhHHL3z2vDgxUt0W3dWQOrprscmda2Y5pLsLg4GF+pI='"
        )
    );
    assert!(release.file("plain.html").unwrap().csp().is_none());
}
