//! When a new build is taken, and what stays of the old.

use std::{fs, os::unix::fs::symlink};

use tempfile::TempDir;

use super::{at_once, folder, open, text, write};
use crate::assets::{Changed, Duration, Options, Store};

const PAGE_1: &str = "<script type=module src=/assets/index-DiwrgTd1.js></script>";
const PAGE_2: &str = "<script type=module src=/assets/index-DiwrgTd2.js></script>";

fn build_1() -> TempDir {
    folder(&[
        ("index.html", PAGE_1),
        ("assets/index-DiwrgTd1.js", "one"),
        ("logo.svg", "old"),
    ])
}

#[test]
fn follows_a_root_that_is_a_link_to_its_new_target() {
    let dir = folder(&[("1/index.html", "one"), ("2/index.html", "two")]);
    let root = dir.path().join("current");
    symlink("1", &root).unwrap();
    let store = Store::open(&root, at_once()).unwrap();
    fs::remove_file(&root).unwrap();
    symlink("2", &root).unwrap();
    assert_eq!(store.refresh().unwrap(), Changed::Published(1));
    assert_eq!(text(&store, "").as_deref(), Some("two"));
}

#[test]
fn publishes_a_new_build_whole_and_keeps_hashed_files_of_the_old() {
    let dir = build_1();
    let store = open(&dir);
    assert_eq!(store.refresh().unwrap(), Changed::No);
    fs::remove_file(dir.path().join("assets/index-DiwrgTd1.js")).unwrap();
    fs::remove_file(dir.path().join("logo.svg")).unwrap();
    write(&dir, "assets/index-DiwrgTd2.js", "two");
    write(&dir, "index.html", PAGE_2);
    assert_eq!(store.refresh().unwrap(), Changed::Published(2));
    assert_eq!(text(&store, "").as_deref(), Some(PAGE_2));
    assert_eq!(
        text(&store, "assets/index-DiwrgTd1.js").as_deref(),
        Some("one")
    );
    assert_eq!(text(&store, "logo.svg"), None);
    write(&dir, "robots.txt", "");
    assert_eq!(store.refresh().unwrap(), Changed::Published(3));
    assert_eq!(
        text(&store, "assets/index-DiwrgTd1.js").as_deref(),
        Some("one"),
        "two builds ago"
    );
}

#[test]
fn keeps_a_large_hashed_file_that_was_removed() {
    let dir = folder(&[("app-0a1b2c3d.wasm", "a large one")]);
    let store = Store::open(
        dir.path(),
        Options {
            in_memory: 0,
            ..at_once()
        },
    )
    .unwrap();
    fs::remove_file(dir.path().join("app-0a1b2c3d.wasm")).unwrap();
    store.refresh().unwrap();
    assert_eq!(
        text(&store, "app-0a1b2c3d.wasm").as_deref(),
        Some("a large one")
    );
}

#[test]
fn bounds_what_it_keeps_of_old_builds() {
    let dir = folder(&[("a-0a1b2c3d.js", "12345"), ("b-0a1b2c3d.js", "12345")]);
    let store = Store::open(
        dir.path(),
        Options {
            retired: 7,
            ..at_once()
        },
    )
    .unwrap();
    fs::remove_file(dir.path().join("a-0a1b2c3d.js")).unwrap();
    fs::remove_file(dir.path().join("b-0a1b2c3d.js")).unwrap();
    store.refresh().unwrap();
    let kept = ["a-0a1b2c3d.js", "b-0a1b2c3d.js"]
        .iter()
        .filter(|name| text(&store, name).is_some());
    assert_eq!(kept.count(), 1);
}

#[test]
fn keeps_the_old_release_while_a_copy_is_half_done() {
    let dir = build_1();
    let store = open(&dir);
    write(&dir, "index.html", PAGE_2);
    let missing = Changed::Incomplete("/assets/index-DiwrgTd2.js".into());
    assert_eq!(store.refresh().unwrap(), missing);
    assert_eq!(store.refresh().unwrap(), missing);
    assert_eq!(text(&store, "").as_deref(), Some(PAGE_1));
    write(&dir, "assets/index-DiwrgTd2.js", "two");
    assert_eq!(store.refresh().unwrap(), Changed::Published(4));
    assert_eq!(text(&store, "").as_deref(), Some(PAGE_2));
}

#[test]
fn keeps_the_old_release_while_a_chunk_that_a_script_loads_is_not_there() {
    let dir = build_1();
    let store = open(&dir);
    write(&dir, "index.html", PAGE_2);
    let entry = "import('./About-DiwrgTd3.js'),import('/assets/old-DiwrgTd9.js')";
    write(&dir, "assets/index-DiwrgTd2.js", entry);
    write(
        &dir,
        "assets/old-DiwrgTd9.js",
        "import('./gone-DiwrgTd8.js')",
    );
    write(
        &dir,
        "assets/unused-DiwrgTd7.js",
        "import('./gone-DiwrgTd7.js')",
    );
    assert!(matches!(store.refresh().unwrap(), Changed::Incomplete(_)));
    write(&dir, "assets/gone-DiwrgTd8.js", "");
    let missing = Changed::Incomplete("About-DiwrgTd3.js".into());
    assert_eq!(store.refresh().unwrap(), missing);
    assert_eq!(text(&store, "").as_deref(), Some(PAGE_1));
    write(&dir, "assets/About-DiwrgTd3.js", "");
    assert_eq!(store.refresh().unwrap(), Changed::Published(8));
}

#[tokio::test(start_paused = true)]
async fn waits_half_a_minute_for_what_only_a_script_names() {
    let dir = build_1();
    let store = open(&dir);
    write(&dir, "index.html", PAGE_2);
    write(&dir, "assets/index-DiwrgTd2.js", "'./no-file-DiwrgTd3.js'");
    assert!(matches!(store.refresh().unwrap(), Changed::Incomplete(_)));
    tokio::time::advance(Duration::from_secs(29)).await;
    assert!(matches!(store.refresh().unwrap(), Changed::Incomplete(_)));
    tokio::time::advance(Duration::from_secs(1)).await;
    assert_eq!(store.refresh().unwrap(), Changed::Published(4));
    write(&dir, "robots.txt", "1");
    assert_eq!(store.refresh().unwrap(), Changed::Published(5));
}

#[test]
fn keeps_the_old_release_while_files_are_deleted_first() {
    let dir = build_1();
    let store = open(&dir);
    fs::remove_dir_all(dir.path().join("assets")).unwrap();
    assert!(matches!(store.refresh().unwrap(), Changed::Incomplete(_)));
    fs::remove_file(dir.path().join("index.html")).unwrap();
    assert_eq!(
        store.refresh().unwrap(),
        Changed::Incomplete("index.html".into())
    );
    fs::remove_dir_all(dir.path()).unwrap();
    assert!(store.refresh().is_err());
    fs::create_dir(dir.path()).unwrap();
    write(&dir, "index.html", PAGE_2);
    assert!(matches!(store.refresh().unwrap(), Changed::Incomplete(_)));
    assert_eq!(
        text(&store, "assets/index-DiwrgTd1.js").as_deref(),
        Some("one")
    );
    write(&dir, "assets/index-DiwrgTd2.js", "two");
    assert_eq!(store.refresh().unwrap(), Changed::Published(2));
}

#[test]
fn waits_for_no_file_that_another_route_serves() {
    let dir = build_1();
    let legacy = format!("{PAGE_1}<script src=/legacy/main-0a1b2c3c.js></script>");
    write(&dir, "index.html", &legacy);
    let store = open(&dir);
    let page = format!(
        "{PAGE_1}<script src=/legacy/main-0a1b2c3d.js></script><script src=/env.js></script>"
    );
    write(&dir, "index.html", &page);
    assert_eq!(store.refresh().unwrap(), Changed::Published(3));
}

#[tokio::test(start_paused = true)]
async fn waits_for_the_first_build_in_an_empty_folder() {
    let dir = folder(&[]);
    let store = open(&dir);
    write(&dir, "index.html", PAGE_1);
    assert!(matches!(store.refresh().unwrap(), Changed::Incomplete(_)));
    tokio::time::advance(Duration::from_secs(29)).await;
    assert!(matches!(store.refresh().unwrap(), Changed::Incomplete(_)));
    tokio::time::advance(Duration::from_secs(2)).await;
    assert!(matches!(store.refresh().unwrap(), Changed::Published(_)));
}

#[test]
fn waits_for_what_pages_in_folders_name() {
    let page = |hash: &str| format!("<base href=/de/><script src=main-{hash}.js></script>");
    let dir = folder(&[
        ("de/index.html", &page("0a1b2c3d")),
        ("de/main-0a1b2c3d.js", "1"),
    ]);
    let store = open(&dir);
    write(&dir, "de/index.html", &page("0a1b2c3e"));
    assert!(matches!(store.refresh().unwrap(), Changed::Incomplete(_)));
    write(&dir, "de/main-0a1b2c3e.js", "2");
    assert_eq!(store.refresh().unwrap(), Changed::Published(3));
}

#[test]
fn finds_what_a_page_names_behind_the_prefix_of_its_route() {
    let dir = folder(&[
        ("index.html", "<script src=/app/x-0a1b2c3d.js></script>"),
        ("x-0a1b2c3d.js", "1"),
    ]);
    let store = open(&dir);
    write(
        &dir,
        "index.html",
        "<script src=/app/x-0a1b2c3e.js></script>",
    );
    assert!(matches!(store.refresh().unwrap(), Changed::Incomplete(_)));
}

#[tokio::test(start_paused = true)]
async fn waits_until_a_change_has_settled() {
    let dir = build_1();
    let store = Store::open(dir.path(), Options::default()).unwrap();
    write(&dir, "robots.txt", "1");
    assert_eq!(store.refresh().unwrap(), Changed::Settling);
    tokio::time::advance(Duration::from_millis(900)).await;
    write(&dir, "robots.txt", "12");
    assert_eq!(store.refresh().unwrap(), Changed::Settling);
    tokio::time::advance(Duration::from_millis(900)).await;
    assert_eq!(store.refresh().unwrap(), Changed::Settling);
    tokio::time::advance(Duration::from_millis(100)).await;
    assert_eq!(store.refresh().unwrap(), Changed::Published(4));
}

#[test]
fn a_reload_in_the_midst_of_a_copy_serves_the_old_build_until_the_next_is_whole() {
    let dir = build_1();
    let store = open(&dir);
    write(
        &dir,
        "index.html",
        "<script src=/assets/index-DiwrgTd2.js></script>",
    );
    let other = store.with_options(at_once()).unwrap();
    assert_eq!(text(&other, ""), text(&store, ""));
    assert!(matches!(other.refresh().unwrap(), Changed::Incomplete(_)));
    write(&dir, "assets/index-DiwrgTd2.js", "two");
    assert!(matches!(other.refresh().unwrap(), Changed::Published(_)));
    assert_eq!(
        text(&other, "assets/index-DiwrgTd2.js").as_deref(),
        Some("two")
    );
}

#[test]
fn carries_files_over_to_other_options() {
    let dir = build_1();
    let store = open(&dir);
    fs::remove_file(dir.path().join("assets/index-DiwrgTd1.js")).unwrap();
    let other = store
        .with_options(Options {
            memory: 1 << 20,
            ..at_once()
        })
        .unwrap();
    assert_eq!(
        text(&other, "assets/index-DiwrgTd1.js").as_deref(),
        Some("one")
    );
}
