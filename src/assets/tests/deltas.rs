//! Files as their difference from those of earlier builds.

use std::sync::atomic::AtomicBool;

use tempfile::TempDir;

use super::{at_once, folder, write};
use crate::assets::{Changed, Duration, Options, Store};

/// Code of which a line in a hundred is another in each release.
fn code(release: u32) -> String {
    let line = |at: u32| {
        let release = if at.is_multiple_of(100) { release } else { 0 };
        format!(
            "export const name{at} = {} + {release};\n",
            at * 7919 % 1013
        )
    };
    (0..500).map(line).collect()
}

fn page(script: &str) -> String {
    format!("<head><script type=module src=/{script}></script>")
}

/// A build that was replaced by another one, with everything made.
fn replaced(dictionaries: bool) -> (TempDir, std::sync::Arc<Store>) {
    let (old, new) = ("assets/index-DiwrgTda.js", "assets/index-B1c2D3e4.js");
    let dir = folder(&[("index.html", &page(old)), (old, &code(1))]);
    let options = Options {
        dictionaries,
        rest: Duration::ZERO,
        ..at_once()
    };
    let store = Store::open(dir.path(), options).unwrap();
    std::fs::remove_file(dir.path().join(old)).unwrap();
    write(&dir, new, &code(2));
    write(&dir, "assets/other-C1c2D3e4.js", &code(3));
    write(&dir, "index.html", &page(new));
    assert_eq!(store.refresh().unwrap(), Changed::Published(3));
    store.precompress(&AtomicBool::new(false));
    (dir, store)
}

/// The codings of its differences, the smallest first.
fn deltas(store: &Store, name: &str) -> Vec<&'static str> {
    let release = store.release();
    let deltas = release.file(name).unwrap().deltas().iter();
    deltas.map(|delta| delta.coding.as_str()).collect()
}

#[test]
fn codes_a_file_as_its_difference_from_the_one_that_it_replaces() {
    let (_dir, store) = replaced(true);
    let mut found = deltas(&store, "assets/index-B1c2D3e4.js");
    found.sort_unstable();
    assert_eq!(found, ["dcb", "dcz"]);
    let release = store.release();
    let asset = release.file("assets/index-B1c2D3e4.js").unwrap();
    let smallest = asset.variants()[0].content.size();
    for delta in asset.deltas() {
        assert!(delta.content.size() * 2 < smallest);
    }
    assert_eq!(asset.dictionary().unwrap(), "match=\"index-*.js\"");
}

#[test]
fn looks_for_no_difference_from_another_chunk() {
    let (_dir, store) = replaced(true);
    assert!(deltas(&store, "assets/other-C1c2D3e4.js").is_empty());
    assert!(deltas(&store, "assets/index-DiwrgTda.js").is_empty());
}

/// A cache must not give a difference to whoever lacks the earlier file.
#[test]
fn says_that_the_smallest_file_varies_too() {
    let dir = folder(&[("assets/index-DiwrgTda.js", "small")]);
    let options = Options {
        dictionaries: true,
        ..at_once()
    };
    let store = Store::open(dir.path(), options).unwrap();
    let release = store.release();
    let asset = release.file("assets/index-DiwrgTda.js").unwrap();
    assert!(asset.dictionary().is_some() && asset.varies());
}

#[test]
fn makes_no_differences_unless_asked_to() {
    let (_dir, store) = replaced(false);
    assert!(deltas(&store, "assets/index-B1c2D3e4.js").is_empty());
    let release = store.release();
    let asset = release.file("assets/index-B1c2D3e4.js").unwrap();
    assert_eq!(asset.dictionary(), None);
}
