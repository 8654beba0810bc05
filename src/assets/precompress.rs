//! Variants that a build did not bring, made in the background at the highest levels.
//!
//! A request never waits for one and never makes one: until a variant is there, it gets the file as
//! it is.

use std::{
    io::{self, Write as _},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use arc_swap::ArcSwap;
use brotli::enc::BrotliEncoderParams;

use crate::{
    assets::{
        Options,
        archive::Archive,
        asset::{Asset, Variant},
        cache::Cache,
        content::Content,
        delta,
        release::Release,
    },
    message::coding::Coding,
};

/// Above this, in bytes, brotli's highest quality takes longer than a deploy should.
const BEST: usize = 1 << 20;

/// What the work on a release knows.
pub(super) struct Surroundings<'a> {
    pub(super) release: &'a Arc<Release>,
    /// Where the next release appears.
    pub(super) current: &'a ArcSwap<Release>,
    pub(super) options: &'a Options,
    pub(super) cache: Option<&'a Cache>,
    pub(super) archive: Option<&'a Archive>,
    pub(super) stop: &'a AtomicBool,
}

/// What of the disk is for files of earlier builds, in quarters; the rest is for coded ones.
const ARCHIVED: u64 = 3;

/// Completes the assets of a release: from the cache at once, the others when it has rested. Its
/// hashed files are kept before, so that they outlive it.
pub(super) fn complete(around: &Surroundings<'_>) {
    let options = around.options;
    let archived = options.disk / 4 * ARCHIVED;
    if let Some(archive) = around.archive
        && options.keep.builds > 0
    {
        around.release.save(archive, archived);
    }
    let bound = options.memory.saturating_add(options.retired);
    let mut left = bound.saturating_sub(around.release.weight());
    for asset in around.release.wanting() {
        if let Some(made) = around.cache.and_then(|cache| find(&asset, cache)) {
            take(&asset, made, &mut left);
        }
    }
    if around.release.since.elapsed() < options.rest {
        return;
    }
    for asset in around.release.wanting() {
        if around.is_over() {
            return;
        }
        let made = make(&asset, around.cache);
        take(&asset, made, &mut left);
    }
    for (name, asset) in around.release.without_deltas() {
        if around.is_over() {
            return;
        }
        let deltas = delta::all(asset, &around.release.earlier_than(name), around.cache);
        asset.set_deltas(within(deltas, |delta| &delta.content, &mut left));
    }
    around.release.set_coded();
    if let Some(cache) = around.cache {
        cache.tidy(options.disk - archived);
    }
}

impl Surroundings<'_> {
    /// There is a newer release, or nobody wants anything any more.
    fn is_over(&self) -> bool {
        !Arc::ptr_eq(self.release, &self.current.load()) || self.stop.load(Ordering::Relaxed)
    }
}

/// Adds what fits into the memory that is left.
fn take(asset: &Asset, made: Vec<Variant>, left: &mut u64) {
    asset.complete(within(made, |variant| &variant.content, left));
}

/// Those that fit into the memory that is left.
fn within<T>(mut made: Vec<T>, content: fn(&T) -> &Content, left: &mut u64) -> Vec<T> {
    made.retain(|it| match left.checked_sub(content(it).size()) {
        Some(rest) => {
            *left = rest;
            true
        }
        None => false,
    });
    made
}

/// What the cache has, if it has every coding that is missing.
fn find(asset: &Asset, cache: &Cache) -> Option<Vec<Variant>> {
    let identity = asset.identity();
    let mut found = Vec::new();
    for coding in asset.missing() {
        let bytes = cache.find(identity.digest(), label(coding, identity.size()))?;
        found.extend(variant(coding, bytes, identity));
    }
    Some(found)
}

fn make(asset: &Asset, cache: Option<&Cache>) -> Vec<Variant> {
    let identity = asset.identity();
    let Some(bytes) = identity.bytes() else {
        return Vec::new();
    };
    let mut made = Vec::new();
    for coding in asset.missing() {
        let label = label(coding, identity.size());
        if let Some(coded) = cache.and_then(|cache| cache.find(identity.digest(), label)) {
            made.extend(variant(coding, coded, identity));
            continue;
        }
        // Writing to memory does not fail; the file as it is stays in any case.
        let Ok(mut coded) = encode(coding, bytes) else {
            continue;
        };
        if !is_worth(coded.len(), bytes.len()) {
            coded.clear();
        }
        if let Some(cache) = cache {
            cache.keep(identity.digest(), label, &coded);
        }
        made.extend(variant(coding, coded, identity));
    }
    made
}

/// An empty one says that coding is not worth it.
fn variant(coding: Coding, coded: Vec<u8>, identity: &Content) -> Option<Variant> {
    (!coded.is_empty()).then(|| Variant {
        coding,
        content: Content::made(coded.into(), *identity.stamp()),
    })
}

/// A client has to unpack it: a few per cent are not worth that.
fn is_worth(coded: usize, size: usize) -> bool {
    coded < size - size / 20
}

/// Names how a file of this size is coded, so that another level is another entry of the cache.
fn label(coding: Coding, size: u64) -> &'static str {
    match coding {
        Coding::Brotli if size > BEST as u64 => "br9",
        Coding::Brotli => "br11",
        Coding::Zstd => "zst19",
        Coding::Gzip => "gz9",
    }
}

fn encode(coding: Coding, mut bytes: &[u8]) -> io::Result<Vec<u8>> {
    match coding {
        Coding::Brotli => {
            let params = BrotliEncoderParams {
                quality: if bytes.len() > BEST { 9 } else { 11 },
                size_hint: bytes.len(),
                ..BrotliEncoderParams::default()
            };
            let mut coded = Vec::new();
            brotli::BrotliCompress(&mut bytes, &mut coded, &params)?;
            Ok(coded)
        }
        Coding::Zstd => zstd::bulk::compress(bytes, 19),
        Coding::Gzip => {
            let mut encoder =
                flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
            encoder.write_all(bytes)?;
            encoder.finish()
        }
    }
}
