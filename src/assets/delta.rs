//! A file as its difference from an earlier build of it (RFC 9842).
//!
//! A browser that has the earlier one says so by its hash, and gets the few bytes that changed.

use std::io::{self, Write as _};

use aws_lc_rs::digest::{SHA256, digest};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use brotli::enc::{BrotliEncoderParams, StandardAlloc};
use http::HeaderValue;
use zstd::stream::write::Encoder;

use crate::{
    assets::{
        asset::{Asset, Delta, Shared},
        cache::Cache,
        content::Content,
        disk,
    },
    message::coding::DictionaryCoding,
};

/// What a `dcb` body begins with, before the hash of the dictionary.
const DCB: [u8; 4] = [0xff, b'D', b'C', b'B'];
/// The same of `dcz`: a frame that zstd skips, of 32 bytes.
const DCZ: [u8; 8] = [0x5e, 0x2a, 0x4d, 0x18, 0x20, 0, 0, 0];

/// The most that brotli does.
const BROTLI_QUALITY: i32 = 11;
/// 4 MiB: dictionary and file lie within it, since both are kept in memory. A decoder counts distances into the
/// dictionary as we do only while that holds.
const BROTLI_WINDOW: i32 = 22;
/// The most that zstd does without more memory than browsers give.
const ZSTD_LEVEL: i32 = 19;

/// `asset` as its difference from each of `earlier`, where that is worth it. Takes a while, unless the cache has it.
pub(super) fn all(asset: &Asset, earlier: &[&Shared], cache: Option<&Cache>) -> Vec<Delta> {
    let smallest = asset.variants().first().map(|it| &it.content);
    let worth = smallest.map_or_else(|| asset.identity().size(), Content::size) / 2;
    let both = earlier
        .iter()
        .flat_map(|it| DictionaryCoding::ALL.map(|coding| (*it, coding)));
    let deltas = both.filter_map(|(earlier, coding)| delta(asset, earlier, coding, cache));
    deltas.filter(|it| it.content.size() < worth).collect()
}

fn delta(
    asset: &Asset,
    earlier: &Asset,
    coding: DictionaryCoding,
    cache: Option<&Cache>,
) -> Option<Delta> {
    let (identity, dictionary) = (asset.identity(), earlier.identity());
    let label = format!("{}-{}", coding.as_str(), disk::hex(dictionary.digest()));
    let kept = cache.and_then(|cache| cache.find(identity.digest(), &label));
    let coded = kept.or_else(|| {
        let coded = encode(coding, identity.bytes()?, dictionary.bytes()?).ok()?;
        if let Some(cache) = cache {
            cache.keep(identity.digest(), &label, &coded);
        }
        Some(coded)
    })?;
    Some(Delta {
        available: available(dictionary.digest()),
        coding,
        content: Content::made(coded.into(), *identity.stamp()),
    })
}

/// `bytes`, coded with `dictionary`. Takes a while.
///
/// # Errors
/// None is known; the encoders have them in their types.
fn encode(coding: DictionaryCoding, bytes: &[u8], dictionary: &[u8]) -> io::Result<Vec<u8>> {
    let hash = digest(&SHA256, dictionary);
    match coding {
        DictionaryCoding::Brotli => {
            let mut coded = [&DCB[..], hash.as_ref()].concat();
            brotli(bytes, dictionary, &mut coded)?;
            Ok(coded)
        }
        DictionaryCoding::Zstd => {
            let coded = [&DCZ[..], hash.as_ref()].concat();
            zstd(bytes, dictionary, coded)
        }
    }
}

/// `Available-Dictionary` of a client that has the bytes with this digest (RFC 9842 section 2.2).
fn available(digest: &[u8; 32]) -> HeaderValue {
    let hash = STANDARD.encode(digest);
    HeaderValue::try_from(format!(":{hash}:")).expect("base64 is visible ASCII")
}

fn brotli(mut bytes: &[u8], dictionary: &[u8], coded: &mut Vec<u8>) -> io::Result<()> {
    let params = BrotliEncoderParams {
        quality: BROTLI_QUALITY,
        lgwin: BROTLI_WINDOW,
        size_hint: bytes.len(),
        ..BrotliEncoderParams::default()
    };
    let (mut input, mut output) = (vec![0; 64 << 10], vec![0; 64 << 10]);
    brotli::enc::BrotliCompressCustomIoCustomDict(
        &mut brotli::IoReaderWrapper(&mut bytes),
        &mut brotli::IoWriterWrapper(coded),
        &mut input,
        &mut output,
        &params,
        StandardAlloc::default(),
        &mut |_, _, _, _| (),
        dictionary,
        io::ErrorKind::UnexpectedEof.into(),
    )?;
    Ok(())
}

fn zstd(bytes: &[u8], dictionary: &[u8], coded: Vec<u8>) -> io::Result<Vec<u8>> {
    let mut encoder = Encoder::with_ref_prefix(coded, ZSTD_LEVEL, dictionary)?;
    // Nothing before the next frame is read when it is known how far back it refers.
    encoder.set_pledged_src_size(Some(bytes.len() as u64))?;
    encoder.write_all(bytes)?;
    encoder.finish()
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use brotli::enc::StandardAlloc as Alloc;

    use super::*;

    /// Code that differs from that of another `release` in a few places.
    fn code(release: u32) -> Vec<u8> {
        let mut random = fastrand::Rng::with_seed(7);
        let line = |at: u32| {
            let word: String = (0..12).map(|_| random.alphanumeric()).collect();
            let release = if at.is_multiple_of(100) { release } else { 0 };
            format!("export const {word}={at}+{release};\n")
        };
        (0..2000).map(line).collect::<String>().into_bytes()
    }

    fn decode_brotli(coded: &[u8], dictionary: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        let (mut input, mut output) = (vec![0; 4096], vec![0; 4096]);
        brotli::BrotliDecompressCustomIoCustomDict(
            &mut brotli::IoReaderWrapper(&mut &coded[..]),
            &mut brotli::IoWriterWrapper(&mut bytes),
            &mut input,
            &mut output,
            Alloc::default(),
            Alloc::default(),
            Alloc::default(),
            dictionary.to_vec().into(),
            io::ErrorKind::UnexpectedEof.into(),
        )
        .unwrap();
        bytes
    }

    #[test]
    fn sends_little_where_little_changed_and_nothing_is_lost() {
        let (old, new) = (code(1), code(2));
        let hash = digest(&SHA256, &old);
        for coding in DictionaryCoding::ALL {
            let coded = encode(coding, &new, &old).unwrap();
            assert!(coded.len() * 20 < new.len(), "{coding:?}: {}", coded.len());
            let decoded = match coding {
                DictionaryCoding::Brotli => {
                    assert_eq!(coded[..4], DCB);
                    assert_eq!(coded[4..36], *hash.as_ref());
                    decode_brotli(&coded[36..], &old)
                }
                DictionaryCoding::Zstd => {
                    assert_eq!(coded[..8], DCZ);
                    assert_eq!(coded[8..40], *hash.as_ref());
                    let mut bytes = Vec::new();
                    // The decoder takes the dictionary for the first frame alone, so without the one that it would skip.
                    zstd::stream::read::Decoder::with_ref_prefix(&coded[40..], &old)
                        .unwrap()
                        .read_to_end(&mut bytes)
                        .unwrap();
                    bytes
                }
            };
            assert!(decoded == new, "{coding:?}");
        }
    }

    #[test]
    fn names_a_dictionary_as_clients_do() {
        // printf x | openssl dgst -sha256 -binary | base64
        let mut hash = [0; 32];
        hash.copy_from_slice(digest(&SHA256, b"x").as_ref());
        assert_eq!(
            available(&hash),
            ":LXEWQrcmsEQBYnyp+6wy9chTD7GQPMTbAiWHF5IaSIE=:"
        );
    }
}
