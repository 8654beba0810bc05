//! Hashed files of earlier builds, across restarts.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Arc, atomic::AtomicBool},
};

use tempfile::TempDir;

use super::{at_once, folder, text, write};
use crate::assets::{Changed, Duration, Options, Store, content::Source, history::Keep};

const OLD: &str = "assets/index-DiwrgTd1.js";
const LARGE: &str = "assets/large-0a1b2c3d.wasm";

fn options(state: &TempDir) -> Options {
    Options {
        in_memory: 100,
        state: Some(state.path().to_owned()),
        ..at_once()
    }
}

fn build_1() -> TempDir {
    folder(&[
        ("index.html", "one"),
        ("logo.svg", "old"),
        (OLD, "one"),
        (LARGE, &"large".repeat(100)),
    ])
}

/// Opens the folder as a process does, and lets its thread do its work.
fn start(dir: &Path, options: Options) -> Arc<Store> {
    let store = Store::open(dir, options).unwrap();
    store.precompress(&AtomicBool::new(false));
    store
}

/// The next build comes.
fn deploy(dir: &TempDir) {
    fs::remove_dir_all(dir.path().join("assets")).unwrap();
    fs::remove_file(dir.path().join("logo.svg")).unwrap();
    write(dir, "index.html", "two");
    write(dir, "assets/index-DiwrgTd2.js", "two");
}

fn root_of(state: &TempDir) -> PathBuf {
    let mut roots = fs::read_dir(state.path().join("files")).unwrap();
    roots.next().unwrap().unwrap().path()
}

fn kept(state: &TempDir) -> Vec<PathBuf> {
    let kept = fs::read_dir(root_of(state).join("kept")).unwrap();
    kept.map(|entry| entry.unwrap().path()).collect()
}

#[test]
fn a_source_map_goes_with_its_build() {
    let (dir, state) = (build_1(), tempfile::tempdir().unwrap());
    write(&dir, &format!("{OLD}.map"), "{}");
    let store = start(dir.path(), options(&state));
    deploy(&dir);
    assert!(matches!(store.refresh().unwrap(), Changed::Published(_)));
    let release = store.release();
    assert!(release.file(OLD).is_some());
    assert!(release.file(&format!("{OLD}.map")).is_none());
}

#[test]
fn keeps_files_of_a_build_that_was_replaced_while_nobody_ran() {
    let (dir, state) = (build_1(), tempfile::tempdir().unwrap());
    let modified = |store: &Store| {
        let release = store.release();
        let modified = release.file(OLD).unwrap().modified();
        modified.unwrap().value.clone()
    };
    let before = modified(&start(dir.path(), options(&state)));
    deploy(&dir);
    for time in ["first", "second"] {
        let store = start(dir.path(), options(&state));
        assert_eq!(text(&store, OLD).as_deref(), Some("one"), "{time}");
        assert_eq!(text(&store, LARGE), Some("large".repeat(100)), "{time}");
        assert_eq!(text(&store, "logo.svg"), None, "{time}");
        assert_eq!(text(&store, "").as_deref(), Some("two"), "{time}");
        assert_eq!(modified(&store), before);
    }
}

#[test]
fn keeps_files_of_a_build_that_was_replaced_before_the_restart() {
    let (dir, state) = (build_1(), tempfile::tempdir().unwrap());
    let store = start(dir.path(), options(&state));
    deploy(&dir);
    assert_eq!(store.refresh().unwrap(), Changed::Published(2));
    assert_eq!(text(&store, LARGE), Some("large".repeat(100)));
    store.precompress(&AtomicBool::new(false));
    let store = start(dir.path(), options(&state));
    assert_eq!(text(&store, OLD).as_deref(), Some("one"));
    assert_eq!(text(&store, LARGE), Some("large".repeat(100)));
}

#[test]
fn sends_from_disk_what_does_not_fit_into_memory() {
    let (dir, state) = (build_1(), tempfile::tempdir().unwrap());
    let none = Options {
        retired: 0,
        ..options(&state)
    };
    let store = start(dir.path(), none.clone());
    deploy(&dir);
    store.refresh().unwrap();
    for store in [store, start(dir.path(), none)] {
        assert_eq!(text(&store, OLD).as_deref(), Some("one"));
        let release = store.release();
        let content = release.file(OLD).unwrap().identity();
        assert!(matches!(content.source(), Source::Disk(_)));
    }
}

#[tokio::test]
async fn forgets_a_build_when_its_time_is_over() {
    let (dir, state) = (build_1(), tempfile::tempdir().unwrap());
    let short = Options {
        keep: Keep {
            builds: 3,
            age: Duration::from_secs(1),
        },
        ..options(&state)
    };
    let store = start(dir.path(), short);
    deploy(&dir);
    store.refresh().unwrap();
    let end = std::time::SystemTime::now() + Duration::from_secs(15);
    while text(&store, OLD).is_some() {
        assert!(std::time::SystemTime::now() < end, "it stays");
        store.refresh().unwrap();
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(text(&store, "").as_deref(), Some("two"));
    store.precompress(&AtomicBool::new(false));
    assert_eq!(text(&start(dir.path(), options(&state)), OLD), None);
}

#[test]
fn keeps_nothing_where_nothing_is_to_be_kept() {
    let (dir, state) = (build_1(), tempfile::tempdir().unwrap());
    let none = Options {
        keep: Keep {
            builds: 0,
            age: Duration::from_hours(1),
        },
        ..options(&state)
    };
    let store = start(dir.path(), none);
    deploy(&dir);
    store.refresh().unwrap();
    assert_eq!(text(&store, OLD), None);
}

#[test]
fn leaves_out_a_damaged_file_and_a_damaged_list() {
    let (dir, state) = (build_1(), tempfile::tempdir().unwrap());
    start(dir.path(), options(&state));
    for path in kept(&state) {
        if fs::read(&path).unwrap() == b"one" {
            fs::write(path, "eno").unwrap();
        }
    }
    deploy(&dir);
    let store = start(dir.path(), options(&state));
    assert_eq!(text(&store, OLD), None);
    assert_eq!(text(&store, LARGE), Some("large".repeat(100)));
    fs::write(root_of(&state).join("index.json"), "{").unwrap();
    let store = start(dir.path(), options(&state));
    assert_eq!(text(&store, LARGE), None);
    assert_eq!(text(&store, "").as_deref(), Some("two"));
    assert!(fs::read(root_of(&state).join("index.json")).unwrap().len() > 1);
}

#[test]
fn keeps_no_more_on_disk_than_it_may() {
    let (dir, state) = (build_1(), tempfile::tempdir().unwrap());
    let tight = Options {
        disk: 400,
        ..options(&state)
    };
    start(dir.path(), tight);
    assert_eq!(
        kept(&state).len(),
        1,
        "the large one is beyond three quarters"
    );
}

#[test]
fn tells_roots_apart() {
    let (one, two, state) = (build_1(), build_1(), tempfile::tempdir().unwrap());
    start(one.path(), options(&state));
    deploy(&one);
    fs::remove_dir_all(two.path().join("assets")).unwrap();
    assert_eq!(text(&start(two.path(), options(&state)), OLD), None);
    assert!(text(&start(one.path(), options(&state)), OLD).is_some());
}
