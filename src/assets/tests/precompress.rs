//! Variants that are made in the background, and kept on disk.

use std::{
    fs,
    io::Read as _,
    path::PathBuf,
    sync::atomic::{AtomicBool, Ordering},
};

use tempfile::TempDir;

use super::{at_once, folder, write};
use crate::{
    assets::{Changed, Duration, Options, Store, asset::Asset, content::Source},
    message::coding::Coding,
};

/// Takes nothing but what is kept.
const LATER: Duration = Duration::from_hours(1);

fn script() -> String {
    let lines: Vec<_> = (0..200)
        .map(|at| format!("export const name{at} = {at} * 7;"))
        .collect();
    lines.join("\n")
}

fn options(state: Option<&TempDir>) -> Options {
    Options {
        rest: Duration::ZERO,
        state: state.map(|state| state.path().to_owned()),
        ..at_once()
    }
}

fn build() -> TempDir {
    folder(&[("index.html", "<p>"), ("a.js", &script())])
}

fn go(store: &Store) {
    store.precompress(&AtomicBool::new(false));
}

fn codings(store: &Store, name: &str) -> Vec<&'static str> {
    let release = store.release();
    let variants = release.file(name).unwrap().variants().iter();
    let mut codings: Vec<_> = variants.map(|variant| variant.coding.as_str()).collect();
    codings.sort_unstable();
    codings
}

fn decoded(asset: &Asset, coding: Coding) -> String {
    let mut variants = asset.variants().iter();
    let variant = variants.find(|variant| variant.coding == coding).unwrap();
    let Source::Memory(bytes) = variant.content.source() else {
        panic!("it is in memory");
    };
    let mut text = String::new();
    match coding {
        Coding::Brotli => brotli::Decompressor::new(&bytes[..], 4096).read_to_string(&mut text),
        Coding::Gzip => flate2::read::GzDecoder::new(&bytes[..]).read_to_string(&mut text),
        Coding::Zstd => zstd::Decoder::new(&bytes[..])
            .unwrap()
            .read_to_string(&mut text),
    }
    .unwrap();
    text
}

/// Every entry of the cache.
fn entries(state: &TempDir) -> Vec<PathBuf> {
    let roots = fs::read_dir(state.path().join("files")).unwrap();
    let root = roots.map(|root| root.unwrap().path()).next().unwrap();
    let entries = fs::read_dir(root.join("coded")).unwrap();
    let mut entries: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    entries
}

#[test]
fn makes_the_codings_that_a_build_did_not_bring() {
    let dir = build();
    write(&dir, "a.js.gz", "short");
    let store = Store::open(dir.path(), options(None)).unwrap();
    assert_eq!(codings(&store, "a.js"), ["gzip"]);
    go(&store);
    assert_eq!(codings(&store, "a.js"), ["br", "gzip", "zstd"]);
    let release = store.release();
    let asset = release.file("a.js").unwrap();
    assert_eq!(decoded(asset, Coding::Brotli), script());
    assert_eq!(decoded(asset, Coding::Zstd), script());
    let sizes = asset
        .variants()
        .iter()
        .map(|variant| variant.content.size());
    assert!(sizes.is_sorted());
    let etags: std::collections::HashSet<_> = asset
        .variants()
        .iter()
        .map(|variant| variant.content.etag().clone())
        .chain([asset.identity().etag().clone()])
        .collect();
    assert_eq!(etags.len(), 4, "each has a validator of its own");
}

#[test]
fn says_from_the_start_that_an_asset_will_vary() {
    let store = Store::open(build().path(), options(None)).unwrap();
    let release = store.release();
    assert!(release.file("a.js").unwrap().varies());
    assert!(!release.file("index.html").unwrap().varies(), "too small");
}

#[test]
fn drops_what_is_hardly_smaller() {
    let mut random = fastrand::Rng::with_seed(1);
    let noise: String = (0..8000)
        .map(|_| char::from_u32(random.u32(0x4e00..0x9000)).unwrap())
        .collect();
    let dir = folder(&[("noise.woff2", &noise), ("a.png", &script())]);
    fs::write(dir.path().join("noise.txt"), {
        let mut bytes = vec![0; 8000];
        random.fill(&mut bytes);
        bytes
    })
    .unwrap();
    let store = Store::open(dir.path(), options(None)).unwrap();
    go(&store);
    for name in ["noise.txt", "noise.woff2", "a.png"] {
        assert!(codings(&store, name).is_empty(), "{name}");
    }
}

#[test]
fn waits_until_a_release_has_rested() {
    let late = Options {
        rest: LATER,
        ..options(None)
    };
    let store = Store::open(build().path(), late).unwrap();
    go(&store);
    assert!(codings(&store, "a.js").is_empty());
}

#[test]
fn hands_variants_on_to_the_next_release() {
    let dir = build();
    let store = Store::open(dir.path(), options(None)).unwrap();
    go(&store);
    write(&dir, "b.js", &script());
    assert_eq!(store.refresh().unwrap(), Changed::Published(3));
    assert_eq!(codings(&store, "a.js").len(), 3);
    assert!(codings(&store, "b.js").is_empty());
    write(&dir, "a.js", &script().replace('7', "8"));
    store.refresh().unwrap();
    assert!(codings(&store, "a.js").is_empty(), "it is another file");
}

#[test]
fn stops_when_it_is_told_to() {
    let store = Store::open(build().path(), options(None)).unwrap();
    let stop = AtomicBool::new(true);
    store.precompress(&stop);
    assert!(codings(&store, "a.js").is_empty());
    stop.store(false, Ordering::Relaxed);
    store.precompress(&stop);
    assert_eq!(codings(&store, "a.js").len(), 3);
}

#[test]
fn leaves_a_release_that_was_replaced() {
    let dir = build();
    let store = Store::open(dir.path(), options(None)).unwrap();
    let old = store.release.load_full();
    write(&dir, "a.js", &script().replace('7', "8"));
    store.refresh().unwrap();
    crate::assets::precompress::complete(&crate::assets::precompress::Surroundings {
        release: &old,
        current: &store.release,
        options: &store.options,
        cache: None,
        archive: None,
        stop: &AtomicBool::new(false),
    });
    assert!(old.file("a.js").unwrap().variants().is_empty());
}

#[test]
fn holds_no_more_than_its_memory() {
    let size = script().len() as u64;
    let tight = Options {
        memory: size + 4,
        retired: 0,
        ..options(None)
    };
    let store = Store::open(build().path(), tight).unwrap();
    go(&store);
    assert!(codings(&store, "a.js").is_empty());
}

#[test]
fn takes_what_was_kept_and_makes_nothing_twice() {
    let (dir, state) = (build(), tempfile::tempdir().unwrap());
    go(&Store::open(dir.path(), options(Some(&state))).unwrap());
    let later = Options {
        rest: LATER,
        ..options(Some(&state))
    };
    let store = Store::open(dir.path(), later).unwrap();
    go(&store);
    assert_eq!(codings(&store, "a.js"), ["br", "gzip", "zstd"]);
    assert_eq!(entries(&state).len(), 3);
}

#[test]
fn makes_a_damaged_entry_again() {
    let (dir, state) = (build(), tempfile::tempdir().unwrap());
    go(&Store::open(dir.path(), options(Some(&state))).unwrap());
    let good: Vec<_> = entries(&state)
        .iter()
        .map(|it| fs::read(it).unwrap())
        .collect();
    let damages: [fn(&mut Vec<u8>); 3] = [
        |bytes| bytes.truncate(40),
        |bytes| bytes.clear(),
        |bytes| bytes[50] ^= 1,
    ];
    for damage in damages {
        let path = &entries(&state)[0];
        let mut bytes = good[0].clone();
        damage(&mut bytes);
        fs::write(path, bytes).unwrap();
        let store = Store::open(dir.path(), options(Some(&state))).unwrap();
        go(&store);
        assert_eq!(codings(&store, "a.js").len(), 3);
        assert_eq!(fs::read(path).unwrap(), good[0]);
    }
}

#[test]
fn does_without_a_folder_that_cannot_be_written_to() {
    let state = folder(&[("files", "a file where a folder should be")]);
    let store = Store::open(build().path(), options(Some(&state))).unwrap();
    go(&store);
    assert_eq!(codings(&store, "a.js").len(), 3);
}

#[test]
fn keeps_no_more_on_disk_than_it_may() {
    let (dir, state) = (build(), tempfile::tempdir().unwrap());
    go(&Store::open(dir.path(), options(Some(&state))).unwrap());
    let sizes = entries(&state)
        .into_iter()
        .map(|it| fs::metadata(it).unwrap().len());
    let one = sizes.max().unwrap();
    write(&dir, "a.js", &script().replace('7', "8"));
    let tight = Options {
        disk: 4 * one,
        ..options(Some(&state))
    };
    let store = Store::open(dir.path(), tight).unwrap();
    go(&store);
    assert_eq!(entries(&state).len(), 1);
    assert_eq!(codings(&store, "a.js").len(), 3, "memory has its own bound");
}
